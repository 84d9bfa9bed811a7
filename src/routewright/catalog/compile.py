"""Price documents from other people's data: genai-prices, which the bundled table is made of, and LiteLLM's price map.

    python -m routewright.catalog.compile         writes prices.json from the installed genai-prices

At run time nobody needs this: see docs/decisions/0005-prices-compiled-from-genai-prices.md.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw

from routewright.catalog.pricing import PriceError, parse_usd, parse_usd_per_million
from routewright.catalog.sources import BUNDLED, Clause, Document, PriceTable

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider, TieredPrices

# A row is a Price in JSON, in which classes without a price of their own are left out.

Row = dict[str, int]
Tiers = dict[int, int]
"""Total input that a request must exceed → pico-USD per token."""

ANY_LENGTH = -1


def write_document(source: str, day: str, models_of: Iterable[tuple[Mapping[str, object], list[object]]]) -> bytes:
    """A price document from providers and their models, in lines, so that a change of prices reads well in a diff."""
    providers = []
    for provider, models in models_of:
        lines = b",\n".join(map(msgspec.json.encode, models))
        providers.append(msgspec.json.encode({**provider, "models": Raw(b"[\n" + lines + b"\n]")}))
    content = Raw(b"[\n" + b",\n".join(providers) + b"\n]")
    return msgspec.json.encode(Document(source, day, content)) + b"\n"


def rows_by_length(tiers_of: Mapping[str, Tiers]) -> list[Row]:
    """A row for any length of input and one above each threshold, from the tiers of each token class."""
    rows = []
    for threshold in sorted({start for tiers in tiers_of.values() for start in tiers}):
        reached = {name: [start for start in tiers if start <= threshold] for name, tiers in tiers_of.items()}
        rates = {name: tiers_of[name][max(starts)] for name, starts in reached.items() if starts}
        rows.append(rates if threshold == ANY_LENGTH else {"above_tokens": threshold, **rates})
    return rows


# ---- LiteLLM ---------------------------------------------------------------------------------------------------------

LITELLM_CLASSES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "cache_read_input_audio_token_cost": "audio_cache_read",
    "cache_read_input_token_cost_per_audio_token": "audio_cache_read",
    "output_cost_per_audio_token": "audio_output",
}
LITELLM_VARIANTS = {None: "standard", "batches": "batch", "flex": "flex", "priority": "priority"}
LITELLM_KEY = re.compile(rf"({'|'.join(LITELLM_CLASSES)})(?:_above_(\d+)k_tokens)?(?:_(batches|flex|priority))?")


def from_litellm(price_map: Mapping[str, Mapping[str, object]], day: str) -> PriceTable:
    """A table from LiteLLM's price map (its JSON, parsed), read on `day` (ISO), with LiteLLM's ids of providers.

    An entry without both an input and an output price is left out: half a price would bill too little without a word.
    Raises PriceError naming the place, e.g. `litellm.gpt-4o.input_cost_per_token`.
    """
    models_of: dict[str, list[object]] = {}
    for name, facts in price_map.items():
        provider = facts.get("litellm_provider")
        schedules = {} if name == "sample_spec" else _litellm_schedules(name, facts)
        if isinstance(provider, str) and schedules:
            names = dict.fromkeys((name.lower(), name.lower().removeprefix(f"{provider}/")))
            model: dict[str, object] = {
                "id": name,
                "match": [f"={name}" for name in names],
                "standard": [schedules.pop("standard")],
            }
            window = facts.get("max_input_tokens")
            if isinstance(window, int):
                model["context"] = window
            models_of.setdefault(provider, []).append(model | {"variants": {k: [v] for k, v in schedules.items()}})
    return PriceTable(write_document("litellm", day, (({"id": id_}, models) for id_, models in models_of.items())))


def _litellm_schedules(name: str, facts: Mapping[str, object]) -> dict[str, list[Row]]:
    tiers_of: dict[str, dict[str, Tiers]] = {"standard": {}}
    for key, value in facts.items():
        found = LITELLM_KEY.fullmatch(key)
        if found and value is not None:
            token_class, thousands, suffix = found.groups()
            path = f"litellm.{name}.{key}"
            price = parse_usd_per_million(parse_usd(str(value), path) * 1_000_000, path, exact=False)
            variant = tiers_of.setdefault(LITELLM_VARIANTS[suffix], {})
            threshold = int(thousands) * 1000 if thousands else ANY_LENGTH
            variant.setdefault(LITELLM_CLASSES[token_class], {})[threshold] = price
    standard = tiers_of["standard"]
    if not all(ANY_LENGTH in standard.get(name, {}) for name in ("input", "output")):
        return {}
    return {variant: rows_by_length(standard | tiers) for variant, tiers in tiers_of.items()}


# ---- genai-prices ----------------------------------------------------------------------------------------------------

GENAI_CLASSES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "audio_cache_read",
    "output_audio_mtok": "audio_output",
}
GENAI_VARIANTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}


def compile_genai_prices(day: str) -> bytes:
    """The price document of the installed genai-prices, compiled on `day` (ISO).

    Its conditions are not translated but tried out: nothing changes between two boundaries (start dates, times of day),
    so that asking it once for each interval gives the whole schedule. Raises PriceError for what a row cannot express.
    """
    from importlib.metadata import version

    from genai_prices.data_snapshot import get_snapshot

    return compile_providers(get_snapshot().providers, f"genai-prices {version('genai-prices')}", day)


def compile_providers(providers: "Iterable[Provider]", source: str, day: str) -> bytes:
    """The same of providers that were read elsewhere, by the package's own reader."""
    return write_document(source, day, map(_genai_provider, providers))


