"""Who answers in another's place is billed at its own prices, unless the price was never the table's."""

import msgspec
import pytest

from builders import deployment, model
from routewright.catalog import served
from routewright.catalog.pricing import Price, PriceSchedule, Tariff, price_version
from routewright.catalog.served import ServedPrices, priced, tariff_of
from routewright.catalog.sources import ModelPrices, PriceTable


def row(name: str, price: int | None, *match: str) -> dict[str, object]:
    facts: dict[str, object] = {"id": name, "match": [f"={name}", *match]}
    return facts if price is None else {**facts, "standard": [[{"input": price, "output": price}]]}


TABLE = PriceTable(
    msgspec.json.encode(
        {
            "source": "list",
            "date": "2026-11-01",
            "providers": [
                {"id": "acme", "models": [row("swift", 10, "^swift-20"), row("strong", 50), row("bare", None)]},
            ],
        }
    )
)
SWIFT, STRONG = (Tariff(PriceSchedule((Price(input=price, output=price),))) for price in (10, 50))
PLACE = deployment("acme/swift")
LISTED = model("swift", PLACE, prices=SWIFT.standard, price_version="listed", origins={"price": "list"})


@pytest.mark.parametrize("answered", ["", "swift", "swift-2026-01-01", "SWIFT", "bare", "never heard of"])
def test_u24_the_same_model_by_any_name_and_an_unknown_one_cost_what_was_asked_for(answered: str) -> None:
    assert ServedPrices(TABLE).find(LISTED, PLACE, answered) is None


def test_u24_another_model_costs_what_it_costs() -> None:
    prices = ServedPrices(TABLE)
    found = prices.find(LISTED, PLACE, "strong")
    assert found is not None
    assert found.tariff == STRONG
    assert found.version == price_version(STRONG)
    assert prices.find(LISTED, PLACE, "strong") is found


def test_u24_a_price_of_the_operators_own_holds_for_whoever_answers() -> None:
    own = msgspec.structs.replace(LISTED, origins={"price": "routewright.toml:3"})
    assert ServedPrices(TABLE).find(own, PLACE, "strong") is None


def test_u24_a_listed_price_under_a_name_the_table_does_not_know_holds_for_whoever_answers() -> None:
    assert ServedPrices(TABLE).find(LISTED, deployment("acme/alias"), "strong") is None


def test_u24_without_any_price_that_of_the_answering_model_is_better_than_none() -> None:
    unpriced = model("alias", prices=None, origins={"price": "unknown"})
    found = ServedPrices(TABLE).find(unpriced, deployment("acme/alias"), "strong")
    assert found is not None
    assert found.tariff == STRONG


def test_names_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "MOST_NAMES", 2)
    prices = ServedPrices(TABLE)
    for name in ("a", "b", "strong", "c"):
        prices.find(LISTED, PLACE, name)
    assert prices.find(LISTED, PLACE, "strong") is not None


def test_an_entry_without_a_price_has_no_tariff() -> None:
    assert tariff_of(None) is None
    assert priced(None) is None
    assert priced(ModelPrices("bare")) is None


def test_what_a_provider_offers_are_its_own_models_and_those_it_hosts() -> None:
    hosting = {"id": "host", "fallback": ["acme"], "models": [row("own", 1)]}
    own = {"id": "acme", "models": [row("swift", 10)]}
    document = {"source": "list", "date": "2026-11-01", "providers": [hosting, own]}
    table = PriceTable(msgspec.json.encode(document))
    assert [entry.id for entry in table.offered("host")] == ["own", "swift"]
    assert list(table.offered("nobody")) == []
    assert table.known_as("HOST") == "host"
    assert table.known_as("nobody") == "nobody"
