"""LiteLLM's settings in ours: what becomes of the files in `configs/`, and of whatever else is YAML."""

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routewright.catalog.sources import load_prices
from routewright.cli.trial import stand_ins, try_out
from routewright.errors import SettingsError
from routewright.migration.draft import Draft, Fate, Finding, as_toml
from routewright.migration.litellm import migrate
from routewright.migration.yaml_reading import read_yaml
from routewright.settings import load_settings
from routewright.settings.catalog import build_catalog

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.yaml"))
PRICES = load_prices()


def migrated(text: str) -> Draft:
    return migrate(read_yaml(text.encode(), "config.yaml"), "config.yaml", PRICES)


def config(name: str) -> Draft:
    return migrated((Path(__file__).parent / f"configs/{name}.yaml").read_text(encoding="utf-8"))


def toml(draft: Draft) -> Any:
    return tomllib.loads(as_toml(draft.settings))


def finding(draft: Draft, path: str) -> Finding:
    [found] = [each for each in draft.findings() if each.path == path and each.fate is not Fate.ADDED]
    return found


def leaves(value: object, path: str = "") -> list[str]:
    """The paths of all values, as PyYAML's own loader sees them."""
    if isinstance(value, dict) and value:
        return [leaf for name, below in value.items() for leaf in leaves(below, f"{path}.{name}")]
    if isinstance(value, list) and value:
        return [leaf for index, below in enumerate(value) for leaf in leaves(below, f"{path}[{index}]")]
    return [path.removeprefix(".")]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
async def test_result_is_valid_and_answers(path: Path) -> None:
    draft = config(path.stem)
    trial = await try_out(draft, as_toml(draft.settings))
    assert trial.models == len(draft.models) > 0
    assert trial.model in draft.models


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_leaf_is_told_once_with_its_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = [each for each in migrated(text).findings() if each.fate is not Fate.ADDED]
    assert sorted(each.path for each in told) == sorted(leaves(yaml.safe_load(text)))
    lines = text.splitlines()
    for each in told:
        name = each.path.rpartition(".")[2].partition("[")[0]
        assert name in lines[each.line - 1] or "[" in each.path.rpartition(".")[2]
        assert each.to or each.why
        assert "routewright does not know" not in each.why or each.path.endswith("some_new_key")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_secret_is_written_or_told(path: Path) -> None:
    draft = migrated(path.read_text(encoding="utf-8"))
    shown = as_toml(draft.settings) + "".join(f"{each.path}{each.to}{each.why}" for each in draft.findings())
    assert "VERYSECRET" not in shown
    assert "hunter2" not in shown


def test_every_secret_in_clear_is_warned_of() -> None:
    text = (Path(__file__).parent / "configs/secrets.yaml").read_text(encoding="utf-8")
    in_clear = {number for number, line in enumerate(text.splitlines(), start=1) if "VERYSECRET" in line}
    assert {each.line for each in config("secrets").findings() if each.is_secret} == in_clear


def test_keys_and_their_addresses_become_providers() -> None:
    draft = config("credentials_many")
    made = toml(draft)
    assert made["models"]["m"]["deployments"] == ["openai/gpt-4o", "openai_2/gpt-4o"]
    assert made["providers"]["openai"] == {"api_key": "env:TEAM_A"}
    assert made["providers"]["openai_2"] == {"base_url": "https://api.openai.com/v1", "api_key": "env:TEAM_B"}
    assert made["providers"]["together"]["api_key"] == "env:TOGETHERAI_API_KEY"
    assert made["providers"]["anthropic_compatible"]["base_url"] == "https://proxy.example"
    assert made["providers"]["anthropic_compatible"]["dialect"] == "anthropic_messages"


def test_two_secrets_never_share_a_variable() -> None:
    entry = "  - {model_name: MODEL, litellm_params: {model: openai/gpt-4o, KEY}}\n"
    keys = (
        "api_key: sk-a",
        "api_key: os.environ/OPENAI_API_KEY",
        "api_key: sk-b",
        "api_key: os.environ/OPENAI_3_API_KEY",
    )
    listed = "".join(entry.replace("MODEL", f"m{n}").replace("KEY", key) for n, key in enumerate(keys))
    made = toml(migrated(f"model_list:\n{listed}"))
    variables = [provider["api_key"] for provider in made["providers"].values()]
    assert variables == [
        "env:OPENAI_API_KEY_2",
        "env:OPENAI_API_KEY",
        "env:OPENAI_3_API_KEY_2",
        "env:OPENAI_3_API_KEY",
    ]


def test_a_key_that_comes_from_the_environment_is_left_there() -> None:
    in_clear = "{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-a}}"
    without = "{model_name: b, litellm_params: {model: openai/gpt-4o}}"
    providers = toml(migrated(f"model_list: [{in_clear}, {without}]"))["providers"]
    assert providers["openai"]["api_key"] == "env:OPENAI_API_KEY_2"
    assert providers["openai_2"]["api_key"] == "env:OPENAI_API_KEY"


