"""Where prices come from: the bundled table, LiteLLM's price map, and the operator's own.

All become one *price document*: JSON, integers only, a line per model. The bundled one, `prices.json`, is compiled from
genai-prices by `python -m routewright.catalog.compile`; at run time neither that package nor its rules are needed (see
docs/decisions/0005-prices-compiled-from-genai-prices.md). A table decodes its document provider by provider, when first
asked, and finds a model as genai-prices does: of a provider's models the first whose clauses match the name, and for
some providers, that host the models of others, theirs next.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from copy import copy
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from routewright.catalog.pricing import (
    TOKEN_CLASSES,
    Price,
    PriceError,
    PriceSchedule,
    parse_usd_per_million,
)
from routewright.patterns import PatternRefused, Search, read_pattern

BUNDLED = Path(__file__).with_name("prices.json")

Overrides = Mapping[str, Mapping[str, Mapping[str, Decimal | int | str]]]
"""Provider → model → token class → USD per million tokens."""

Clause = str | tuple[str, ...]
"""A condition on a lower-case name: an operator and a text, or several of them that must all hold.

The operators: `=` equals, `^` starts with, `$` ends with, `*` contains, `~` has a match of the regular expression (of
RE2's syntax, see `routewright.patterns`).
"""


class ModelPrices(Struct, frozen=True, rename={"context_window": "context"}):
    """A model of a provider, as a price document has it."""

    id: str
    match: tuple[Clause, ...] = ()
    """Its names: any clause will do; without clauses, just its id."""
    standard: PriceSchedule | None = None
    """None when the source lists no price per token; that is unknown, not free."""
    variants: Mapping[str, PriceSchedule] = {}
    """Other ways to be served, with complete prices of their own: `batch`, `flex`, `priority`, `fast`."""
    context_window: int | None = None
    """Tokens; None when the source does not say."""


class ProviderPrices(Struct, frozen=True):
    """A provider in a price document; its models stay undecoded."""

    id: str
    models: Raw
    match: tuple[Clause, ...] = ()
    """Other ids by which it is known."""
    fallback: tuple[str, ...] = ()
    """Providers whose models this one offers too, at their list prices."""


class Document(Struct, frozen=True):
    """A price document; its providers stay undecoded."""

    source: str
    date: str
    providers: Raw


class ModelIndex:
    """The models of one provider by name: whole names in a dictionary, all other clauses in their order."""

    def __init__(self, provider_id: str, models: tuple[ModelPrices, ...]) -> None:
        """Raises PriceError for a clause that cannot be read."""
        self.models = models
        self._names: dict[str, int] = {}
        self._conditions: list[tuple[int, Search]] = []
        for position, model in enumerate(models):
            for clause in model.match or (f"={model.id.lower()}",):
                if isinstance(clause, str) and clause.startswith("="):
                    self._names.setdefault(clause[1:], position)
                else:
                    self._conditions.append((position, condition(clause, f"prices.{provider_id}.{model.id}")))

    def find(self, name: str) -> ModelPrices | None:
        """The first model that has the (lower-case) name."""
        nowhere = len(self.models)
        best = self._names.get(name, nowhere)
        for position, holds in self._conditions:
            if position >= best:
                break
            if holds(name):
                best = position
        return self.models[best] if best < nowhere else None


class PriceTable:
    """Prices of many models, dated and versioned. It never changes; `with_overrides` makes another."""

    def __init__(self, document: bytes) -> None:
        """Read a price document. Raises PriceError."""
        head = _decode(document, Document)
        self.source = head.source
        """Who says so, e.g. `genai-prices 0.2.3`."""
        self.date = head.date
        """The day (ISO) on which the source was read."""
        self.document = document
        """What it was read from, as it stands in a file."""
        self._overrides: Mapping[tuple[str, str], PriceSchedule] = {}
        """By provider id and lower-case model name."""
        self._providers = {provider.id: provider for provider in _decode(head.providers, tuple[ProviderPrices, ...])}
        self._other_ids = {
            provider.id: [condition(clause, f"prices.{provider.id}") for clause in provider.match]
            for provider in self._providers.values()
        }
        self._indexes: dict[str, ModelIndex] = {}
        self._digest = hashlib.sha256(head.providers)
        self.version = self._digest.hexdigest()[:12]
        """First 12 hex digits of the SHA-256 of all its prices: what ledger entries name."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all providers in the document."""
        return tuple(self._providers)

    def known_as(self, provider_id: str) -> str:
        """The id that the document has for a provider; the one given if it has none."""
        return _owner(self._provider(provider_id), provider_id)

    def models(self, provider_id: str) -> tuple[ModelPrices, ...]:
        """What the document says of a provider's models, overrides left aside; empty for an unknown provider."""
        provider = self._provider(provider_id)
        return self._index(provider.id).models if provider else ()

    def offered(self, provider_id: str) -> Iterator[ModelPrices]:
        """Every model that a lookup with this provider may find, overrides left aside: its own, then those it hosts."""
        provider = self._provider(provider_id)
        if provider is None:
            return
        yield from self._index(provider.id).models
        for host in provider.fallback:
            yield from (replace(model, variants={}) for model in self._index(host).models)

    def lookup(self, provider_id: str, upstream_model: str) -> ModelPrices | None:
        """What is known of a provider's model, by any of the names the provider has for it; None if nothing is."""
        provider, name = self._provider(provider_id), upstream_model.lower()
        found = self._find(provider, name) if provider else None
        own = self._overrides.get((_owner(provider, provider_id), name))
        if own is None and found:
            own = self._overrides.get((_owner(provider, provider_id), found.id.lower()))
        return replace(found or ModelPrices(upstream_model), standard=own, variants={}) if own else found

    def with_overrides(self, overrides: Overrides) -> "PriceTable":
        """This table with the operator's own prices, in USD per million tokens, in place of listed ones.

        A price given under a model's id holds for all of the model's names, one given under another name for that name.
        Raises PriceError naming the place, e.g. `prices.openai.gpt-5.5.input`.
        """
        schedules = dict(self._overrides)
        for provider_id, models in overrides.items():
            owner = _owner(self._provider(provider_id), provider_id)
            for model, prices in models.items():
                price = price_from_usd(prices, f"prices.{provider_id}.{model}")
                schedules[owner, model.lower()] = PriceSchedule((price,))
        table = copy(self)  # what was decoded serves both
        table._overrides = dict(sorted(schedules.items()))
        digest = self._digest.copy()
        if schedules:
            digest.update(msgspec.json.encode(list(table._overrides.items())))
        table.version = digest.hexdigest()[:12]
        return table

    def _provider(self, provider_id: str) -> ProviderPrices | None:
        name = provider_id.lower().strip()
        if name in self._providers:
            return self._providers[name]
        return next((p for p in self._providers.values() if any(holds(name) for holds in self._other_ids[p.id])), None)

    def _find(self, provider: ProviderPrices, name: str) -> ModelPrices | None:
        # LiteLLM and OpenRouter write -20251211 where providers write -2025-12-11; names are tried in both spellings.
        for spelling in dict.fromkeys((name, with_dashed_date(name))):
            found = self._index(provider.id).find(spelling)
            if found:
                return found
            for host in provider.fallback:
                found = self._index(host).find(spelling)
                if found:
                    # The other provider's discounts are its own; only its list prices are known to hold here too.
                    return replace(found, variants={})
        return None

    def _index(self, provider_id: str) -> ModelIndex:
        index = self._indexes.get(provider_id)
        if index is None:
            models = _decode(self._providers[provider_id].models, tuple[ModelPrices, ...])
            index = self._indexes[provider_id] = ModelIndex(provider_id, models)
        return index


def _owner(provider: ProviderPrices | None, provider_id: str) -> str:
    return provider.id if provider else provider_id.lower().strip()


def load_prices(path: Path = BUNDLED) -> PriceTable:
    """The table in a file, looked through to its end; without one, that which comes with the package, and is whole.

    Raises OSError, PriceError.
    """
    if path == BUNDLED:
        return _bundled()
    table = PriceTable(path.read_bytes())
    for provider_id in table.providers:
        table.models(provider_id)
    return table


@cache  # its models are decoded once in a process, however often settings are read
def _bundled() -> PriceTable:
    return PriceTable(BUNDLED.read_bytes())


def condition(clause: Clause, place: str) -> Search:
    """What says whether a clause holds for a lower-case name. Raises PriceError, which starts with `place`."""
    if isinstance(clause, tuple):
        parts = [condition(part, place) for part in clause]
        return lambda name: all(part(name) for part in parts)
    operator, text = clause[:1], clause[1:]
    match operator:
        case "=":
            return lambda name: name == text
        case "^":
            return lambda name: name.startswith(text)
        case "$":
            return lambda name: name.endswith(text)
        case "*":
            return lambda name: text in name
        case "~":
            try:
                return read_pattern(text, place)
            except PatternRefused as error:
                raise PriceError(str(error)) from error
        case _:
            raise PriceError(f"{place}: a clause {clause!r} of unknown kind; compile the document anew")


def with_dashed_date(name: str) -> str:
    """`name` with a date in it, like -20251211, written -2025-12-11; digits that are no date stay."""

    def dashed(digits: re.Match[str]) -> str:
        try:
            return f"-{date.fromisoformat(digits[1])}"
        except ValueError:
            return digits[0]

    return re.sub(r"-(20\d{6})(?=-|:|$)", dashed, name)


def price_from_usd(prices: Mapping[str, Decimal | int | str], path: str) -> Price:
    """A price that always holds, from USD per million tokens by token class; raises PriceError naming the place."""
    for name in prices:
        if name not in TOKEN_CLASSES:
            raise PriceError(f"{path}.{name}: no such token class; there are {', '.join(TOKEN_CLASSES)}")
    for name in ("input", "output"):
        if name not in prices:
            raise PriceError(f"{path}.{name}: missing; give a price for input and for output, 0 if it is free")
    return Price(**{name: parse_usd_per_million(price, f"{path}.{name}") for name, price in prices.items()})


Decoded = TypeVar("Decoded")


def _decode(json: bytes | Raw, shape: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(json, type=shape)
    except msgspec.DecodeError as error:
        raise PriceError(f"the price document is damaged: {error}; reinstall routewright or compile it anew") from error
