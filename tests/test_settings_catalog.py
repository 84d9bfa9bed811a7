import json
from decimal import Decimal
from pathlib import Path

import pytest

from desk import Desk
from routewright.catalog.compile import write_document
from routewright.catalog.pricing import Price
from routewright.catalog.registry import Capability, Registry, Tier
from routewright.catalog.sources import PriceTable, load_prices
from routewright.detection import Found, FoundModel, FoundServer
from routewright.errors import SettingsError
from routewright.secret import Secret
from routewright.settings import Settings
from routewright.settings.catalog import build_catalog, prices_of

KNOWS_NOTHING = PriceTable(write_document("nothing", "2026-01-01", []))
LLAMA = Found((FoundServer("ollama", (FoundModel("llama3:8b"), FoundModel("qwen3", 40_960))),))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def deployments(registry: Registry) -> dict[str, list[str]]:
    return {name: [place.id for place in model.deployments] for name, model in registry.models.items()}


def refusal(settings: Settings) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        build_catalog(settings)
    return refused.value


def test_with_nothing_there_all_models_answer_from_the_simulator(desk: Desk) -> None:
    registry = build_catalog(desk.load())
    assert deployments(registry) == {
        "claude-opus-4.7": ["simulator/claude-opus-4.7"],
        "claude-sonnet-4.6": ["simulator/claude-sonnet-4.6"],
        "gpt-5.5": ["simulator/gpt-5.5"],
        "deepseek-v3": ["simulator/deepseek-v3"],
    }
    [opus] = registry.models["claude-opus-4.7"].deployments
    [gpt] = registry.models["gpt-5.5"].deployments
    assert (opus.base_url, opus.dialect, opus.key) == ("simulator:", "anthropic_messages", None)
    assert (gpt.base_url, gpt.dialect) == ("simulator:", "openai_chat")


def test_a_key_brings_its_own_provider_only(desk: Desk) -> None:
    registry = build_catalog(desk.load({"ANTHROPIC_API_KEY": "sk-1"}))
    assert deployments(registry) == {
        "claude-opus-4.7": ["anthropic/claude-opus-4-7"],
        "claude-sonnet-4.6": ["anthropic/claude-sonnet-4-6"],
        "gpt-5.5": [],
        "deepseek-v3": [],
    }
    [opus] = registry.models["claude-opus-4.7"].deployments
    assert (opus.dialect, opus.base_url, opus.upstream_model, opus.key) == (
        "anthropic_messages",
        "https://api.anthropic.com",
        "claude-opus-4-7",
        Secret("sk-1"),
    )
    assert registry.order["claude-opus-4.7"] == ("claude-opus-4.7", "gpt-5.5", "claude-sonnet-4.6")


def test_deployments_are_tried_as_listed(desk: Desk) -> None:
    registry = build_catalog(desk.load({"OPENAI_API_KEY": "sk-1", "OPENROUTER_API_KEY": "sk-2"}))
    assert deployments(registry)["gpt-5.5"] == ["openai/gpt-5.5", "openrouter/openai/gpt-5.5"]
    assert deployments(registry)["deepseek-v3"] == ["openrouter/deepseek/deepseek-chat"]


def test_simulation_can_be_asked_for_although_there_are_keys(desk: Desk) -> None:
    registry = build_catalog(desk.load({"OPENAI_API_KEY": "sk-1"}), LLAMA, simulate=True)
    assert list(registry.models) == ["claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3"]
    assert all(place.base_url == "simulator:" and place.key is None for place in registry.deployments.values())


def test_prices_are_those_of_the_table_which_is_named(desk: Desk) -> None:
    table = load_prices()
    models = build_catalog(desk.load()).models
    for name, provider, upstream in (
        ("claude-opus-4.7", "anthropic", "claude-opus-4-7"),
        ("claude-sonnet-4.6", "anthropic", "claude-sonnet-4-6"),
        ("gpt-5.5", "openai", "gpt-5.5"),
        ("deepseek-v3", "deepseek", "deepseek-chat"),
    ):
        listed = table.lookup(provider, upstream)
        assert listed is not None
        assert (models[name].prices, models[name].context_window) == (listed.standard, listed.context_window)
        assert models[name].origins == {
            "tier": "built-in",
            "context_window": table.source,
            "max_output_tokens": "built-in",
            "price": table.source,
        }
        assert len(models[name].price_version) == 12


