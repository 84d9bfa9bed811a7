"""History at other prices: beside the ledger, page by page, and the original stays as it is."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from builders import deployment, model
from databases import open_database
from routewright.catalog.pricing import Price, PriceSchedule, Tariff, price_version
from routewright.catalog.served import Priced
from routewright.catalog.sources import PriceTable
from routewright.ledger import rerating
from routewright.ledger.database import Database
from routewright.ledger.ledger import LedgerEvent, Reserved, encode_event
from routewright.ledger.rerating import (
    Beside,
    Line,
    Rerating,
    Settlement,
    TablePricing,
    VersionPricing,
    View,
    beside,
    drop_view,
    rerate,
    settlements,
    views,
)
from routewright.ledger.store import Store
from routewright.usage import Usage
from terminal import NOON, settled

FOREVER = 2**63 - 1
DAY = 86_400
DAY_NS = DAY * 10**9
MIDNIGHT = 1_793_491_200
"""2026-11-01 00:00 UTC, in seconds."""


def flat(price: int, **more: int) -> PriceSchedule:
    return PriceSchedule((Price(input=price, output=price, **more),))


def table(**prices: int) -> PriceTable:
    rows = [{"id": name, "standard": [[{"input": price, "output": price}]]} for name, price in prices.items()]
    document = {"source": "list", "date": "2026-11-01", "providers": [{"id": "acme", "models": rows}]}
    return PriceTable(msgspec.json.encode(document))


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    """An empty ledger in either database."""
    database = open_database(place)
    yield database
    database.close()


def record(database: Database, *events: LedgerEvent) -> None:
    Store(database).absorb([encode_event(event) for event in events])


def contents(database: Database) -> list[dict[str, object]]:
    return database.read("SELECT * FROM events ORDER BY sequence")


def double(settlement: Settlement) -> tuple[int, str] | None:
    return None if settlement.model == "unheard" else ((settlement.cost_nanousd or 0) * 2, "v2")


def test_history_is_summed_by_model_and_day_and_stays_as_it_is(database: Database) -> None:
    record(
        database,
        settled("r1"),
        settled("r2", at_ns=NOON + DAY_NS),
        settled("r3", cost_nanousd=500),
        settled("r4", model="unheard"),
        settled("r5", outcome="crashed", is_estimated=True, usage=Usage(), cost_nanousd=700),
        settled("r6", cost_nanousd=None, model="free"),
    )
    before = contents(database)
    found = rerate(database, double, since_ns=0, until_ns=FOREVER)
    assert list(found.lines) == [
        Line(model="free", day="2026-11-01", attempts=1, kept=0, before_nanousd=0, after_nanousd=0),
        Line(
            model="swift", day="2026-11-01", attempts=3, kept=1, before_nanousd=2_001_200, after_nanousd=4_001_700
        ),
        Line(
            model="unheard", day="2026-11-01", attempts=1, kept=1, before_nanousd=2_000_000, after_nanousd=2_000_000
        ),
        Line(model="swift", day="2026-11-02", attempts=1, kept=0, before_nanousd=2_000_000, after_nanousd=4_000_000),
    ]  # fmt: skip
    assert found.total == Line(
        model="total", day="", attempts=6, kept=2, before_nanousd=6_001_200, after_nanousd=10_001_700
    )
    assert contents(database) == before


def test_only_what_is_asked_for_is_read(database: Database) -> None:
    record(database, *(settled(f"r{hour}", at_ns=NOON + hour) for hour in range(5)))
    found = rerate(database, double, since_ns=NOON + 1, until_ns=NOON + 4)
    assert found.total.attempts == 3


def test_pages_lose_and_repeat_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerating, "PAGE", 2)
    record(database, *(settled(f"r{number}") for number in range(5)))
    pages = list(settlements(database, 0, FOREVER))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [each.attempt_id for page in pages for each in page] == [f"r{number}-attempt-1" for number in range(5)]
    view = View(name="kept", at_ns=1, prices="doubled", since_ns=0, until_ns=FOREVER)
    assert rerate(database, double, since_ns=0, until_ns=FOREVER, keep_as=view).total.after_nanousd == 20_000_000
    assert database.read("SELECT count(*) AS n, sum(cost_nanousd) AS cost FROM rerated") == [
        {"n": 5, "cost": 20_000_000}
    ]


def test_a_settlement_has_the_moment_of_its_hold_and_every_class_of_tokens(database: Database) -> None:
    usage = Usage(1, 2, 3, 4, 5, 6, 7, 8, 9)
    hold = Reserved(
        attempt_id="r1-attempt-1",
        request_id="r1",
        at_ns=NOON - 5,
        boot="boot",
        model="swift",
        deployment="acme/swift",
        cause="first",
        amount_nanousd=9,
        price_version="test",
    )
    record(database, hold, settled("r1", usage=usage, service_tier="flex"), settled("r2"))
    ((first, second),) = settlements(database, 0, FOREVER)
    assert (first.held_ns, first.at_ns, first.usage, first.service_tier) == (NOON - 5, NOON, usage, "flex")
    assert (second.held_ns, second.usage) == (NOON, Usage(input=1_000, output=500))
    assert second.day == "2026-11-01"


def test_a_view_is_kept_listed_replaced_and_dropped(database: Database) -> None:
    record(database, settled("r1"), settled("r2", model="unheard"), settled("r3", model="unheard", cost_nanousd=None))
    view = View(name="kept", at_ns=1, prices="doubled", since_ns=0, until_ns=FOREVER)
    rerate(database, double, since_ns=0, until_ns=FOREVER, keep_as=view)
    rows = "SELECT attempt_id, cost_nanousd, price_version FROM rerated ORDER BY attempt_id"
    assert database.read(rows) == [
        {"attempt_id": "r1-attempt-1", "cost_nanousd": 4_000_000, "price_version": "v2"},
        {"attempt_id": "r2-attempt-1", "cost_nanousd": 2_000_000, "price_version": "test"},
    ]
    rerate(database, lambda settlement: (1, "v3"), since_ns=0, until_ns=FOREVER, keep_as=view)
    assert {row["cost_nanousd"] for row in database.read(rows)} == {1}
    assert views(database) == [view]
    assert drop_view(database, "kept")
    assert not drop_view(database, "kept")
    assert (views(database), database.read(rows)) == ([], [])


def test_a_view_stands_beside_what_the_ledger_says_now(database: Database) -> None:
    record(database, settled("r1"), settled("r2", model="unheard"), settled("r3", at_ns=NOON + DAY_NS))
    view = View(name="kept", at_ns=1, prices="doubled", since_ns=0, until_ns=FOREVER)
    rerate(database, double, since_ns=0, until_ns=FOREVER, keep_as=view)
    record(database, settled("r4", cost_nanousd=500), settled("r5", cost_nanousd=None))
    found = beside(database, "kept", 0, NOON + DAY_NS)
    assert found == Beside(
        view,
        Rerating(
            (
                Line(
                    model="swift",
                    day="2026-11-01",
                    attempts=3,
                    kept=2,
                    before_nanousd=2_000_500,
                    after_nanousd=4_000_500,
                ),
                Line(
                    model="unheard",
                    day="2026-11-01",
                    attempts=1,
                    kept=1,
                    before_nanousd=2_000_000,
                    after_nanousd=2_000_000,
                ),
            )
        ),
        missing=1,
    )
    assert beside(database, "other", 0, FOREVER) is None


def settlement(**changes: object) -> Settlement:
    plain = Settlement(
        sequence=1,
        attempt_id="a",
        at_ns=NOON,
        held_ns=NOON,
        model="swift",
        deployment="acme/swift",
        served_model="",
        price_version="old",
        service_tier="",
        outcome="complete",
        is_estimated=False,
        cost_nanousd=1,
        usage=Usage(input=1_000),
    )
    return msgspec.structs.replace(plain, **changes)


LISTED = model("swift", deployment("acme/swift"), prices=flat(10), price_version="p", origins={"price": "list"})


def test_a_table_prices_by_the_place_and_by_who_answered() -> None:
    pricing = TablePricing({"swift": LISTED}, table(swift=20, strong=50))
    assert pricing(settlement()) == (20, price_version(Tariff(flat(20))))
    assert pricing(settlement(served_model="strong")) == (50, price_version(Tariff(flat(50))))
    assert pricing(settlement(served_model="unheard")) == (20, price_version(Tariff(flat(20))))
    assert pricing(settlement(model="gone", deployment="acme/strong")) == (50, price_version(Tariff(flat(50))))


def test_a_price_of_the_operators_own_stays() -> None:
    own = msgspec.structs.replace(LISTED, origins={"price": "routewright.toml:3"})
    assert TablePricing({"swift": own}, table(swift=20))(settlement()) == (10, "p")


def test_what_the_table_does_not_know_at_its_place_costs_what_the_model_does_or_is_kept() -> None:
    pricing = TablePricing({"swift": LISTED}, table(strong=50))
    assert pricing(settlement(deployment="simulator/swift")) == (10, "p")
    assert pricing(settlement(model="gone", deployment="acme/gone")) is None


def test_what_was_found_is_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerating, "MOST_NAMES", 1)
    pricing = TablePricing({"swift": LISTED}, table(swift=20, strong=50))
    costs = [pricing(settlement(served_model=name)) for name in ("swift", "strong", "swift")]
    assert [cost[0] for cost in costs if cost] == [20, 50, 20]


def test_prices_are_those_of_the_attempts_moment_or_of_one_day_at_its_time_of_day() -> None:
    rows = [
        {"input": 10, "output": 10},
        {"input": 20, "output": 20, "since": MIDNIGHT + DAY},
        {"input": 30, "output": 30, "since": MIDNIGHT + DAY, "second_of_day": DAY // 2},
    ]
    document = {
        "source": "list",
        "date": "2026-11-01",
        "providers": [{"id": "acme", "models": [{"id": "swift", "standard": [rows]}]}],
    }
    dated = PriceTable(msgspec.json.encode(document))
    early = NOON - 10**9
    own = [TablePricing({}, dated)(settlement(held_ns=at)) for at in (early, NOON + DAY_NS)]
    assert [cost[0] for cost in own if cost] == [10, 30]
    as_of = TablePricing({}, dated, MIDNIGHT + 3 * DAY)
    costs = [as_of(settlement(held_ns=at)) for at in (early, NOON)]
    assert [cost[0] for cost in costs if cost] == [20, 30]


def test_a_version_prices_the_attempts_of_its_model() -> None:
    pricing = VersionPricing(Priced(Tariff(flat(70), {"flex": flat(35)}), "v7"), frozenset({"swift", "acme/odd"}))
    assert pricing(settlement()) == (70, "v7")
    assert pricing(settlement(service_tier="flex")) == (35, "v7")
    assert pricing(settlement(model="odd", deployment="acme/odd")) == (70, "v7")
    assert pricing(settlement(model="strong", deployment="acme/strong")) is None


def test_an_attempt_without_any_cost_is_counted_and_not_kept(database: Database) -> None:
    record(database, settled("r1", cost_nanousd=None, model="unheard"))
    view = View(name="v", at_ns=1, prices="doubled", since_ns=0, until_ns=FOREVER)
    (line,) = rerate(database, double, since_ns=0, until_ns=FOREVER, keep_as=view).lines
    assert (line.attempts, line.kept, line.before_nanousd, line.after_nanousd) == (1, 1, 0, 0)
    assert database.read("SELECT * FROM rerated") == []
    assert views(database) == [view]
