from pathlib import Path

import pytest
from msgspec.structs import replace

from builders import DOLLAR_PRICES
from ledger_rows import DAY_NS, absorb, day, generated
from routewright.catalog.pricing import PriceSchedule, Tariff, price_version
from routewright.ledger import checks, price_check
from routewright.ledger.checks import verify
from routewright.ledger.database import Database
from routewright.ledger.findings import Finding, Subject, Verdict
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import Charge, LedgerEvent, Released, Reserved, encode_event
from routewright.ledger.price_history import PriceHistory, PriceVersion
from routewright.ledger.retention import prune
from routewright.ledger.rollups import HOUR_NS
from routewright.ledger.seals import GRACE_NS, seal_due, seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.usage import Usage
from terminal import NOON, request, settled

NOW_NS = day(5) * DAY_NS + GRACE_NS


@pytest.fixture
def database(store: Store) -> Database:
    return store.database


@pytest.fixture
def subject(database: Database, tmp_path: Path) -> Subject:
    return Subject(
        database=database,
        tables=frozenset(table.name for table in database.tables()),
        journal=tmp_path / "journal",
        now_ns=NOW_NS,
        since_ns=0,
        deadline_ms=600_000,
        pause=lambda: None,
    )


def full(database: Database, rows: int = 1_500) -> list[LedgerEvent]:
    events = generated(rows)
    absorb(Store(database), events)
    seal_due(database, NOW_NS)
    return events


def run(subject: Subject, name: str) -> Finding:
    return next(finding for finding in verify(subject) if finding.name == name)


def execute(database: Database, sql: str, *bindings: str | int) -> None:
    with database.transaction() as transaction:
        transaction.execute(sql, *bindings)


def test_an_honest_ledger_has_no_difference(database: Database, subject: Subject) -> None:
    full(database)
    findings = list(verify(subject))
    assert [finding for finding in findings if finding.verdict is Verdict.DIFFERENCE] == []
    assert len({finding.name for finding in findings}) == len(findings)


def test_an_empty_ledger_has_no_difference(subject: Subject) -> None:
    assert {finding.verdict for finding in verify(subject)} <= {Verdict.OK, Verdict.SKIPPED}


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE events SET cost_nanousd = 1 WHERE kind = 'settled' AND at_ns >= ? AND at_ns < ?", "a row is"),
        ("UPDATE requests SET model = 'x' WHERE at_ns >= ? AND at_ns < ?", "a row is"),
        ("DELETE FROM requests WHERE at_ns >= ? AND at_ns < ?", "were sealed"),
    ],
)  # fmt: skip
def test_the_first_day_that_was_changed_is_named(
    database: Database, subject: Subject, tampering: str, told: str
) -> None:
    full(database)
    execute(database, tampering, day(2) * DAY_NS, day(3) * DAY_NS)
    finding = run(subject, "day seals")
    assert finding.verdict is Verdict.DIFFERENCE
    assert finding.rows[0].startswith("2026-11-02: ")
    assert told in finding.rows[0]
    assert run(replace(subject, since_ns=day(3) * DAY_NS), "day seals").verdict is Verdict.OK


def test_a_row_slipped_into_a_sealed_day_is_noticed(database: Database, subject: Subject) -> None:
    full(database)
    row = database.read("SELECT * FROM requests WHERE at_ns < ? LIMIT 1", day(2) * DAY_NS)[0]
    with database.transaction() as transaction:
        transaction.insert("requests", tuple(row), [tuple({**row, "request_id": "slipped in"}.values())])
    assert run(subject, "day seals").rows[0].startswith("2026-11-01: ")


def test_a_changed_seal_breaks_the_chain(database: Database, subject: Subject) -> None:
    full(database)
    execute(database, "UPDATE day_seals SET rows = rows + 1 WHERE day = '2026-11-02'")
    assert run(subject, "day seals").rows[0] == "2026-11-02: the seal itself was changed"
    execute(database, "DELETE FROM day_seals WHERE day = '2026-11-02'")
    assert "one was removed" in run(subject, "day seals").rows[0]


