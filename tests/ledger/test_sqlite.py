import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routewright.catalog.registry import Tier
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.database import Migration, migrations
from routewright.ledger.journal import Journal, Pace
from routewright.ledger.ledger import (
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
    encode_event,
)
from routewright.ledger.sqlite import SqliteDatabase, migrate, require_sqlite
from routewright.ledger.store import (
    _ANSWERS,
    _OUTCOMES,
    _OUTCOMES_BY_REQUEST,
    _SPEND,
    AnswerRow,
    AttemptRecord,
    OutcomeRow,
    RequestRecord,
    Store,
    _rows,
)
from routewright.route import Candidate, KindShare, Route, Verdict
from routewright.usage import Usage

SECOND = 10**9
DAY = 86_400 * SECOND
AT_ONCE = Pace(gather_s=0, idle_s=0, drain_s=0, retry_s=0.001, longest_retry_s=0.001)
ROUTE = Route(
    verdict=None,
    tier=Tier.BULK,
    reason="the caller chose it",
    candidates=(Candidate(model="small", tier=Tier.BULK, is_eligible=True, reason="named", expected_cost_nanousd=5),),
    input_tokens=10,
    output_tokens=20,
    catalog="c1",
    classifier=None,
    policy="p1",
)
VERDICT = Verdict(
    tier=Tier.BULK,
    confidence=0.8,
    reason="asks for a translation",
    classifier="test@1",
    kinds=(KindShare("translation", 0.7), KindShare("chat", 0.2)),
    sketch=b"\x00\xff\n",
)
CLASSIFIED = msgspec.structs.replace(ROUTE, verdict=VERDICT)
counts = st.integers(0, 2**40)


def reserved(attempt: str, *, boot: str = "dead", **changes: object) -> Reserved:
    hold = Reserved(
        attempt_id=attempt,
        request_id="r1",
        at_ns=SECOND,
        boot=boot,
        model="small",
        deployment="here/small",
        cause="first",
        amount_nanousd=900,
        price_version="p1",
    )
    return msgspec.structs.replace(hold, **changes)


def settled(attempt: str, **changes: object) -> Settled:
    event = Settled(
        attempt_id=attempt,
        request_id="r1",
        at_ns=2 * SECOND,
        model="small",
        deployment="here/small",
        served_model="small-2026",
        cause="first",
        outcome="complete",
        usage=Usage(input=1, cache_read=2, cache_write=3, cache_write_1h=4, output=5, reasoning=6),
        cost_nanousd=700,
        price_version="p1",
        is_estimated=False,
        first_event_ms=12,
        total_ms=34,
    )
    return msgspec.structs.replace(event, **changes)


def released(attempt: str, **changes: object) -> Released:
    event = Released(
        attempt_id=attempt,
        request_id="r1",
        at_ns=2 * SECOND,
        model="small",
        deployment="here/small",
        cause="first",
        outcome="upstream_connect_failed",
        total_ms=5,
    )
    return msgspec.structs.replace(event, **changes)


def recorded(request: str, **changes: object) -> RequestRecorded:
    event = RequestRecorded(
        request_id=request,
        at_ns=3 * SECOND,
        dialect="openai_chat",
        requested_model="auto",
        model="small",
        tier="simple",
        confidence=0.8,
        reason="short",
        outcome="complete",
        cost_nanousd=700,
        is_estimated=False,
        baseline_model="large",
        baseline_cost_nanousd=7000,
        attempts=1,
        stream=True,
        total_ms=40,
        overhead_us=150,
        route=ROUTE,
        tags=("a", "b"),
        user="u1",
    )
    return msgspec.structs.replace(event, **changes)