def test_deployments_of_one_name_are_one_model_in_their_order() -> None:
    draft = config("azure_regions")
    made = toml(draft)
    places = ["openai/gpt-4o", "azure/gpt-4o-france", "azure_2/gpt-4o-sweden"]
    assert made["models"]["gpt-4o"]["deployments"] == places
    assert made["providers"]["azure_2"]["base_url"] == "https://sweden.example.openai.azure.com/openai/v1"
    assert made["providers"]["azure_2"]["concurrency"] == 40
    assert "base_url" not in made["providers"]["azure"]
    assert "ROUTEWRIGHT_PROVIDERS__AZURE__BASE_URL" in draft.variables
    assert made["policy"] == {
        "max_retry_attempts": 2,
        "response_timeout_ms": 20_000,
        "fallback_timeout_ms": 1500,
    }
    assert finding(draft, "model_list[0].litellm_params.rpm").fate is Fate.DROPPED


def test_fallbacks_are_one_list_and_aliases_are_followed() -> None:
    draft = config("fallbacks")
    made = toml(draft)
    assert made["models"]["small"]["fallbacks"] == ["large", "other"]
    assert made["models"]["large"]["fallbacks"] == ["other"]
    assert "fallbacks" not in made["models"]["other"]
    assert made["aliases"] == {"big": "large", "mini": "small"}
    assert finding(draft, "litellm_settings.fallbacks[0].small[1]").why == "there is no model of that name that answers"
    assert finding(draft, "router_settings.model_group_alias.gpt-5.5").fate is Fate.DROPPED


def test_what_the_old_file_does_not_offer_is_switched_off() -> None:
    made = toml(config("quickstart"))
    assert {name for name, model in made["models"].items() if model.get("enabled", True)} == {"gpt-4o", "claude-sonnet"}


def test_local_servers_need_no_price_and_no_key() -> None:
    made = toml(config("local"))
    assert made["providers"]["ollama"] == {"base_url": "http://localhost:11434/v1", "local": True}
    assert made["providers"]["openai_local"] == {"base_url": "http://127.0.0.1:9999/v1", "local": True}
    assert "openai" not in made["providers"]
    own = made["models"]["own"]
    assert own["context_window"] == own["max_output_tokens"] == 8192
    assert own["capabilities"] == ["tools", "json_schema"]
    assert own["tier"] == "bulk"


def test_prices_are_exact_or_left_to_the_table() -> None:
    draft = config("prices")
    models = toml(draft)["models"]
    assert models["fine-tuned"]["price"] == {"input": "0.3", "output": "1.2", "cache_read": "0.15"}
    assert models["fine-tuned"]["capabilities"] == ["tools", "vision", "json_schema", "reasoning"]
    assert "price" not in models["half"]
    assert "price" not in models["absurd"]
    assert finding(draft, "model_list[2].litellm_params.output_cost_per_token").fate is Fate.DROPPED
    assert "price" not in models["second"]
    assert models["third"]["price"].keys() == {"input", "output", "cache_read", "cache_write"}


@pytest.mark.parametrize(
    ("budget", "limit", "period"),
    [
        ("max_budget: 5\n  budget_duration: 1d", "5", "day"),
        ("max_budget: 5\n  budget_duration: 24h", "5", "day"),
        ("max_budget: 5\n  budget_duration: 7d", "5", "week"),
        ("max_budget: 5\n  budget_duration: 1w", "5", "week"),
        ("max_budget: 5\n  budget_duration: 30d", "5", "month"),
        ("max_budget: 5\n  budget_duration: 1mo", "5", "month"),
        ("max_budget: 5\n  budget_duration: 2h", "5", "day"),
        ("max_budget: 0.5\n  budget_duration: 90d", "0.16", "month"),
        ("max_budget: 5\n  budget_duration: soon", "5", "forever"),
        ("max_budget: 1e-6", "0.000001", "forever"),
    ],
)
def test_budget_never_lets_more_be_spent(budget: str, limit: str, period: str) -> None:
    made = toml(migrated(f"litellm_settings:\n  {budget}\n"))
    assert made["budgets"] == {"litellm": {"limit_usd": limit, "scope": "total", "period": period}}


def test_budgets_of_tags_and_models_have_names_of_their_own() -> None:
    draft = config("budgets")
    budgets = toml(draft)["budgets"]
    assert {name: budget["scope"] for name, budget in budgets.items()} == {
        "litellm": "total",
        "model-gpt-4o": "model:gpt-4o",
        "tag-product-chat-bot": "tag:product:chat-bot",
        "tag-product-chat-bot-2": "tag:product chat-bot",
        "tag-strange": "tag:strange",
    }
    assert finding(draft, "litellm_settings.tag_budget_config.broken.budget_duration").fate is Fate.DROPPED


def test_redis_is_one_address_and_by_reference_if_it_has_a_password() -> None:
    plain = toml(config("cache_redis"))
    assert plain["redis"]["url"] == "redis://redis.internal:6379"
    assert plain["cache"] == {"routes": ["all"], "store": "redis", "ttl_s": 600}
    assert toml(config("cache_password"))["redis"]["url"] == "env:REDIS_URL"