def test_a_model_that_the_table_does_not_know_has_the_built_in_price(desk: Desk) -> None:
    models = build_catalog(desk.load(), prices=KNOWS_NOTHING).models
    assert [model.prices.prices for model in models.values() if model.prices] == [
        (Price(input=5_000_000, output=25_000_000),),
        (Price(input=3_000_000, output=15_000_000),),
        (Price(input=3_000_000, output=12_000_000),),
        (Price(input=270_000, output=1_100_000),),
    ]
    assert models["deepseek-v3"].context_window == 64_000
    assert models["deepseek-v3"].origins["price"] == "built-in"


def test_what_the_operator_says_is_above_the_table(desk: Desk) -> None:
    desk.write(
        '[models."gpt-5.5"]\ncontext_window = 50_000\nfirst_event_timeout_ms = 1500\n'
        'price = { input = "0.1", cache_read = 0.000001, output = 0.3 }\n'
    )
    model = build_catalog(desk.load(), simulate=True).models["gpt-5.5"]
    assert model.prices is not None
    assert model.prices.prices == (Price(input=100_000, cache_read=1, output=300_000),)
    assert model.origins == {
        "tier": "built-in",
        "context_window": "routewright.toml:2",
        "max_output_tokens": "built-in",
        "price": "routewright.toml:4",
    }
    assert model.context_window == model.max_output_tokens == 50_000  # the built-in limit of output is clipped
    assert model.first_event_timeout_s == 1.5


def test_the_price_version_tells_prices_apart(desk: Desk) -> None:
    def version(price: str) -> str:
        desk.write(f'[models."gpt-5.5"]\nprice = {{ input = {price}, output = 1 }}\n')
        return build_catalog(desk.load(), simulate=True).models["gpt-5.5"].price_version

    assert version("1") == version('"1.0"') != version("2")


def test_a_model_of_ones_own_takes_its_facts_from_the_table(desk: Desk) -> None:
    desk.write('[models.flash]\ntier = "bulk"\ndeployments = ["gemini/gemini-2.5-flash"]\n')
    model = build_catalog(desk.load({"GEMINI_API_KEY": "sk-1"})).models["flash"]
    assert (model.context_window, model.max_output_tokens) == (1_048_576, 8192)
    assert model.prices is not None
    assert model.capabilities == frozenset()


def test_a_model_that_nobody_knows_needs_a_window_and_has_no_price(desk: Desk) -> None:
    desk.write('[models.odd]\ntier = "bulk"\ndeployments = ["groq/odd-1"]\n')
    settings = desk.load({"GROQ_API_KEY": "sk-1"})
    assert refusal(settings).message == (
        "models.odd.context_window is missing, and the price table does not know it either; "
        "it is the number of tokens of input and output together (routewright.toml:2:1)"
    )
    desk.write('[models.odd]\ntier = "bulk"\ndeployments = ["groq/odd-1"]\ncontext_window = 1000\n')
    model = build_catalog(desk.load({"GROQ_API_KEY": "sk-1"})).models["odd"]
    assert (model.prices, model.price_version, model.origins["price"]) == (None, "unpriced", "unknown")
    assert model.max_output_tokens == 500