def outcome(number: int, **changes: object) -> OutcomeRecorded:
    event = OutcomeRecorded(outcome_id=f"o{number}", request_id="r1", at_ns=number, source="feedback", score=0.5)
    return msgspec.structs.replace(event, **changes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(SqliteDatabase(tmp_path / "ledger.db"))
    yield opened
    opened.close()


def writer_of(store: Store) -> apsw.Connection:
    """The connection that a test may hinder."""
    database = store._database
    assert isinstance(database, SqliteDatabase)
    return database._writer


def absorb(store: Store, *events: LedgerEvent) -> None:
    store.absorb([encode_event(event) for event in events])


def contents(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(apsw.Connection(str(path))) as connection:
        tables = ("events", "requests", "open_holds", "unread", "outcomes", "embeddings")
        return [list(connection.execute(f"SELECT * FROM {table}")) for table in tables]  # noqa: S608 names from above


# ---- what goes in


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


def test_every_field_of_the_vocabulary_has_its_column(store: Store, tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        columns = {
            table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for table in ("events", "requests", "outcomes")
        }
    fields = {field for kind in (Reserved, Settled, Released) for field in kind.__struct_fields__}
    assert columns["events"] == fields - {"usage"} | {*Usage.__struct_fields__, "sequence", "kind"}
    assert columns["requests"] == set(RequestRecorded.__struct_fields__)
    assert columns["outcomes"] == {*OutcomeRecorded.__struct_fields__, "sequence"}


def test_a_batch_delivered_twice_counts_once(store: Store, tmp_path: Path) -> None:
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
    before = contents(tmp_path / "ledger.db")
    absorb(store, *batch)
    absorb(store, *reversed(batch))
    assert contents(tmp_path / "ledger.db") == before


def test_the_first_settlement_of_an_attempt_stands(store: Store) -> None:
    absorb(store, settled("a1", cost_nanousd=700))
    absorb(store, settled("a1", cost_nanousd=900))
    assert store.totals().cost_nanousd == 700


def test_a_batch_goes_in_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    too_large = settled("a2", cost_nanousd=2**63)
    with pytest.raises(OverflowError):
        absorb(store, reserved("a1"), too_large)
    assert contents(tmp_path / "ledger.db")[0] == []


def test_a_record_that_cannot_be_read_is_kept_aside(store: Store, tmp_path: Path) -> None:
    unknown = b'{"kind":"adjusted","attempt_id":"a1"}'
    store.absorb([encode_event(reserved("a1")), unknown])
    store.absorb([unknown])
    assert [payload for payload, _ in contents(tmp_path / "ledger.db")[3]] == [unknown]
    assert [hold.attempt_id for hold in store.pending(set)] == ["a1"]


@pytest.mark.parametrize(
    "wrong", [{"score": 1.01}, {"score": -0.01}, {"score": float("nan")}, {"source": "rumour"}, {"at_ns": "noon"}]
)
def test_an_outcome_that_means_nothing_is_kept_aside(store: Store, tmp_path: Path, wrong: dict[str, object]) -> None:
    absorb(store, recorded("r1"), outcome(1, **wrong), outcome(2))
    assert len(contents(tmp_path / "ledger.db")[3]) == 1
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


def test_spend_by_tier_counts_attempts_to_the_tier_of_their_request(store: Store) -> None:
    absorb(
        store,
        settled("a1", request_id="r1"),
        settled("a2", request_id="r1"),
        recorded("r1", tier="simple"),
        settled("a3", request_id="r2", cost_nanousd=None),
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


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(costs=st.lists(st.tuples(counts, counts, st.sampled_from(["small", "large"]), st.integers(0, 3)), max_size=6))
def test_every_way_of_cutting_adds_up_to_the_same_total(tmp_path: Path, costs: list[tuple[int, int, str, int]]) -> None:
    store = Store(SqliteDatabase(tmp_path / f"{os.urandom(8).hex()}.db"))
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


@pytest.mark.parametrize(
    ("sql", "search"),
    [
        (_OUTCOMES, "SEARCH o USING INTEGER PRIMARY KEY (rowid>?)"),
        (_OUTCOMES_BY_REQUEST, "SEARCH o USING INDEX outcomes_by_request (request_id=?)"),
        (_ANSWERS, "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)"),
    ],
)
def test_learning_reads_only_what_is_new(store: Store, tmp_path: Path, sql: str, search: str) -> None:
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        plans = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1, 2))]
    assert search in plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]


