"""The running account of a request; how its rows come out of the layers is in tests/layers."""

import msgspec

from builders import attempt
from entries import embedding, outcome, reserved
from routewright.ledger.accounts import JournaledLedger, close_what_crashed
from routewright.ledger.ledger import (
    Charge,
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    Reserved,
    Settled,
)
from routewright.testing import FakeClock, MemoryLog
from routewright.usage import Usage
from terminal import request


class Office:
    """A ledger with one open request."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog()
        self.ledger = JournaledLedger(self.log, boot="boot-1", clock=self.clock)
        self.ledger.open("request-1")

    def settle_twice(self) -> None:
        """One attempt, whose end is told by two layers."""
        hold = self.ledger.hold(attempt(), 100)
        for _ in range(2):
            hold.settle(
                outcome="complete", served_model="swift-1", usage=Usage(input=10, output=20), is_estimated=False,
                first_event_ms=1,
            )  # fmt: skip
        hold.release(outcome="upstream_failed")


def kinds(events: list[LedgerEvent]) -> list[type[LedgerEvent]]:
    return [type(event) for event in events]


def test_an_attempt_is_closed_once_whoever_says_so_again() -> None:
    office = Office()
    office.settle_twice()
    assert kinds(office.log.events) == [Reserved, Settled]
    assert [report.cost_nanousd for report in office.ledger.account("request-1").reports] == [50_000]


def test_a_hold_that_was_given_back_is_not_settled_after_all() -> None:
    office = Office()
    hold = office.ledger.hold(attempt(), 100)
    hold.release(outcome="upstream_failed")
    hold.settle(
        outcome="complete", served_model="", usage=Usage(input=10, output=20), is_estimated=False, first_event_ms=None
    )
    assert kinds(office.log.events) == [Reserved, Released]
    (report,) = office.ledger.account("request-1").reports
    assert (report.cost_nanousd, report.input_cost_nanousd, report.is_estimated) == (0, 0, False)


def test_a_settlement_that_ends_its_request_is_written_with_the_requests_row() -> None:
    office = Office()
    hold = office.ledger.hold(attempt(), 100)
    usage = Usage(input=10, output=20)
    hold.settle(
        outcome="complete", served_model="", usage=usage, is_estimated=False, first_event_ms=1, ends_request=True
    )
    assert kinds(office.log.events) == [Reserved]
    office.ledger.record(request())
    assert [type(event).__name__ for event in office.log.events] == ["Reserved", "Settled", "RequestRecorded"]


def test_an_attempt_lasts_from_its_hold_to_its_end() -> None:
    office = Office()
    hold = office.ledger.hold(attempt(), 100)
    office.clock.advance(5)
    hold.release(outcome="upstream_failed")
    (released,) = [event for event in office.log.events if isinstance(event, Released)]
    assert released.total_ms == 5_000


def test_the_first_hold_of_a_request_stays_the_first() -> None:
    office = Office()
    office.ledger.hold(attempt(), 100)
    first = office.ledger.account("request-1").first_hold_at
    office.clock.advance(5)
    office.ledger.hold(attempt(id="attempt-2"), 100)
    assert first is not None
    assert office.ledger.account("request-1").first_hold_at == first


def test_outcomes_and_vectors_go_into_the_log() -> None:
    office = Office()
    office.ledger.observe(outcome(1))
    office.ledger.remember(embedding("request-1"))
    assert kinds(office.log.events) == [OutcomeRecorded, EmbeddingRecorded]


def test_what_a_dead_process_held_is_its_cost_estimated_and_counts_where_it_was_held() -> None:
    clock = FakeClock()
    charges = (Charge("team", 7),)
    hold = reserved("a1", at_ns=clock.time_ns() - 2_500_000_000, key="k", team="t", tags=("x",), charges=charges)
    future = reserved("a2", at_ns=clock.time_ns() + 10**9)
    closed, early = (msgspec.json.decode(line, type=Settled) for line in close_what_crashed([hold, future], clock))
    assert (closed.cost_nanousd, closed.held_nanousd, closed.is_estimated, closed.outcome) == (
        900,
        900,
        True,
        "crashed",
    )
    assert (closed.charges, closed.boot, closed.key, closed.team, closed.tags) == (charges, "dead", "k", "t", ("x",))
    assert closed.total_ms == 2_500
    assert early.total_ms == 0, "a clock that was set back"