def test_found_models_are_free_and_do_bulk_work(desk: Desk) -> None:
    registry = build_catalog(desk.load(), LLAMA)
    llama, qwen = registry.models["llama3:8b"], registry.models["qwen3"]
    assert [place.base_url for place in llama.deployments] == ["http://127.0.0.1:11434/v1"]
    assert (llama.tier, llama.context_window, llama.max_output_tokens) == (Tier.BULK, 8192, 4096)
    assert (qwen.context_window, qwen.max_output_tokens) == (40_960, 8192)
    assert llama.prices is not None
    assert llama.prices.prices == (Price(input=0, output=0),)
    assert llama.origins == {
        "tier": "built-in",
        "context_window": "assumed",
        "max_output_tokens": "assumed",
        "price": "local server",
    }
    assert qwen.origins["context_window"] == "the server"
    assert [model.name for model in registry.in_tier(Tier.BULK)] == ["llama3:8b", "qwen3"]
    assert not any(place.provider == "simulator" for place in registry.deployments.values())


def test_a_section_of_its_name_changes_a_found_model(desk: Desk) -> None:
    desk.write(
        '[providers.ollama]\nlocal = true\n[models.qwen3]\ntier = "complex"\ncapabilities = ["tools"]\n'
        '[models."llama3:8b"]\nenabled = false\n'
    )
    registry = build_catalog(desk.load(), LLAMA)
    qwen = registry.models["qwen3"]
    assert (qwen.tier, qwen.context_window, list(qwen.capabilities)) == (Tier.COMPLEX, 40_960, [Capability.TOOLS])
    assert deployments(registry)["qwen3"] == ["ollama/qwen3"]
    assert "llama3:8b" not in registry.models


def test_found_models_of_one_name_are_told_apart_by_provider(desk: Desk) -> None:
    found = Found(
        (
            FoundServer("ollama", (FoundModel("qwen3"), FoundModel("gpt-5.5"))),
            FoundServer("vllm", (FoundModel("qwen3"), FoundModel("auto"))),
        )
    )
    assert deployments(build_catalog(desk.load(), found)) == {
        "claude-opus-4.7": [],
        "claude-sonnet-4.6": [],
        "gpt-5.5": [],
        "deepseek-v3": [],
        "qwen3": ["ollama/qwen3"],
        "ollama/gpt-5.5": ["ollama/gpt-5.5"],
        "vllm/qwen3": ["vllm/qwen3"],
        "vllm/auto": ["vllm/auto"],
    }


def test_a_model_that_is_switched_off_leaves_the_built_in_lists(desk: Desk) -> None:
    desk.write('[models."gpt-5.5"]\nenabled = false\n')
    registry = build_catalog(desk.load({"ANTHROPIC_API_KEY": "sk-1"}))
    assert "gpt-5.5" not in registry.models
    assert registry.models["claude-opus-4.7"].fallbacks == ("claude-sonnet-4.6",)


def test_names_of_models_that_do_not_exist_are_told_together(desk: Desk) -> None:
    desk.write(
        '[policy]\nbaseline = "gpt-5"\n[models."gpt-5.5"]\nenabled = false\n'
        '[models."deepseek-v3"]\nfallbacks = ["gpt-5.5"]\n[aliases]\nfast = "slow"\nslow = "deepseek-v4"\n'
        '[budgets.dear]\nscope = "model:claude-opus-4"\nlimit_usd = 1\n'
        '[budgets.off]\nscope = "model:gpt-5.5"\nlimit_usd = 1\n'
        '[cache]\nroutes = ["all", "bulk", "gpt-5.5", "standrad"]\n'
    )
    assert refusal(desk.load({"ANTHROPIC_API_KEY": "sk-1"})).message.split("\n") == [
        "5 mistakes in the settings:",
        'models.deepseek-v3.fallbacks: no model is called "gpt-5.5" (routewright.toml:6:1)',
        'policy.baseline: no model is called "gpt-5" (routewright.toml:2:1)',
        'cache.routes: no model is called "standrad" (routewright.toml:17:1) — did you mean "standard"?',
        'aliases.slow: no model is called "deepseek-v4" (routewright.toml:9:1) — did you mean "deepseek-v3"?',
        'budgets.dear.scope: no model is called "claude-opus-4" (routewright.toml:11:1)'
        ' — did you mean "claude-opus-4.7"?',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[aliases]\na = "b"\nb = "a"', "aliases.a: a → b → a goes in a circle (routewright.toml:2:1)"),
        (
            '[models."gpt-5.5"]\nfallbacks = ["gpt-5.5"]',
            "models.gpt-5.5.fallbacks: gpt-5.5 → gpt-5.5 leads nowhere else (routewright.toml:2:1)",
        ),
    ],
)
def test_circles_are_told_with_their_place(desk: Desk, text: str, said: str) -> None:
    desk.write(text)
    assert refusal(desk.load({"OPENAI_API_KEY": "sk-1"})).message == said


