import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from ledger_rows import DAY_NS, absorb, generated
from routewright.errors import ExportFailed
from routewright.ledger import export_files, exporting
from routewright.ledger.export_files import write_file
from routewright.ledger.exporting import FIELDS, iso, pages, usd
from routewright.ledger.ledger import LedgerEvent, Released, RequestRecorded, Reserved, Settled
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import NOON, request, settled

FOREVER_NS = 2**63 - 1
EVENTS = generated(3_000)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path_factory.mktemp("ledger") / "ledger.db")
    absorb(Store(database), EVENTS[:-1])
    yield database
    database.close()


def exported(database: SqliteDatabase, path: Path, what: str) -> int:
    form = path.suffix.removeprefix(".")
    return write_file(path, form, FIELDS[what], pages(database, what, 0, FOREVER_NS))


def of_type(*kinds: type[LedgerEvent]) -> list[Any]:
    return [event for event in EVENTS[:-1] if isinstance(event, kinds)]


def test_parquet_has_every_attempt_to_the_nano_dollar(database: SqliteDatabase, tmp_path: Path) -> None:
    count = exported(database, tmp_path / "a.parquet", "attempts")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    closed = {event.attempt_id: event for event in of_type(Settled, Released)}
    held = {event.attempt_id: event for event in of_type(Reserved)}
    rows = {row["attempt_id"]: row for row in table.to_pylist()}
    assert table.num_rows == count == len(rows) == len(held)
    assert str(table.schema.field("cost_nanousd").type) == "int64"
    for attempt_id, hold in held.items():
        row, close = rows[attempt_id], closed.get(attempt_id)
        assert (row["held_nanousd"], row["held_at_ns"]) == (hold.amount_nanousd, hold.at_ns)
        if isinstance(close, Settled):
            assert (row["state"], row["cost_nanousd"]) == ("settled", close.cost_nanousd)
            assert row["cost_usd"] == usd(close.cost_nanousd)
            assert (row["input"], row["is_estimated"]) == (close.usage.input, close.is_estimated)
            assert row["closed_at"] == iso(close.at_ns)
        elif close is not None:
            assert (row["state"], row["cost_nanousd"], row["cost_usd"]) == ("released", 0, "0.000000000")


def test_an_attempt_that_is_still_open_is_exported_as_open(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "ledger.db")
    absorb(Store(database), of_type(Reserved)[:1])
    ((row,),) = pages(database, "attempts", 0, FOREVER_NS)
    told = dict(zip((field.name for field in FIELDS["attempts"]), row, strict=True))
    assert (told["state"], told["closed_at"], told["cost_usd"]) == ("open", None, None)
    database.close()


def test_json_lines_and_parquet_say_the_same(database: SqliteDatabase, tmp_path: Path) -> None:
    for what in FIELDS:
        exported(database, tmp_path / "x.parquet", what)
        exported(database, tmp_path / "x.jsonl", what)
        lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
        assert lines == pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
        assert lines


def test_requests_keep_their_decision(database: SqliteDatabase, tmp_path: Path) -> None:
    assert exported(database, tmp_path / "r.jsonl", "requests") == len(of_type(RequestRecorded))
    row = json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])
    assert json.loads(row["route"])["catalog"] == "catalog"
    assert row["at"].endswith("Z")


def test_only_the_time_asked_for_is_exported(database: SqliteDatabase) -> None:
    since, until = NOON + DAY_NS, NOON + 2 * DAY_NS
    count = sum(map(len, pages(database, "requests", since, until)))
    assert count == sum(since <= event.at_ns < until for event in of_type(RequestRecorded))


def test_pages_lose_and_double_nothing(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EVENTS) * 2 > exporting.PAGE
    ids = [row[0] for page in pages(database, "attempts", 0, FOREVER_NS) for row in page]
    assert len(ids) == len(set(ids)) == len(of_type(Reserved))


def test_a_spreadsheet_obeys_no_cell(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "ledger.db")
    absorb(
        Store(database),
        [settled(model="=HYPERLINK(1)", outcome="@x", cause="\tx"), request(user='-1,"2"\n'), settled("-2")],
    )
    exported(database, tmp_path / "a.csv", "attempts")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[1]["model"], rows[1]["outcome"], rows[1]["cause"]) == ("'=HYPERLINK(1)", "'@x", "'\tx")
    assert rows[0]["attempt_id"] == "'-2-attempt-1"
    assert (rows[0]["is_estimated"], rows[0]["cost_nanousd"]) == ("false", "2000000")
    exported(database, tmp_path / "r.csv", "requests")
    with (tmp_path / "r.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["user"] == '\'-1,"2"\n'
    database.close()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_an_interrupted_export_leaves_the_old_file_and_no_other(
    database: SqliteDatabase, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def cut_off() -> Iterator[list[tuple[Any, ...]]]:
        yield next(pages(database, "attempts", 0, FOREVER_NS))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, form, FIELDS["attempts"], cut_off())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(database: SqliteDatabase, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="No such file"):
        exported(database, tmp_path / "missing/a.csv", "attempts")


def test_parquet_without_pyarrow_says_what_to_install(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportFailed) as failed:
        exported(database, tmp_path / "a.parquet", "attempts")
    assert failed.value.hint == "pip install 'routewright[data]'"
    assert list(tmp_path.iterdir()) == []


def test_amounts_and_moments_are_exact() -> None:
    assert usd(-1) == "-0.000000001"
    assert usd(12_345_678_901) == "12.345678901"
    assert iso(NOON + 1) == "2026-11-01T12:00:00.000000001Z"


def test_parquet_is_written_in_groups_and_an_empty_export_is_a_table_too(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "_ROWS_PER_GROUP", 100)
    rows = [row for page in pages(database, "requests", 0, FOREVER_NS) for row in page][:250]
    parts = [rows[:100], rows[100:199], rows[199:]]
    assert write_file(tmp_path / "r.parquet", "parquet", FIELDS["requests"], iter(parts)) == 250
    file = pyarrow.parquet.ParquetFile(tmp_path / "r.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [100, 150]
    assert [row["request_id"] for row in file.read().to_pylist()] == [row[0] for row in rows]
    assert write_file(tmp_path / "none.parquet", "parquet", FIELDS["requests"], iter(())) == 0
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_a_file_takes_its_name_when_all_of_it_is_on_the_disk_and_is_private(
    database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "r.jsonl", []

    def sync(fd: int) -> None:
        synced.append((os.fstat(fd).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    (row, *_) = next(pages(database, "requests", 0, FOREVER_NS))
    write_file(path, "jsonl", FIELDS["requests"], [[row]])
    assert synced == [(path.stat().st_size, False)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_held_is_exported_where_the_hold_itself_is_gone(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "ledger.db")
    absorb(Store(database), [settled(held_nanousd=5)])
    ((row,),) = pages(database, "attempts", 0, FOREVER_NS)
    told = dict(zip((field.name for field in FIELDS["attempts"]), row, strict=True))
    assert (told["held_nanousd"], told["held_usd"]) == (5, "0.000000005")
    database.close()
