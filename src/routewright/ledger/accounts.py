"""The ledger that the layers talk to: running accounts in memory, every change of money appended to a log first."""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import Protocol

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.ledger.balances import Balances
from routewright.ledger.billing import Pinned, Served, same_price
from routewright.ledger.ledger import (
    NANOSECONDS,
    Charge,
    ComparisonRecorded,
    EmbeddingRecorded,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
    encode_event,
)
from routewright.ledger.refusals import hold_refused, unpriced
from routewright.reply import AttemptReport
from routewright.route import Route
from routewright.usage import Usage


class Log(Protocol):
    """Where events go first: the journal, or a list in tests."""

    @property
    def trouble(self) -> str | None:
        """Why it takes nothing new now; None while all is well."""
        ...

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Write events at once; they survive the death of this process from here on. Raises LedgerUnavailable.

        `closing` events find room even when nothing new is admitted any more.
        """
        ...

    async def durable(self, position: int) -> None:
        """Wait until the event at `position` would survive a power cut. Raises LedgerUnavailable."""
        ...


class RequestAccount:
    """One open request: what was decided and what its attempts cost."""

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self.first_hold_at: float | None = None
        self.route: Route | None = None
        self.held_back: list[bytes] = []
        """Events that are written together with the request's own row, which follows at once."""
        self._reports: list[AttemptReport] = []

    @property
    def reports(self) -> Sequence[AttemptReport]:
        """The attempts that are closed, in order of closing."""
        return self._reports

    def add(self, report: AttemptReport) -> None:
        """An attempt has closed."""
        self._reports.append(report)


class JournaledLedger:
    """Implements `Ledger` over a log. Not for threads: it belongs to one event loop."""

    def __init__(self, log: Log, *, boot: str, clock: Clock, balances: Balances | None = None) -> None:
        """`balances` admits every hold before it is written; without them, nothing is limited."""
        self.served: Served = same_price
        """The prices of models that answer in another's place; a hold keeps the one in force when it is made."""
        self._balances = Balances() if balances is None else balances
        self._log = log
        self._boot = boot
        self._clock = clock
        self._open: dict[str, RequestAccount] = {}

    @property
    def trouble(self) -> str | None:
        """Why nothing new is admitted now; None while all is well."""
        return self._log.trouble

    def open(self, request_id: str) -> None:
        """Begin a request's running account."""
        self._open[request_id] = RequestAccount(self._clock.monotonic())

    def account(self, request_id: str) -> RequestAccount:
        """The running account of an open request."""
        return self._open[request_id]

    def hold(self, attempt: Attempt, input_tokens_ub: int) -> "AttemptHold":
        """Write the dearest cost of an attempt before it is sent, once all of its budgets have room for it.

        Raises HoldRefused, UnpricedModel, Overloaded and LedgerUnavailable; nothing is held then.
        """
        account = self._open[attempt.routed.call.id]
        hold = AttemptHold(
            self._log,
            account,
            attempt,
            boot=self._boot,
            clock=self._clock,
            balances=self._balances,
            served=self.served,
        )
        hold.reserve(input_tokens_ub)
        if not attempt.cause.is_errand:
            account.route = attempt.routed.route
        if account.first_hold_at is None:
            account.first_hold_at = hold.opened_at
        return hold

    def take_over(self, attempt: Attempt, reserved: Reserved) -> "AttemptHold":
        """The hold of an attempt that was written before, by whoever it was; its request is open here."""
        account = self._open[attempt.call.id]
        account.route = attempt.routed.route
        hold = AttemptHold(
            self._log,
            account,
            attempt,
            boot=reserved.boot,
            clock=self._clock,
            balances=self._balances,
            served=self.served,
        )
        hold.take_over(reserved)
        return hold

    def record(self, request: RequestRecorded) -> None:
        """Write a request's own row and close its account. Raises LedgerUnavailable."""
        account = self._open.pop(request.request_id)
        self._log.append(*account.held_back, encode_event(request), closing=True)

    def close(self, request_id: str) -> None:
        """Close the account of what was asked beside a request that has its row."""
        del self._open[request_id]

    def compare(self, comparison: ComparisonRecorded) -> None:
        """Write how another model did. Raises LedgerUnavailable, as `observe` does."""
        self._log.append(encode_event(comparison))

    def observe(self, outcome: OutcomeRecorded) -> None:
        """Write how well an answer turned out. Raises LedgerUnavailable: the room kept for closing holds is not its."""
        self._log.append(encode_event(outcome))

    def remember(self, embedding: EmbeddingRecorded) -> None:
        """Write what a request was like. Raises LedgerUnavailable, as `observe` does."""
        self._log.append(encode_event(embedding))