def test_a_missing_key_leaves_out_one_provider_and_the_rest_starts(desk: Desk) -> None:
    desk.write(
        '[providers.mine]\nbase_url = "https://h/v1"\napi_key = "env:MINE"\nconcurrency = 3\n'
        '[models.m]\ntier = "standard"\ncontext_window = 9000\ndeployments = ["mine/m", "openai/gpt-5.5"]\n'
    )
    assert deployments(build_catalog(desk.load({"OPENAI_API_KEY": "sk-1"})))["m"] == ["openai/gpt-5.5"]
    registry = build_catalog(desk.load({"MINE": "sk-2"}))
    assert deployments(registry)["m"] == ["mine/m"]
    assert registry.deployments["mine/m"].concurrency == 3


def test_the_start_fails_with_all_reasons_when_nothing_can_be_called(desk: Desk) -> None:
    desk.write('[models."deepseek-v3"]\nenabled = false\n')
    error = refusal(desk.load())
    assert error.message.split("\n") == [
        "no model can be called",
        "anthropic: the environment variable ANTHROPIC_API_KEY is not set (or run `routewright keys set anthropic`)",
        "openrouter: the environment variable OPENROUTER_API_KEY is not set (or run `routewright keys set openrouter`)",
        "openai: the environment variable OPENAI_API_KEY is not set (or run `routewright keys set openai`)",
        "gemini: the environment variable GEMINI_API_KEY is not set, nor is GOOGLE_API_KEY "
        "(or run `routewright keys set gemini`)",
    ]
    assert error.hint == "set one of these keys, or try `routewright demo`, which needs none"


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_a_key_of_google_is_enough_to_start(desk: Desk, variable: str) -> None:
    registry = build_catalog(desk.load({variable: "sk-1"}))
    able = {name: model for name, model in registry.models.items() if model.deployments}
    assert all(name.startswith("gemini-") for name in able)
    assert {model.tier for model in able.values()} == set(Tier)
    for model in able.values():
        [place] = model.deployments
        assert (place.dialect, place.key and place.key.reveal()) == ("gemini", "sk-1")
        assert place.base_url == "https://generativelanguage.googleapis.com/v1beta"
        assert model.prices is not None
        assert model.origins["price"] == "genai-prices 0.2.3"
        assert model.context_window >= 1_000_000


def test_a_model_that_needs_a_key_is_not_there_without_one(desk: Desk) -> None:
    assert not any(name.startswith("gemini-") for name in build_catalog(desk.load(), simulate=True).models)
    simulated = build_catalog(desk.load({"GEMINI_API_KEY": "sk-1"}), simulate=True)
    assert simulated.models["gemini-3.8-flash"].deployments[0].base_url == "simulator:"
    assert simulated.models["gemini-3.8-flash"].deployments[0].dialect == "gemini"


def test_a_key_without_a_model_says_what_to_add(desk: Desk) -> None:
    error = refusal(desk.load({"MISTRAL_API_KEY": "sk-1"}))
    assert error.message.split("\n")[1] == "mistral: there is a key, but no model is deployed there"
    assert error.hint == (
        'add [models."NAME"] with tier = "standard" and deployments = ["mistral/NAME"] to routewright.toml'
    )


