"""What a batch is expected to cost, before anything is spent: a sample of it is routed, and calls nobody.

Two things are not known: the records that were not looked at, and how long answers will be. So the interval is that of
the sample's mean (95 %), with answers half as long as expected at its lower end and twice as long at its upper one.
"""

from collections import Counter
from collections.abc import Callable
from math import sqrt
from random import Random

from msgspec import Struct

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


def forecast(route: Callable[[Call], Route], registry: Registry, source: Input, spec: Spec, *, now_s: int) -> Forecast:
    """Read all of an input and route a sample of it. Raises BadInput, ModelNotFound."""
    random = Random(0)
    sample: list[Question] = []
    seen: set[bytes] = set()
    records = malformed = duplicates = askable = 0
    for record in source:
        records += 1
        entry = record.read()
        if isinstance(entry, Malformed):
            malformed += 1
            continue
        if spec.dedupe:
            digest = digest_of(entry)
            duplicates += digest in seen
            if digest in seen:
                continue
            seen.add(digest)
        askable += 1
        if len(sample) < SAMPLE:
            sample.append(entry)
        elif (at := random.randrange(askable)) < SAMPLE:
            sample[at] = entry
    return _summed(_routed(route, sample, spec), registry, askable, now_s)(records, malformed, duplicates)


def _routed(route: Callable[[Call], Route], sample: list[Question], spec: Spec) -> list[Route | None]:
    options = Options(tier=Tier(spec.tier) if spec.tier else None)

    def routed(question: Question) -> Route | None:
        try:
            return route(call_of(question, request_id="", options=options))
        except CallerError:
            return None

    return [routed(question) for question in sample]


def _summed(
    routes: list[Route | None], registry: Registry, askable: int, now_s: int
) -> Callable[[int, int, int], Forecast]:
    found = [each for each in routes if each is not None]
    scale = askable / len(routes) if routes else 0.0
    costs = [_cost(each, registry, now_s) for each in found]
    known = [cost for cost in costs if cost is not None]
    expected = [cost.input_nanousd + cost.output_nanousd for cost in known]
    spread = _SURE * scale * _deviation(expected) * sqrt(len(expected) * (1 - len(routes) / askable)) if askable else 0
    inputs, outputs = sum(cost.input_nanousd for cost in known), sum(cost.output_nanousd for cost in known)

    def whole(counts: Counter[str]) -> dict[str, int]:
        return {name: round(count * scale) for name, count in counts.most_common()}

    return lambda records, malformed, duplicates: Forecast(
        records=records,
        malformed=malformed,
        duplicates=duplicates,
        refused=round((len(routes) - len(found)) * scale),
        sampled=len(routes),
        tiers=whole(Counter(str(each.tier) for each in found)),
        models=whole(Counter(each.chosen.model for each in found)),
        cost_nanousd=round((inputs + outputs) * scale),
        low_nanousd=max(0, round((inputs + outputs * _SHORTER) * scale - spread)),
        high_nanousd=round((inputs + outputs * _LONGER) * scale + spread),
        baseline_model=next((each.baseline_model for each in found if each.baseline_model), None),
        baseline_nanousd=round(sum(each.baseline_cost_nanousd or 0 for each in found) * scale),
        unpriced=round((len(costs) - len(known)) * scale),
    )


def _cost(route: Route, registry: Registry, now_s: int) -> _Cost | None:
    expected, model = route.chosen.expected_cost_nanousd, registry.models[route.chosen.model]
    if expected is None or model.prices is None:
        return None
    rates = model.prices.rates_at(now_s, route.input_tokens)
    read = min(expected, cost_nanousd(Usage(input=route.input_tokens), rates))
    return _Cost(read, expected - read)


def _deviation(values: list[int]) -> float:
    """Of one value from the mean."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