@pytest.mark.parametrize(
    ("params", "store"),
    [("{type: local}", "memory"), ("{type: disk, ttl: 5}", "sqlite"), ("{type: s3}", None),
     ("{mode: default_off}", None)],
)  # fmt: skip
def test_cache_is_kept_where_there_is_a_place_like_it(params: str, store: str | None) -> None:
    made = toml(migrated(f"litellm_settings: {{cache: true, cache_params: {params}}}"))
    assert made.get("cache", {}).get("store") == store
    assert "redis" not in made


def test_long_patience_makes_the_deadline_longer() -> None:
    policy = toml(config("enterprise"))["policy"]
    assert policy == {"response_timeout_ms": 6_000_000, "deadline_ms": 6_000_000}


def test_credential_of_the_list_is_put_where_it_is_named() -> None:
    made = toml(config("enterprise"))
    assert made["providers"] == {
        "openai_compatible": {"base_url": "https://gateway.example/openai/v1", "api_key": "env:MAIN_KEY"}
    }


@pytest.mark.parametrize("name", ["wildcards"])
def test_only_what_can_be_called_by_name_is_a_model(name: str) -> None:
    assert config(name).models == ["gpt-4o"]


def test_models_that_make_vectors_stay_so_and_have_no_fallbacks() -> None:
    made = toml(config("vectors"))
    assert made["models"]["embed"] == {"deployments": ["openai/text-embedding-3-small"], "embedding": True}
    assert made["models"]["by-name"]["embedding"] is True
    assert made["models"]["mixed"]["deployments"] == ["openai/gpt-4o"]
    assert made["models"]["mixed"]["fallbacks"] == ["other"]
    assert "voyage" not in made["models"]


def test_another_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="does not look like the settings of LiteLLM"):
        migrated("services: {web: {image: nginx}}")


NAMES = st.sampled_from(
    ["model_list", "litellm_settings", "router_settings", "general_settings", "environment_variables", "model_name",
     "credential_list", "credential_name", "credential_values", "litellm_credential_name", "litellm_params",
     "model_info",
     "model", "api_key", "api_base", "fallbacks", "model_group_alias", "default_fallbacks", "cache", "cache_params",
     "type", "host", "redis_host", "redis_port", "max_budget", "budget_duration", "tag_budget_config", "num_retries",
     "request_timeout", "timeout", "stream_timeout", "master_key", "alerting", "input_cost_per_token", "order", "mode",
     "output_cost_per_token", "max_tokens", "max_input_tokens", "supports_vision", "base_model", "custom_llm_provider",
     "max_parallel_requests", "openai/gpt-4o", "a b", "*", "ü\n", ""]
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["openai/gpt-4o", "azure/x", "anthropic/claude", "openai/", "gpt-4o", "auto", "os.environ/KEY",
                     "os.environ/", "https://h/v1", "http://localhost:1", "https://a:b@h", "redis", "slack", "1d",
                     "1e-6",
                     "9e99", "1" * 50, "embedding", "*"]),
)  # fmt: skip
TREES = st.recursive(
    VALUES,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=5)),
    max_leaves=25,
)
ENTRIES = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["gpt-4o", "small", "auto", "deepseek-v3", 'quo"te', "ü"]),
        "litellm_params": st.dictionaries(NAMES, VALUES, max_size=6).flatmap(
            lambda params: st.sampled_from(["openai/gpt-4o", "ollama/x", "azure/y", "claude-3"]).map(
                lambda model: {**params, "model": model}
            )
        ),
    },
    optional={"model_info": st.dictionaries(NAMES, VALUES, max_size=6)},
)
FILES = st.fixed_dictionaries(
    {"model_list": st.one_of(TREES, st.lists(ENTRIES, max_size=4))},
    optional={
        name: st.one_of(TREES, st.dictionaries(NAMES, TREES, max_size=6))
        for name in (
            "litellm_settings",
            "router_settings",
            "general_settings",
            "environment_variables",
            "credential_list",
        )
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(FILES)
def test_whatever_stands_there_every_leaf_is_told_once_and_the_loader_takes_the_result(tree: Any) -> None:
    root = read_yaml(yaml.safe_dump(tree, allow_unicode=True).encode(), "config.yaml")
    draft = migrate(root, "config.yaml", PRICES)
    told = [each.path for each in draft.findings() if each.fate is not Fate.ADDED]
    assert len(told) == len(list(root.leaves()))
    with TemporaryDirectory() as folder:
        (Path(folder) / "routewright.toml").write_text(as_toml(draft.settings), encoding="utf-8")
        environ = {"HOME": folder, **stand_ins(draft)}
        registry = build_catalog(load_settings(environ=environ, cwd=Path(folder)), prices=PRICES, simulate=True)
    assert set(draft.models) <= registry.models.keys()
