import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routewright.errors import StoreUnavailable
from routewright.ledger.budgets import ALL_TIME, Budget, Period, Scope
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import Reserved, Settled, encode_event
from routewright.ledger.recovery import Recovered, Recovery, has_left_overs, writers_in
from routewright.ledger.segments import boots_in
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.testing import FakeClock

DYING = """
import os, signal, sys
from pathlib import Path
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import Reserved, encode_event
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store

folder = Path(sys.argv[1])
journal = Journal(folder / "journal", segment_bytes=1 << 16)
if sys.argv[2] == "drained":
    journal.start(Store(SqliteDatabase(folder / "ledger.db")).absorb)
for number in range(3):
    journal.append(encode_event(Reserved(
        attempt_id=f"{sys.argv[2]}-{number}", request_id="r", at_ns=number, boot=journal.boot, model="m",
        deployment="p/m", cause="first", amount_nanousd=100 + number, price_version="v")))
if sys.argv[2] == "drained":
    journal.flush_blocking()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(SqliteDatabase(tmp_path / "ledger.db"))
    yield store
    store.close()


@pytest.fixture
def living(tmp_path: Path, store: Store) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", segment_bytes=1 << 16)
    journal.start(store.absorb)
    yield journal
    journal.close()


def die(folder: Path, how: str) -> None:
    killed = subprocess.run([sys.executable, "-c", DYING, str(folder), how], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr


def closings(store: Store) -> dict[str, Settled]:
    record = store.request("r")
    assert record is not None
    return {a.close.attempt_id: a.close for a in record.attempts if isinstance(a.close, Settled)}


@pytest.mark.parametrize("how", ["drained", "undrained"])
def test_r03_holds_of_a_killed_process_are_settled_beside_a_living_one(
    tmp_path: Path, store: Store, living: Journal, how: str
) -> None:
    living.append(
        encode_event(
            Reserved(
                attempt_id="mine", request_id="r", at_ns=9, boot=living.boot, model="m", deployment="p/m",
                cause="first", amount_nanousd=7, price_version="v",
            )
        )
    )  # fmt: skip
    living.flush_blocking()
    die(tmp_path, how)
    die(tmp_path, how)  # takes over the slot of the first one, and dies as well
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    assert recovery.look().holds == 3
    settled = closings(store)
    assert {close.cost_nanousd for close in settled.values()} == {100, 101, 102}
    assert all(close.outcome == "crashed" and close.is_estimated for close in settled.values())
    assert [hold.attempt_id for hold in store.open_holds()] == ["mine"]
    assert recovery.look() == Recovered(), "a second look finds nothing to do"
    assert not list((tmp_path / "journal/slot-1").glob("*.log"))


def test_a_look_that_finds_nothing_new_asks_the_store_nothing(
    tmp_path: Path, store: Store, living: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(tmp_path, "drained")
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    recovery.look()
    monkeypatch.setattr(store, "open_holds", lambda: pytest.fail("asked"))
    assert recovery.look() == Recovered()


def test_what_the_store_does_not_take_is_tried_again(tmp_path: Path, store: Store, living: Journal) -> None:
    die(tmp_path, "undrained")
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    absorb, store.absorb = store.absorb, _refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        recovery.look()
    assert list((tmp_path / "journal/slot-1").glob("*.log"))
    store.absorb = absorb  # type: ignore[method-assign]
    assert recovery.look() == Recovered(records=3, holds=3)


def _refuse(batch: object) -> None:
    raise StoreUnavailable("busy")


def granted(store: Store) -> set[str]:
    """Who has a part of the budget."""
    return {row["boot"] for row in store.database.read("SELECT boot FROM grants")}


def test_who_died_gives_back_what_it_was_granted(tmp_path: Path, store: Store, living: Journal) -> None:
    die(tmp_path, "undrained")
    (dead,) = boots_in(tmp_path / "journal/slot-1")
    everything = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=1000, period=Period.FOREVER)
    escrow = DatabaseEscrow(store.database)
    for boot in (living.boot, dead, "of another folder"):
        escrow.claim(everything, ALL_TIME, boot=boot, granted_nanousd=0, needed_nanousd=100)
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    recovery.look()
    recovery.look()
    assert granted(store) == {living.boot, "of another folder"}
    recovery.settle_the_forgotten()
    assert granted(store) == {living.boot}


def test_the_living_are_known_by_their_locks(tmp_path: Path, living: Journal) -> None:
    die(tmp_path, "undrained")
    assert [path.name for path in writers_in(tmp_path / "journal")] == ["slot-0"]


def test_what_no_slot_knows_any_more_is_settled_where_everybody_writes_here(
    tmp_path: Path, store: Store, living: Journal
) -> None:
    def hold(attempt_id: str, boot: str) -> bytes:
        return encode_event(
            Reserved(
                attempt_id=attempt_id, request_id="r", at_ns=1, boot=boot, model="m", deployment="p/m", cause="first",
                amount_nanousd=7, price_version="v",
            )
        )  # fmt: skip

    store.absorb([hold("mine", living.boot), hold("forgotten", "long-gone")])
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    assert recovery.look() == Recovered(), "it may live on another machine"
    assert recovery.settle_the_forgotten() == Recovered(holds=1)
    assert closings(store)["forgotten"].cost_nanousd == 7
    assert [each.attempt_id for each in store.open_holds()] == ["mine"]
    assert recovery.settle_the_forgotten() == Recovered()


def test_only_what_the_dead_left_is_left_over(tmp_path: Path, store: Store, living: Journal) -> None:
    journal = tmp_path / "journal"
    assert not has_left_overs(journal)
    die(tmp_path, "undrained")
    assert has_left_overs(journal)
    Recovery(journal, store, FakeClock()).look()
    assert not has_left_overs(journal)


def test_a_file_of_damaged_lines_only_is_kept_aside_and_stops_nobody(
    tmp_path: Path, store: Store, living: Journal
) -> None:
    die(tmp_path, "undrained")
    (log,) = (tmp_path / "journal/slot-1").glob("*.log")
    log.write_bytes(b"no record\n")
    assert Recovery(tmp_path / "journal", store, FakeClock()).look() == Recovered()
    assert [path.name for path in (tmp_path / "journal/slot-1").glob("*.corrupt")] == [f"{log.name}.corrupt"]


def test_holds_are_settled_of_a_process_that_left_nothing_else(tmp_path: Path, store: Store, living: Journal) -> None:
    die(tmp_path, "drained")
    for log in (tmp_path / "journal/slot-1").glob("*.log"):
        log.unlink()
    recovery = Recovery(tmp_path / "journal", store, FakeClock())
    assert recovery.look() == Recovered(holds=3)
    assert store.open_holds() == []
