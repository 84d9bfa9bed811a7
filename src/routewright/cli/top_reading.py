"""What `routewright top` shows: two looks at `/metrics`, and what they tell together. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from msgspec import Struct

from routewright.money import NANO

_LINE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_STATES = ("closed", "half open", "open")

Labels: TypeAlias = frozenset[tuple[str, str]]
Fold: TypeAlias = Callable[[list[Decimal]], Decimal]


def _total(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal())


class Look(Struct, frozen=True):
    """All samples at a time."""

    at: float
    """Monotonic seconds."""
    samples: Mapping[str, Mapping[Labels, Decimal]]

    @classmethod
    def read(cls, text: str, at: float) -> "Look":
        """From the text of our own `/metrics`; lines that are none of its are passed over."""
        samples: dict[str, dict[Labels, Decimal]] = {}
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                continue
            pairs = _LABEL.findall(match["labels"] or "")
            labels = frozenset((name, _ESCAPED.sub(_unescaped, value)) for name, value in pairs)
            try:
                samples.setdefault(match["name"], {})[labels] = Decimal(match["value"])
            except InvalidOperation:
                continue
        return cls(at, samples)

    def sum(self, name: str, **only: str) -> Decimal:
        """All samples of a metric with these labels, added up."""
        wanted = set(only.items())
        return sum((value for labels, value in self._of(name).items() if wanted <= labels), Decimal())

    def by(self, name: str, label: str, fold: Fold = _total) -> Mapping[str, Decimal]:
        """A metric's samples by one of its labels, added up; or folded otherwise, where workers tell of one thing."""
        found: dict[str, list[Decimal]] = {}
        for labels, value in self._of(name).items():
            found.setdefault(dict(labels).get(label, ""), []).append(value)
        return {key: fold(values) for key, values in found.items()}

    def buckets(self, name: str, **only: str) -> list[tuple[Decimal, int]]:
        """A histogram's bounds, each with how many values were not above it; the last bound is infinite."""
        wanted, counts = set(only.items()), dict[Decimal, int]()
        for labels, value in self._of(f"{name}_bucket").items():
            if wanted <= labels:
                bound = Decimal(dict(labels)["le"])
                counts[bound] = counts.get(bound, 0) + int(value)
        return sorted(counts.items())

    def _of(self, name: str) -> Mapping[Labels, Decimal]:
        return self.samples.get(f"routewright_{name}", {})


class ModelNow(Struct, frozen=True, kw_only=True):
    """A model, and what it does; times in seconds, None where nothing was measured."""

    model: str
    requests: int
    """Since the start of the gateway, as all that is not said to be a second's."""
    requests_per_s: float
    p50_s: float | None
    p95_s: float | None
    first_token_p50_s: float | None
    cost_nanousd: int


class BudgetNow(Struct, frozen=True, kw_only=True):
    """A budget in its present period."""

    budget: str
    limit_nanousd: int
    remaining_nanousd: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """How a gateway does; the form of `--json`."""

    gateway: str
    version: str
    seconds: float
    """Between the two looks: what is a second's, and the times where anything happened, are of these."""
    requests: int
    requests_per_s: float
    failed: int
    """Requests that failed by a provider's fault, or ours."""
    tokens_per_s: float
    cost_nanousd: int
    nanousd_per_hour: int
    baseline_nanousd: int
    """What the answers' tokens would have cost."""
    baselines: tuple[str, ...]
    """There."""
    overhead_p50_s: float | None
    overhead_p99_s: float | None
    ledger_queue_bytes: int
    models: tuple[ModelNow, ...]
    """The busiest first."""
    breakers: Mapping[str, str]
    """Deployment → state."""
    budgets: tuple[BudgetNow, ...]
    alarms: tuple[str, ...]
    """What somebody should look at, in words."""


