"""Every price version that was ever in use can be looked up for ever, and none is written twice."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from builders import deployment, model, registry
from databases import open_database
from routewright.catalog.pricing import Price, PriceSchedule, Tariff, price_version
from routewright.catalog.sources import PriceTable
from routewright.ledger.database import Database
from routewright.ledger.ledger import encode_event
from routewright.ledger.price_history import PriceHistory, PriceVersion, in_use
from routewright.ledger.store import Store
from terminal import settled


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    """An empty ledger in either database."""
    database = open_database(place)
    yield database
    database.close()


def flat(price: int) -> PriceSchedule:
    return PriceSchedule((Price(input=price, output=price),))


FULL = Tariff(
    PriceSchedule((Price(input=3, output=9, audio_input=7, request=5), Price(input=4, output=9, since=86_400))),
    {"batch": flat(1)},
)


def version(name: str, tariff: Tariff = FULL, *, of: str = "swift") -> PriceVersion:
    return PriceVersion(version=name, model=of, tariff=tariff, source="list")


def test_a_version_is_found_as_it_was_with_when_it_was_first_used(database: Database) -> None:
    history = PriceHistory(database)
    assert history.remember([version("v1")], now_ns=5) == 1
    found = history.lookup("v1")
    assert found == PriceVersion(version="v1", model="swift", tariff=FULL, source="list", first_used_ns=5)
    assert history.lookup("v2") is None


def test_what_is_known_stays_as_it_is(database: Database) -> None:
    history = PriceHistory(database)
    history.remember([version("v1")], now_ns=5)
    assert history.remember([version("v1", Tariff(flat(1))), version("v2"), version("v2")], now_ns=9) == 1
    assert [(each.version, each.first_used_ns) for each in history.of_model("swift")] == [("v2", 9), ("v1", 5)]
    assert history.lookup("v1") == PriceVersion(
        version="v1", model="swift", tariff=FULL, source="list", first_used_ns=5
    )
    assert history.of_model("nobody") == []


def test_nothing_is_written_where_nothing_is_new(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    history = PriceHistory(database)
    history.remember([version("v1")], now_ns=5)
    monkeypatch.setattr(database, "transaction", None)
    assert history.remember([version("v1")], now_ns=6) == 0


def test_in_use_are_models_their_places_and_whoever_may_answer_instead() -> None:
    rows = [{"id": "strong", "standard": [[{"input": 50, "output": 50}]]}, {"id": "bare"}]
    document = {"source": "list", "date": "2026-11-01", "providers": [{"id": "acme", "models": rows}]}
    table = PriceTable(msgspec.json.encode(document))
    dear = deployment("dear/swift", tariff=Tariff(flat(7)), price_version="dear")
    swift = model("swift", deployment("acme/swift"), dear, prices=flat(3), price_version="p", origins={"price": "file"})
    unpriced = model("odd", deployment("nowhere/odd"), prices=None)
    found = {each.model: each for each in in_use(registry(swift, unpriced), table)}
    assert list(found) == ["swift", "dear/swift", "acme/strong"]
    assert [each.model for each in in_use(registry(unpriced), table, ["acme"])] == ["acme/strong"]
    assert (found["swift"].version, found["swift"].source) == ("p", "file")
    assert (found["dear/swift"].version, found["dear/swift"].tariff) == ("dear", Tariff(flat(7)))
    assert found["acme/strong"].version == price_version(Tariff(flat(50)))
    assert found["acme/strong"].source == "list"


def test_models_with_the_same_prices_share_a_version_under_the_first_name(database: Database) -> None:
    history = PriceHistory(database)
    history.remember([version("v1", of="swift"), version("v1", of="acme/other")], now_ns=5)
    found = history.lookup("v1")
    assert found is not None
    assert found.model == "swift"


def test_the_models_at_a_version_are_those_that_entries_say(database: Database) -> None:
    entries = (settled("r1"), settled("r2", model="strong"), settled("r3", model="odd", price_version="other"))
    Store(database).absorb([encode_event(entry) for entry in entries])
    assert PriceHistory(database).models_at("test") == ["strong", "swift"]