def test_a_pruned_day_is_accepted_and_its_place_in_the_chain_still_checked(
    database: Database, subject: Subject
) -> None:
    full(database)
    assert subject.pruned_until_ns == 0
    prune(database, "2026-11-02", NOW_NS, monotonic=lambda: 0.0)
    assert subject.pruned_until_ns == day(3) * DAY_NS, "a day longer: some requests span midnight"
    finding = run(subject, "day seals")
    assert finding.verdict is Verdict.OK
    left = sum(seal.rows for seal in seals_after(database, 1))
    assert finding.found == f"3 seals, 1 of them pruned; {left:,} rows hashed again"
    assert run(subject, "request costs").verdict is Verdict.OK
    execute(database, "UPDATE day_seals SET content_hash = 'x' WHERE number = 1")
    assert run(subject, "day seals").verdict is Verdict.DIFFERENCE


def test_what_came_late_is_told_until_it_is_sealed(database: Database, subject: Subject) -> None:
    full(database)
    absorb(Store(database), [settled("late")])
    assert "1 rows of 2026-11-01 came late" in run(subject, "sealing").found
    assert run(subject, "day seals").verdict is Verdict.OK
    seal_due(database, NOW_NS)
    assert run(subject, "sealing").found == "up to 2026-11-03"
    assert run(subject, "day seals").verdict is Verdict.OK


def test_a_request_that_cost_something_else_than_its_attempts_is_named(database: Database, subject: Subject) -> None:
    absorb(Store(database), [settled(), request(cost_nanousd=1), settled("r2"), request("r2")])
    finding = run(subject, "request costs")
    assert finding.rows == ("request-1: 1 n$, its attempts 2000000 n$",)
    assert finding.found == "2 requests against their attempts"


def test_what_a_dead_process_left_is_in_no_request(database: Database, subject: Subject) -> None:
    crashed = replace(settled(), attempt_id="other", outcome="crashed", is_estimated=True)
    absorb(Store(database), [settled(), crashed, request()])
    assert run(subject, "request costs").verdict is Verdict.OK


def test_unread_records_and_damaged_files_are_told(database: Database, subject: Subject) -> None:
    Store(database).absorb([b'{"kind": "novelty"}'])
    slot = subject.journal / "slot-0"
    slot.mkdir(parents=True)
    (slot / "000000000001.log.corrupt").write_bytes(b"x")
    rows = run(subject, "unread").rows
    assert rows[0].startswith("1 records: Invalid value 'novelty'")
    assert rows[1].startswith("damaged lines: ")


def test_a_hold_beyond_the_longest_deadline_is_named(database: Database, subject: Subject) -> None:
    journal = Journal(subject.journal, segment_bytes=1 << 16)
    hold = Reserved(
        attempt_id="leaked", request_id="r", at_ns=NOW_NS - 700 * 10**9, boot=journal.boot, model="m",
        deployment="p/m", cause="first", amount_nanousd=1, price_version="v",
    )  # fmt: skip
    young = replace(hold, attempt_id="young", at_ns=NOW_NS - 1)
    Store(database).absorb([encode_event(hold), encode_event(replace(hold, attempt_id="left", boot="gone"))])
    Store(database).absorb([encode_event(young), encode_event(replace(hold, attempt_id="far", boot="batch_1"))])
    assert run(subject, "open holds").rows == (
        "leaked: its process lives",
        "left: its process is gone, or elsewhere; `routewright ledger recover` settles what died here",
    )
    journal.close()


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "damaged.db")
    full(database)
    database.close()
    data = bytearray((tmp_path / "damaged.db").read_bytes())
    page = 16 * 1024  # its beginning says what it is
    middle = len(data) // 2 // page * page
    data[middle : middle + page] = bytes(page)
    (tmp_path / "damaged.db").write_bytes(data)
    damaged = SqliteDatabase(tmp_path / "damaged.db")
    subject = Subject(
        database=damaged, tables=frozenset(), journal=tmp_path, now_ns=NOW_NS, since_ns=0, deadline_ms=1,
        pause=lambda: None,
    )  # fmt: skip
    assert next(verify(subject)).verdict is Verdict.DIFFERENCE
    damaged.close()


