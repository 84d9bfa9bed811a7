"""Every metric of `GET /metrics`, one entry each; `docs/metrics.md` lists the same, in this order.

No label says who asked or what: there are as many values as there are models, deployments, budgets and policies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from routewright.engine import Engine
from routewright.gateway.budgets_api import BudgetStanding, ShowBudgets
from routewright.layers.circuit import State
from routewright.layers.histogram import Course
from routewright.layers.tally import Tally
from routewright.ledger.budgets import Scope
from routewright.ledger.drift import Key
from routewright.money import exact_usd
from routewright.shared.rounds import Rounds
from routewright.version import running_version

_STATES: Mapping[str, int] = {State.CLOSED: 0, State.HALF_OPEN: 1, State.RAMPING: 1, State.OPEN: 2}


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    """Only grows, from the start of the process."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Sources(Struct, frozen=True):
    """Where the figures are."""

    engine: Engine
    backlog_bytes: Callable[[], int]
    """What the journal has not handed over."""
    budgets: ShowBudgets
    alerts: Callable[[], Mapping[str, int]]
    """How many each budget has raised."""
    drift: Callable[[], Mapping[Key, bool]]
    """What is watched, and whether it has changed."""

    @property
    def tally(self) -> Tally:
        """What was counted since the start."""
        return self.engine.tally

    @property
    def shared_budgets(self) -> Sequence[BudgetStanding]:
        """All but those of single keys: their names say whose they are, and there may be many."""
        return [each for each in self.budgets() if each.budget.scope is not Scope.KEY]

    @property
    def rounds(self) -> Sequence[Rounds]:
        """What is shared with other gateways; nothing without `redis.url`."""
        return [] if self.engine.rounds is None else [self.engine.rounds]


Value: TypeAlias = int | str | Course
"""A number, or one in words that is exact, or all that a histogram has."""
Read: TypeAlias = Callable[[Sources], Iterable[tuple[tuple[str, ...], Value]]]
"""The samples: the values of the labels, and what was counted or measured."""


