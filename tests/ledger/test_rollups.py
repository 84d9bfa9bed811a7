"""Roll-ups say the same as the rows that they are made of, in either database."""

import re
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, get_args

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from databases import database_of, open_database
from entries import DAY, SECOND, absorb, recorded, released, reserved, settled
from routewright.ledger import rollups
from routewright.ledger.ledger import LedgerEvent, Released, RequestRecorded, Settled
from routewright.ledger.rollups import GRAINS, HOUR_NS, MOST_TAGS, OTHER_TAG, SOURCES, pieces
from routewright.ledger.spending import Dimension, Keys, Sums, added
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Spend, Store
from routewright.usage import InputParts, Usage

DIMENSIONS: tuple[Dimension, ...] = tuple(name for name in get_args(Dimension) if name != "policy")
"""Those that sums are kept by."""
TABLES = ("attempts_rollup", "requests_rollup", "known_tags")
times = st.integers(0, 60 * 24).map(lambda hours: hours * HOUR_NS) | st.integers(0, 60 * DAY)
names = st.sampled_from(["", "a", "b"])
tags = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3).map(tuple)
payers = {"key": names, "team": names, "tags": tags}


def attempts() -> st.SearchStrategy[list[dict[str, object]]]:
    about = st.fixed_dictionaries(
        {
            **payers,
            "at_ns": times,
            "model": st.sampled_from(["small", "large"]),
            "tier": names,
            "cause": st.sampled_from(["first", "retry"]),
            "cost_nanousd": st.none() | st.integers(0, 2**40),
            "is_estimated": st.booleans(),
        }
    )
    return st.lists(about, max_size=8)


def requests() -> st.SearchStrategy[list[dict[str, object]]]:
    about = st.fixed_dictionaries(
        {
            **payers,
            "at_ns": times,
            "model": st.sampled_from([None, "small", "large"]),
            "tier": st.none() | names.filter(bool),
            "cost_nanousd": st.integers(0, 2**40),
            "baseline_cost_nanousd": st.none() | st.integers(0, 2**40),
            "is_estimated": st.booleans(),
            "outcome": st.sampled_from(["complete", "abandoned"]),
            "cache": st.sampled_from(["", "miss", "hit", "stale"]),
            "cache_saved_nanousd": st.none() | st.integers(0, 2**40),
        }
    )
    return st.lists(about.map(of_a_baseline), max_size=8)


def of_a_baseline(about: dict[str, object]) -> dict[str, object]:
    """Only an answer can be compared."""
    return about if about["model"] else {**about, "baseline_cost_nanousd": None}


