"""What an answer costs when another model gave it than the one that was asked for."""

from msgspec import Struct

from routewright.catalog.pricing import Tariff, price_version
from routewright.catalog.registry import Deployment, Model
from routewright.catalog.sources import ModelPrices, PriceTable

MOST_NAMES = 1_000
"""Names of answering models that are remembered; beyond it, all are looked up again."""


class Priced(Struct, frozen=True):
    """A tariff and the version that stands for it."""

    tariff: Tariff
    version: str


class ServedPrices:
    """Finds the tariff of the model that a provider says has answered. Remembers what it found."""

    def __init__(self, table: PriceTable) -> None:
        self._table = table
        self._known: dict[tuple[str, str, str], Priced | None] = {}

    def find(self, model: Model, deployment: Deployment, served: str) -> Priced | None:
        """The tariff of `served`, if it is another one than that of what was asked for; None when that one holds.

        A dated or otherwise longer name of the same model is that model. A price of the operator's own is meant for
        whatever answers, and so is that of a model the price table does not know by the name it was asked for.
        """
        if not served or served == deployment.upstream_model:
            return None
        key = model.price_version, deployment.id, served
        if key not in self._known:
            if len(self._known) >= MOST_NAMES:
                self._known.clear()
            self._known[key] = self._look_up(model, deployment, served)
        return self._known[key]

    def _look_up(self, model: Model, deployment: Deployment, served: str) -> Priced | None:
        if model.prices is not None and model.origins.get("price") != self._table.source:
            return None
        found = self._table.lookup(deployment.provider, served)
        asked = self._table.lookup(deployment.provider, deployment.upstream_model)
        if found is None or found.standard is None or (model.prices is not None and asked is None):
            return None
        return None if asked is not None and asked.id == found.id else priced(found)


def tariff_of(prices: ModelPrices | None) -> Tariff | None:
    """An entry of the price table as a tariff; None when there is no entry, or no price per token in it."""
    return None if prices is None or prices.standard is None else Tariff(prices.standard, prices.variants)


def priced(prices: ModelPrices | None) -> Priced | None:
    """The same with its version."""
    tariff = tariff_of(prices)
    return None if tariff is None else Priced(tariff, price_version(tariff))
