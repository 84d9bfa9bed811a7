"""The bundled table says what genai-prices says; LiteLLM's map and the operator's own prices are read exactly."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from itertools import pairwise

import genai_prices
import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from routewright.catalog.compile import GENAI_VARIANTS, compile_genai_prices, from_litellm
from routewright.catalog.pricing import SECONDS_PER_DAY, PriceError, PriceSchedule, cost_nanousd
from routewright.catalog.sources import (
    BUNDLED,
    PriceTable,
    condition,
    load_prices,
    with_dashed_date,
)
from routewright.usage import Usage

TABLE = load_prices()
LISTED = get_snapshot().providers
TODAY = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())

same_genai_prices = pytest.mark.skipif(
    TABLE.source != f"genai-prices {version('genai-prices')}",
    reason=f"the bundled table is from {TABLE.source}, but {version('genai-prices')} is installed: "
    "install that version, or renew the table with `python -m routewright.catalog.compile`",
)


# Prices: ours against theirs


def usage_for_genai(usage: Usage) -> genai_prices.Usage:
    """The same tokens as genai-prices counts them: each class includes the more special ones."""
    return genai_prices.Usage(
        input_tokens=usage.input_total,
        cache_read_tokens=usage.cache_read + usage.audio_cache_read,
        cache_write_tokens=usage.cache_write + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output_total,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.audio_input + usage.audio_cache_read,
        cache_audio_read_tokens=usage.audio_cache_read,
        output_audio_tokens=usage.audio_output,
    )


def genai_nanousd(
    provider: Provider, model: ModelInfo, usage: Usage, now: int, context: Mapping[str, str] | None = None
) -> int:
    price = model.calc_price(
        usage_for_genai(usage),
        provider,
        genai_request_timestamp=datetime.fromtimestamp(now, UTC),
        price_context=context,
    )
    return int((price.total_price * 10**9).quantize(Decimal(1), ROUND_HALF_UP))


def is_finer_than_ours(model: ModelInfo) -> bool:
    """Whether a price is no whole number of pico-USD per token: a few were computed in binary fractions or thirds."""
    conditional = [] if isinstance(model.prices, ModelPrice) else [price.prices for price in model.prices]
    standard = [model.prices] if isinstance(model.prices, ModelPrice) else conditional
    for price in [*standard, *(variant.prices for variant in model.price_variants or ())]:
        for value in price.__dict__.values():
            tiers = [value.base, *(tier.price for tier in value.tiers)] if isinstance(value, TieredPrices) else [value]
            if any(usd * 10**6 % 1 for usd in tiers):
                return True
    return False


def tolerance_nanousd(model: ModelInfo, usage: Usage) -> int:
    """Equality; for a price finer than ours what half a pico-USD per token comes to."""
    return 1 + usage.total // 2_000 if is_finer_than_ours(model) else 0


def some_usage(chance: random.Random, schedule: PriceSchedule) -> Usage:
    """Tokens of every class, whose input is often at a threshold of the schedule or next to it."""
    thresholds = [price.above_tokens for price in schedule.prices if price.above_tokens > 0]
    total = chance.choice([0, 1, 999, 400_000, *(length + step for length in thresholds for step in (0, 1))])
    cuts = [0, *sorted(chance.randint(0, total) for _ in range(5)), total]
    uncached, read, write, write_1h, heard, heard_again = (high - low for low, high in pairwise(cuts))
    return Usage(
        input=uncached,
        cache_read=read,
        cache_write=write,
        cache_write_1h=write_1h,
        output=chance.randint(0, 50_000),
        reasoning=chance.randint(0, 50_000),
        audio_input=heard,
        audio_cache_read=heard_again,
        audio_output=chance.randint(0, 50_000),
    )


def some_moment(chance: random.Random, schedule: PriceSchedule) -> int:
    """A moment that is often a boundary of the schedule, or the second before one."""
    price = chance.choice(schedule.prices)
    day = chance.choice([price.since, TODAY, chance.randint(1_704_067_200, 1_830_297_600)]) // SECONDS_PER_DAY
    second = chance.choice([0, price.second_of_day, chance.randrange(SECONDS_PER_DAY)])
    return max(0, day * SECONDS_PER_DAY + second - chance.choice([0, 1]))


def check_same_price(
    provider: Provider, model: ModelInfo, schedule: PriceSchedule, chance: random.Random, context: dict[str, str]
) -> None:
    usage, now = some_usage(chance, schedule), some_moment(chance, schedule)
    ours = cost_nanousd(usage, schedule.rates_at(now, usage.input_total))
    theirs = genai_nanousd(provider, model, usage, now, context)
    assert abs(ours - theirs) <= tolerance_nanousd(model, usage), f"{provider.id}/{model.id} {usage} at {now} {context}"


@same_genai_prices
def test_every_model_of_genai_prices_is_in_the_table_and_priced_alike() -> None:
    chance = random.Random(20261122)
    for provider in LISTED:
        ours = TABLE.models(provider.id)
        assert [model.id for model in ours] == [model.id for model in provider.models]
        for mine, model in zip(ours, provider.models, strict=True):
            assert mine.context_window == model.context_window
            if mine.standard is None:
                assert model.get_prices(datetime.fromtimestamp(TODAY, UTC)).input_mtok is None
            else:
                check_same_price(provider, model, mine.standard, chance, {})


@same_genai_prices
def test_conditional_tiered_and_variant_prices_are_alike_at_their_boundaries() -> None:
    chance = random.Random(20261122)
    for provider in LISTED:
        for mine, model in zip(TABLE.models(provider.id), provider.models, strict=True):
            if mine.standard and len(mine.standard.prices) > 1:
                for _ in range(3):
                    check_same_price(provider, model, mine.standard, chance, {})
            for name, schedule in mine.variants.items():
                check_same_price(provider, model, schedule, chance, GENAI_VARIANTS[name])


@same_genai_prices
@given(st.randoms(use_true_random=False))
def test_any_lookup_by_name_prices_as_genai_prices_does(chance: random.Random) -> None:
    provider = chance.choice(LISTED)
    name = chance.choice([model.id for model in provider.models])
    found = TABLE.lookup(provider.id, name)
    model = provider.find_model(name, all_providers=LISTED)
    assert (found and found.id) == (model and model.id)
    if found and found.standard and model:
        check_same_price(provider, model, found.standard, chance, {})


@same_genai_prices
def test_compiling_again_yields_the_bundled_file() -> None:
    assert compile_genai_prices(TABLE.date) == BUNDLED.read_bytes()


def priced_models() -> list[tuple[Provider, ModelInfo, str, PriceSchedule]]:
    """Every schedule of the table: of each model, the standard one and those of its service tiers."""
    return [
        (provider, model, tier, schedule)
        for provider in LISTED
        for mine, model in zip(TABLE.models(provider.id), provider.models, strict=True)
        if mine.standard
        for tier, schedule in {"": mine.standard, **mine.variants}.items()
    ]


@same_genai_prices
def test_f4_a_random_sample_of_usages_costs_what_genai_prices_says_to_the_nano_dollar() -> None:
    chance = random.Random(20261126)
    models = priced_models()
    dear_sound = [each for each in models if each[3].prices_sound]
    tiered = [each for each in models if each[2]]
    assert len(dear_sound) >= 20
    assert len(tiered) >= 150
    for pool in (models, dear_sound, tiered):
        for _ in range(1_000):
            provider, model, tier, schedule = chance.choice(pool)
            check_same_price(provider, model, schedule, chance, GENAI_VARIANTS[tier] if tier else {})


# Names: the same model as genai-prices finds


def texts(logic: object) -> Iterator[str]:
    match logic:
        case ClauseOr(parts) | ClauseAnd(parts):
            for part in parts:
                yield from texts(part)
        case ClauseRegex():
            pass
        case _:
            yield from vars(logic).values()


@same_genai_prices
def test_names_find_the_model_that_genai_prices_finds() -> None:
    chance = random.Random(20261122)
    names = [text for provider in LISTED for model in provider.models for text in (model.id, *texts(model.match))]
    suffixes = ("", "", "-20251211", "-2025-12-11", "-20251399", "-latest", ":free", "-tts", "@20251211")
    hosts = [provider for provider in LISTED if provider.fallback_model_providers]
    for _ in range(800):
        name = chance.choice(names) + chance.choice(suffixes)
        provider = chance.choice([*LISTED, *hosts * 5])
        found, model = TABLE.lookup(provider.id, name), provider.find_model(name, all_providers=LISTED)
        assert (found and found.id) == (model and model.id), f"{provider.id}/{name}"


@pytest.mark.parametrize(
    "provider_id", ["openai", " OpenAI ", "azure-openai", "vertex_ai", "bedrock", "xai", "huggingface/groq"]
)
def test_providers_are_known_by_the_same_ids(provider_id: str) -> None:
    provider, _ = get_snapshot().find_provider_model(name_for(provider_id), None, provider_id, None)
    found = TABLE.lookup(provider_id, name_for(provider_id))
    assert found
    assert found == TABLE.lookup(provider.id, name_for(provider_id))


def name_for(provider_id: str) -> str:
    provider = get_snapshot().find_provider(None, provider_id, None)
    return next(model.id for model in provider.models if provider.find_model(model.id) is model)


def test_model_of_a_fallback_provider_has_no_discounts() -> None:
    at_openai, at_azure = TABLE.lookup("openai", "gpt-5.5"), TABLE.lookup("azure", "gpt-5.5")
    assert at_openai
    assert at_azure
    assert at_azure.standard == at_openai.standard
    assert "batch" in at_openai.variants
    assert not at_azure.variants


def test_unknown_models_and_providers_have_no_price() -> None:
    assert TABLE.lookup("openai", "gpt-that-never-was") is None
    assert TABLE.lookup("nobody", "gpt-5.5") is None
    assert TABLE.models("nobody") == ()


def test_model_listed_without_a_price_is_unknown_not_free() -> None:
    found = TABLE.lookup("openrouter", "google/gemma-3-27b-it:free")
    assert found
    assert found.standard is None


@pytest.mark.parametrize(
    ("name", "dashed"),
    [
        ("gpt-5.2-20251211", "gpt-5.2-2025-12-11"),
        ("gpt-5.2-20251211:batch", "gpt-5.2-2025-12-11:batch"),
        ("gpt-5.2-20251211-v1", "gpt-5.2-2025-12-11-v1"),
        ("gpt-5.2-20250230", "gpt-5.2-20250230"),
        ("gpt-5.2-202512110", "gpt-5.2-202512110"),
        ("gpt-5.2", "gpt-5.2"),
    ],
)
def test_compact_dates_are_also_read_dashed(name: str, dashed: str) -> None:
    assert with_dashed_date(name) == dashed


def test_first_model_that_matches_wins_whatever_its_clauses() -> None:
    clauses = {"a": ["^x-1"], "x-1": [], "x-2": [], "b": ["*x", "=y"], "c": ["^y", "=y"]}
    models = [{"id": name, "match": match} for name, match in clauses.items()]
    table = PriceTable(json.dumps({"source": "s", "date": "d", "providers": [{"id": "p", "models": models}]}).encode())
    found = {name: table.lookup("p", name) for name in ("x-1", "X-2", "x-3", "y", "y-1", "z")}
    ids = {name: model.id for name, model in found.items() if model}
    assert ids == {"x-1": "a", "X-2": "x-2", "x-3": "b", "y": "b", "y-1": "c"}


def test_listed_date_is_found_in_its_compact_form_too() -> None:
    assert TABLE.lookup("openai", "gpt-5.5-20260423") == TABLE.lookup("openai", "gpt-5.5-2026-04-23") is not None
    assert TABLE.lookup("azure", "gpt-5.5-20260423") == TABLE.lookup("azure", "gpt-5.5-2026-04-23") is not None


def test_clauses_match_as_their_operators_say() -> None:
    name = "gpt-5.5-mini"
    good = ("=gpt-5.5-mini", "^gpt", "$mini", "*5.5", r"~\d\.\d", "~^(?!.*-tts)", ("^gpt", "$mini"))
    bad = ("=gpt-5.5", "^mini", "$gpt", "*6", r"~^\d", "~^(?!gpt)", ("^gpt", "$maxi"))
    assert all(condition(clause, "prices")(name) for clause in good)
    assert not any(condition(clause, "prices")(name) for clause in bad)
    for clause in ("?gpt", ""):
        with pytest.raises(PriceError, match=r"prices\.acme: a clause .* of unknown kind"):
            condition(clause, "prices.acme")


@pytest.mark.parametrize("clause", ["~(a", ("^gpt", "~a(?=b)"), "~" + "a" * 1025, r"~\pL{1000}"])
def test_a_pattern_that_cannot_be_taken_is_told_with_its_place_as_soon_as_its_provider_is_read(clause: object) -> None:
    models = [{"id": "m", "match": ["=m"]}, {"id": "n", "match": [clause]}]
    document = json.dumps({"source": "s", "date": "d", "providers": [{"id": "acme", "models": models}]})
    with pytest.raises(PriceError, match=r"^prices\.acme\.n: the pattern '.*' cannot be taken: "):
        PriceTable(document.encode()).lookup("acme", "m")


# The table itself


def test_table_names_its_source_date_and_version() -> None:
    assert TABLE.source.startswith("genai-prices ")
    assert date.fromisoformat(TABLE.date) >= date(2026, 11, 22)
    assert len(TABLE.version) == 12
    assert load_prices().version == TABLE.version


def test_loading_and_looking_up_does_not_import_genai_prices() -> None:
    program = (
        "import sys; from routewright.catalog.sources import load_prices; load_prices().lookup('openai', 'gpt-5.5');"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b'{"source":"s","date":"d","providers":[{"id":"p"}]}',
        b'{"source":"s","date":"d","providers":[{"id":"p","models":[{"id":"m","standard":[[{"input":-1,"output":1}]]}]}]}',
        b'{"source":"s","date":"d","providers":[{"id":"p","models":[{"id":"m","standard":[[{"input":0.5,"output":1}]]}]}]}',
    ],
)
def test_damaged_document_is_refused(document: bytes) -> None:
    with pytest.raises(PriceError, match="damaged"):
        PriceTable(document).lookup("p", "m")


# The operator's own prices


def test_own_price_under_the_id_holds_for_all_names_and_all_lengths() -> None:
    table = TABLE.with_overrides({"openai": {"gpt-5.5": {"input": "4.5", "output": Decimal(27), "cache_read": "0.4"}}})
    for name in ("gpt-5.5", "GPT-5.5", "gpt-5.5-2026-04-23"):
        found = table.lookup("openai", name)
        assert found
        assert found.standard
        rates = found.standard.rates_at(TODAY, 300_000)
        assert (rates.input, rates.cache_read, rates.output) == (4_500_000, 400_000, 27_000_000)
        assert not found.variants
        assert found.context_window == 1_000_000
    assert table.lookup("openai", "gpt-5.4") == TABLE.lookup("openai", "gpt-5.4")


def test_own_price_under_another_name_holds_for_that_name() -> None:
    table = TABLE.with_overrides({"openai": {"gpt-5.5-2026-04-23": {"input": 1, "output": 1}}})
    assert table.lookup("openai", "gpt-5.5-2026-04-23") != TABLE.lookup("openai", "gpt-5.5-2026-04-23")
    assert table.lookup("openai", "gpt-5.5") == TABLE.lookup("openai", "gpt-5.5")


def test_own_price_at_a_host_leaves_the_owner_alone() -> None:
    table = TABLE.with_overrides({"azure": {"gpt-5.5": {"input": 1, "output": 1}}})
    hosted = table.lookup("azure", "gpt-5.5-2026-04-23")
    assert hosted
    assert hosted.standard
    assert hosted.standard.rates_at(TODAY, 1).input == 1_000_000
    assert table.lookup("openai", "gpt-5.5") == TABLE.lookup("openai", "gpt-5.5")


def test_own_price_makes_a_model_known() -> None:
    table = TABLE.with_overrides({"local": {"Llama-4": {"input": 0, "output": 0}}})
    found = table.lookup("Local", "llama-4")
    assert found
    assert found.standard
    assert found.standard.rates_at(TODAY, 10).output == 0


def test_own_prices_change_the_version_and_their_order_does_not() -> None:
    one: dict[str, dict[str, str | int | Decimal]] = {"gpt-5.5": {"input": 1, "output": 2}}
    two: dict[str, dict[str, str | int | Decimal]] = {"gpt-5.4": {"input": 3, "output": 4}}
    both, reverse = TABLE.with_overrides({"openai": one | two}), TABLE.with_overrides({"openai": two | one})
    assert (
        both.version == reverse.version == TABLE.with_overrides({"openai": one}).with_overrides({"openai": two}).version
    )
    assert both.version != TABLE.version
    assert TABLE.with_overrides({}).version == TABLE.version


@pytest.mark.parametrize(
    ("prices", "place"),
    [
        ({"input": "-1", "output": 1}, "input: must be"),
        ({"input": "NaN", "output": 1}, "input: must be"),
        ({"input": 1, "output": 10_001}, "output: 10001 USD per million tokens is above 10000"),
        ({"input": 1}, "output: missing"),
        ({"input": 1, "output": 1, "cached": 1}, "cached: no such token class"),
    ],
)
def test_own_price_that_cannot_be_meant_is_refused_with_its_place(prices: dict[str, str | int], place: str) -> None:
    with pytest.raises(PriceError, match=rf"^prices\.openai\.gpt-5\.5\.{place}"):
        TABLE.with_overrides({"openai": {"gpt-5.5": prices}})


# LiteLLM's price map

LITELLM = {
    "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "claude-sonnet-4-5": {
        "litellm_provider": "anthropic",
        "max_input_tokens": 200_000,
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": "1.5e-05",
        "cache_read_input_token_cost": 3e-07,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "input_cost_per_token_batches": 1.5e-06,
        "output_cost_per_token_batches": 7.5e-06,
        "supports_vision": True,
    },
    "azure/gpt-4o": {"litellm_provider": "azure", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
    "azure/half": {"litellm_provider": "azure", "input_cost_per_token": 2.5e-06, "output_cost_per_token": None},
    "dall-e-3": {"litellm_provider": "openai", "output_cost_per_image": 0.04},
}


def test_litellm_floats_become_exact_integers_with_tiers_and_variants() -> None:
    found = from_litellm(LITELLM, "2026-11-22").lookup("anthropic", "claude-sonnet-4-5")
    assert found
    assert found.standard
    assert found.context_window == 200_000
    short, long = found.standard.rates_at(TODAY, 200_000), found.standard.rates_at(TODAY, 200_001)
    assert (short.input, short.cache_read, short.cache_write, short.cache_write_1h) == (
        3_000_000,
        300_000,
        3_750_000,
        6_000_000,
    )
    assert (short.output, short.reasoning) == (15_000_000, 15_000_000)
    assert (long.input, long.cache_read, long.output) == (6_000_000, 300_000, 22_500_000)
    batch = found.variants["batch"].rates_at(TODAY, 1)
    assert (batch.input, batch.output, batch.cache_read) == (1_500_000, 7_500_000, 300_000)


def test_f4_litellm_prices_of_sound_and_tiers_cost_what_one_computes_by_hand() -> None:
    entry = {
        "litellm_provider": "openai",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_audio_token": 4e-05,
        "cache_read_input_audio_token_cost": 2.5e-06,
        "output_cost_per_audio_token": 8e-05,
        "input_cost_per_token_flex": 1.25e-06,
        "output_cost_per_token_flex": 5e-06,
        "input_cost_per_token_priority": 4.25e-06,
    }
    found = from_litellm({"gpt-4o-audio": entry}, "2026-11-22").lookup("openai", "gpt-4o-audio")
    assert found is not None
    assert found.standard is not None
    usage = Usage(input=1_000, cache_read=400, output=300, audio_input=50, audio_cache_read=20, audio_output=70)
    cost = cost_nanousd(usage, found.standard.rates_at(TODAY, usage.input_total))
    assert cost == 2_500_000 + 500_000 + 3_000_000 + 2_000_000 + 50_000 + 5_600_000
    text = Usage(input=1_000, cache_read=400, output=300)
    flex, priority = (found.variants[tier].rates_at(TODAY, 1_400) for tier in ("flex", "priority"))
    assert cost_nanousd(text, flex) == 1_250_000 + 500_000 + 1_500_000
    assert cost_nanousd(text, priority) == 4_250_000 + 500_000 + 3_000_000


def test_litellm_names_are_found_with_and_without_the_provider() -> None:
    table = from_litellm(LITELLM, "2026-11-22")
    assert table.lookup("azure", "gpt-4o") == table.lookup("azure", "azure/gpt-4o")
    assert table.lookup("azure", "gpt-4o") is not None


def test_litellm_entries_without_both_prices_are_left_out() -> None:
    table = from_litellm(LITELLM, "2026-11-22")
    assert table.lookup("azure", "half") is None
    assert table.providers == ("anthropic", "azure")


@pytest.mark.parametrize("price", [-1e-06, float("nan"), 1.0, "cheap", [1]])
def test_litellm_price_that_cannot_be_meant_is_refused_with_its_place(price: object) -> None:
    broken = {"gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": price, "output_cost_per_token": 1e-05}}
    with pytest.raises(PriceError, match=r"^litellm\.gpt-4o\.input_cost_per_token: "):
        from_litellm(broken, "2026-11-22")


# The compiler on rules that the list may bring


def compiled(model: ModelInfo) -> PriceTable:
    provider = Provider(id="p", name="P", api_pattern="", models=[model])
    set_custom_snapshot(DataSnapshot(providers=[provider], from_auto_update=False))
    try:
        return PriceTable(compile_genai_prices("2026-11-22"))
    finally:
        set_custom_snapshot(None)


def flat(usd: int) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(usd), output_mtok=Decimal(usd))


def standard(model: ModelInfo) -> PriceSchedule:
    found = compiled(model).lookup("p", "m")
    assert found
    assert found.standard
    return found.standard


def input_usd_at(schedule: PriceSchedule, *moments: str) -> list[int]:
    seconds = [int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) for moment in moments]
    return [schedule.rates_at(second, 1).input // 1_000_000 for second in seconds]


def test_window_across_midnight_holds_on_both_sides_of_it() -> None:
    night = TimeOfDateConstraint(start_time=time(16, 30, tzinfo=UTC), end_time=time(0, 30, tzinfo=UTC))
    prices = [ConditionalPrice(prices=flat(2)), ConditionalPrice(constraint=night, prices=flat(1))]
    moments = (
        "2026-11-22T00:29:59",
        "2026-11-22T00:30:00",
        "2026-11-22T16:29:59",
        "2026-11-22T16:30:00",
        "2026-11-22T23:59:59",
    )
    assert input_usd_at(standard(ModelInfo("m", ClauseEquals("m"), prices=prices)), *moments) == [1, 2, 2, 1, 1]


def test_later_rule_of_the_list_wins_over_earlier_ones() -> None:
    noon = TimeOfDateConstraint(start_time=time(12, tzinfo=UTC), end_time=time(13, tzinfo=UTC))
    prices = [
        ConditionalPrice(prices=flat(1)),
        ConditionalPrice(constraint=noon, prices=flat(2)),
        ConditionalPrice(constraint=StartDateConstraint(date(2026, 12, 1)), prices=flat(3)),
    ]
    moments = (
        "2026-11-30T11:59:59",
        "2026-11-30T12:00:00",
        "2026-11-30T13:00:00",
        "2026-12-01T00:00:00",
        "2026-12-01T12:00:00",
    )
    assert input_usd_at(standard(ModelInfo("m", ClauseEquals("m"), prices=prices)), *moments) == [1, 2, 1, 3, 3]


def test_variant_with_prices_of_its_own_completes_them_from_the_standard() -> None:
    batch = PriceVariant(
        when={"processing": "batch"},
        prices=ModelPrice(input_mtok=Decimal(1)),
        constraint=StartDateConstraint(date(2026, 12, 1)),
    )
    found = compiled(ModelInfo("m", ClauseEquals("m"), prices=flat(2), price_variants=[batch])).lookup("p", "m")
    assert found
    assert set(found.variants) == {"batch"}
    assert input_usd_at(found.variants["batch"], "2026-11-30T23:59:59", "2026-12-01T00:00:00") == [2, 1]
    assert found.variants["batch"].rates_at(2**31, 1).output == 2_000_000


def test_tiers_of_different_classes_are_joined() -> None:
    price = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(2))]),
        output_mtok=TieredPrices(Decimal(5), [Tier(200, Decimal(6))]),
        cache_read_mtok=Decimal("0.1"),
    )
    schedule = standard(ModelInfo("m", ClauseEquals("m"), prices=price))
    rates = [schedule.rates_at(TODAY, length) for length in (100, 101, 200, 201)]
    assert [r.input for r in rates] == [1_000_000, 2_000_000, 2_000_000, 2_000_000]
    assert [r.output for r in rates] == [5_000_000, 5_000_000, 5_000_000, 6_000_000]
    assert {r.cache_read for r in rates} == {100_000}


def test_request_fee_is_charged_once() -> None:
    fee = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), requests_kcount=Decimal(12))
    rates = standard(ModelInfo("m", ClauseEquals("m"), prices=fee)).rates_at(TODAY, 1)
    assert cost_nanousd(Usage(input=1, output=1), rates) == 12_000_000 + 2_000


def test_rules_that_a_row_cannot_express_stop_the_compiler() -> None:
    abroad = time(1, tzinfo=timezone(timedelta(hours=8)))
    window = TimeOfDateConstraint(start_time=abroad, end_time=time(2, tzinfo=UTC))
    prices = [ConditionalPrice(prices=flat(2)), ConditionalPrice(constraint=window, prices=flat(1))]
    with pytest.raises(PriceError, match=r"^prices\.p\.m: .* no whole second in UTC"):
        compiled(ModelInfo("m", ClauseEquals("m"), prices=prices))
    nested = ClauseAnd([ClauseOr([ClauseStartsWith("a"), ClauseStartsWith("b")]), ClauseContains("c")])
    with pytest.raises(PriceError, match="nested too deeply"):
        compiled(ModelInfo("m", nested, prices=flat(1)))
