"""Price versions for ever: what each version that an entry names stands for.

An entry holds a version and never a price. A version is written when a catalog with it is adopted, before any attempt
can be held at it, off the request's way; it is never changed or removed.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from routewright.catalog.pricing import Tariff
from routewright.catalog.registry import Registry
from routewright.catalog.served import priced
from routewright.catalog.sources import PriceTable
from routewright.ledger.database import Database, Row

_COLUMNS = ("version", "model", "schedule", "source", "first_used_ns")
_VERSIONS = "SELECT version FROM price_versions"
_LOOKUP = "SELECT * FROM price_versions WHERE version = ?"
_MODELS_AT = "SELECT DISTINCT model FROM events WHERE price_version = ? ORDER BY model"
_OF_MODEL = "SELECT * FROM price_versions WHERE model = ? ORDER BY first_used_ns DESC, version"

_decode = msgspec.json.Decoder(Tariff).decode


class PriceVersion(Struct, frozen=True, kw_only=True):
    """A price version."""

    version: str
    model: str
    """By whose name it was first met: ours, or `provider/model` for one that only answers in another's place."""
    tariff: Tariff
    source: str
    first_used_ns: int = 0
    """When a catalog with it was first adopted, in UTC nanoseconds since 1970."""


class PriceHistory:
    """The price versions in a ledger's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, versions: Iterable[PriceVersion], *, now_ns: int) -> int:
        """Keep those that are not there yet, as first used at `now_ns`; returns how many. Raises StoreUnavailable."""
        known = {row["version"] for row in self._database.read(_VERSIONS)}
        new: dict[str, PriceVersion] = {}
        for each in versions:
            if each.version not in known:
                new.setdefault(each.version, each)  # models with the same prices have the same version
        if new:
            rows = [(each.version, each.model, _encoded(each.tariff), each.source, now_ns) for each in new.values()]
            with self._database.transaction() as transaction:
                transaction.insert("price_versions", _COLUMNS, rows)
        return len(new)

    def lookup(self, version: str) -> PriceVersion | None:
        """What a version stands for; None for one that was never adopted here. Raises StoreUnavailable."""
        return next(map(_read, self._database.read(_LOOKUP, version)), None)

    def models_at(self, version: str) -> list[str]:
        """The models with attempts held or settled at a version; reads all of history. Raises StoreUnavailable."""
        return [row["model"] for row in self._database.read(_MODELS_AT, version)]

    def of_model(self, model: str) -> list[PriceVersion]:
        """All versions first met under a model's name, the latest first. Raises StoreUnavailable."""
        return [_read(row) for row in self._database.read(_OF_MODEL, model)]


def in_use(registry: Registry, table: PriceTable, also: Iterable[str] = ()) -> Iterator[PriceVersion]:
    """Every version that an attempt may be billed at: of the models, of their places, and of the models that the same
    providers may have answer instead; `also` names providers that are called for models outside the registry."""
    providers = set(also)
    for model in registry.models.values():
        source = model.origins.get("price", "")
        if model.tariff is not None:
            yield PriceVersion(version=model.price_version, model=model.name, tariff=model.tariff, source=source)
        for place in model.deployments:
            providers.add(place.provider)
            if place.tariff is not None:
                yield PriceVersion(version=place.price_version, model=place.id, tariff=place.tariff, source=source)
    for provider in sorted(providers):
        for entry in table.offered(provider):
            found = priced(entry)
            if found is not None:
                name = f"{provider}/{entry.id}"
                yield PriceVersion(version=found.version, model=name, tariff=found.tariff, source=table.source)


def _encoded(tariff: Tariff) -> str:
    return msgspec.json.encode(tariff).decode()


def _read(row: Row) -> PriceVersion:
    return PriceVersion(**{name: row[name] for name in _COLUMNS if name != "schedule"}, tariff=_decode(row["schedule"]))