def test_an_unknown_request_is_none(store: Store) -> None:
    assert store.request("r1") is None


@pytest.mark.parametrize("by", ["model", "tier", "day", "all"])
def test_spend_reads_only_its_own_time(store: Store, tmp_path: Path, by: str) -> None:
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        plans = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_SPEND}", (by, 1, 2))]
    assert "SEARCH e USING INDEX closed_attempts_by_time (at_ns>? AND at_ns<?)" in plans
    assert "SEARCH requests USING INDEX requests_by_time (at_ns>? AND at_ns<?)" in plans
    assert not [plan for plan in plans if plan.startswith(("SCAN e", "SCAN r"))]


def test_readers_go_on_while_a_batch_is_written(store: Store, tmp_path: Path) -> None:
    absorb(store, settled("a1"))
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as other:
        other.execute("BEGIN IMMEDIATE; DELETE FROM events")
        assert store.totals().attempts == 1
        other.execute("ROLLBACK")


# ---- opening


def test_the_file_is_private_and_durable(store: Store, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "ledger.db").stat().st_mode) == 0o600
    assert writer_of(store).pragma("journal_mode") == "wal"
    assert writer_of(store).pragma("synchronous") == 2


def test_opening_again_finds_everything(store: Store, tmp_path: Path) -> None:
    absorb(store, settled("a1"))
    again = Store(SqliteDatabase(tmp_path / "ledger.db"))
    assert again.totals() == store.totals()
    again.close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot open the ledger"):
        Store(SqliteDatabase(tmp_path / "file" / "ledger.db"))


def test_s11_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", 999)
    with pytest.raises(LedgerUnavailable, match=r"newer routewright \(schema 999, this one knows \d+\); upgrade"):
        Store(SqliteDatabase(path))


def test_s11_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "ledger.db"))
    migrate(connection, migrations("sqlite"))
    newest = migrations("sqlite")[-1].number
    broken = [*migrations("sqlite"), Migration(newest + 1, "CREATE TABLE half (x); CREATE TABLE events (x)")]
    with pytest.raises(apsw.SQLError):
        migrate(connection, broken)
    assert connection.pragma("user_version") == newest
    assert not connection.table_exists(None, "half")
    migrate(connection, [*migrations("sqlite"), Migration(newest + 1, "CREATE TABLE whole (x)")])
    assert connection.pragma("user_version") == newest + 1
    connection.close()


def test_a_ledger_from_before_outcomes_keeps_what_it_has_and_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as connection:
        migrate(connection, migrations("sqlite")[:1])
        for insert, its in _rows([encode_event(settled("a1")), encode_event(recorded("r1"))]).items():
            for row in its:
                insert_what_fits(connection, insert.table, dict(zip(insert.columns, row, strict=True)))
    with closing(Store(SqliteDatabase(path))) as store:
        assert store.totals().cost_nanousd == 700
        absorb(store, outcome(1))
        assert [(row.model, row.cost_nanousd) for row in store.outcomes(0)] == [("small", 700)]


def insert_what_fits(connection: apsw.Connection, table: str, row: dict[str, object]) -> None:
    """The columns that an older schema has."""
    there = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})") if name in row]
    sql = f"INSERT INTO {table} ({', '.join(there)}) VALUES ({', '.join('?' * len(there))})"  # noqa: S608 our own rows
    connection.execute(sql, [row[name] for name in there])


def embedding(request_id: str, embedder: str = "acme/embed", vector: bytes = b"\x00\x3c") -> EmbeddingRecorded:
    return EmbeddingRecorded(request_id=request_id, at_ns=1, embedder=embedder, vector=vector)


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