def _genai_provider(provider: "Provider") -> tuple[Mapping[str, object], list[object]]:
    facts: dict[str, object] = {"id": provider.id}
    if provider.provider_match:
        facts["match"] = _genai_clauses(provider.provider_match)
    if provider.fallback_model_providers:
        facts["fallback"] = provider.fallback_model_providers
    return facts, [_genai_model(model, f"{provider.id}.{model.id}") for model in provider.models]


def _genai_model(model: "ModelInfo", path: str) -> Mapping[str, object]:
    facts: dict[str, object] = {"id": model.id}
    match = _genai_clauses(model.match)
    if match != (f"={model.id.lower()}",):
        facts["match"] = match
    if model.context_window:
        facts["context"] = model.context_window
    standard = _genai_schedule(model, {}, path)
    if standard:
        facts["standard"] = [standard]
        candidates = {name: _genai_schedule(model, context, path) for name, context in GENAI_VARIANTS.items()}
        variants = {name: [rows] for name, rows in candidates.items() if rows != standard}
        if variants:
            facts["variants"] = variants
    return facts


def _genai_schedule(model: "ModelInfo", context: Mapping[str, str], path: str) -> list[Row]:
    """All rows, in order; none for a model that has no price per token."""
    days, seconds = _genai_boundaries(model, path)

    def rows_at(since: int, second: int) -> list[Row]:
        return _genai_rows(model.get_prices(datetime.fromtimestamp(since + second, UTC), context), path)

    eras = _changes((since, _changes((second, rows_at(since, second)) for second in seconds)) for since in days)
    return [
        {key: value for key, value in (("since", since), ("second_of_day", second)) if value} | row
        for since, windows in eras
        for second, rows in windows
        for row in rows
    ]


def _genai_boundaries(model: "ModelInfo", path: str) -> tuple[list[int], list[int]]:
    """The UTC epoch seconds, and the seconds of each day (UTC), at which a price of the model may change."""
    from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint

    days, seconds = {0}, {0}
    conditional = [] if isinstance(model.prices, ModelPrice) else model.prices
    for constraint in [price.constraint for price in [*conditional, *(model.price_variants or ())]]:
        if isinstance(constraint, StartDateConstraint):
            days.add(int(datetime.combine(constraint.start_date, time(), UTC).timestamp()))
        elif isinstance(constraint, TimeOfDateConstraint):
            seconds |= {_second_of_day(moment, path) for moment in (constraint.start_time, constraint.end_time)}
    return sorted(days), sorted(seconds)


def _second_of_day(moment: time, path: str) -> int:
    if moment.utcoffset() or moment.microsecond:
        raise PriceError(f"prices.{path}: {moment} is no whole second in UTC; teach this compiler to convert it")
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _genai_rows(price: "ModelPrice", path: str) -> list[Row]:
    if price.input_mtok is None:
        return []
    # As in genai-prices: where output has no price (embeddings), there is none to charge for.
    tiers_of: dict[str, Tiers] = {"input": {}, "output": {ANY_LENGTH: 0}}
    for key, token_class in GENAI_CLASSES.items():
        value = getattr(price, key)
        if value is not None:
            tiers_of[token_class] = _genai_tiers(value, f"prices.{path}.{token_class}")
    fee = price.requests_kcount
    if fee is None:
        return rows_by_length(tiers_of)
    if not isinstance(fee, Decimal):
        raise PriceError(f"prices.{path}.request: a fee in tiers; teach this compiler to convert it")
    picousd_per_request = int(parse_usd(fee, f"prices.{path}.request") * 10**9)  # listed per thousand requests
    return [row | {"request": picousd_per_request} for row in rows_by_length(tiers_of)]


def _genai_tiers(price: "Decimal | TieredPrices", path: str) -> Tiers:
    if isinstance(price, Decimal):
        return {ANY_LENGTH: parse_usd_per_million(price, path, exact=False)}
    usd_of = {ANY_LENGTH: price.base, **{tier.start: tier.price for tier in price.tiers}}
    return {above: parse_usd_per_million(usd, path, exact=False) for above, usd in usd_of.items()}


def _genai_clauses(logic: "MatchLogic") -> tuple[Clause, ...]:
    from genai_prices.types import ClauseAnd, ClauseOr

    if isinstance(logic, ClauseOr):
        return tuple(clause for part in logic.or_ for clause in _genai_clauses(part))
    if isinstance(logic, ClauseAnd):
        return (tuple(_genai_clause(part) for part in logic.and_),)
    return (_genai_clause(logic),)


def _genai_clause(logic: "MatchLogic") -> str:
    from genai_prices.types import ClauseContains, ClauseEndsWith, ClauseEquals, ClauseRegex, ClauseStartsWith

    match logic:
        case ClauseEquals(text):
            return f"={text.lower()}"
        case ClauseStartsWith(text):
            return f"^{text.lower()}"
        case ClauseEndsWith(text):
            return f"${text.lower()}"
        case ClauseContains(text):
            return f"*{text.lower()}"
        case ClauseRegex(text):
            return f"~{text}"
        case _:
            raise PriceError(f"a rule {logic!r}, unknown or nested too deeply; teach this compiler to convert it")


Value = TypeVar("Value")


def _changes(history: Iterable[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Those points of a history at which the value is a new one."""
    changes: list[tuple[int, Value]] = []
    for start, value in history:
        if not changes or changes[-1][1] != value:
            changes.append((start, value))
    return changes


if __name__ == "__main__":
    BUNDLED.write_bytes(compile_genai_prices(datetime.now(UTC).date().isoformat()))
