"""Balances: what one process has of each budget, and whether another hold fits. Exact integers, no waiting.

Three numbers are counted for each window of a budget: what this process was *granted* of it, what it has *settled*, and
what it *holds* for attempts that are not over. Of a hard budget, settled + held never exceeds granted, and the escrow
sees to it that all grants together never exceed the limit. A hold counts against all of its budgets or against none.

Not for threads: it belongs to one event loop, except for `adopt`, which is one assignment.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf

from msgspec import Struct

from routewright.call import Attempt
from routewright.decision.holds import hold_nanousd
from routewright.errors import Overloaded
from routewright.ledger.applying import Rules
from routewright.ledger.budgets import Budget, BudgetStanding, Grant, Position, Refusal, Window, window_at
from routewright.ledger.ledger import NANOSECONDS, Charge
from routewright.tenant import Tenant

log = logging.getLogger(__name__)

MOST_WINDOWS = 100_000
"""Windows counted at once; what would need one more for a budget that each subject has for itself is refused. Those of
other budgets are as many as there are budgets, and no flood of subjects can keep them out."""
MOST_FOUND = 10_000
"""Combinations of tenant, tags, model and cause whose windows are known without a search; beyond it, all are searched
for again."""
FULL_PAUSE_S = 60.0
KEPT_NS = 2 * 86_400 * NANOSECONDS
"""How long a window that is over is remembered if the next one is not in use: the clock may be set back into it, and
whoever forgot what was spent in it might spend it again."""


class Demand(Struct, frozen=True):
    """What an attempt would have to hold, and against which budgets."""

    charges: tuple[Charge, ...]
    amount_nanousd: int | None
    """None for a model without a price."""


class _Account:
    """One window of one budget."""

    __slots__ = (
        "budget",
        "charge",
        "elsewhere",
        "granted",
        "held",
        "holds",
        "is_freeze_known",
        "is_frozen",
        "lapses_at",
        "rule",
        "settled",
        "spent_before",
        "wanted",
        "window",
    )

    def __init__(self, rule: Budget, budget: Budget, window: Window) -> None:
        self.rule = rule
        """What `budget` was made of: itself, or that which each subject has."""
        self.budget = budget
        self.window = window
        self.charge = Charge(budget.name, window.starts_ns)
        self.granted = 0
        self.lapses_at = inf
        """Until when what is granted may be counted on; monotonic seconds, as nobody can set that clock."""
        self.settled = 0
        self.held = 0
        self.holds = 0
        """How many attempts are open, those that hold nothing included."""
        self.spent_before = 0
        """What everybody had spent when that was last heard of, less what this process had settled then: so that
        `spent` never says more than is true, however much of our own was still on its way."""
        self.elsewhere = 0
        self.wanted: dict[int, int] = {}
        self.is_frozen = False
        self.is_freeze_known = False
        """The escrow has said so itself, so its word counts when it says that the budget is not frozen any more."""

    @property
    def spent(self) -> int:
        return max(self.settled, self.spent_before + self.settled)

    @property
    def spare(self) -> int:
        return self.granted - self.settled - self.held

    @property
    def remaining(self) -> int:
        return max(0, self.budget.limit_nanousd - self.spent - self.held)

    def is_over(self, now_ns: int) -> bool:
        return self.window.ends_ns is not None and now_ns >= self.window.ends_ns

    def shrink(self) -> int:
        self.granted = min(self.granted, self.settled + self.held)
        return self.granted

    def freeze(self) -> None:
        self.is_frozen, self.is_freeze_known = True, False

    def refuses(self, amount: int) -> bool:
        """Of a hard budget."""
        return amount > self.granted - self.settled - self.held or self.is_frozen

    def refusal(self, amount: int) -> Refusal:
        return Refusal(
            budget=self.budget,
            charge=self.charge,
            ends_ns=self.window.ends_ns,
            spent_nanousd=self.spent,
            held_nanousd=self.held,
            elsewhere_nanousd=self.elsewhere,
            asked_nanousd=amount,
            is_frozen=self.is_frozen,
        )


class _Found(Struct, frozen=True):
    """The windows that attempts which are alike count against, for as long as nothing changes about them."""

    accounts: tuple[_Account, ...]
    charges: tuple[Charge, ...]
    rules: Rules
    """By which they were found."""
    ends_ns: float
    """When the first of them is over; UTC nanoseconds since 1970."""


class _Held(Struct, frozen=True):
    """An attempt's hold."""

    accounts: tuple[_Account, ...]
    amount: int


