"""`GET /metrics`: what monitoring looks at, in Prometheus' text format 0.0.4.

Written by hand: it is a few lines of text, and a client library would count a second time what is counted already. No
label says who asked or what: their number is that of models, deployments and budgets.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from routewright.engine import Engine
from routewright.gateway.budgets_api import ShowBudgets, no_budgets
from routewright.gateway.http import Request, Send, respond
from routewright.gateway.siblings import Siblings
from routewright.layers.circuit import State
from routewright.ledger.budgets import Scope
from routewright.ledger.drift import Key
from routewright.money import exact_usd

CONTENT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_STATES: Mapping[str, int] = {State.CLOSED: 0, State.HALF_OPEN: 1, State.RAMPING: 1, State.OPEN: 2}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Sample: TypeAlias = tuple[Mapping[str, str], int | str]


class Metrics:
    """The handler: `backlog_bytes` is what the journal has not handed over, `alerts` how many each budget has raised.

    Budgets of single keys are left out: their names say whose they are, and there may be many.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        backlog_bytes: Callable[[], int],
        budgets: ShowBudgets = no_budgets,
        alerts: Callable[[], Mapping[str, int]] = dict,
        drift: Callable[[], Mapping[Key, bool]] = dict,
        siblings: Siblings | None = None,
    ) -> None:
        self._engine = engine
        self._backlog_bytes = backlog_bytes
        self._budgets = budgets
        self._alerts = alerts
        self._drift = drift
        self._siblings = siblings

    async def __call__(self, request: Request, send: Send) -> None:
        text = self.text() if self._siblings is None else await self._siblings.metrics(request, self.text())
        await respond(send, 200, [CONTENT_TYPE, (b"cache-control", b"no-store")], text.encode())

    def text(self) -> str:
        """All of it, as of now."""
        tally, alerts = self._engine.tally, self._alerts()
        budgets = [each for each in self._budgets() if each.budget.scope is not Scope.KEY]
        families = (
            _family(
                "requests_total",
                "counter",
                "Requests by model, tier and class of outcome.",
                (_labelled(("model", "tier", "outcome"), *item) for item in tally.requests.items()),
            ),
            _family(
                "cache_requests_total",
                "counter",
                "Requests for which the response cache was used, by what came of it.",
                (_labelled(("state",), (state,), count) for state, count in tally.cached.items()),
            ),
            _family(
                "policy_fallbacks_total",
                "counter",
                "Requests that the base policy decided because flags failed, or a policy could not be used.",
                (_labelled(("reason",), (reason,), count) for reason, count in tally.policy_fallbacks.items()),
            ),
            _family(
                "upstream_attempts_total",
                "counter",
                "Attempts by deployment, cause and class of outcome.",
                (_labelled(("deployment", "cause", "outcome"), *item) for item in tally.attempts.items()),
            ),
            _family(
                "cost_usd_total",
                "counter",
                "What attempts have cost since the start, by model.",
                (({"model": model}, exact_usd(cost)) for model, cost in tally.cost_nanousd.items()),
            ),
            _family(
                "budget_remaining_usd",
                "gauge",
                "What can still be held of a budget in its present period.",
                (({"budget": each.budget.name}, exact_usd(each.remaining_nanousd)) for each in budgets),
            ),
            _family(
                "budget_alerts_total",
                "counter",
                "Alerts that a budget has raised since the start.",
                (({"budget": each.budget.name}, alerts.get(each.budget.name, 0)) for each in budgets),
            ),
            _family(
                "provider_incidents_total",
                "counter",
                "What a deployment did that only the operator can mend: tls, credential, usage.",
                (_labelled(("deployment", "kind"), *item) for item in self._engine.incidents.counts.items()),
            ),
            _family(
                "drift_alarm",
                "gauge",
                "1 while something of a model is not any more as in its reference window.",
                (
                    _labelled(("model", "stream", "family"), (key.model, key.quantity.value, key.family), int(is_alarm))
                    for key, is_alarm in self._drift().items()
                ),
            ),
            _family(
                "ledger_queue_bytes",
                "gauge",
                "Bytes of the journal that are not in the store yet.",
                [({}, self._backlog_bytes())],
            ),
            _family(
                "breaker_state",
                "gauge",
                "Circuit breaker of a deployment: 0 closed, 1 half open, 2 open.",
                (({"deployment": name}, _STATES[state]) for name, state in self._engine.breakers().items()),
            ),
            _family(
                "settings_refused",
                "gauge",
                "1 while newer settings have a mistake, and the last good ones stay in force.",
                [({}, int(self._engine.settings_error is not None))],
            ),
            *self._redis(),
            _family("build_info", "gauge", "The version that runs.", [({"version": _version()}, 1)]),
        )
        return "".join(families)

    def _redis(self) -> Iterable[str]:
        """Nothing without `redis.url`."""
        rounds = self._engine.rounds
        if rounds is None:
            return
        yield _family("redis_up", "gauge", "Whether Redis answers in time.", [({}, int(rounds.is_together))])
        yield _family("gateways", "gauge", "Gateways that share it, as last seen.", [({}, rounds.gateways)])


def _family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> str:
    full = f"routewright_{name}"
    lines = [f"# HELP {full} {told}", f"# TYPE {full} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
        lines.append(f"{full}{{{inner}}} {value}" if inner else f"{full} {value}")
    return "\n".join(lines) + "\n"


def _labelled(names: tuple[str, ...], values: tuple[str, ...], count: int) -> Sample:
    return dict(zip(names, values, strict=True)), count


def _version() -> str:
    try:
        return version("routewright")
    except PackageNotFoundError:
        return "unknown"