class Metric(Struct, frozen=True):
    """One family of samples."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    told: str
    read: Read

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        return f"routewright_{self.name}"


def _by_one(counts: Callable[[Sources], Iterable[tuple[str, Value]]]) -> Read:
    """For a single label."""
    return lambda sources: (((label,), value) for label, value in counts(sources))


def _alone(value: Callable[[Sources], int]) -> Read:
    """For no label at all."""
    return lambda sources: [((), value(sources))]


def _in_usd(amounts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    return ((label, exact_usd(amount)) for label, amount in amounts.items())


def _drifts(sources: Sources) -> Iterator[tuple[tuple[str, ...], int]]:
    return (((key.model, key.quantity.value, key.family), int(is_on)) for key, is_on in sources.drift().items())


METRICS = (
    Metric(
        "requests_total",
        Kind.COUNTER,
        ("model", "tier", "outcome"),
        "Requests by the model that answered, tier and class of outcome: complete, abandoned, refused (the caller's "
        "fault), provider_failed, failed (ours).",
        lambda sources: sources.tally.requests.items(),
    ),
    Metric(
        "request_duration_seconds",
        Kind.HISTOGRAM,
        ("model",),
        "How long requests took, from their arrival to the end of the answer.",
        _by_one(lambda sources: sources.tally.durations.courses()),
    ),
    Metric(
        "time_to_first_token_seconds",
        Kind.HISTOGRAM,
        ("model",),
        "How long streamed answers took to begin, by model: from the request's arrival here to its first event.",
        _by_one(lambda sources: sources.tally.first_events.courses()),
    ),
    Metric(
        "overhead_seconds",
        Kind.HISTOGRAM,
        ("dialect",),
        "Our own part of the time to the first event, by the client's dialect: all but what the provider was waited "
        "for. Of requests with one attempt at most: the pauses before others are meant.",
        _by_one(lambda sources: sources.tally.overheads.courses()),
    ),
    Metric(
        "route_decisions_total",
        Kind.COUNTER,
        ("policy", "tier", "how"),
        "Requests that were decided, by how the tier was come by: named (nothing was classified), trusted (the "
        "classifier's), moved (another than the classifier's).",
        lambda sources: sources.tally.decisions.items(),
    ),
    Metric(
        "policy_fallbacks_total",
        Kind.COUNTER,
        ("reason",),
        "Requests that the base policy decided because flags failed, or a policy could not be used.",
        _by_one(lambda sources: sources.tally.policy_fallbacks.items()),
    ),
    Metric(
        "cache_requests_total",
        Kind.COUNTER,
        ("state",),
        "Requests for which the response cache was used, by what came of it: hit, miss, stale.",
        _by_one(lambda sources: sources.tally.cached.items()),
    ),
    Metric(
        "upstream_attempts_total",
        Kind.COUNTER,
        ("deployment", "cause", "outcome"),
        "Attempts by deployment, cause and class of outcome.",
        lambda sources: sources.tally.attempts.items(),
    ),
    Metric(
        "tokens_total",
        Kind.COUNTER,
        ("model", "class"),
        "Tokens of all attempts, by model and class; the classes are disjoint.",
        lambda sources: sources.tally.tokens.items(),
    ),
    Metric(
        "cost_usd_total",
        Kind.COUNTER,
        ("model",),
        "What all attempts have cost, by model.",
        _by_one(lambda sources: _in_usd(sources.tally.cost_nanousd)),
    ),
    Metric(
        "baseline_cost_usd_total",
        Kind.COUNTER,
        ("baseline",),
        "What the tokens of the answers would have cost, by the model that they are compared with.",
        _by_one(lambda sources: _in_usd(sources.tally.baseline_cost_nanousd)),
    ),
    Metric(
        "budget_remaining_usd",
        Kind.GAUGE,
        ("budget",),
        "What can still be held of a budget in its present period; not of those of single keys.",
        _by_one(lambda sources: _in_usd({each.budget.name: each.remaining_nanousd for each in sources.shared_budgets})),
    ),
    Metric(
        "budget_limit_usd",
        Kind.GAUGE,
        ("budget",),
        "How much a budget allows in a period; not of those of single keys.",
        _by_one(
            lambda sources: _in_usd({each.budget.name: each.budget.limit_nanousd for each in sources.shared_budgets})
        ),
    ),
    Metric(
        "budget_alerts_total",
        Kind.COUNTER,
        ("budget",),
        "Alerts that a budget has raised; not those of single keys.",
        _by_one(
            lambda sources: (
                (each.budget.name, sources.alerts().get(each.budget.name, 0)) for each in sources.shared_budgets
            )
        ),
    ),
    Metric(
        "breaker_state",
        Kind.GAUGE,
        ("deployment",),
        "Circuit breaker of a deployment: 0 closed, 1 half open or ramping, 2 open.",
        _by_one(lambda sources: ((name, _STATES[state]) for name, state in sources.engine.breakers().items())),
    ),
    Metric(
        "provider_incidents_total",
        Kind.COUNTER,
        ("deployment", "kind"),
        "What a deployment did that only the operator can mend: tls, credential, usage.",
        lambda sources: sources.engine.incidents.counts.items(),
    ),
    Metric(
        "drift_alarm",
        Kind.GAUGE,
        ("model", "stream", "family"),
        "1 while something of a model is not any more as in its reference window.",
        _drifts,
    ),
    Metric(
        "shadows_total",
        Kind.COUNTER,
        ("result",),
        "Copies of requests that other models were asked aside, by what came of them: results of comparisons, dropped, "
        "unable, unsent.",
        _by_one(lambda sources: sources.engine.shadows.counts.items()),
    ),
    Metric(
        "ledger_queue_depth",
        Kind.GAUGE,
        (),
        "Bytes of the journal that are not in the store yet.",
        _alone(lambda sources: sources.backlog_bytes()),
    ),
    Metric(
        "ledger_up",
        Kind.GAUGE,
        (),
        "1 while the ledger takes what is new; 0 while requests are refused because it does not.",
        _alone(lambda sources: int(sources.engine.health()["status"] == "ok")),
    ),
    Metric(
        "settings_refused",
        Kind.GAUGE,
        (),
        "1 while newer settings have a mistake, and the last good ones stay in force.",
        _alone(lambda sources: int(sources.engine.settings_error is not None)),
    ),
    Metric(
        "trace_spans_total",
        Kind.COUNTER,
        ("state",),
        "Spans of traces by what became of them: sent, dropped (no room in the queue), failed (the collector did not "
        "take them).",
        _by_one(lambda sources: sources.tally.spans.items()),
    ),
    Metric(
        "redis_up",
        Kind.GAUGE,
        (),
        "Whether Redis answers in time; only with redis.url.",
        lambda sources: (((), int(rounds.is_together)) for rounds in sources.rounds),
    ),
    Metric(
        "gateways",
        Kind.GAUGE,
        (),
        "Gateways that share it, as last seen; only with redis.url.",
        lambda sources: (((), rounds.gateways) for rounds in sources.rounds),
    ),
    Metric(
        "build_info", Kind.GAUGE, ("version",), "The version that runs.", _by_one(lambda _: [(running_version(), 1)])
    ),
)
