"""A gateway's copy of what the ledger says of policies."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from routewright.errors import StoreUnavailable
from routewright.ledger.sqlite import SqliteDatabase
from routewright.policies.following import PolicyFollower
from routewright.policies.store import InForce, PolicyStore
from routewright.settings.schema import Overlay
from routewright.testing import FakeClock


class Shaky(PolicyStore):
    """One whose database may be silent."""

    is_silent = False
    reads = 0

    def sequence(self) -> int:
        if self.is_silent:
            raise StoreUnavailable("nobody answers")
        self.reads += 1
        return super().sequence()


class Office:
    """A store with a follower."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.database = SqliteDatabase(folder / "ledger.db")
        self.store = Shaky(self.database, self.clock)
        self.adopted: list[InForce] = []
        self.has_adopted = threading.Event()
        self.follower = PolicyFollower(self.store, self._adopt)

    def _adopt(self, in_force: InForce) -> None:
        self.adopted.append(in_force)
        self.has_adopted.set()


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_change_anywhere_is_noticed(office: Office, tmp_path: Path) -> None:
    elsewhere = PolicyStore(SqliteDatabase(tmp_path / "ledger.db"), office.clock)

    async def main() -> None:
        following = asyncio.create_task(office.follower.follow())
        await asyncio.sleep(3)
        assert office.adopted == []
        elsewhere.apply("trial", Overlay(min_quality=0.9), author="me")
        assert await asyncio.to_thread(office.has_adopted.wait, 10)
        following.cancel()

    office.clock.run(main())
    assert office.adopted[0].standings["trial"].version.overlay == Overlay(min_quality=0.9)


def test_following_reads_one_number_while_nothing_changes(office: Office) -> None:
    office.store.apply("trial", Overlay(), author="me")
    office.follower.refresh()
    before = office.store.reads
    for _ in range(3):
        office.follower.refresh()
    assert office.store.reads == before + 3
    assert len(office.adopted) == 1


def test_a_silent_database_changes_nothing_and_is_told_once(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.store.apply("trial", Overlay(), author="me")
    office.follower.refresh()
    office.store.is_silent = True
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            office.follower.refresh()
    assert [record.message for record in caplog.records] == [
        "policies cannot be read, those known stay in force: nobody answers"
    ]
    assert len(office.adopted) == 1
    office.store.is_silent = False
    office.store.apply("trial", Overlay(), author="me")
    office.follower.refresh()
    assert len(office.adopted) == 2