def value_of(event: Settled | Released | RequestRecorded, dimension: Dimension) -> list[str | None]:
    """The keys that an event counts for."""
    moment = datetime.fromtimestamp(event.at_ns // SECOND, UTC)
    if dimension == "tag":
        return list(dict.fromkeys(event.tags))
    if dimension == "day":
        return [f"{moment:%Y-%m-%d}"]
    if dimension == "hour":
        return [f"{moment:%Y-%m-%d %H}:00"]
    return [getattr(event, dimension) or None]


def counted(events: Iterable[LedgerEvent], by: tuple[Dimension, ...]) -> dict[tuple[str | None, ...], tuple[int, ...]]:
    """What a look at every event gives: attempts, unpriced, cost, tokens, requests, complete, baseline, failed."""
    sums: dict[tuple[str | None, ...], tuple[int, ...]] = {}
    for event in events:
        if isinstance(event, Settled):
            its = (1, int(event.cost_nanousd is None), event.cost_nanousd or 0, event.usage.total, 0, 0, 0, 0)
        elif isinstance(event, RequestRecorded) and "cause" not in by:
            failed = event.cost_nanousd if event.model is None else 0
            its = (0, 0, 0, 0, 1, int(event.outcome == "complete"), event.baseline_cost_nanousd or 0, failed)
        else:
            continue
        keys: list[tuple[str | None, ...]] = [()]
        for dimension in by:
            keys = [(*key, value) for key in keys for value in value_of(event, dimension)]
        for key in keys:
            sums[key] = tuple(map(sum, zip(sums.get(key, (0,) * len(its)), its, strict=True)))
    return sums


def told(rows: Iterable[Spend]) -> dict[tuple[str | None, ...], tuple[int, ...]]:
    return told_of((row.keys, row) for row in rows)


def told_of(rows: Iterable[tuple[Keys, Sums]]) -> dict[tuple[str | None, ...], tuple[int, ...]]:
    return {
        keys: (
            row.attempts,
            row.unpriced,
            row.cost_nanousd,
            row.usage.total,
            row.requests,
            row.complete,
            row.baseline_cost_nanousd,
            row.failed_cost_nanousd,
        )
        for keys, row in rows
    }


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(closed=attempts(), over=requests(), since_hour=st.integers(0, 70 * 24), hours=st.integers(0, 70 * 24))
def test_every_question_is_answered_as_by_a_look_at_every_row(
    new_place: Callable[[], Path | str],
    closed: list[dict[str, object]],
    over: list[dict[str, object]],
    since_hour: int,
    hours: int,
) -> None:
    events: list[LedgerEvent] = [settled(f"a{n}", **about) for n, about in enumerate(closed)]
    events += [recorded(f"r{n}", **about) for n, about in enumerate(over)]
    since_ns, until_ns = since_hour * HOUR_NS, (since_hour + hours) * HOUR_NS
    with closing(Store(open_database(new_place()))) as store:
        absorb(store, *events[::2])
        absorb(store, *events)  # half of them again
        for by in [*((one,) for one in DIMENSIONS), *combinations(DIMENSIONS, 2)]:
            assert told(store.spend(by)) == counted(events, by)
        meant = [event for event in events if since_ns <= event.at_ns < until_ns]
        for one in DIMENSIONS:
            assert told(store.spend(one, since_ns, until_ns)) == counted(meant, (one,))
        total, requests = store.totals(), [event for event in events if isinstance(event, RequestRecorded)]
        assert total.least_saved_nanousd == sum(saved(request, at_least=True) for request in requests)
        assert total.most_saved_nanousd == sum(saved(request, at_least=False) for request in requests)
        assert total.answered_cost_nanousd + total.failed_cost_nanousd == sum(each.cost_nanousd for each in requests)
        assert total.answered == sum(request.model is not None for request in requests)
        assert total.from_cache == sum(request.cache in ("hit", "stale") for request in requests)
        assert total.cache_saved_nanousd == sum(request.cache_saved_nanousd or 0 for request in requests)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(closed=attempts(), over=requests(), since_hour=st.integers(0, 70 * 24), hours=st.integers(0, 70 * 24))
def test_what_is_left_in_is_what_a_look_at_every_row_leaves_in(
    new_place: Callable[[], Path | str],
    closed: list[dict[str, object]],
    over: list[dict[str, object]],
    since_hour: int,
    hours: int,
) -> None:
    events: list[Settled | RequestRecorded] = [settled(f"a{n}", **about) for n, about in enumerate(closed)]
    events += [recorded(f"r{n}", **about) for n, about in enumerate(over)]
    since_ns, until_ns = since_hour * HOUR_NS, (since_hour + hours) * HOUR_NS
    meant = [event for event in events if since_ns <= event.at_ns < until_ns]
    filters: list[dict[Dimension, str]] = [{"key": "a"}, {"team": ""}, {"model": "large"}, {"key": "b", "tier": "a"}]
    tables: list[tuple[Dimension, ...]] = [(), ("day",), ("hour", "key"), ("team", "day"), ("tier", "cause")]
    with closing(Store(open_database(new_place()))) as store:
        absorb(store, *events)
        for only in filters:
            left = [each for each in meant if all(value_of(each, it) == [name or None] for it, name in only.items())]
            for by in tables:
                assert told_of(store.sums(by, since_ns, until_ns, only)) == counted(left, by)
        tagged = [each for each in meant if "x" in value_of(each, "tag")]
        assert told_of(store.sums(("team", "day"), since_ns, until_ns, {"tag": "x"})) == counted(
            tagged, ("team", "day")
        )


def saved(request: RequestRecorded, *, at_least: bool) -> int:
    """What one request saved, if what nobody reported did cost our bound, or nothing: whichever is less, or more."""
    cost, would = request.cost_nanousd, request.baseline_cost_nanousd
    failed = cost if request.model is None and (at_least or not request.is_estimated) else 0
    if would is None:
        return -failed
    if request.is_estimated:
        return (min(0, would - cost) if at_least else would) - failed
    return would - cost - failed


def test_answers_errands_and_input_are_summed_apart(store: Store) -> None:
    parts = InputParts(system=6, history=3, tools=2, user=1)
    priced = {"input_parts": parts, "input_cost_nanousd": 120, "system_cost_nanousd": 60}
    absorb(
        store,
        settled("a1", usage=Usage(input=10, output=20), cost_nanousd=700),
        settled("a2", usage=Usage(input=1_000), first_event_ms=None, cost_nanousd=90),
        settled("a3", usage=Usage(input=100), cause="judge", cost_nanousd=5, deployment="simulator/judge"),
        recorded("r1", **priced),
        recorded("r2", **priced, model=None, baseline_cost_nanousd=None),
        recorded("r3", **priced, input_is_estimated=True),
    )
    total = store.totals()
    assert total.usage == Usage(input=1_110, output=20)
    assert total.answer_usage == Usage(input=10, output=20)
    assert (total.errand_cost_nanousd, total.simulated) == (5, 1)
    assert total.input_parts == parts + parts
    assert (total.answered, total.input_estimated) == (2, 1)
    assert (total.input_cost_nanousd, total.system_cost_nanousd) == (360, 180)


def test_baselines_are_known_by_day(store: Store) -> None:
    absorb(
        store,
        recorded("r1", at_ns=DAY + 5),
        recorded("r2", at_ns=3 * DAY, baseline_model="huge"),
        recorded("r3", at_ns=DAY, baseline_model="unpriced", baseline_cost_nanousd=None),
    )
    assert store.baselines() == ["huge", "large"]
    assert store.baselines(2 * DAY) == ["huge"]
    assert store.baselines(4 * DAY - 1) == ["huge"], "a day is known as a whole"
    assert store.baselines(until_ns=3 * DAY) == ["large"]


@given(since_ns=times, until_ns=times)
def test_the_pieces_of_a_time_are_whole_periods_side_by_side(since_ns: int, until_ns: int) -> None:
    its = list(pieces(since_ns, until_ns))
    if since_ns >= until_ns:
        assert its == []
        return
    assert its[0].since_ns == since_ns // HOUR_NS * HOUR_NS
    assert its[-1].until_ns == -(-until_ns // HOUR_NS) * HOUR_NS
    assert all(before.until_ns == after.since_ns for before, after in pairwise(its))
    assert all(not time % piece.grain for piece in its for time in piece[1:])
    assert len(its) <= 2 * len(GRAINS) - 1
    for piece in its:
        for longer in (grain for grain in GRAINS if grain > piece.grain):
            first = -(-max(piece.since_ns, since_ns) // longer) * longer
            assert first + longer > min(piece.until_ns, until_ns), "a longer period would fit"


def test_a_time_begins_and_ends_with_whole_hours(store: Store) -> None:
    for minute in (59, 60, 90, 119, 120):
        absorb(store, settled(f"a{minute}", at_ns=minute * 60 * SECOND))
    (row,) = store.spend("hour", since_ns=90 * 60 * SECOND, until_ns=91 * 60 * SECOND)
    assert (row.key, row.attempts) == ("1970-01-01 01:00", 3)
    assert store.spend("all", since_ns=7 * SECOND, until_ns=7 * SECOND) == []


def test_what_is_delivered_again_beside_something_new_counts_once(store: Store) -> None:
    absorb(store, reserved("a1"), settled("a1", tags=("x",)), recorded("r1"))
    absorb(store, settled("a1", tags=("x",)), settled("a1", cost_nanousd=1), released("a2"), recorded("r1"))
    assert (store.totals().attempts, store.totals().cost_nanousd, store.totals().requests) == (2, 700, 1)
    assert [(row.key, row.attempts) for row in store.spend("tag") if row.attempts] == [("x", 1)]


def test_attempts_and_requests_are_found_by_two_dimensions(store: Store) -> None:
    absorb(store, settled("a1", team="red", key="k1"), settled("a2", team="red", key="k2"), recorded("r1", team="red"))
    found = {row.keys: (row.attempts, row.requests) for row in store.spend(("team", "key"))}
    assert found == {("red", None): (0, 1), ("red", "k1"): (1, 0), ("red", "k2"): (1, 0)}


@pytest.mark.parametrize("by", [(), ("model", "model"), ("tag", "model", "team"), ("colour",), "colour"])
def test_what_is_not_kept_is_not_answered(store: Store, by: tuple[Dimension, ...]) -> None:
    with pytest.raises(ValueError, match=r"not some of model, tier|beside one other|told by `all`"):
        store.spend(by)


@pytest.mark.parametrize(
    "by", [("tag", "model"), ("tag", "day", "model"), ("hour", "tag"), ("model", "tier", "key", "team")]
)
def test_what_is_kept_is_answered(store: Store, by: tuple[Dimension, ...]) -> None:
    absorb(store, settled("a1", tags=("x",), model="m", team="t", key="k"))
    ((row,)) = [row for row in store.spend(by) if row.attempts]
    assert row.cost_nanousd == 700


def test_a_failed_transaction_leaves_no_sums(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "_places", lambda columns: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        absorb(store, settled("a1"))
    monkeypatch.undo()
    assert store.spend("all") == []
    absorb(store, settled("a1"))
    assert store.totals().attempts == 1


def test_tags_beyond_the_bound_are_counted_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MOST_TAGS", 3)
    absorb(store, settled("a1", tags=("a", "b")), recorded("r1", tags=("c", "d", "e")))
    absorb(store, settled("a2", tags=("a", "f", "g", "c")))
    found = {row.key: (row.attempts, row.requests) for row in store.spend("tag")}
    assert found == {"a": (2, 0), "b": (1, 0), "c": (1, 1), OTHER_TAG: (1, 1)}
    assert MOST_TAGS == 10_000


def test_a_tag_is_looked_at_only_so_far(store: Store) -> None:
    absorb(store, settled("a1", tags=("x" * 5000, "x" * 300)))
    assert [(row.key, row.attempts) for row in store.spend("tag")] == [("x" * 200, 1)]


def test_sums_that_another_process_has_made_meanwhile_stand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    absorb(store, settled("a1"))
    database = database_of(store)
    monkeypatch.setattr(type(database), "read", lambda *_: [{"is_made": 0}])
    rollups.make(database)
    monkeypatch.undo()
    assert store.totals().attempts == 1


def test_sums_are_made_of_the_rows_there_are_when_they_were_not_made_yet(place: Path | str, store: Store) -> None:
    for day in (2, 3, 42):
        absorb(store, settled(f"a{day}", at_ns=day * DAY, tags=("x",), key="k"), recorded(f"r{day}", at_ns=day * DAY))
    absorb(store, reserved("a2"))
    before = {table: sorted(map(repr, database_of(store).read(f"SELECT * FROM {table}"))) for table in TABLES}  # noqa: S608 names from above
    with database_of(store).transaction() as transaction:
        for table in TABLES:
            transaction.execute(f"DELETE FROM {table}")  # noqa: S608 names from above
        transaction.execute("UPDATE rollups_made SET is_made = 0")
    with closing(Store(open_database(place))) as again:
        database = database_of(again)
        assert {table: sorted(map(repr, database.read(f"SELECT * FROM {table}"))) for table in TABLES} == before  # noqa: S608 names from above
        assert database.read("SELECT is_made FROM rollups_made") == [{"is_made": 1}]
        with closing(Store(open_database(place))) as once_more:
            assert once_more.totals() == again.totals()


def test_new_rows_are_counted_without_a_look_at_all_old_ones(store: Store) -> None:
    database = database_of(store)
    if not isinstance(database, SqliteDatabase):
        pytest.skip("PostgreSQL chooses by what it knows of the tables, and new rows are in one of their own")
    writer = database._writer
    assert writer is not None
    ran: list[tuple[str, Any]] = []

    def note(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        ran.append((sql, bindings))
        return True

    writer.exec_trace = note
    absorb(store, reserved("a1"), settled("a1", tags=("x",)), recorded("r1", tags=("x",)))
    writer.exec_trace = None
    begun = [(sql, its) for sql, its in ran if sql.lstrip().startswith(("INSERT", "DELETE", "SELECT", "UPDATE"))]
    plans = [row[3] for sql, its in begun for row in writer.execute(f"EXPLAIN QUERY PLAN {sql}", its)]
    assert len(begun) > len(SOURCES)
    assert [plan for plan in plans if re.match(r"SCAN (events|requests|new USING)\b", plan)] == []


def test_many_sums_are_added_up_as_two_are() -> None:
    parts = InputParts(system=1, history=2)
    one = Sums(requests=1, cost_nanousd=5, usage=Usage(input=3), input_parts=parts)
    two = Sums(attempts=2, cost_nanousd=7, usage=Usage(output=4), answer_usage=Usage(audio_output=9))
    both = Sums(
        requests=1,
        attempts=2,
        cost_nanousd=12,
        usage=Usage(input=3, output=4),
        answer_usage=Usage(audio_output=9),
        input_parts=parts,
    )
    assert added([one, two]) == one + two == both
    assert added([]) == Sums()
