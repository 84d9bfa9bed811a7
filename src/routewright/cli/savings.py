"""What routing saved, from recorded requests: against a named baseline, net of what it caused, never rounded up.

A saving compares what the answered requests did cost, all their attempts included, with what their answers would have
cost at the baseline. The cost of requests that nobody answered is taken off: the baseline might have been spared it.
Where a provider did not say what it used, the truth lies between nothing and our bound, and so does the saving.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct, structs

from routewright.ledger.ledger import RequestRecorded
from routewright.ledger.store import By, Spend

NANOSECONDS = 1_000_000_000
SIMULATED = "simulator/"


class Compared(Struct, frozen=True):
    """A request, and what its answer would have cost at the baseline; None when there is nothing to compare."""

    request: RequestRecorded
    baseline_nanousd: int | None


class Saving(Struct, frozen=True, kw_only=True):
    """The difference, and what it is made of; all in nano-USD."""

    baselines: tuple[str, ...]
    """Whose prices the answers were priced at; usually one."""
    requests: int
    """How many were compared."""
    actual_nanousd: int
    """What those did cost, all attempts included."""
    baseline_nanousd: int
    """What they would have cost."""
    failed_nanousd: int
    """What requests cost that nobody answered; counts against the saving."""
    estimated: int
    """Requests with a part that the provider did not report."""
    low_nanousd: int
    high_nanousd: int
    """Between these lies the saving; the same when nothing is estimated."""
    simulated: int
    """Requests answered by the simulator, at real prices for made-up tokens."""

    @property
    def saved_nanousd(self) -> int:
        """Below zero when routing cost more than the baseline would have."""
        return self.baseline_nanousd - self.actual_nanousd - self.failed_nanousd


def as_recorded(requests: Iterable[RequestRecorded]) -> list[Compared]:
    """Compared with the baseline that each request was recorded with."""
    return [Compared(request, request.baseline_cost_nanousd) for request in requests]


def saving(compared: Sequence[Compared], baselines: Iterable[str]) -> Saving:
    """What these requests saved together."""
    pairs = [(one.request, one.baseline_nanousd) for one in compared if one.baseline_nanousd is not None]
    sure = sum(would - request.cost_nanousd for request, would in pairs if not request.is_estimated)
    unsure = [(request.cost_nanousd, would) for request, would in pairs if request.is_estimated]
    failed = [one.request for one in compared if one.request.model is None]
    failed_nanousd = sum(request.cost_nanousd for request in failed)
    return Saving(
        baselines=tuple(sorted(set(baselines))),
        requests=len(pairs),
        actual_nanousd=sum(request.cost_nanousd for request, _ in pairs),
        baseline_nanousd=sum(would for _, would in pairs),
        failed_nanousd=failed_nanousd,
        estimated=len(unsure) + sum(request.is_estimated for request in failed),
        low_nanousd=sure + sum(min(0, would - cost) for cost, would in unsure) - failed_nanousd,
        high_nanousd=sure
        + sum(would for _, would in unsure)
        - sum(request.cost_nanousd for request in failed if not request.is_estimated),
        simulated=sum(is_simulated(one.request) for one in compared),
    )


def against(spends: Sequence[Spend], compared: Sequence[Compared], by: By) -> list[Spend]:
    """The same spending, compared with the baseline of `compared` instead of the recorded ones."""
    would: dict[str | None, int] = {}
    actual: dict[str | None, int] = {}
    for one in compared:
        if one.baseline_nanousd is not None:
            key = _KEYS[by](one.request)
            would[key] = would.get(key, 0) + one.baseline_nanousd
            actual[key] = actual.get(key, 0) + one.request.cost_nanousd
    return [
        structs.replace(
            spend,
            baseline_cost_nanousd=would.get(spend.key, 0),
            compared_cost_nanousd=actual.get(spend.key, 0),
        )
        for spend in spends
    ]


_KEYS: Mapping[By, Callable[[RequestRecorded], str | None]] = {
    "model": lambda request: request.model,
    "tier": lambda request: request.tier,
    "day": lambda request: datetime.fromtimestamp(request.at_ns // NANOSECONDS, UTC).date().isoformat(),
    "all": lambda _: "all",
}


def is_simulated(request: RequestRecorded) -> bool:
    """Whether the model that answered was the simulator's."""
    candidates = request.route.candidates if request.route else ()
    places = [place for each in candidates if each.model == request.model for place in each.deployments]
    return bool(places) and all(place.startswith(SIMULATED) for place in places)
