"""What monitoring asks of the layers: counts of what became of requests and attempts, in memory, since the start."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

from msgspec.structs import astuple

from routewright.errors import Fault, RoutewrightError
from routewright.layers.histogram import OVERHEAD_SECONDS, SECONDS, Histogram
from routewright.ledger.ledger import RequestRecorded
from routewright.reply import AttemptReport
from routewright.route import Route
from routewright.usage import Usage

_KINDS = Usage.__struct_fields__
_CLASSES = {Fault.CALLER: "refused", Fault.PROVIDER: "provider_failed", Fault.OURS: "failed"}


class Tally:
    """Counts; the labels are a small closed set, and none of them says who asked or what."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By model, tier and class of outcome; model and tier are empty where none was chosen."""
        self.attempts: Counter[tuple[str, str, str]] = Counter()
        """By deployment, cause and class of outcome."""
        self.cost_nanousd: Counter[str] = Counter()
        """By model."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """By model and class of token, as `Usage` has them."""
        self.baseline_cost_nanousd: Counter[str] = Counter()
        """What the tokens of answers would have cost, by the model that they are compared with."""
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        """By policy, tier and how the tier was come by: `named`, `trusted`, `moved`."""
        self.durations = Histogram(SECONDS)
        """How long requests took, in seconds, by the model that answered; empty where none did."""
        self.first_events = Histogram(SECONDS)
        """How long streams took to begin, in seconds, by model."""
        self.overheads = Histogram(OVERHEAD_SECONDS)
        """Our part of the time to the first event, in seconds, by the dialect of the client."""
        self.spans: Counter[str] = Counter()
        """Spans of traces, by what became of them: `sent`, `dropped` (no room in the queue) and `failed`."""
        self.cached: Counter[str] = Counter()
        """Requests for which the response cache was used: `hit`, `miss` and `stale`."""
        self.policy_fallbacks: Counter[str] = Counter()
        """Requests that the base decided because something was wrong with another policy, or with flags."""

    def request(self, row: RequestRecorded, took_s: float) -> None:
        """A request is over, after so many seconds."""
        model = row.model or ""
        self.requests[model, row.tier or "", outcome_class(row.outcome)] += 1
        self.durations.note(model, took_s)
        if row.route is not None:
            self._decision(row.route)
        if row.baseline_model is not None and row.baseline_cost_nanousd:
            self.baseline_cost_nanousd[row.baseline_model] += row.baseline_cost_nanousd

    def attempt(self, report: AttemptReport) -> None:
        """An attempt is over."""
        self.attempts[report.deployment, report.cause, outcome_class(report.outcome)] += 1
        if report.cost_nanousd:
            self.cost_nanousd[report.model] += report.cost_nanousd
        for kind, tokens in zip(_KINDS, astuple(report.usage), strict=True):
            if tokens:
                self.tokens[report.model, kind] += tokens

    def _decision(self, route: Route) -> None:
        how = "named"
        if route.verdict is not None:
            how = "trusted" if route.verdict.tier == route.tier else "moved"
        self.decisions[route.policy.partition("@")[0], route.tier, how] += 1


@cache
def outcome_class(outcome: str) -> str:
    """`complete`, `abandoned`, or whose fault it was: `refused` (the caller's), `provider_failed`, `failed` (ours)."""
    if outcome in ("complete", "abandoned"):
        return outcome
    return next((_CLASSES[kind.fault] for kind in _tree(RoutewrightError) if kind.code == outcome), "failed")


def _tree(kind: type[RoutewrightError]) -> Iterator[type[RoutewrightError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)