def test_a_budget_holds_what_its_attempts_cost(database: Database, subject: Subject) -> None:
    charged = {"charges": (Charge("team", NOON),), "boot": "b", "held_nanousd": 2_000_000}
    absorb(Store(database), [settled("r1", **charged), settled("r2", **charged), settled("r3")])
    finding = run(subject, "budgets")
    assert (finding.verdict, finding.found) == (Verdict.OK, "1 budget periods against their attempts")
    execute(database, "UPDATE budget_windows SET posted_nanousd = posted_nanousd + 1")
    assert run(subject, "budgets").rows == (f"team from {NOON}: posted 4000001 n$, its attempts 4000000 n$",)
    execute(database, "UPDATE budget_windows SET is_counted = 1")
    assert run(subject, "budgets").verdict is Verdict.OK, "what was spent before the budget is in it as well"
    execute(database, "UPDATE budget_windows SET posted_nanousd = 1")
    assert run(subject, "budgets").verdict is Verdict.DIFFERENCE


def test_a_sum_that_is_not_that_of_its_rows_is_named(database: Database, subject: Subject) -> None:
    full(database)
    assert run(subject, "roll-ups").found == "6 days of sums against their rows", "three of attempts, three of requests"
    since_noon = replace(subject, since_ns=day(2) * DAY_NS + DAY_NS // 2)
    assert run(since_noon, "roll-ups").found == "4 days of sums against their rows", "that day is looked at as a whole"
    execute(
        database,
        "UPDATE attempts_rollup SET cost_nanousd = cost_nanousd + 1 WHERE grain = ? AND facet = 'model' "
        "AND starts_ns = (SELECT min(starts_ns) FROM attempts_rollup WHERE starts_ns > ?)",
        HOUR_NS,
        day(2) * DAY_NS,
    )
    finding = run(subject, "roll-ups")
    assert finding.verdict is Verdict.DIFFERENCE
    for row in finding.rows[:2]:
        assert row.startswith("attempts_rollup, 2026-11-02, s")
        assert row.endswith(": cost_nanousd differs by -1")
    assert any("periods of 672 hours, facet all" in row for row in finding.rows)


def test_sums_of_rows_that_are_gone_are_named_unless_they_were_pruned(database: Database, subject: Subject) -> None:
    full(database)
    prune(database, "2026-11-02", NOW_NS, monotonic=lambda: 0.0)
    assert run(subject, "roll-ups").verdict is Verdict.OK
    execute(database, "DELETE FROM requests WHERE at_ns >= ?", day(3) * DAY_NS)
    assert "requests_rollup, 2026-11-03" in run(subject, "roll-ups").rows[0]


def test_an_attempt_that_is_closed_in_two_ways_is_named(database: Database, subject: Subject) -> None:
    released = Released(
        attempt_id="request-1-attempt-1", request_id="request-1", at_ns=NOON, model="m", deployment="p/m",
        cause="first", outcome="upstream_failed", total_ms=1,
    )  # fmt: skip
    absorb(Store(database), [settled(), replace(released, attempt_id="other"), released])
    assert run(subject, "closings").rows == ("request-1-attempt-1",)


def test_a_cost_that_is_not_that_of_its_tokens_is_named(database: Database, subject: Subject) -> None:
    assert run(subject, "prices").verdict is Verdict.SKIPPED
    tariff = Tariff(DOLLAR_PRICES)
    version = price_version(tariff)
    kept = PriceVersion(version=version, model="swift", tariff=tariff, source="test")
    PriceHistory(database).remember([kept], now_ns=1)
    crashed = settled("r3", price_version=version, outcome="crashed", cost_nanousd=7, usage=Usage())
    absorb(
        Store(database),
        [
            settled("r1", price_version=version),
            settled("r2", price_version=version, cost_nanousd=1),
            settled(),
            crashed,
        ],
    )
    finding = run(subject, "prices")
    assert finding.rows == (f"r2-attempt-1: 1 n$, at {version} its tokens cost 2000000 n$",)
    assert finding.found == "2 attempts at the prices of their version; 1 are of versions that are not known"


def test_days_that_are_over_and_not_sealed_are_told_and_no_difference(database: Database, subject: Subject) -> None:
    absorb(Store(database), generated(300))
    seal_due(database, day(2) * DAY_NS + GRACE_NS)
    left = database.read("SELECT count(*) AS n FROM requests WHERE at_ns >= ?", day(2) * DAY_NS)[0]["n"]
    finding = run(subject, "sealing")
    told = f"up to 2026-11-01; not sealed yet: {left} requests after 2026-11-01; say `routewright ledger seal`"
    assert (finding.verdict, finding.found) == (Verdict.OK, told)
    not_due = replace(subject, now_ns=day(3) * DAY_NS + 2 * GRACE_NS - 1)
    assert run(not_due, "sealing").found == "up to 2026-11-01", "nothing later is over for two hours"
    just_due = replace(subject, now_ns=day(3) * DAY_NS + 2 * GRACE_NS)
    assert "requests after 2026-11-01" in run(just_due, "sealing").found


def test_a_ledger_from_before_budgets_and_sums_is_checked_for_what_it_has(database: Database, subject: Subject) -> None:
    full(database)
    assert run(replace(subject, tables=frozenset()), "budgets").verdict is Verdict.SKIPPED
    execute(database, "UPDATE rollups_made SET is_made = 0")
    assert run(subject, "roll-ups").verdict is Verdict.SKIPPED


def test_more_price_versions_than_are_remembered_are_checked_all_the_same(
    database: Database, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_check, "_MOST_VERSIONS", 1)
    version = price_version(Tariff(DOLLAR_PRICES))
    kept = PriceVersion(version=version, model="swift", tariff=Tariff(DOLLAR_PRICES), source="test")
    PriceHistory(database).remember([kept], now_ns=1)
    absorb(Store(database), [settled(f"r{number}", price_version=(version, "test")[number % 2]) for number in range(4)])
    finding = run(subject, "prices")
    assert (finding.rows, finding.found) == (
        (), "2 attempts at the prices of their version; 2 are of versions that are not known",
    )  # fmt: skip


def test_an_attempt_is_priced_at_the_moment_of_its_hold(database: Database, subject: Subject) -> None:
    usual = DOLLAR_PRICES.prices[0]
    tariff = Tariff(PriceSchedule((usual, replace(usual, since=NOON // 10**9 + DAY_NS // 10**9, input=7_000_000))))
    version = price_version(tariff)
    kept = PriceVersion(version=version, model="swift", tariff=tariff, source="test")
    PriceHistory(database).remember([kept], now_ns=1)
    later = settled("r2", price_version=version, at_ns=NOON + DAY_NS)
    absorb(Store(database), [settled("r1", price_version=version), later])
    assert run(subject, "prices").rows == (f"r2-attempt-1: 2000000 n$, at {version} its tokens cost 8000000 n$",)
    assert "prices" in paused(subject)


def test_what_looks_at_every_row_pauses_between(database: Database, subject: Subject) -> None:
    full(database)
    assert paused(subject) >= {"day seals", "roll-ups"}


def paused(subject: Subject) -> set[str]:
    """The checks that paused."""
    pauses: list[None] = []
    found = set()
    for finding in verify(replace(subject, pause=lambda: pauses.append(None))):
        if pauses:
            found.add(finding.name)
        pauses.clear()
    return found


def test_a_hold_is_old_when_the_longest_deadline_and_some_slack_are_over(database: Database, subject: Subject) -> None:
    hold = Reserved(
        attempt_id="just", request_id="r", at_ns=NOW_NS - 600 * 10**9 - checks._SLACK_NS, boot="b", model="m",
        deployment="p/m", cause="first", amount_nanousd=1, price_version="v",
    )  # fmt: skip
    absorb(Store(database), [hold])
    assert run(subject, "open holds").verdict is Verdict.OK
    assert run(replace(subject, now_ns=NOW_NS + 1), "open holds").verdict is Verdict.DIFFERENCE
