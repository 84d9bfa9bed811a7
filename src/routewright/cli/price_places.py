"""What the price verbs look at: the models of the settings with their prices, whether or not they can be called now."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from msgspec import Struct

from routewright.catalog.price_changes import Change, tariff_changes
from routewright.catalog.pricing import Price
from routewright.catalog.registry import Model
from routewright.catalog.served import Priced, priced, tariff_of
from routewright.catalog.sources import PriceTable
from routewright.cli.opening import settings_of
from routewright.detection import Found
from routewright.settings import Settings
from routewright.settings.catalog import build_catalog, prices_of
from routewright.settings.sources import ConfigPlace


class Desk(Struct, frozen=True):
    """Settings, the price table in force, and the models with what they cost by it."""

    settings: Settings
    table: PriceTable
    models: Mapping[str, Model]

    @property
    def age_days(self) -> int:
        """How many days ago the table's source was read."""
        return (datetime.now(UTC).date() - date.fromisoformat(self.table.date)).days

    def places(self) -> Iterator[tuple[str, str, str]]:
        """(model, provider, upstream model) of every place that the settings name and the price table speaks for."""
        for name, declared in self.settings.models.items():
            model = self.models.get(name)
            if model is None or (model.tariff is not None and model.origins.get("price") != self.table.source):
                continue
            for place in declared.deployments:
                provider, _, upstream = place.partition("/")
                yield name, provider, upstream

    def changes_to(self, other: PriceTable, now: int) -> Iterator[Change]:
        """What the places of the settings would cost otherwise, with another table."""
        for _, provider, upstream in self.places():
            before, after = (tariff_of(table.lookup(provider, upstream)) for table in (self.table, other))
            yield from tariff_changes((provider, upstream), before, after, now)


def open_desk(config: ConfigPlace | None, flags: Mapping[str, str]) -> Desk:
    """Read settings and prices; asks nobody, and needs no key. Raises SettingsError."""
    settings = settings_of(config, flags)
    table = prices_of(settings)
    return Desk(settings, table, models_with(settings, table))


def models_with(settings: Settings, table: PriceTable) -> Mapping[str, Model]:
    """The models of the settings as this table prices them. Raises SettingsError."""
    # Simulated, because what cannot be called now has a price all the same.
    return build_catalog(settings, Found(), prices=table, simulate=True).models


def find_priced(desk: Desk, name: str) -> tuple[str, Priced, str] | None:
    """A model of the settings, or `provider/model` of the table: its name, its prices and who says so."""
    model = desk.models.get(name) or desk.models.get(desk.settings.aliases.get(name, name))
    if model is not None and model.tariff is not None:
        return model.name, Priced(model.tariff, model.price_version), model.origins.get("price", "")
    provider, _, upstream = name.partition("/")
    found = priced(desk.table.lookup(provider, upstream)) if upstream else None
    return (name, found, desk.table.source) if found else None


def per_million(picousd: int) -> str:
    """A rate as people know it: USD per million tokens, without needless zeros."""
    amount = Decimal(picousd).scaleb(-6)
    text = f"{amount:,.6f}".rstrip("0")
    return text + "0" * max(0, 2 - len(text.partition(".")[2]))


def condition(price: Price | Change) -> str:
    """When a price holds, in words."""
    parts = []
    if price.since:
        parts.append(f"since {datetime.fromtimestamp(price.since, UTC).date()}")
    if price.second_of_day:
        minutes = price.second_of_day // 60
        parts.append(f"from {minutes // 60:02}:{minutes % 60:02} UTC")
    if price.above_tokens >= 0:
        parts.append(f"above {price.above_tokens:,} tokens")
    return ", ".join(parts)
