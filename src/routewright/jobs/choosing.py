"""Whether a job is answered live or by providers' batch APIs, and which of its calls can go there."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.pricing import BATCH
from routewright.catalog.registry import Deployment, Model
from routewright.dialects.anthropic_batch import AnthropicBatch
from routewright.dialects.batch import BatchDialect
from routewright.dialects.openai_batch import OpenAIBatch
from routewright.engine import Engine
from routewright.errors import RoutewrightError
from routewright.jobs.job import Job
from routewright.jobs.lines import Malformed
from routewright.jobs.runner import Run
from routewright.ledger.billing import priced_usage
from routewright.ledger.ledger import NANOSECONDS
from routewright.usage import Usage

WAYS: Mapping[str, BatchDialect] = {
    "openai_chat": OpenAIBatch(),
    "openai_responses": OpenAIBatch(),
    "openai_embeddings": OpenAIBatch(),
    "anthropic_messages": AnthropicBatch(),
}
"""Who has a batch API, by the dialect of the deployment."""
WINDOW_S = 86_400
"""What providers promise."""
LEAST_ITEMS = 100
"""Fewer are not worth a day's waiting."""
SAMPLE = 20
_OURS = ("service_tier", "speed")
"""Fields that would ask for another way of being served."""


class Via(StrEnum):
    """How a job is answered."""

    AUTO = "auto"
    LIVE = "live"
    PROVIDER = "provider"


class Choice(Struct, frozen=True):
    """A decision between the ways, and what is expected of it."""

    is_provider: bool
    reason: str


def as_batch(call: Call) -> Call:
    """The same call, to be answered within a day at the price of batches."""
    body = {name: value for name, value in call.body.items() if name not in _OURS}
    return replace(call, body=body, service_tier=BATCH, stream=False, deadline_at=inf)


def batch_place(model: Model) -> Deployment | None:
    """Where a model can be asked in a batch at a price that is known; None if nowhere."""
    for place in model.deployments:
        tariff = model.tariff if place.tariff is None else place.tariff
        if place.dialect in WAYS and tariff is not None and tariff.served_as(BATCH) is not None:
            return place
    return None


def choose(via: Via, run: Run, job: Job, engine: Engine, *, now_ns: int, least_s: int = WINDOW_S) -> Choice:
    """The way for a job: with `auto` by its time, its size and the prices of the first few of its items.

    Of its time, `least_s` must be left.
    """
    if via is Via.LIVE:
        return Choice(False, "live, as asked for")
    left_ns = inf if job.deadline_ns is None else job.deadline_ns - now_ns
    if via is Via.AUTO and (job.deadline_ns is None or left_ns < least_s * NANOSECONDS):
        return Choice(False, "live: a provider's batch may take a day, and --deadline does not allow for one")
    if via is Via.AUTO and job.total < LEAST_ITEMS:
        return Choice(False, f"live: fewer than {LEAST_ITEMS} items")
    live, batch = _prices(run, engine, now_ns // NANOSECONDS)
    if not batch:
        return Choice(False, "live: no model that would answer has a batch API with a known price")
    if via is Via.AUTO and batch >= live:
        return Choice(False, "live: in batches it would cost no less")
    return Choice(
        True, f"in batches at the providers: within a day, for some {100 * batch // live} % of the live price"
    )


def _prices(run: Run, engine: Engine, now_s: int) -> tuple[int, int]:
    """What the first items that can be in a batch are expected to cost, live and in a batch, nano-USD."""
    live = batch = 0
    for _, record in islice(run.left(), SAMPLE):
        entry = record.read()
        if isinstance(entry, Malformed):
            continue
        try:
            route = engine.route(run.call(entry, engine.mint_id()))
        except RoutewrightError:  # it is told with the item
            continue
        model = engine.registry.models[route.chosen.model]
        if (place := batch_place(model)) is None:
            continue
        tariff = model.tariff if place.tariff is None else place.tariff
        assert tariff is not None, "a place for batches has prices"
        usage = Usage(input=route.input_tokens, output=route.output_tokens)
        live += priced_usage(tariff, usage, now_s, "")
        batch += priced_usage(tariff, usage, now_s, BATCH)
    return live, batch
