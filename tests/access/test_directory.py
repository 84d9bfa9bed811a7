import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from databases import open_database
from routewright.access.description import read_wish
from routewright.access.directory import Directory
from routewright.access.installation import Installation
from routewright.access.keyring import Keyring
from routewright.access.keys import Role
from routewright.errors import AccessUnavailable, SettingsError, StoreUnavailable
from routewright.ledger.budgets import Budget, Period, Scope
from routewright.ledger.database import Database, Row, Value
from routewright.ledger.sqlite import SqliteDatabase
from routewright.secret import Secret
from routewright.testing import FakeClock

METERED = {"budgets": [{"limit_usd": "10", "period": "month"}]}


class Flaky:
    """A `Database` that can be silent; counts its reads."""

    def __init__(self, database: Database) -> None:
        self.is_silent = False
        self.reads = 0
        self.name, self.now_ns = database.name, database.now_ns
        self.transaction, self.elements, self.close = database.transaction, database.elements, database.close
        self.tables, self.continue_numbering = database.tables, database.continue_numbering
        self.read_plain, self.member = database.read_plain, database.member
        self._database = database

    def read(self, sql: str, *bindings: Value) -> list[Row]:
        self.reads += 1
        if self.is_silent:
            raise StoreUnavailable("nobody answers")
        return self._database.read(sql, *bindings)


class Office:
    """A directory and what is around it."""

    def __init__(self, folder: Path, place: Path | str) -> None:
        self.clock = FakeClock()
        self.database = Flaky(open_database(place))
        self.keyring = Keyring(self.database, Installation(None, folder), self.clock)
        self.directory = Directory(self.keyring, self.clock)

    def key(self, **fields: Any) -> tuple[str, str]:
        """The id and the text of a new key that the directory knows."""
        issued = self.keyring.create(read_wish({"name": "app", **fields}))
        self.directory.refresh()
        return issued.key.id, issued.text.reveal()


async def at_once(work: Callable[[], object]) -> object:
    """Instead of `asyncio.to_thread`: a fake clock does not wait for threads."""
    return work()