def snapshot(gateway: str, before: Look, after: Look) -> Snapshot:
    """What two looks tell; `before` may be the same as `after`, then nothing moves."""
    seconds = after.at - before.at

    def per_s(name: str, **only: str) -> float:
        gone = after.sum(name, **only) - before.sum(name, **only)
        return float(gone) / seconds if seconds > 0 and gone > 0 else 0.0

    outcomes = after.by("requests_total", "outcome")
    costs = after.by("cost_usd_total", "model")
    names = {*after.by("requests_total", "model"), *costs} - {""}
    models = [
        ModelNow(
            model=name,
            requests=int(after.sum("requests_total", model=name)),
            requests_per_s=per_s("requests_total", model=name),
            p50_s=_time(before, after, "request_duration_seconds", 0.5, model=name),
            p95_s=_time(before, after, "request_duration_seconds", 0.95, model=name),
            first_token_p50_s=_time(before, after, "time_to_first_token_seconds", 0.5, model=name),
            cost_nanousd=_nano(costs.get(name, Decimal())),
        )
        for name in names
    ]
    limits = after.by("budget_limit_usd", "budget", max)
    breakers = after.by("breaker_state", "deployment", max)
    return Snapshot(
        gateway=gateway,
        version=next(iter(after.by("build_info", "version")), "unknown"),
        seconds=round(seconds, 3),
        requests=int(sum(outcomes.values())),
        requests_per_s=per_s("requests_total"),
        failed=int(outcomes.get("failed", 0) + outcomes.get("provider_failed", 0)),
        tokens_per_s=per_s("tokens_total"),
        cost_nanousd=_nano(after.sum("cost_usd_total")),
        nanousd_per_hour=round(per_s("cost_usd_total") * 3600 * NANO),
        baseline_nanousd=_nano(after.sum("baseline_cost_usd_total")),
        baselines=tuple(sorted(after.by("baseline_cost_usd_total", "baseline"))),
        overhead_p50_s=_time(before, after, "overhead_seconds", 0.5),
        overhead_p99_s=_time(before, after, "overhead_seconds", 0.99),
        ledger_queue_bytes=int(after.sum("ledger_queue_depth")),
        models=tuple(sorted(models, key=lambda each: (-each.requests_per_s, -each.requests, each.model))),
        breakers={name: _STATES[int(state)] for name, state in breakers.items()},
        budgets=tuple(
            BudgetNow(budget=name, limit_nanousd=_nano(limits.get(name, left)), remaining_nanousd=_nano(left))
            for name, left in after.by("budget_remaining_usd", "budget", min).items()
        ),
        alarms=tuple(dict.fromkeys(_alarms(after))),
    )


def _alarms(look: Look) -> Iterable[str]:
    if not all(look.by("ledger_up", "worker").values() or (0,)):
        yield "the ledger takes nothing new: requests are refused"
    if look.sum("settings_refused"):
        yield "newer settings have a mistake; the last good ones stay in force"
    for labels, is_on in look.samples.get("routewright_drift_alarm", {}).items():
        if is_on:
            told = dict(labels)
            yield " ".join(filter(None, ("drift:", told["model"], told["stream"], told["family"])))
    for kind, times in look.by("provider_incidents_total", "kind").items():
        yield f"providers: {kind} × {times}, see the log"


def _time(before: Look, after: Look, name: str, share: float, **only: str) -> float | None:
    """A quantile of what came between the looks, or, if nothing did, of all there was."""
    whole = after.buckets(name, **only)
    earlier = dict(before.buckets(name, **only))
    news = [(bound, count - earlier.get(bound, 0)) for bound, count in whole]
    return quantile(news if news and news[-1][1] > 0 else whole, share)


def quantile(buckets: list[tuple[Decimal, int]], share: float) -> float | None:
    """As Prometheus estimates it: as if the values of a bucket were spread evenly. None without values."""
    if not buckets or not buckets[-1][1]:
        return None
    rank = share * buckets[-1][1]
    lower, below = Decimal(), 0
    for bound, count in buckets:
        if count >= rank and count > below:
            if bound.is_infinite():
                return float(lower)
            return float(lower) + float(bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return float(lower)


def _nano(usd: Decimal) -> int:
    return int(usd * NANO)


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
