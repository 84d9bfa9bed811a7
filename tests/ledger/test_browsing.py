"""Looking through requests: what a page has, where the next one begins, and that no question reads a table whole."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from builders import route
from ledger_rows import absorb
from routewright.ledger import browsing
from routewright.ledger.browsing import (
    END,
    Brief,
    Filter,
    Place,
    browse,
    cached_of,
    counted,
    newest,
    routes_of,
    since,
    turns,
    turns_of,
)
from routewright.ledger.latencies import latencies
from routewright.ledger.latest import comparisons_of
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import NOON, request

HOUR_NS = 3600 * 10**9
SESSION = "a" * 32
ROWS: tuple[dict[str, Any], ...] = (
    {"model": "swift", "tier": "standard", "key": "k1", "team": "red"},
    {"model": "strong", "tier": "complex", "tags": ("häßlich", "=1+1"), "session": SESSION},
    {"model": None, "tier": None, "outcome": "rate_limited", "cost_nanousd": 0, "total_ms": 1},
    {"model": "swift", "tier": "standard", "key": "k2", "cost_nanousd": 9_000_000, "total_ms": 90_000},
    {"model": "swift", "tier": "standard", "outcome": "abandoned", "session": SESSION},
)


@pytest.fixture
def filled(store: Store) -> Store:
    events = [
        request(f"{number:036}", at_ns=NOON + number * HOUR_NS, **{"cost_nanousd": 500, "total_ms": 40, **fields})
        for number, fields in enumerate(ROWS)
    ]
    absorb(store, list(events))
    return store


def numbers(rows: Sequence[Brief]) -> list[int]:
    return [int(row.request_id) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [4, 3, 2, 1, 0]),
        (Filter(model="swift"), [4, 3, 0]),
        (Filter(model=""), [2]),
        (Filter(model="' OR 1=1 --"), []),
        (Filter(tier="complex"), [1]),
        (Filter(key="k1"), [0]),
        (Filter(team="red", model="swift"), [0]),
        (Filter(tag="häßlich"), [1]),
        (Filter(tag="h"), []),
        (Filter(outcome="failed"), [4, 2]),
        (Filter(outcome="rate_limited"), [2]),
        (Filter(session=SESSION), [4, 1]),
        (Filter(session=SESSION, outcome="complete"), [1]),
        (Filter(least_nanousd=501), [3]),
        (Filter(most_nanousd=0), [2]),
        (Filter(least_ms=40, most_ms=40), [4, 1, 0]),
        (Filter(since_ns=NOON + HOUR_NS, until_ns=NOON + 3 * HOUR_NS), [2, 1]),
    ],
)
def test_a_filter_leaves_what_it_should_and_follows_alike(filled: Store, wanted: Filter, expected: list[int]) -> None:
    found = browse(filled.database, wanted, END, 10)
    assert numbers(found.rows) == expected
    assert (found.onward, found.is_whole) == (None, True)
    every = newest(filled.database, Place(0, ""), 100)
    assert [int(row.request_id) for row in reversed(every) if wanted.takes(row)] == expected
    bars = counted(filled.database, wanted, END, HOUR_NS)
    assert [bar.starts_ns for bar in bars] == [NOON + number * HOUR_NS for number in sorted(expected)]
    assert sum(bar.complete + bar.others for bar in bars) == len(expected)


def test_pages_follow_each_other_without_a_gap(filled: Store) -> None:
    seen, after = [], END
    while True:
        found = browse(filled.database, Filter(), after, 2)
        seen += numbers(found.rows)
        if found.onward is None:
            break
        after = found.onward
    assert seen == [4, 3, 2, 1, 0]


def test_a_page_looks_back_so_far_and_says_so(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "MOST_WALKED", 2)
    found = browse(filled.database, Filter(tier="complex"), END, 10)
    assert (found.rows, found.is_whole, found.onward) == ([], False, Place(NOON + 3 * HOUR_NS, f"{3:036}"))
    assert found.onward is not None
    assert numbers(browse(filled.database, Filter(tier="complex"), found.onward, 10).rows) == [1]


def test_the_newest_are_told_in_order(filled: Store) -> None:
    assert numbers(newest(filled.database, Place(NOON + HOUR_NS, ""), 2)) == [3, 4]
    assert [each.outcome for each in since(filled.database, NOON + 3 * HOUR_NS, 10)] == ["abandoned", "complete"]


def test_a_session_has_its_turns(filled: Store) -> None:
    assert [(turn.session, int(turn.request_id)) for turn in turns(filled.database, END, 100, 10)] == [
        (SESSION, 4),
        (SESSION, 1),
    ]
    assert turns(filled.database, END, 1, 10) != []
    assert turns(filled.database, END, 100, 0) == []
    assert numbers(turns_of(filled.database, SESSION, 10)) == [1, 4]
    assert cached_of(filled.database, []) == {}
    assert routes_of(filled.database, []) == {}
    assert set(routes_of(filled.database, [f"{1:036}"])) == {f"{1:036}"}


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, list[str]]]:
    """A ledger, and the plan of every question that is asked of it."""
    database = SqliteDatabase(tmp_path / "ledger.db")
    store = Store(database)
    absorb(store, [request(f"{number:036}", at_ns=NOON, route=route()) for number in range(3)])
    told: list[str] = []

    def explained(read: Any) -> Any:
        def asked(sql: str, *bindings: Any) -> Any:
            plan = read_plain(f"EXPLAIN QUERY PLAN {sql}", *bindings)
            told.extend(str(row[3]) for row in plan)
            return read(sql, *bindings)

        return asked

    read_plain = database.read_plain
    monkeypatch.setattr(database, "read", explained(database.read))
    monkeypatch.setattr(database, "read_plain", explained(database.read_plain))
    yield store, told
    store.close()


WANTED = (
    Filter(),
    Filter(since_ns=1, model="m", tier="t", key="k", team="", outcome="failed", least_ms=1, most_nanousd=2),
    Filter(tag="t"),
    Filter(session=SESSION),
)


def test_no_question_reads_a_table_whole(plans: tuple[Store, list[str]]) -> None:
    store, told = plans
    database = store.database
    for wanted in WANTED:
        browse(database, wanted, END, 50)
        counted(database, wanted, END, HOUR_NS)
    newest(database, END, 10)
    turns(database, END, 10, 5)
    turns_of(database, SESSION, 10)
    cached_of(database, ["a", "b"])
    routes_of(database, ["a", "b"])
    since(database, NOON, 10)
    latencies(database, 0, 2**62)
    store.request("a")
    comparisons_of(database, "a", 10)
    store.open_holds()
    store.unattended()
    store.holds_among(["a", "b"])
    steps = list(told)
    assert len(steps) > 20
    tables = [table.name for table in database.tables()]
    whole = re.compile(rf"^SCAN ({'|'.join(tables)}|r|t|e)\b")
    assert [step for step in steps if whole.match(step)] == []
    assert any("COVERING INDEX requests_by_time" in step for step in told)
    assert any("requests_by_session" in step for step in told)