def test_old_vectors_go(store: Store, tmp_path: Path) -> None:
    absorb(store, embedding("oldest"), embedding("older"))
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as connection:
        connection.execute("UPDATE embeddings SET sequence = 100001 WHERE request_id = 'older'")
        absorb(store, embedding("newest"))
        kept = [name for (name,) in connection.execute("SELECT request_id FROM embeddings ORDER BY sequence")]
    assert kept == ["older", "newest"]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [step.number for step in migrations("sqlite")] == list(range(1, len(migrations("sqlite")) + 1))


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
def test_an_sqlite_that_can_corrupt_is_refused(version: str) -> None:
    with pytest.raises(LedgerUnavailable, match="upgrade it with"):
        require_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.0", "4.0.0"])
def test_an_sqlite_without_that_bug_is_accepted(version: str) -> None:
    require_sqlite(version)


# ---- faults


def test_s01_a_full_store_keeps_events_in_the_journal_and_heals(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", pace=AT_ONCE)
    pages = writer_of(store).pragma("page_count")
    writer_of(store).pragma("max_page_count", pages)
    sent = [reserved(f"a{number}", boot=journal.boot) for number in range(300)]
    for event in sent:
        journal.append(encode_event(event))
    with pytest.raises(StoreUnavailable, match="full"):
        absorb(store, *sent)
    journal.start(store.absorb)
    writer_of(store).pragma("max_page_count", 100_000)
    journal.flush_blocking()
    assert store.pending(set) == sent
    journal.close()


def test_s02_a_locked_store_is_transient(store: Store, tmp_path: Path) -> None:
    writer_of(store).set_busy_timeout(0)
    with closing(apsw.Connection(str(tmp_path / "ledger.db"))) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            absorb(store, settled("a1"))
        backup.execute("ROLLBACK")
    absorb(store, settled("a1"))
    assert store.totals().attempts == 1


class FailingSync(apsw.VFS):
    """A disk that fails one chosen sync."""

    def __init__(self) -> None:
        self.countdown = 0
        super().__init__("failing-sync", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 apsw's name
        return FailingSyncFile(self, name, flags)


class FailingSyncFile(apsw.VFSFile):
    def __init__(self, disk: FailingSync, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 apsw's name
        self.disk.countdown -= 1
        if self.disk.countdown == 0:
            raise apsw.IOError("the disk failed a sync")
        super().xSync(flags)


@pytest.fixture(scope="module")
def disk() -> Iterator[FailingSync]:
    vfs = FailingSync()
    yield vfs
    vfs.unregister()


@pytest.mark.parametrize("failing", range(1, 8))
def test_s03_after_a_failed_sync_the_file_is_read_afresh_and_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: FailingSync, failing: int
) -> None:
    connection = apsw.Connection

    def on_failing_disk(path: str, **options: int) -> apsw.Connection:
        return connection(path, vfs="failing-sync", **options)

    monkeypatch.setattr(apsw, "Connection", on_failing_disk)
    store = Store(SqliteDatabase(tmp_path / "ledger.db"))
    writer_of(store).pragma("wal_autocheckpoint", 1)
    disk.countdown = failing
    failures = 0
    for number in range(5):
        try:
            absorb(store, settled(f"a{number}"))
        except StoreUnavailable:
            failures += 1
            absorb(store, settled(f"a{number}"))
    assert disk.countdown <= 0, "the fault was never reached"
    assert failures == 1
    assert store.totals().attempts == 5
    store.close()


def test_s03_a_damaged_ledger_takes_no_more(store: Store, tmp_path: Path) -> None:
    absorb(store, *(settled(f"a{number}") for number in range(100)))
    store.close()
    path = tmp_path / "ledger.db"
    image = bytearray(path.read_bytes())
    image[4096:] = b"damage!!" * (len(image[4096:]) // 8)
    path.write_bytes(image)
    with pytest.raises(StoreUnavailable):
        Store(SqliteDatabase(path)).absorb([encode_event(settled("a1"))])
