"""What a batch is expected to cost, before anything is spent: a sample of it is routed, and calls nobody.

Two things are not known: the records that were not looked at, and how long answers will be. So the interval is that of
the sample's mean (95 %), with answers half as long as expected at its lower end and twice as long at its upper one.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from math import sqrt
from random import Random

from msgspec import Struct, field

from routewright.call import Call, Options
from routewright.catalog.pricing import cost_nanousd
from routewright.catalog.registry import Registry, Tier
from routewright.errors import CallerError
from routewright.jobs.inputs import Input
from routewright.jobs.lines import Malformed, Question, call_of, digest_of
from routewright.jobs.planning import Spec
from routewright.route import Route
from routewright.usage import Usage

SAMPLE = 2_000
"""Records that are routed; all of a smaller batch."""
_SURE = 1.96
_SHORTER, _LONGER = 0.5, 2.0


class Forecast(Struct, frozen=True, kw_only=True):
    """What is expected of a batch; counts by tier and model are of all of it, as the sample has them."""

    records: int
    malformed: int
    duplicates: int
    """Of questions that others ask as well; 0 unless they are looked for."""
    refused: int
    """No model could answer these."""
    sampled: int
    tiers: dict[str, int]
    models: dict[str, int]
    cost_nanousd: int
    low_nanousd: int
    high_nanousd: int
    baseline_model: str | None
    baseline_nanousd: int
    unpriced: int
    """Of those, how many have no price, and so are not in the cost."""


class _Cost(Struct, frozen=True):
    input_nanousd: int
    output_nanousd: int


class _Read(Struct, kw_only=True):
    """An input as it was read: counts, and a sample of what can be asked."""

    records: int = 0
    malformed: int = 0
    duplicates: int = 0
    askable: int = 0
    sample: list[Question] = field(default_factory=list)


def forecast(route: Callable[[Call], Route], registry: Registry, source: Input, spec: Spec, *, now_s: int) -> Forecast:
    """Read all of an input and route a sample of it. Raises BadInput."""
    read = _read(source, spec)
    options = Options(tier=Tier(spec.tier) if spec.tier else None)
    routes = [found for question in read.sample if (found := _routed(route, question, options)) is not None]
    scale = read.askable / len(read.sample) if read.sample else 0.0
    costs = [cost for each in routes if (cost := _cost(each, registry, now_s)) is not None]
    inputs, outputs = sum(cost.input_nanousd for cost in costs), sum(cost.output_nanousd for cost in costs)
    unsure = _sampling_error([cost.input_nanousd + cost.output_nanousd for cost in costs], read)

    def whole(names: Iterable[str]) -> dict[str, int]:
        return {name: round(count * scale) for name, count in Counter(names).most_common()}

    return Forecast(
        records=read.records,
        malformed=read.malformed,
        duplicates=read.duplicates,
        refused=round((len(read.sample) - len(routes)) * scale),
        sampled=len(read.sample),
        tiers=whole(str(each.tier) for each in routes),
        models=whole(each.chosen.model for each in routes),
        cost_nanousd=round((inputs + outputs) * scale),
        low_nanousd=max(0, round((inputs + outputs * _SHORTER) * scale - unsure)),
        high_nanousd=round((inputs + outputs * _LONGER) * scale + unsure),
        baseline_model=next((each.baseline_model for each in routes if each.baseline_model), None),
        baseline_nanousd=round(sum(each.baseline_cost_nanousd or 0 for each in routes) * scale),
        unpriced=round((len(routes) - len(costs)) * scale),
    )


def _read(source: Input, spec: Spec) -> _Read:
    read, random, seen = _Read(), Random(0), set[bytes]()
    for record in source:
        read.records += 1
        entry = record.read()
        if isinstance(entry, Malformed):
            read.malformed += 1
            continue
        if spec.dedupe:
            if (digest := digest_of(entry)) in seen:
                read.duplicates += 1
                continue
            seen.add(digest)
        read.askable += 1
        if len(read.sample) < SAMPLE:
            read.sample.append(entry)
        elif (at := random.randrange(read.askable)) < SAMPLE:  # reservoir sampling: each is in it as probably
            read.sample[at] = entry
    return read


def _routed(route: Callable[[Call], Route], question: Question, options: Options) -> Route | None:
    try:
        return route(call_of(question, request_id="", options=options))
    except CallerError:
        return None


def _sampling_error(costs: list[int], read: _Read) -> float:
    """Of the whole cost, nano-USD, at 95 %; 0 where all were looked at."""
    if len(costs) < 2:
        return 0.0
    mean = sum(costs) / len(costs)
    deviation = sqrt(sum((cost - mean) ** 2 for cost in costs) / (len(costs) - 1))
    unseen = 1 - len(read.sample) / read.askable
    return _SURE * read.askable * deviation * sqrt(unseen / len(costs))


def _cost(route: Route, registry: Registry, now_s: int) -> _Cost | None:
    expected, model = route.chosen.expected_cost_nanousd, registry.models[route.chosen.model]
    if expected is None or model.prices is None:
        return None
    rates = model.prices.rates_at(now_s, route.input_tokens)
    read = min(expected, cost_nanousd(Usage(input=route.input_tokens), rates))
    return _Cost(read, expected - read)