def test_the_version_of_the_registry_does_not_depend_on_keys_but_on_prices(desk: Desk) -> None:
    first = build_catalog(desk.load({"OPENAI_API_KEY": "sk-1"}))
    second = build_catalog(desk.load({"OPENAI_API_KEY": "sk-2"}))
    dearer = load_prices().with_overrides({"openai": {"gpt-5.5": {"input": Decimal(9), "output": Decimal(9)}}})
    third = build_catalog(desk.load({"OPENAI_API_KEY": "sk-1"}), prices=dearer)
    assert first.version == second.version != third.version


PLACES = """
[providers.acme]
base_url = "https://acme.example/v1"
api_key = "env:ACME"
[providers.dear]
base_url = "https://dear.example/v1"
api_key = "env:DEAR"
[models.swift]
tier = "bulk"
deployments = ["acme/swift", "dear/swift"]
context_window = 1000
"""


def listing(**prices: int) -> PriceTable:
    return PriceTable(
        write_document(
            "list",
            "2026-11-01",
            (
                (
                    {"id": provider},
                    [
                        {
                            "id": "swift",
                            "standard": [[{"input": price, "output": price}]],
                            "variants": {"flex": [[{"input": price // 2, "output": price // 2}]]},
                        }
                    ],
                )
                for provider, price in prices.items()
            ),
        )
    )


def test_a_place_with_another_price_has_its_own_and_tiers_come_with_the_price(desk: Desk) -> None:
    desk.write(PLACES)
    settings = desk.load({"ACME": "k", "DEAR": "k"})
    model = build_catalog(settings, prices=listing(acme=10, dear=30)).models["swift"]
    first, second = model.deployments
    assert model.tariff is not None
    assert model.tariff.variants["flex"].prices[0].input == 5
    assert (first.tariff, first.price_version) == (None, "")
    assert second.tariff is not None
    assert second.tariff.standard.prices[0].input == 30
    assert second.price_version not in ("", model.price_version)


def test_where_the_price_is_the_same_or_the_operators_own_no_place_has_another(desk: Desk) -> None:
    desk.write(PLACES)
    same = build_catalog(desk.load({"ACME": "k", "DEAR": "k"}), prices=listing(acme=10, dear=10)).models["swift"]
    desk.write(PLACES + 'price = { input = "1", output = "2", audio_input = "7" }\n')
    own = build_catalog(desk.load({"ACME": "k", "DEAR": "k"}), prices=listing(acme=10, dear=30)).models["swift"]
    assert [place.tariff for place in (*same.deployments, *own.deployments)] == [None] * 4
    assert own.prices is not None
    assert own.variants == {}
    assert own.prices.prices[0].audio_input == 7_000_000


def test_the_price_document_is_the_one_named_else_the_one_beside_the_ledger_else_the_bundled_one(desk: Desk) -> None:
    desk.write("")
    assert prices_of(desk.load()).version == load_prices().version
    settings = desk.load()
    settings.price_document.parent.mkdir(parents=True, exist_ok=True)
    settings.price_document.write_bytes(listing(acme=1).document)
    assert prices_of(desk.load()).version == listing(acme=1).version
    named = desk.home / "named.json"
    named.write_bytes(listing(acme=2).document)
    desk.write(f'[prices]\ndocument = "{named}"\n')
    assert prices_of(desk.load()).version == listing(acme=2).version
    assert named in desk.load().files


def test_a_price_document_that_is_named_and_missing_or_no_such_thing_is_refused(desk: Desk) -> None:
    named = desk.home / "named.json"
    desk.write(f'[prices]\ndocument = "{named}"\n')
    with pytest.raises(SettingsError, match=r"prices\.document: cannot read .*routewright\.toml:2"):
        prices_of(desk.load())
    named.write_text("{}")
    with pytest.raises(SettingsError, match="damaged"):
        prices_of(desk.load())
    models = [{"id": "fast", "match": ["~(a+"]}]
    named.write_text(json.dumps({"source": "s", "date": "d", "providers": [{"id": "acme", "models": models}]}))
    with pytest.raises(SettingsError, match=r"named\.json: prices\.acme\.fast: the pattern '\(a\+' cannot .*:2"):
        prices_of(desk.load())