class AttemptHold:
    """Implements `Hold`: one attempt's reservation, priced by the prices in force when it was made."""

    def __init__(
        self,
        log: Log,
        account: RequestAccount,
        attempt: Attempt,
        *,
        boot: str,
        clock: Clock,
        balances: Balances,
        served: Served = same_price,
    ) -> None:
        self._balances = balances
        self._log = log
        self._account = account
        self._attempt = attempt
        self._boot = boot
        self._clock = clock
        self._at_ns = clock.time_ns()
        self._prices = Pinned(attempt, self._at_ns // NANOSECONDS, served)
        self._position = 0
        self._is_open = True
        self._amount: int | None = None
        self._charges: tuple[Charge, ...] = ()
        self.opened_at = clock.monotonic()

    def take_over(self, reserved: Reserved) -> None:
        """Be the hold that was written before, by whoever it was: what is left is to close it."""
        self._at_ns = reserved.at_ns
        self._prices = Pinned(self._attempt, reserved.at_ns // NANOSECONDS, self._prices.served)
        self._amount = reserved.amount_nanousd
        self._charges = reserved.charges

    @property
    def remaining_nanousd(self) -> int | None:
        """What is left now of the hard budget, of those that are held against, that has the least left."""
        return self._balances.remaining(self._charges)

    def reserve(self, input_tokens_ub: int) -> None:
        """Hold the amount against its budgets, then write it; both or neither."""
        self._amount = self._prices.upper_bound_nanousd(input_tokens_ub)
        self._charges = self._balances.charges_of(self._attempt, self._at_ns)
        if self._charges:
            self._admit(self._charges)
        try:
            self._position = self._log.append(encode_event(self._reserved()))
        except BaseException:
            if self._charges:
                self._balances.release(self._attempt.id)
            raise

    def _admit(self, charges: tuple[Charge, ...]) -> None:
        if self._amount is None and self._balances.is_metered(charges):
            raise unpriced(self._attempt.model)
        refusal = self._balances.admit(self._attempt.id, charges, self._amount or 0)
        if refusal is not None:
            raise hold_refused(refusal)

    def _reserved(self) -> Reserved:
        attempt, call = self._attempt, self._attempt.routed.call
        return Reserved(
            attempt_id=attempt.id,
            request_id=call.id,
            at_ns=self._at_ns,
            boot=self._boot,
            model=attempt.model.name,
            deployment=attempt.deployment.id,
            cause=attempt.cause,
            amount_nanousd=self._amount,
            price_version=self._prices.version,
            key=call.tenant.key,
            team=call.tenant.team,
            tags=call.tags,
            tier=attempt.routed.route.tier,
            charges=self._charges,
        )

    def durable(self) -> Awaitable[None]:
        """Wait until the hold would survive a power cut. Raises LedgerUnavailable."""
        return self._log.durable(self._position)

    def settle(
        self,
        *,
        outcome: str,
        served_model: str,
        usage: Usage,
        is_estimated: bool,
        first_event_ms: int | None,
        service_tier: str = "",
        ends_request: bool = False,
    ) -> None:
        """Replace the hold by the real cost, at the prices in force when the hold was made."""
        if not self._is_open:
            return
        attempt, call = self._attempt, self._attempt.routed.call
        bill = self._prices.bill(usage, served_model=served_model, service_tier=service_tier)
        self._close(
            Settled(
                attempt_id=attempt.id,
                request_id=call.id,
                at_ns=self._clock.time_ns(),
                model=attempt.model.name,
                deployment=attempt.deployment.id,
                served_model=served_model,
                cause=attempt.cause,
                outcome=outcome,
                usage=usage,
                cost_nanousd=bill.cost_nanousd,
                price_version=bill.price_version,
                service_tier=bill.service_tier,
                is_estimated=is_estimated or bill.is_estimated,
                first_event_ms=first_event_ms,
                total_ms=self._elapsed_ms(),
                boot=self._boot,
                held_nanousd=self._amount,
                key=call.tenant.key,
                team=call.tenant.team,
                tags=call.tags,
                tier=attempt.routed.route.tier,
                charges=self._charges,
            ),
            input_cost_nanousd=bill.input_cost_nanousd,
            held_back=ends_request,
        )

    def release(self, *, outcome: str) -> None:
        """Give the hold back: the attempt cost nothing."""
        if not self._is_open:
            return
        attempt, call = self._attempt, self._attempt.routed.call
        self._close(
            Released(
                attempt_id=attempt.id,
                request_id=call.id,
                at_ns=self._clock.time_ns(),
                model=attempt.model.name,
                deployment=attempt.deployment.id,
                cause=attempt.cause,
                outcome=outcome,
                total_ms=self._elapsed_ms(),
                boot=self._boot,
                held_nanousd=self._amount,
                key=call.tenant.key,
                team=call.tenant.team,
                tags=call.tags,
                tier=attempt.routed.route.tier,
                charges=self._charges,
            ),
        )

    def _close(self, event: Settled | Released, *, input_cost_nanousd: int | None = 0, held_back: bool = False) -> None:
        self._is_open = False
        self._account.add(_report(event, input_cost_nanousd))
        if self._charges:  # first of all: it cannot fail, and the log may
            if isinstance(event, Settled):
                self._balances.settle(event.attempt_id, event.cost_nanousd or 0)
            else:
                self._balances.release(event.attempt_id)
        if held_back:
            self._account.held_back.append(encode_event(event))
        else:
            self._log.append(encode_event(event), closing=True)

    def _elapsed_ms(self) -> int:
        return round((self._clock.monotonic() - self.opened_at) * 1000)


def _report(event: Settled | Released, input_cost_nanousd: int | None) -> AttemptReport:
    settled = event if isinstance(event, Settled) else None
    return AttemptReport(
        attempt_id=event.attempt_id,
        model=event.model,
        deployment=event.deployment,
        cause=event.cause,
        outcome=event.outcome,
        cost_nanousd=settled.cost_nanousd if settled else 0,
        usage=settled.usage if settled else Usage(),
        is_estimated=settled is not None and settled.is_estimated,
        input_cost_nanousd=input_cost_nanousd,
    )


def close_what_crashed(pending: Iterable[Reserved], clock: Clock) -> Iterator[bytes]:
    """Events that settle the holds of dead processes: nobody knows what they cost, so all of it is taken."""
    for hold in pending:
        yield encode_event(
            Settled(
                attempt_id=hold.attempt_id,
                request_id=hold.request_id,
                at_ns=clock.time_ns(),
                model=hold.model,
                deployment=hold.deployment,
                served_model="",
                cause=hold.cause,
                outcome="crashed",
                usage=Usage(),
                cost_nanousd=hold.amount_nanousd,
                price_version=hold.price_version,
                is_estimated=True,
                first_event_ms=None,
                total_ms=max(0, clock.time_ns() - hold.at_ns) // 1_000_000,
                boot=hold.boot,
                held_nanousd=hold.amount_nanousd,
                key=hold.key,
                team=hold.team,
                tags=hold.tags,
                tier=hold.tier,
                charges=hold.charges,
            )
        )
