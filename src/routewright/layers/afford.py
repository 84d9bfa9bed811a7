"""Afford: what is done about a request whose hold does not fit into its budgets, in the order that the operator chose.

Here is only a look ahead, at the first attempt: whether a hold really fits is decided where it is made, in the budget
layer, between which and the look there is no wait. There, later attempts wait for room as well.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Attempt, Routed
from routewright.catalog.registry import Model, Registry
from routewright.clock import Clock
from routewright.decision.holds import affordable_output_tokens, most_output_tokens, shortened
from routewright.decision.tokens import upper_bound_tokens
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    HoldRefused,
    LedgerUnavailable,
    RoutewrightError,
)
from routewright.layers.budget import LEAST_TIME_LEFT_S
from routewright.layers.service import Service
from routewright.ledger.balances import Demand
from routewright.ledger.budgets import Refusal, WhenFull
from routewright.ledger.keeper import PATIENCE_S, Keeper
from routewright.ledger.ledger import NANOSECONDS, Charge
from routewright.ledger.refusals import budget_exceeded, unpriced
from routewright.reply import Reply
from routewright.route import Candidate, Route


class Spending(Struct, frozen=True, kw_only=True):
    """What is done when a request does not fit into its budgets."""

    steps: tuple[WhenFull, ...]
    """In this order; in the end, or at the first REFUSE, it is refused."""
    wait_s: float
    least_output_tokens: int
    """An answer is not shortened below this."""

    @property
    def patience_s(self) -> float:
        """How long a hold may be waited for; 0 where there is to be no waiting."""
        return self.wait_s if WhenFull.WAIT in self.steps else 0.0


class _Asked(Struct, frozen=True):
    """A request that does not fit as it is."""

    routed: Routed
    tokens_ub: int
    """Bound of its input tokens."""
    refusal: Refusal


_Step: TypeAlias = Callable[[_Asked], Awaitable[Routed | None]]


class Afford:
    """Above fallback, as it chooses among the models to try; below condense, as what is shorter costs less."""

    def __init__(self, keeper: Keeper, spending: Spending, registry: Registry, clock: Clock) -> None:
        self._keeper = keeper
        self._spending = spending
        self._registry = registry
        self._clock = clock
        self._ways: dict[WhenFull, _Step] = {
            WhenFull.WAIT: self._wait,
            WhenFull.CHEAPER: self._cheaper,
            WhenFull.SHORTEN: self._shorten,
        }

    def __call__(self, routed: Routed, forward: Service[Routed]) -> Awaitable[Reply]:
        return self._within(routed, forward) if self._keeper.balances.has_hard else forward(routed)

    async def _within(self, routed: Routed, forward: Service[Routed]) -> Reply:
        self._keeper.start()
        affordable = await self._affordable(routed)
        try:
            return await forward(affordable)
        except AllAttemptsFailed as error:
            refused = [failure for _, failure in error.failures if isinstance(failure, HoldRefused)]
            if len(refused) < len(error.failures):
                raise
            raise self._refused(refused[0]) from error

    async def _affordable(self, routed: Routed) -> Routed:
        """The request in a form whose first attempt fits. Raises BudgetExceeded, UnpricedModel, LedgerUnavailable."""
        tokens_ub = upper_bound_tokens(routed.call)
        routed = self._without_unpriced(routed, tokens_ub)
        refusal = await self._room(self._demand(routed, routed.route.chosen, tokens_ub))
        if refusal is None:
            return routed
        asked = _Asked(routed, tokens_ub, refusal)
        for step in () if routed.cause.is_errand else self._spending.steps:
            if step is WhenFull.REFUSE:
                break
            fitting = await self._ways[step](asked)
            if fitting is not None:
                return fitting
        is_unknown = self._keeper.is_cut_off and not refusal.is_final
        raise _cut_off() if is_unknown else budget_exceeded(refusal)

    def _refused(self, refused: HoldRefused) -> RoutewrightError:
        """When not one attempt could be made."""
        return _cut_off() if self._keeper.is_cut_off else BudgetExceeded(refused.message, details=refused.details)

    def _without_unpriced(self, routed: Routed, tokens_ub: int) -> Routed:
        """Hard budgets cannot be kept with models that cost nobody knows what."""
        eligible = routed.route.eligible
        unknown = {
            candidate.model: "has no price, and a hard budget must be kept"
            for candidate in eligible
            if not self._has_price(candidate)
            and self._keeper.balances.is_metered(self._demand(routed, candidate, tokens_ub).charges)
        }
        if len(unknown) == len(eligible):
            raise unpriced(self._model(routed.route.chosen))
        return replace(routed, route=_passing_over(routed.route, unknown)) if unknown else routed

    # -- the steps

    async def _wait(self, asked: _Asked) -> Routed | None:
        began = self._clock.monotonic()
        deadline = asked.routed.call.deadline_at - LEAST_TIME_LEFT_S
        demand = self._demand(asked.routed, asked.routed.route.chosen, asked.tokens_ub)
        if await self._room(demand, until=min(began + self._spending.wait_s, deadline)) is not None:
            return None
        return _told(asked.routed, f"waited {self._clock.monotonic() - began:.2f} s for {asked.refusal.budget.name}")

    async def _cheaper(self, asked: _Asked) -> Routed | None:
        first, *others = asked.routed.route.eligible
        passed_over = {first.model: _does_not_fit(asked.refusal)}
        for candidate in others:
            refusal = await self._room(self._demand(asked.routed, candidate, asked.tokens_ub), patience_s=0)
            if refusal is None:
                route = _passing_over(asked.routed.route, passed_over)
                told = f"{first.model} does not fit {asked.refusal.budget.name}"
                return _told(replace(asked.routed, route=route), told)
            passed_over[candidate.model] = _does_not_fit(refusal)
        return None

    async def _shorten(self, asked: _Asked) -> Routed | None:
        """The longest answer that all which is left would pay for, or, if that cannot be had, what is granted now."""
        balances = self._keeper.balances
        shorter = self._shortened(asked, balances.remaining)
        if shorter is not None:
            demand = self._demand(shorter, shorter.route.chosen, asked.tokens_ub)
            if await self._room(demand) is not None:
                shorter = self._shortened(asked, balances.room)
        return shorter

    def _shortened(self, asked: _Asked, money: Callable[[Sequence[Charge]], int | None]) -> Routed | None:
        routed, tokens_ub = asked.routed, asked.tokens_ub
        first = self._attempt(routed, routed.route.chosen)
        tokens = affordable_output_tokens(
            first,
            tokens_ub,
            self._clock.time_ns() // NANOSECONDS,
            room_nanousd=money(self._demand(routed, routed.route.chosen, tokens_ub).charges) or 0,
            least=self._spending.least_output_tokens,
        )
        if tokens is None:
            return None
        told = f"max_tokens {tokens} instead of {most_output_tokens(first)} for {asked.refusal.budget.name}"
        expected = min(routed.route.output_tokens, tokens)
        route = replace(routed.route, max_output_tokens=tokens, output_tokens=expected)
        return _told(replace(shortened(first, tokens).routed, route=route), told)

    # -- looking

    async def _room(self, demand: Demand, *, until: float = 0.0, patience_s: float = PATIENCE_S) -> Refusal | None:
        amount = demand.amount_nanousd or 0
        return await self._keeper.room(demand.charges, amount, until=until, patience_s=patience_s)

    def _demand(self, routed: Routed, candidate: Candidate, tokens_ub: int) -> Demand:
        return self._keeper.balances.demand(self._attempt(routed, candidate), tokens_ub, self._clock.time_ns())

    def _attempt(self, routed: Routed, candidate: Candidate) -> Attempt:
        """The first attempt at a model, as fallback would make it; it is never made."""
        return Attempt(
            id="",
            routed=routed,
            model=self._model(candidate),
            deployment=self._registry.deployments[candidate.deployments[0]],
            number=1,
            cause=routed.cause,
            is_last_model=False,
        )

    def _has_price(self, candidate: Candidate) -> bool:
        place = self._registry.deployments[candidate.deployments[0]]
        return place.tariff is not None or self._model(candidate).tariff is not None

    def _model(self, candidate: Candidate) -> Model:
        return self._registry.models[candidate.model]


def _passing_over(route: Route, reasons: dict[str, str]) -> Route:
    """The route without some of its models, which stand behind the eligible ones now, with the reason."""
    candidates: Sequence[Candidate] = [
        replace(each, is_eligible=False, reason=reasons[each.model]) if each.model in reasons else each
        for each in route.candidates
    ]
    return route.with_candidates(sorted(candidates, key=lambda each: not each.is_eligible))


def _told(routed: Routed, step: str) -> Routed:
    return replace(routed, route=replace(routed.route, spending=(*routed.route.spending, step)))


def _does_not_fit(refusal: Refusal) -> str:
    return f'does not fit budget "{refusal.budget.name}"'


def _cut_off() -> LedgerUnavailable:
    return LedgerUnavailable(
        "the ledger's database does not answer, and this request does not fit into what was granted before",
        hint="mend the database; requests without a hard budget, and those that fit, go on",
    )
