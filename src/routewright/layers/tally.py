"""What monitoring asks of the layers: counts of what became of requests and attempts, in memory, since the start."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

from routewright.errors import Fault, RoutewrightError
from routewright.reply import AttemptReport

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

        self.cached: Counter[str] = Counter()
        """Requests for which the response cache was used: `hit`, `miss` and `stale`."""
        self.policy_fallbacks: Counter[str] = Counter()
        """Requests that the base decided because something was wrong with another policy, or with flags."""

    def request(self, model: str, tier: str, outcome: str) -> None:
        """A request is over."""
        self.requests[model, tier, outcome_class(outcome)] += 1

    def attempt(self, report: AttemptReport) -> None:
        """An attempt is over."""
        self.attempts[report.deployment, report.cause, outcome_class(report.outcome)] += 1
        if report.cost_nanousd:
            self.cost_nanousd[report.model] += report.cost_nanousd


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