@pytest.fixture
def office(tmp_path: Path, place: Path | str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    office = Office(tmp_path, place)
    yield office
    office.database.close()


def test_the_holder_of_a_key_is_found_with_what_it_allows(office: Office) -> None:
    key_id, text = office.key(team="research", tags=["a"], models=["swift"], tiers=["bulk"], requests_per_minute=7)
    caller = office.directory.find(text)
    assert caller is not None
    assert caller.roles == {Role.USE}
    assert (caller.tenant.key, caller.tenant.team, caller.tenant.tags) == (key_id, "research", ("a",))
    assert (caller.tenant.models, caller.tenant.tiers) == (("swift",), ("bulk",))
    assert caller.tenant.requests_per_minute == 7
    assert office.directory.find(text) is caller


def test_whoever_administers_may_also_read_but_not_use(office: Office) -> None:
    caller = office.directory.find(office.key(roles=["admin"])[1])
    assert caller is not None
    assert caller.roles == {Role.ADMIN, Role.READ}


def test_c12_a_key_is_taken_only_while_it_is_valid(office: Office) -> None:
    start, end = "2027-01-15T08:00:10Z", "2027-01-15T08:00:20Z"  # the clock begins at 08:00:00
    _, text = office.key(not_before=start, expires_at=end)
    assert office.directory.find(text) is None
    office.clock.advance(10)
    assert office.directory.find(text) is not None
    office.clock.advance(10)
    assert office.directory.find(text) is None


def test_x15_a_key_with_another_secret_is_not_taken(office: Office) -> None:
    key_id, text = office.key()
    rotated = office.keyring.rotate(key_id).text.reveal()
    assert office.directory.find(rotated) is None  # not known yet
    office.directory.refresh()
    assert office.directory.find(rotated) is not None
    assert office.directory.find(text) is None


def test_rotation_with_grace_takes_both_texts_until_it_ends(office: Office) -> None:
    key_id, old = office.key()
    new = office.keyring.rotate(key_id, grace_s=60).text.reveal()
    office.directory.refresh()
    assert office.directory.find(old) is office.directory.find(new) is not None
    office.clock.advance(59.9)
    assert office.directory.find(old) is not None
    office.clock.advance(0.1)
    assert office.directory.find(old) is None
    assert office.directory.find(new) is not None


def test_revoking_ends_a_grace_too(office: Office) -> None:
    key_id, old = office.key()
    new = office.keyring.rotate(key_id, grace_s=60).text.reveal()
    office.keyring.revoke(key_id)
    office.directory.refresh()
    assert office.directory.find(old) is office.directory.find(new) is None


def test_c12_a_revocation_by_another_process_is_in_force_within_a_second(
    office: Office, tmp_path: Path, place: Path | str
) -> None:
    key_id, text = office.key()
    elsewhere = open_database(place)
    other = Keyring(elsewhere, Installation(None, tmp_path), office.clock)

    async def main() -> None:
        following = asyncio.create_task(office.directory.follow())
        await asyncio.sleep(3)
        assert office.directory.find(text) is not None
        revoked_at = office.clock.monotonic()
        other.revoke(key_id)
        while office.directory.find(text) is not None:
            await asyncio.sleep(0.01)
            assert office.clock.monotonic() - revoked_at < 1
        following.cancel()

    office.clock.run(main())
    elsewhere.close()


def test_following_reads_one_number_when_nothing_has_changed(office: Office) -> None:
    for _ in range(20):
        office.key()
    before = office.database.reads
    assert not office.directory.refresh()
    assert office.database.reads == before + 1


def test_a_gateway_that_had_keys_does_not_open_when_the_last_one_goes(office: Office) -> None:
    assert not office.directory.has_keys
    key_id, _ = office.key()
    office.keyring.revoke(key_id)
    office.directory.refresh()
    assert office.directory.has_keys


def test_a_silent_database_stops_metered_keys_after_a_minute_and_no_others(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    _, metered = office.key(**METERED)
    _, soft = office.key(budgets=[{"limit_usd": "10", "period": "month", "is_hard": False}])
    _, free = office.key()
    office.database.is_silent = True

    async def main() -> None:
        following = asyncio.create_task(office.directory.follow())
        await asyncio.sleep(59)
        assert office.directory.find(metered) is not None
        await asyncio.sleep(3)
        with pytest.raises(AccessUnavailable):
            office.directory.find(metered)
        assert office.directory.find(soft) is not None
        assert office.directory.find(free) is not None
        assert office.directory.find(metered[:-1]) is None
        office.database.is_silent = False
        await asyncio.sleep(1)
        assert office.directory.find(metered) is not None
        following.cancel()

    with caplog.at_level(logging.ERROR):
        office.clock.run(main())
    assert [record.message for record in caplog.records] == [
        "the keys cannot be read, those known stay in force: nobody answers"
    ]


def test_a_key_of_a_newer_version_stops_metered_keys_in_time_and_not_the_following(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    key_id, _ = office.key()
    _, metered = office.key(**METERED)
    with office.database.transaction() as transaction:
        transaction.execute(
            "UPDATE virtual_keys SET roles = ?, version = version + 10 WHERE id = ?", '["emperor"]', key_id
        )
        transaction.execute("UPDATE access_state SET version = version + 10")

    async def main() -> None:
        following = asyncio.create_task(office.directory.follow())
        await asyncio.sleep(62)
        with pytest.raises(AccessUnavailable):
            office.directory.find(metered)
        with office.database.transaction() as transaction:
            transaction.execute("UPDATE virtual_keys SET roles = ? WHERE id = ?", '["use"]', key_id)
        await asyncio.sleep(1)
        assert office.directory.find(metered) is not None
        following.cancel()

    office.clock.run(main())
    assert f"the key {key_id} cannot be read" in caplog.text


def test_a_database_from_a_backup_brings_its_own_keys(office: Office, tmp_path: Path) -> None:
    _, text = office.key()
    office.key()
    older = tmp_path / "older"
    older.mkdir()
    (older / "access.secret").hardlink_to(tmp_path / "access.secret")
    database = SqliteDatabase(older / "ledger.db")
    backup = Keyring(database, Installation(None, older), office.clock)
    restored = backup.create(read_wish({"name": "old"})).text.reveal()
    office.directory._keyring = backup
    assert office.directory.refresh()
    assert office.directory.find(restored) is not None
    assert office.directory.find(text) is None
    database.close()


def test_keys_of_another_secret_stop_the_start(office: Office, tmp_path: Path) -> None:
    office.key()
    foreign = Keyring(office.database, Installation(Secret("x" * 32), tmp_path), office.clock)
    with pytest.raises(SettingsError, match="fingerprints differ"):
        Directory(foreign, office.clock).refresh()


def test_budgets_of_keys_are_told_and_their_changes_too(office: Office) -> None:
    calls: list[tuple[int, bool]] = []
    text = ""

    def told(budgets: Sequence[Budget]) -> None:
        calls.append((len(budgets), office.directory.find(text) is not None))

    office.directory.on_change(told)
    issued = office.keyring.create(read_wish({"name": "late", "budgets": [{"limit_usd": "1", "period": "week"}]}))
    text = issued.text.reveal()
    office.directory.refresh()
    assert calls == [(1, False)], "nobody is let in before the budgets are kept"
    office.keyring.revoke(issued.key.id)
    key_id, _ = office.key(budgets=[{"limit_usd": "10", "period": "month"}, {"limit_usd": "1", "period": "day"}])
    month, day = office.directory.budgets()
    assert (month.name, month.scope, month.subject) == (f"key/{key_id}/month", Scope.KEY, key_id)
    assert (month.limit_nanousd, month.period, month.is_hard) == (10_000_000_000, Period.MONTH, True)
    assert day.name == f"key/{key_id}/day"
    office.directory.refresh()
    office.keyring.revoke(key_id)
    office.directory.refresh()
    assert calls[1:] == [(2, True), (0, False)]