class _Gate:
    """A trial of who could go through together, of those with the same charges."""

    def __init__(self, accounts: tuple[_Account, ...]) -> None:
        self._accounts = accounts
        self._tried = 0
        self._refused: int | None = None
        """The least that did not fit: nor does more, since a trial only takes. So a thousand who wait cost little."""
        hard = [account for account in accounts if account.budget.is_hard]
        left = (-1 if each.is_frozen else each.budget.limit_nanousd - each.spent for each in hard)
        self.most = min(left, default=-1)
        """What exceeds it will never fit in this window."""

    def admits(self, amount: int) -> bool:
        if self._refused is not None and amount >= self._refused:
            return False
        if _tightest(self._accounts, amount) is not None:
            self._refused = amount
            return False
        self._hold(amount)
        return True

    def give_back(self) -> None:
        self._hold(-self._tried)

    def _hold(self, amount: int) -> None:
        self._tried += amount
        for account in self._accounts:
            account.held += amount


class Balances:
    """All budgets of one process. `on_room` is called whenever a hold that did not fit may fit now."""

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self._rules = Rules.of(budgets)
        self._current: dict[str, _Account] = {}
        self._accounts: dict[Charge, _Account] = {}
        self._found: dict[tuple[Hashable, ...], _Found] = {}
        """Emptied whenever a window is opened or forgotten."""
        self._holds: dict[str, _Held] = {}
        self._wanting: dict[int, tuple[_Account, ...]] = {}
        self.on_room: Callable[[], None] = _nothing
        self.steady: Callable[[], float] = _no_time
        """Monotonic seconds, by which grants lapse: the wall clock, which windows go by, may be set meanwhile."""
        self.overruns = 0
        """Attempts that cost more than was held for them."""

    def __bool__(self) -> bool:
        return bool(self._rules.by_name)

    @property
    def has_hard(self) -> bool:
        """Whether there is a budget that can refuse anything."""
        return self._rules.has_hard

    def adopt(self, budgets: Iterable[Budget]) -> None:
        """Go by these budgets from now on; what is counted stays, by the budget's name. From any thread."""
        self._rules = Rules.of(budgets)

    # -- which windows

    def charges_for(
        self, tenant: Tenant, tags: tuple[str, ...], model: str, cause: str, now_ns: int
    ) -> tuple[Charge, ...]:
        """The windows that an attempt made now counts against.

        A budget's window only ever moves forward: a clock that is set back re-opens none. What was granted too long ago
        is not counted on any more. Raises Overloaded when more than MOST_WINDOWS would be counted.
        """
        rules, alike = self._rules, (tenant.key, tenant.team, tags, model, cause)
        found = self._found.get(alike)
        if found is None or found.rules is not rules or now_ns >= found.ends_ns:
            applying = rules.applying(tenant, tags, model, cause)
            accounts = tuple([self._account_of(rule, subject, now_ns) for rule, subject in applying])
            found = self._remember(alike, accounts, rules)
        else:
            self._shrink_lapsed(found.accounts)
        return found.charges

    def demand(self, attempt: Attempt, input_tokens_ub: int, now_ns: int) -> Demand:
        """What an attempt made now would have to hold; `input_tokens_ub` is `upper_bound_tokens(attempt.call)`.

        Raises Overloaded as `charges_for` does.
        """
        amount = hold_nanousd(attempt, input_tokens_ub, now_ns // NANOSECONDS)
        return Demand(self.charges_of(attempt, now_ns), amount)

    def charges_of(self, attempt: Attempt, now_ns: int) -> tuple[Charge, ...]:
        """See `charges_for`."""
        call = attempt.routed.call
        return self.charges_for(call.tenant, call.tags, attempt.model.name, attempt.cause.purse, now_ns) if self else ()

    def _remember(self, alike: tuple[Hashable, ...], accounts: tuple[_Account, ...], rules: Rules) -> _Found:
        ends_ns = min([each.window.ends_ns for each in accounts if each.window.ends_ns is not None], default=inf)
        if len(self._found) >= MOST_FOUND:
            self._found.clear()
        found = _Found(accounts, tuple([account.charge for account in accounts]), rules, ends_ns)
        self._found[alike] = found
        return found

    def _shrink_lapsed(self, accounts: Iterable[_Account]) -> None:
        """What was granted too long ago is not counted on any more."""
        now = self.steady()
        for account in accounts:
            if now > account.lapses_at:
                account.shrink()

    def _account_of(self, rule: Budget, subject: str, now_ns: int) -> _Account:
        name = f"{rule.name}/{subject}" if subject else rule.name
        account = self._current.get(name)
        if account is None or account.rule is not rule or account.is_over(now_ns):
            account = self._open(rule, rule.of(subject) if subject else rule, account, now_ns)
        self._shrink_lapsed((account,))
        return account

    def _open(self, rule: Budget, budget: Budget, before: _Account | None, now_ns: int) -> _Account:
        """The account of the window around now, or the one before it if the clock was set back."""
        window = window_at(budget.period, budget.time_zone, now_ns)
        if before is not None and _is_same_calendar(before, budget) and window.starts_ns < before.window.starts_ns:
            window = before.window
        account = self._accounts.get(Charge(budget.name, window.starts_ns))
        if account is None:
            if rule.is_for_each:
                self._make_room(now_ns)
            account = _Account(rule, budget, window)
            self._accounts[account.charge] = account
        elif budget.limit_nanousd < account.budget.limit_nanousd:
            account.shrink()
        account.rule, account.budget, account.window = rule, budget, window
        self._current[budget.name] = account
        self._found.clear()
        if before is not None:
            self._drop_if_over(before, now_ns)
        return account

    def _make_room(self, now_ns: int) -> None:
        if len(self._accounts) < MOST_WINDOWS:
            return
        for account in list(self._accounts.values()):
            self._drop_if_over(account, now_ns)
        if len(self._accounts) >= MOST_WINDOWS:
            raise Overloaded(
                f"{len(self._accounts)} windows of budgets are in use already: give budgets to fewer subjects",
                retry_after_s=FULL_PAUSE_S,
            )

    def _drop_if_over(self, account: _Account, now_ns: int) -> bool:
        """Forget a window that nothing will be charged to any more."""
        if account.is_over(now_ns - KEPT_NS) and not (account.holds or account.wanted):
            if self._current.get(account.budget.name) is account:
                del self._current[account.budget.name]
            self._forget(account)
            return True
        return self._drop_if_past(account)

    def _drop_if_past(self, account: _Account) -> bool:
        """Forget what another window of the same calendar came after. Of another calendar, settings may come back to it
        while it is not over; what is granted of it says nothing to whoever forgot what of that is spent."""
        current = self._current.get(account.budget.name)
        if account.holds or account.wanted or current is account:
            return False
        if current is not None and not _is_same_calendar(account, current.budget):
            return False
        self._forget(account)
        return True

    def _forget(self, account: _Account) -> None:
        del self._accounts[account.charge]
        self._found.clear()

    # -- holds

    def refusal(self, charges: Sequence[Charge], amount_nanousd: int) -> Refusal | None:
        """Why a hold does not fit now; None if it does. Of several budgets, the one with the least left."""
        return _tightest(self._find(charges), amount_nanousd)

    def admit(self, attempt_id: str, charges: Sequence[Charge], amount_nanousd: int) -> Refusal | None:
        """Hold an amount against all of its budgets, or against none and say why."""
        accounts = self._find(charges)
        refusal = _tightest(accounts, amount_nanousd)
        if refusal is None:
            self._holds[attempt_id] = _Held(accounts, amount_nanousd)
            for account in accounts:
                account.held += amount_nanousd
                account.holds += 1
        return refusal

    def settle(self, attempt_id: str, cost_nanousd: int) -> None:
        """Replace a hold by what the attempt cost, in full even where it is more than was held.

        The hard budgets of such an overrun are frozen: nobody knows what the next attempt would cost.
        """
        hold = self._take(attempt_id)
        if hold is None:
            return
        is_overrun = cost_nanousd > hold.amount
        self.overruns += is_overrun
        for account in hold.accounts:
            account.settled += cost_nanousd
            if is_overrun and account.budget.is_hard:
                account.freeze()
        self._close(hold)

    def release(self, attempt_id: str) -> None:
        """Give a hold back: the attempt cost nothing."""
        hold = self._take(attempt_id)
        if hold is not None:
            self._close(hold)

    def fitting(self, asked: Iterable[tuple[int, tuple[Charge, ...], int]]) -> list[int]:
        """Of those who wait, each with its charges and amount: who would fit now together, first come first served,
        and who never will."""
        told: list[int] = []
        gates: dict[tuple[Charge, ...], _Gate] = {}
        for ticket, charges, amount in asked:
            gate = gates.get(charges)
            if gate is None:
                gate = gates[charges] = _Gate(self._find(charges))
            if gate.admits(amount) or amount > gate.most:
                told.append(ticket)
        for gate in gates.values():
            gate.give_back()
        return told

    def _find(self, charges: Sequence[Charge]) -> tuple[_Account, ...]:
        return tuple([self._accounts[charge] for charge in charges])

    def _take(self, attempt_id: str) -> _Held | None:
        hold = self._holds.pop(attempt_id, None)
        if hold is None:
            log.error("a bug: attempt %s has no hold to close, or closed it already", attempt_id)
        return hold

    def _close(self, hold: _Held) -> None:
        for account in hold.accounts:
            account.held -= hold.amount
            account.holds -= 1
            if not account.holds:
                self._drop_if_past(account)
        self.on_room()

    # -- grants

    def want(self, ticket: int, charges: Sequence[Charge], amount_nanousd: int) -> None:
        """Somebody waits for room: the escrow is to be asked for it."""
        accounts = self._find(charges)
        self._wanting[ticket] = accounts
        for account in accounts:
            account.wanted[ticket] = amount_nanousd

    def stop_wanting(self, ticket: int) -> None:
        """That one waits no more."""
        for account in self._wanting.pop(ticket, ()):
            del account.wanted[ticket]
            self._drop_if_past(account)

    def claim_ahead(self, now_ns: int) -> None:
        """Open the windows of all budgets that have one subject, so that they can be claimed before they are needed."""
        for budget in self._rules.by_name.values():
            if not budget.is_for_each:
                self._account_of(budget, "", now_ns)

    def positions(self, now_ns: int, most: int = MOST_WINDOWS) -> list[Position]:
        """The budgets that somebody waits for, and `most` of the others, another part of them each time.

        Windows that are over, and in which nothing is held, are forgotten on the way.
        """
        wanted = {id(account): account for accounts in self._wanting.values() for account in accounts}
        for charge in list(self._accounts)[:most]:
            account = self._accounts.pop(charge)
            self._accounts[charge] = account  # to the end of the row
            if not self._drop_if_over(account, now_ns) and not account.is_over(now_ns):
                wanted[id(account)] = account
        return [_position(account) for account in wanted.values()]

    def grant(self, charge: Charge, grant: Grant, asked_at: float) -> None:
        """Take what the escrow says for true; it was asked at `asked_at`, by `steady`."""
        account = self._accounts.get(charge)
        if account is None:  # its window ended while the escrow was asked
            return
        account.spent_before = grant.posted_nanousd - account.settled
        account.elsewhere = max(0, grant.leased_nanousd - (grant.granted_nanousd - account.settled))
        account.granted = grant.granted_nanousd
        account.lapses_at = asked_at + grant.lasts_s
        if grant.is_frozen:
            account.is_frozen = account.is_freeze_known = True
        elif account.is_freeze_known:
            account.is_frozen = account.is_freeze_known = False
        self.on_room()

    def spare(self, charge: Charge) -> int:
        """What is granted and neither settled nor held; below 0 after an overrun. 0 for a window that is forgotten."""
        account = self._accounts.get(charge)
        return account.spare if account is not None else 0

    def give_back(self, charge: Charge) -> int:
        """Count what is spare as not granted from now on, and return what still is: what to tell the escrow."""
        account = self._accounts.get(charge)
        return account.shrink() if account is not None else 0

    # -- told

    def room(self, charges: Sequence[Charge]) -> int | None:
        """The largest hold that fits now; None for any."""
        hard = [account for account in self._find(charges) if account.budget.is_hard]
        return min((0 if account.is_frozen else max(0, account.spare) for account in hard), default=None)

    def remaining(self, charges: Sequence[Charge]) -> int | None:
        """What is left, in all, of the hard budget that has the least left; None without any, or when they are over."""
        accounts = self._accounts
        left = [
            account.remaining
            for charge in charges
            if (account := accounts.get(charge)) is not None and account.budget.is_hard
        ]
        return min(left, default=None)

    def window_of(self, charge: Charge) -> tuple[Budget, Window]:
        """What stands behind a charge that `charges_of` has just given."""
        account = self._accounts[charge]
        return account.budget, account.window

    def is_metered(self, charges: Sequence[Charge]) -> bool:
        """Whether a hard budget is among them."""
        return any(self._accounts[charge].budget.is_hard for charge in charges)

    def standings(self, now_ns: int) -> tuple[BudgetStanding, ...]:
        """How every budget stands in its window of now, by name; those for each subject as far as any was seen."""
        self.claim_ahead(now_ns)
        return tuple(
            BudgetStanding(
                budget=account.budget,
                window=account.window,
                spent_nanousd=account.spent,
                held_nanousd=account.held,
                remaining_nanousd=account.remaining,
                is_frozen=account.is_frozen,
            )
            for name, account in sorted(self._current.items())
            if account.rule.name in self._rules.by_name and not account.is_over(now_ns)
        )


def _nothing() -> None:
    pass


def _no_time() -> float:
    return 0.0


def _is_same_calendar(account: _Account, budget: Budget) -> bool:
    return (account.budget.period, account.budget.time_zone) == (budget.period, budget.time_zone)


def _tightest(accounts: Sequence[_Account], amount: int) -> Refusal | None:
    refusals = [account.refusal(amount) for account in accounts if account.budget.is_hard and account.refuses(amount)]
    return min(refusals, key=_left) if refusals else None


def _left(refusal: Refusal) -> tuple[bool, int]:
    """A refusal that is final goes first, whatever is left elsewhere."""
    return not refusal.is_final, refusal.budget.limit_nanousd - refusal.spent_nanousd - refusal.held_nanousd


def _position(account: _Account) -> Position:
    """What to say; of a soft budget nothing is granted, and so nothing is there to spend if it becomes hard."""
    used = account.settled + account.held
    return Position(
        charge=account.charge,
        budget=account.budget,
        window=account.window,
        granted_nanousd=max(account.granted, used) if account.budget.is_hard else account.settled,
        settled_nanousd=account.settled,
        held_nanousd=account.held,
        wanted_nanousd=sum(account.wanted.values()),
    )
