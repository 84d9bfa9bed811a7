"""Which models there are, where they are called, what they cost, and how they did."""

from collections.abc import Iterable, Mapping, Sequence

from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Deployment, Model, Tier
from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.rollups import DAY_NS
from routewright.ledger.spending import Sums
from routewright.reports.reading import moment
from routewright.text import counted

DAYS = 30
MOST_SHOWN = 500
_NANOUSD_A_MILLION = 1_000
"""Of a price in pico-USD per token: nano-USD for a million tokens."""


def read(desk: Desk, asked: Parameters) -> View:
    """One question to the roll-ups: the last thirty days by model. All else is the catalog in force."""
    registry = desk.engine.registry
    tier, provider, name = asked.choice("tier", tuple(Tier), ""), asked.text("provider"), asked.text("name")
    sums = {keys[0]: its for keys, its in desk.ledger.sums(("model",), desk.now_ns - DAYS * DAY_NS)}
    found = [
        model
        for model in registry.models.values()
        if tier in ("", model.tier)
        and (name is None or name.lower() in model.name.lower())
        and provider in (None, *(place.provider for place in model.deployments))
    ]
    shown = found[:MOST_SHOWN]
    now_s = desk.now_ns // NANOSECONDS
    tables = (
        _models(desk, shown, sums, len(found)),
        _prices(shown, now_s),
        _places(shown, desk.breakers),
    )
    values = {
        "models": tables[0],
        "prices": tables[1],
        "places": tables[2],
        "tier": tier,
        "tiers": tuple(Tier),
        "provider": provider or "",
        "providers": sorted({place.provider for place in registry.deployments.values()}),
        "name": name or "",
        "catalog": registry.version,
        "prices_date": desk.prices_date,
        "counted": counted(len(registry.models), "model"),
    }
    return View(title="Models and prices", template="models.html", values=values, listings=tables)


def _models(desk: Desk, models: Sequence[Model], sums: Mapping[str | None, Sums], of: int) -> Listing:
    alarmed = {key.model for key, is_alarm in desk.drift.items() if is_alarm}

    def state(model: Model) -> str:
        if model.name in desk.engine.withdrawn:
            return desk.engine.withdrawn[model.name]
        if model.deployments and all(desk.breakers.get(place.id) == "open" for place in model.deployments):
            return "every circuit is open"
        if not model.deployments:
            return "cannot be called"
        return "drift" if model.name in alarmed else "ok" if model.prices else "ok, without a price"

    return Listing(
        name="models",
        title="Models",
        columns=(
            Column("model", "model"),
            Column("tier", "tier"),
            Column("state", "state"),
            Column("context_tokens", "context", Kind.COUNT),
            Column("output_tokens", "longest answer", Kind.COUNT),
            Column("can", "can"),
            Column("requests", f"requests, {DAYS} days", Kind.COUNT),
            Column("cost_usd", "spent", Kind.USD),
            Column("fallbacks", "then"),
        ),
        rows=[
            (
                model.name,
                model.tier,
                state(model),
                model.context_window,
                model.max_output_tokens,
                ", ".join(sorted(model.capabilities)) or None,
                sums[model.name].requests if model.name in sums else 0,
                sums[model.name].cost_nanousd if model.name in sums else 0,
                ", ".join(desk.engine.registry.order[model.name][1:]) or None,
            )
            for model in models
        ],
        note=f"The first {len(models)} of {of:,}." if of > len(models) else "",
    )


def _prices(models: Sequence[Model], now_s: int) -> Listing:
    return Listing(
        name="prices",
        title="Prices of a million tokens",
        columns=(
            Column("model", "model"),
            Column("served", "served"),
            Column("holds", "holds"),
            Column("input_usd", "in", Kind.USD),
            Column("cache_read_usd", "cached", Kind.USD),
            Column("cache_write_usd", "written to cache", Kind.USD),
            Column("output_usd", "out", Kind.USD),
            Column("reasoning_usd", "reasoning", Kind.USD),
            Column("request_usd", "a request", Kind.USD),
            Column("version", "version"),
            Column("source", "from"),
        ),
        rows=[
            (model.name, served or "usual", _holds(price, now_s), *_rates(price), model.price_version, _origin(model))
            for model in models
            for served, price in _all_prices(model)
        ],
    )


def _all_prices(model: Model) -> Iterable[tuple[str, Price]]:
    schedules: dict[str, PriceSchedule] = {} if model.prices is None else {"": model.prices, **model.variants}
    return ((served, price) for served, schedule in schedules.items() for price in schedule.prices)


def _rates(price: Price) -> tuple[Cell, ...]:
    tokens = (price.input, price.cache_read, price.cache_write, price.output, price.reasoning)
    return (*(_NANOUSD_A_MILLION * each for each in tokens), price.request // 1_000)


def _holds(price: Price, now_s: int) -> str:
    """When, in words: what a price table says of it."""
    parts = []
    if price.since:
        parts.append(f"{'from' if price.since > now_s else 'since'} {moment(price.since * NANOSECONDS)[:10]}")
    if price.second_of_day:
        parts.append(f"from {price.second_of_day // 3600:02}:{price.second_of_day // 60 % 60:02} UTC")
    if price.above_tokens >= 0:
        parts.append(f"above {price.above_tokens:,} tokens in")
    return ", ".join(parts) or "always"


def _origin(model: Model) -> str | None:
    return model.origins.get("price")


def _places(models: Sequence[Model], breakers: Mapping[str, str]) -> Listing:
    return Listing(
        name="places",
        title="Where they are called",
        columns=(
            Column("deployment", "deployment"),
            Column("model", "model"),
            Column("provider", "provider"),
            Column("dialect", "dialect"),
            Column("circuit", "circuit"),
            Column("concurrency", "at once", Kind.COUNT),
            Column("price", "price"),
        ),
        rows=[_place(model, place, breakers) for model in models for place in model.deployments],
    )


def _place(model: Model, place: Deployment, breakers: Mapping[str, str]) -> tuple[Cell, ...]:
    price = "as the model" if place.tariff is None else f"its own, {place.price_version}"
    return place.id, model.name, place.provider, place.dialect, breakers.get(place.id), place.concurrency, price
