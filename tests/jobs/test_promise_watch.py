import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from databases import open_database
from routewright.jobs import promise_watch
from routewright.jobs.promise_watch import Promised, PromiseWatch
from routewright.ledger.database import Database
from routewright.ledger.ledger import LedgerEvent, OutcomeRecorded, encode_event
from routewright.ledger.store import Store
from routewright.policies.store import PolicyStore
from routewright.settings.schema import Overlay
from routewright.testing import FakeClock
from tuned import ledger

WORSE = (0.5, 0.3)


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    database = open_database(place)
    yield database
    database.close()


class Desk:
    """A ledger in whose policy `default` a second version was promised to be as good as sage, within 2 %."""

    def __init__(self, database: Database) -> None:
        self.clock = FakeClock()
        self.policies = PolicyStore(database, self.clock)
        self.watch = PromiseWatch(database, self.clock)
        self._store = Store(database)
        self.first = self.policies.apply("default", Overlay(min_quality=0.9), author="me")
        promise = Promised(baseline="sage", within=0.02, confidence=0.95, before=self.first.number)
        self.policies.apply(
            "default", Overlay(min_quality=0.5), author="tune", evidence={"promise": msgspec.to_builtins(promise)}
        )

    def record(self, *events: LedgerEvent) -> None:
        self._store.absorb([encode_event(event) for event in events])

    def decided(self, number: int, **changes: Any) -> list[LedgerEvent]:
        """Requests that the policy gave to swift, from now on, with what came of them."""
        plain: dict[str, Any] = {"first": "swift", "policy": "default@2", "from_ns": self.clock.time_ns() + 1}
        return ledger(number, **{**plain, **changes})

    @property
    def in_force(self) -> int:
        return self.policies.in_force().standings["default"].version.number


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_broken_promise_puts_the_version_from_before_in_force(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.record(*desk.decided(400, swift=WORSE))
    (state,) = desk.watch.look()
    assert state.watch.is_broken
    assert desk.in_force == desk.first.number
    last = desk.policies.history()[-1]
    assert (last.kind, last.author) == ("rollback", "tune")
    assert last.reason == "version 2 is more than 2 % worse than sage, by 400 comparisons"
    assert "its promise no longer holds" in caplog.text
    assert desk.watch.look() == [], "what was taken back is not watched any more"


def test_where_the_version_from_before_says_the_same_the_baseline_alone_is_taken(desk: Desk) -> None:
    same = desk.policies.in_force().standings["default"].version
    promise = Promised(baseline="sage", within=0.02, confidence=0.95, before=same.number)
    desk.policies.apply("default", same.overlay, author="tune", evidence={"promise": msgspec.to_builtins(promise)})
    desk.record(*desk.decided(400, swift=WORSE))
    desk.watch.look()
    assert desk.policies.in_force().standings["default"].version.overlay == Overlay(models=("sage",))


def test_outcomes_are_taken_in_once_and_none_is_missed_between_looks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promise_watch, "PAGE", 7)
    events = desk.decided(120, swift=(0.9, 0.9))
    for at in range(0, len(events), 50):  # a request's two outcomes may come with a look between them
        desk.record(*events[at : at + 50])
        desk.watch.look()
    (parts,) = desk.watch.look()
    (whole,) = PromiseWatch(desk.policies._database, desk.clock).look()
    assert parts.watch.outcomes == whole.watch.outcomes == 120
    assert parts.watch.most == pytest.approx(whole.watch.most)
    assert not whole.watch.is_broken
    assert desk.in_force == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"from_ns": 1},  # before it was put in force
        {"policy": "other@2"},
        {"how": "feedback"},  # nobody knows what the other model would have done
    ],
    ids=["before", "another-policy", "not-compared"],
)
def test_what_says_nothing_of_the_promise_is_no_evidence(desk: Desk, changes: dict[str, Any]) -> None:
    desk.record(*desk.decided(400, swift=WORSE, **changes))
    (state,) = desk.watch.look()
    assert state.watch.outcomes == 0
    assert desk.in_force == 2


def test_later_opinion_on_a_complete_comparison_counts_no_second_time(desk: Desk) -> None:
    desk.record(*desk.decided(10))
    desk.watch.look()
    again = OutcomeRecorded(
        outcome_id="later", request_id="request-3", at_ns=1, model="swift", source="feedback", score=0.0
    )
    desk.record(again)
    assert desk.watch.look()[0].watch.outcomes == 10


def test_version_that_an_operator_replaced_meanwhile_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.record(*desk.decided(400, swift=WORSE))
    follow = desk.watch._followed

    def slowly(state: promise_watch.State) -> promise_watch.State:
        desk.policies.apply("default", Overlay(min_quality=0.99), author="me")
        return follow(state)

    monkeypatch.setattr(desk.watch, "_followed", slowly)
    assert desk.watch.look()[0].watch.is_broken
    assert desk.in_force == 3


async def test_gateway_follows_promises_and_takes_back_what_is_broken(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promise_watch, "LOOK_EVERY_S", 0)
    desk.record(*desk.decided(400, swift=WORSE))
    following = asyncio.create_task(desk.watch.follow())
    async with asyncio.timeout(30):
        while desk.in_force != desk.first.number:  # noqa: ASYNC110 another thread changes it, in a database
            await asyncio.sleep(0.01)
    following.cancel()
