"""What a store promises, in either database."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from databases import database_of, open_database
from entries import (
    AT_ONCE,
    CLASSIFIED,
    DAY,
    ROUTE,
    SECOND,
    VERDICT,
    absorb,
    comparison,
    embedding,
    outcome,
    recorded,
    released,
    reserved,
    settled,
)
from routewright.errors import LedgerUnavailable, SchemaRefused
from routewright.ledger.database import Row, migrations
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import (
    LedgerEvent,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
    encode_event,
)
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import AnswerRow, AttemptRecord, OutcomeRow, RequestRecord, Store
from routewright.route import Route
from routewright.usage import InputParts, Usage

counts = st.integers(0, 2**40)


def contents(store: Store) -> dict[str, list[Row]]:
    """All rows of all tables."""
    tables = ("events", "requests", "open_holds", "unread", "outcomes", "embeddings", "comparisons")
    return {table: database_of(store).read(f"SELECT * FROM {table}") for table in tables}  # noqa: S608 names from above


# ---- what goes in


def test_the_requests_of_a_user_come_back_with_their_attempts_oldest_first(store: Store) -> None:
    absorb(
        store,
        reserved("b1", request_id="b"),
        settled("b1", request_id="b"),
        recorded("b", user="launch-1", at_ns=3 * SECOND),
        reserved("a1", request_id="a"),
        recorded("a", user="launch-1", at_ns=2 * SECOND),
        recorded("c", user="launch-2", at_ns=3 * SECOND),
        recorded("d", user="launch-1", at_ns=1),
    )
    found = store.requests_of("launch-1", SECOND)
    assert [each.request.request_id for each in found if each.request] == ["a", "b"]
    assert [[type(attempt.close).__name__ for attempt in each.attempts] for each in found] == [
        ["NoneType"],
        ["Settled"],
    ]
    assert found == [store.request("a"), store.request("b")]
    assert store.requests_of("nobody", 0) == []


def test_attempts_come_back_as_they_went_in(store: Store) -> None:
    unpriced = reserved("a2", amount_nanousd=None)
    absorb(store, reserved("a1"), settled("a1"), unpriced, released("a2"), reserved("a3"))
    assert store.request("r1") == RequestRecord(
        request=None,
        attempts=(
            AttemptRecord(reserved("a1"), settled("a1")),
            AttemptRecord(unpriced, released("a2")),
            AttemptRecord(reserved("a3"), None),
        ),
    )


@pytest.mark.parametrize(
    "request_row",
    [
        recorded("r1"),
        recorded("r1", route=None, tags=(), confidence=None, model=None, tier=None, user=None, overhead_us=None),
    ],
    ids=["full", "bare"],
)
def test_a_request_comes_back_as_it_went_in(store: Store, request_row: RequestRecorded) -> None:
    absorb(store, request_row)
    assert store.request("r1") == RequestRecord(request_row, attempts=())


def test_every_field_of_the_vocabulary_has_its_column(store: Store) -> None:
    absorb(store, settled("a1"), recorded("r1"), outcome(1))
    columns = {
        table: set(database_of(store).read(f"SELECT * FROM {table}")[0])  # noqa: S608 names from here
        for table in ("events", "requests", "outcomes")
    }
    fields = {field for kind in (Reserved, Settled, Released) for field in kind.__struct_fields__}
    assert columns["events"] == fields - {"usage"} | {*Usage.__struct_fields__, "sequence", "kind"}
    kept = set(RequestRecorded.__struct_fields__) - {"input_parts"}
    assert columns["requests"] == kept | {f"input_{part}" for part in InputParts.__struct_fields__}
    assert columns["outcomes"] == {*OutcomeRecorded.__struct_fields__, "sequence"}


def test_comparisons_come_back_in_their_order_with_what_people_said_of_both(store: Store) -> None:
    absorb(store, *(comparison(number) for number in range(3)), recorded("r1", model="large"))
    absorb(store, outcome(1, score=0.25), outcome(2, model="other", score=1.0), outcome(3, source="judge", score=0.0))
    assert list(store.comparisons(1, 3)) == [comparison(1), comparison(2)]
    assert store.ratings(0, 3) == {("r1", "large"): 0.25, ("r1", "other"): 1.0}
    assert store.ratings(7, 9) == {}


def test_a_batch_delivered_twice_counts_once(store: Store) -> None:
    batch: list[LedgerEvent] = [
        reserved("a1"),
        settled("a1"),
        reserved("a2"),
        released("a2"),
        reserved("a3"),
        recorded("r1"),
        outcome(1),
    ]
    absorb(store, *batch)
    before = contents(store)
    absorb(store, *batch)
    absorb(store, *reversed(batch))
    assert contents(store) == before


def test_the_first_settlement_of_an_attempt_stands(store: Store) -> None:
    absorb(store, settled("a1", cost_nanousd=700))
    absorb(store, settled("a1", cost_nanousd=900))
    assert store.totals().cost_nanousd == 700


def test_a_batch_goes_in_whole_or_not_at_all(store: Store) -> None:
    too_large = settled("a2", cost_nanousd=2**63)
    with pytest.raises((OverflowError, psycopg.errors.NumericValueOutOfRange)):
        absorb(store, reserved("a1"), too_large)
    assert contents(store)["events"] == []


def test_a_record_that_cannot_be_read_is_kept_aside(store: Store) -> None:
    unknown = b'{"kind":"adjusted","attempt_id":"a1"}'
    store.absorb([encode_event(reserved("a1")), unknown])
    store.absorb([unknown])
    assert [row["payload"] for row in contents(store)["unread"]] == [unknown]
    assert [hold.attempt_id for hold in store.pending(set)] == ["a1"]


@pytest.mark.parametrize(
    "wrong", [{"score": 1.01}, {"score": -0.01}, {"score": float("nan")}, {"source": "rumour"}, {"at_ns": "noon"}]
)
def test_an_outcome_that_means_nothing_is_kept_aside(store: Store, wrong: dict[str, object]) -> None:
    absorb(store, recorded("r1"), outcome(1, **wrong), outcome(2))
    assert len(contents(store)["unread"]) == 1
    assert [row.at_ns for row in store.outcomes(0)] == [2]


# ---- holds


def test_a_hold_is_pending_until_it_is_closed(store: Store) -> None:
    absorb(store, reserved("a1"), reserved("a2"), reserved("a3"))
    absorb(store, settled("a1"), released("a3"))
    assert store.pending(set) == [reserved("a2")]


def test_a_hold_that_arrives_after_its_settlement_is_not_pending(store: Store) -> None:
    absorb(store, settled("a1"))
    absorb(store, reserved("a1"))
    assert store.pending(set) == []


def test_the_holds_of_living_processes_are_not_pending(store: Store) -> None:
    absorb(store, reserved("a1", boot="dead"), reserved("a2", boot="alive"))
    assert store.pending(lambda: {"alive"}) == [reserved("a1", boot="dead")]


def test_a_process_that_starts_during_the_look_is_not_taken_for_dead(store: Store) -> None:
    absorb(store, reserved("a1", boot="old"))

    def boots_alive() -> set[str]:
        absorb(store, reserved("a2", boot="new"))
        return {"old"}

    assert store.pending(boots_alive) == []


def drain_the_dead(journal: Journal) -> None:
    for _ in journal.recover():
        pass
    journal.flush_blocking()


def test_s04_only_what_a_dead_process_did_not_close_is_pending(store: Store, tmp_path: Path) -> None:
    dead = Journal(tmp_path / "journal", pace=AT_ONCE)
    for event in (reserved("a1", boot=dead.boot), reserved("a2", boot=dead.boot), settled("a1")):
        dead.append(encode_event(event))
    neighbour = Journal(tmp_path / "journal", pace=AT_ONCE)
    absorb(store, reserved("a2", boot=dead.boot), reserved("a3", boot=neighbour.boot))
    dead.close()
    heir = Journal(tmp_path / "journal", pace=AT_ONCE)
    heir.start(store.absorb)
    drain_the_dead(heir)
    assert store.pending(heir.boots_alive) == [reserved("a2", boot=dead.boot)]
    heir.append(encode_event(released("a2")), closing=True)
    heir.flush_blocking()
    assert store.pending(heir.boots_alive) == []
    neighbour.close()
    drain_the_dead(heir)
    assert store.pending(heir.boots_alive) == [reserved("a3", boot=neighbour.boot)]
    heir.close()


def test_s04_a_settlement_still_in_the_journal_of_who_just_died_counts(store: Store, tmp_path: Path) -> None:
    heir = Journal(tmp_path / "journal", pace=AT_ONCE)
    heir.start(store.absorb)
    dying = Journal(tmp_path / "journal", pace=AT_ONCE)
    absorb(store, reserved("a1", boot=dying.boot))
    dying.append(encode_event(settled("a1")))
    dying.close()
    assert store.pending(heir.boots_alive) == []
    drain_the_dead(heir)
    assert store.pending(heir.boots_alive) == []
    assert store.totals().cost_nanousd == 700
    heir.close()


def test_a_settlement_that_arrives_during_the_look_counts(store: Store) -> None:
    absorb(store, reserved("a1"), reserved("a2"))

    def boots_alive() -> set[str]:
        absorb(store, settled("a1"))
        return set()

    assert store.pending(boots_alive) == [reserved("a2")]


# ---- reports


def test_spend_by_model_charges_each_model_its_own_attempts(store: Store) -> None:
    absorb(
        store,
        settled("a1", cost_nanousd=100, outcome="upstream_stream_cut", is_estimated=True),
        settled("a2", cost_nanousd=900, model="large", cause="fallback"),
        released("a3"),
        recorded("r1", model="large", cost_nanousd=1000, baseline_cost_nanousd=5000),
        recorded("r2", model=None, outcome="all_attempts_failed", cost_nanousd=0, baseline_cost_nanousd=None),
    )
    nobody, large, small = store.spend("model")
    assert (nobody.key, nobody.requests, nobody.complete, nobody.attempts) == (None, 1, 0, 0)
    assert (large.key, large.requests, large.complete, large.attempts, large.cost_nanousd) == ("large", 1, 1, 1, 900)
    assert (large.baseline_cost_nanousd, large.compared_cost_nanousd) == (5000, 1000)
    assert (small.key, small.requests, small.attempts, small.cost_nanousd) == ("small", 0, 2, 100)
    assert small.estimated == 1
    assert small.usage == settled("a1").usage


def test_spend_by_tier_counts_attempts_to_the_tier_that_they_were_made_for(store: Store) -> None:
    absorb(
        store,
        settled("a1", request_id="r1", tier="simple"),
        settled("a2", request_id="r1", tier="simple"),
        recorded("r1", tier="simple"),
        settled("a3", request_id="r2", cost_nanousd=None, tier="complex"),
        recorded("r2", tier="complex", outcome="abandoned"),
        settled("a4", request_id="not yet over", cost_nanousd=1),
    )
    rows = {row.key: row for row in store.spend("tier")}
    assert {key: (row.requests, row.complete, row.attempts) for key, row in rows.items()} == {
        "simple": (1, 1, 2),
        "complex": (1, 0, 1),
        None: (0, 0, 1),
    }
    assert rows["complex"].unpriced == 1
    assert rows["complex"].cost_nanousd == 0


def test_spend_by_day_is_by_utc_and_between_its_bounds(store: Store) -> None:
    for day in range(4):
        absorb(store, settled(f"a{day}", at_ns=day * DAY, cost_nanousd=10**day), recorded(f"r{day}", at_ns=day * DAY))
    rows = store.spend("day", since_ns=DAY, until_ns=3 * DAY)
    assert [(row.key, row.cost_nanousd, row.requests) for row in rows] == [
        ("1970-01-02", 10, 1),
        ("1970-01-03", 100, 1),
    ]


def test_totals_of_an_empty_ledger_are_zero(store: Store) -> None:
    totals = store.totals()
    assert (totals.requests, totals.attempts, totals.cost_nanousd, totals.usage) == (0, 0, 0, Usage())


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(costs=st.lists(st.tuples(counts, counts, st.sampled_from(["small", "large"]), st.integers(0, 3)), max_size=6))
def test_every_way_of_cutting_adds_up_to_the_same_total(
    new_place: Callable[[], Path | str], costs: list[tuple[int, int, str, int]]
) -> None:
    store = Store(open_database(new_place()))
    events: list[LedgerEvent] = []
    for number, (cost, tokens, model, day) in enumerate(costs):
        request = f"r{number}"
        usage = Usage(input=tokens, reasoning=tokens)
        events.append(
            settled(f"a{number}", request_id=request, model=model, usage=usage, cost_nanousd=cost, at_ns=day * DAY)
        )
        events.append(recorded(request, model=model, tier=model, cost_nanousd=cost, at_ns=day * DAY))
    absorb(store, *events)
    total = store.totals()
    assert total.cost_nanousd == sum(cost for cost, *_ in costs)
    assert total.usage.total == 2 * sum(tokens for _, tokens, *_ in costs)
    for cut in (store.spend("model"), store.spend("tier"), store.spend("day")):
        assert sum(row.cost_nanousd for row in cut) == total.cost_nanousd
        assert sum((row.usage for row in cut), Usage()) == total.usage
        assert sum(row.requests for row in cut) == sum(row.complete for row in cut) == total.requests == len(costs)
        assert sum(row.baseline_cost_nanousd for row in cut) == total.baseline_cost_nanousd
    store.close()


def test_the_tail_is_newest_first(store: Store) -> None:
    absorb(store, *(recorded(f"r{number}", at_ns=number) for number in range(5)))
    assert [request.request_id for request in store.tail(3)] == ["r4", "r3", "r2"]


# ---- what is learned from


def test_an_outcome_comes_with_what_was_known_when_it_was_routed(store: Store) -> None:
    absorb(store, settled("a1"), recorded("r1", route=CLASSIFIED), outcome(1, score=1.0))
    assert store.outcomes(0) == [
        OutcomeRow(
            sequence=1,
            request_id="r1",
            at_ns=1,
            model="small",
            source="feedback",
            score=1.0,
            verdict=VERDICT,
            tier="simple",
            output_tokens=11,
            cost_nanousd=700,
        )
    ]


@pytest.mark.parametrize("route", [None, ROUTE])
def test_an_outcome_of_what_was_not_classified_has_no_verdict(store: Store, route: Route | None) -> None:
    absorb(store, recorded("r1", route=route), outcome(1))
    assert [row.verdict for row in store.outcomes(0)] == [None]


def test_an_outcome_of_another_model_has_the_tokens_and_costs_of_its_own_last_answer(store: Store) -> None:
    absorb(
        store,
        settled("a1"),
        settled("a2", model="large", usage=Usage(output=1), cost_nanousd=1),
        settled("a3", model="large", usage=Usage(output=30, reasoning=4), cost_nanousd=None),
        released("a4", model="large"),
        recorded("r1"),
        outcome(1, model="large", source="shadow"),
        outcome(2, model="never asked", source="judge"),
    )
    assert [(row.model, row.output_tokens, row.cost_nanousd) for row in store.outcomes(0)] == [
        ("large", 34, None),
        ("never asked", None, None),
    ]


def test_every_opinion_is_kept_in_order(store: Store) -> None:
    absorb(store, recorded("r1"), outcome(1, score=1.0), outcome(2, source="check", score=0.0), outcome(3, score=0.25))
    told = [(row.sequence, row.source, row.score) for row in store.outcomes(0)]
    assert told == [(1, "feedback", 1.0), (2, "check", 0.0), (3, "feedback", 0.25)]
    assert [row.sequence for row in store.outcomes(1)] == [2, 3]
    assert [row.sequence for row in store.outcomes(0, limit=2)] == [1, 2]


def test_an_outcome_waits_for_its_request(store: Store) -> None:
    absorb(store, outcome(1))
    assert store.outcomes(0) == store.outcomes_by_request("") == []
    absorb(store, recorded("r1"))
    assert [row.sequence for row in store.outcomes(0)] == [1]


def test_an_outcome_of_nobodys_answer_is_not_returned(store: Store) -> None:
    absorb(store, recorded("r1", model=None), outcome(1), outcome(2, model="large"))
    assert [row.model for row in store.outcomes(0)] == ["large"]


def test_outcomes_can_be_read_request_by_request(store: Store) -> None:
    absorb(store, *(recorded(f"r{number}") for number in (1, 2, 4)))
    absorb(store, *(outcome(number, request_id=f"r{number % 5}") for number in range(10)))
    first = store.outcomes_by_request("", limit=2)
    assert [(row.request_id, row.at_ns) for row in first] == [("r1", 1), ("r1", 6), ("r2", 2), ("r2", 7)]
    assert [(row.request_id, row.at_ns) for row in store.outcomes_by_request("r2", limit=2)] == [("r4", 4), ("r4", 9)]
    assert store.outcomes_by_request("r4") == []


def test_closed_attempts_come_in_the_order_in_which_they_were_stored(store: Store) -> None:
    absorb(store, reserved("a1"), reserved("a2"), reserved("a3"))
    absorb(store, released("a1"))
    absorb(store, settled("a2", is_estimated=True, cost_nanousd=None), recorded("r1", route=CLASSIFIED))
    absorb(store, settled("a3", request_id="open"))
    failed = AnswerRow(
        sequence=4,
        model="small",
        outcome="upstream_connect_failed",
        output_tokens=0,
        cost_nanousd=0,
        is_estimated=False,
        kinds=VERDICT.kinds,
    )
    answered = msgspec.structs.replace(
        failed, sequence=5, outcome="complete", output_tokens=11, cost_nanousd=None, is_estimated=True
    )
    of_an_open_request = msgspec.structs.replace(answered, sequence=6, cost_nanousd=700, is_estimated=False, kinds=())
    assert store.answers(0) == [failed, answered, of_an_open_request]
    assert store.answers(4, limit=1) == [answered]


@pytest.mark.parametrize("cause", ["judge", "summary"])
def test_what_an_errand_brought_is_no_answer(store: Store, cause: str) -> None:
    absorb(store, settled("a1", cause=cause), released("a2", cause=cause), settled("a3"), recorded("r1"))
    assert [row.output_tokens for row in store.answers(0)] == [11]


def test_an_unknown_request_is_none(store: Store) -> None:
    assert store.request("r1") is None


def test_outcomes_of_embedded_requests_come_with_their_vectors_the_latest_ones_in_order(store: Store) -> None:
    absorb(store, recorded("r1"), recorded("r2"), embedding("r1"), outcome(1), outcome(2, score=0.25), outcome(3))
    told = store.embedded_outcomes("acme/embed", 0, limit=2)
    assert [(row.sequence, row.request_id, row.model, row.score, row.vector) for row in told] == [
        (2, "r1", "small", 0.25, b"\x00\x3c"),
        (3, "r1", "small", told[1].score, b"\x00\x3c"),
    ]
    assert store.embedded_outcomes("acme/embed", told[1].sequence, limit=2) == []
    assert store.embedded_outcomes("another/embed", 0, limit=2) == []


def test_a_vector_delivered_twice_counts_once(store: Store) -> None:
    absorb(store, recorded("r1"), embedding("r1"), outcome(1))
    absorb(store, embedding("r1", vector=b"\x00\x00"))
    assert [row.vector for row in store.embedded_outcomes("acme/embed", 0, 10)] == [b"\x00\x3c"]


def test_old_vectors_go(store: Store) -> None:
    absorb(store, embedding("oldest"), embedding("older"), embedding("old"))
    with database_of(store).transaction() as transaction:
        transaction.execute("UPDATE embeddings SET sequence = 100005 WHERE request_id = 'old'")
        transaction.execute("UPDATE embeddings SET sequence = 6 WHERE request_id = 'older'")
    absorb(store, outcome(1), embedding("old"))
    assert {row["request_id"] for row in contents(store)["embeddings"]} == {"older", "old"}


# ---- both databases alike


def test_texts_that_postgresql_cannot_hold_are_taken_all_the_same(store: Store) -> None:
    absorb(store, recorded("r1", user="a\0b", tags=("c\0", "\\")), settled("a1", outcome="\0"))
    found = store.request("r1")
    assert found is not None
    assert found.request is not None
    assert (found.request.user, found.request.tags) == ("a\ufffdb", ("c\ufffd", "\\"))


def test_a_query_may_have_question_marks_and_percent_signs(store: Store) -> None:
    sql = "SELECT 'why? 100 % ''sure''' AS words, 7 % ? AS rest, CAST(? AS TEXT) AS given"
    assert database_of(store).read(sql, 4, "50 %?") == [
        {"words": "why? 100 % 'sure'", "rest": 3, "given": "50 %?"},
    ]


def test_a_sum_of_integers_is_an_integer(store: Store) -> None:
    absorb(store, settled("a1", cost_nanousd=2**61), settled("a2", cost_nanousd=2**61))
    assert repr(database_of(store).read("SELECT sum(cost_nanousd) AS it FROM events")[0]["it"]) == str(2**62)


def test_the_databases_own_time_is_in_nanoseconds(store: Store) -> None:
    database = database_of(store)
    now_ns = database.read(f"SELECT {database.now_ns} AS it")[0]["it"]
    assert abs(now_ns - time.time_ns()) < 60 * SECOND


def test_the_texts_of_a_list_can_be_joined(store: Store) -> None:
    absorb(store, recorded("r1", tags=("a", 'b"?', "a")), recorded("r2", tags=()))
    database = database_of(store)
    tags = database.elements("r.tags", "tag")
    sql = f"SELECT r.request_id, tag.value FROM requests AS r, {tags} ORDER BY 2"  # noqa: S608 our own constant
    assert [tuple(row.values()) for row in database.read(sql)] == [("r1", "a"), ("r1", "a"), ("r1", 'b"?')]


def test_new_rows_are_those_that_were_not_there(store: Store) -> None:
    database = database_of(store)
    columns = ("outcome_id", "request_id", "at_ns", "model", "source", "score")
    absorb(store, outcome(1))
    with database.transaction() as transaction:
        transaction.take_turn()
        transaction.insert_new("outcomes", columns, [(f"o{n}", "r1", n, "", "check", 0.5) for n in (1, 2)])
        new = transaction.insert_new("outcomes", columns, [(f"o{n}", "r1", n, "", "check", 0.5) for n in (2, 3, 3)])
        rows = transaction.execute(f"SELECT outcome_id FROM {new} AS new ORDER BY sequence")  # noqa: S608 its own answer
    assert [row["outcome_id"] for row in rows] == ["o2", "o3"]
    with database.transaction() as transaction:
        transaction.take_turn()
        new = transaction.insert_new("outcomes", columns, [])
        assert transaction.execute(f"SELECT * FROM {new} AS new") == []  # noqa: S608 its own answer


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_works(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        insert_and_fail(store)
    assert contents(store)["open_holds"] == []
    absorb(store, reserved("a1"))
    assert len(contents(store)["open_holds"]) == 1


def insert_and_fail(store: Store) -> None:
    with database_of(store).transaction() as transaction:
        transaction.insert("open_holds", ("attempt_id",), [("a1",)])
        raise ZeroDivisionError


def test_who_only_reads_changes_nothing(place: Path | str, store: Store) -> None:
    absorb(store, settled("a1"))
    reader = Store(open_database(place, read_only=True))
    assert reader.totals() == store.totals()
    with pytest.raises(LedgerUnavailable, match="opened for reading only"):
        absorb(reader, settled("a2"))
    reader.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_s11_a_newer_schema_is_refused(place: Path | str, store: Store, *, read_only: bool) -> None:
    set_schema(store, 999)
    with pytest.raises(SchemaRefused, match=r"newer routewright \(schema 999, this one knows \d+\)"):
        open_database(place, read_only=read_only)


def test_s11_an_older_schema_is_not_changed_by_who_only_reads(place: Path | str, store: Store) -> None:
    set_schema(store, 1)
    with pytest.raises(SchemaRefused, match="older routewright") as raised:
        open_database(place, read_only=True)
    assert "routewright serve" in (raised.value.hint or "")


def test_where_there_is_no_ledger_yet_a_reader_makes_none(place: Path | str, store: Store) -> None:
    set_schema(store, 0)
    with pytest.raises(SchemaRefused, match=r"there is no ledger in .* yet"):
        open_database(place, read_only=True)


def test_s11_a_migration_that_fails_is_said(place: Path | str, store: Store) -> None:
    set_schema(store, 1)  # so that the second step is to make a table that is there
    with pytest.raises(SchemaRefused, match=r"could not be brought to schema 2: .*exists"):
        open_database(place)


def set_schema(store: Store, version: int) -> None:
    """Pretend that another version has written this ledger."""
    database = database_of(store)
    if isinstance(database, SqliteDatabase):
        with closing(apsw.Connection(database.name)) as connection:
            connection.pragma("user_version", version)
    else:
        with database.transaction() as transaction:
            transaction.execute("UPDATE schema_version SET version = ?", version)


def test_both_databases_have_the_same_steps() -> None:
    numbers = [[step.number for step in migrations(kind)] for kind in ("sqlite", "postgres")]
    assert numbers[0] == numbers[1] == sorted(set(numbers[0]))


def test_learning_may_begin_with_the_last_of_what_there_is(store: Store) -> None:
    assert (store.outcomes_start(2), store.answers_start(2)) == (0, 0)
    absorb(store, *(settled(f"a{number}", request_id=f"r{number}") for number in range(4)))
    absorb(store, *(recorded(f"r{number}", route=CLASSIFIED) for number in range(4)))
    absorb(store, *(outcome(number, request_id=f"r{number}") for number in range(4)))
    assert len(store.outcomes(store.outcomes_start(3))) == 3
    assert len(store.answers(store.answers_start(3))) == 3
    assert len(store.outcomes(store.outcomes_start(9))) == 4
    assert len(store.answers(store.answers_start(9))) == 4
