import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from desk import Desk
from routewright.catalog.registry import Capability, Tier
from routewright.errors import SettingsError
from routewright.secret import Secret
from routewright.settings import KeyStore, check_binding

BUILT_IN_MODELS = ["claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def mistakes_of(
    desk: Desk,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    config: Path | None = None,
) -> list[str]:
    """What loading is refused for, a mistake in each line, without the line that counts several."""
    with pytest.raises(SettingsError) as refused:
        desk.load(environ, flags, config)
    lines = str(refused.value).split("\n")
    return lines[1:] if lines[0].endswith(" mistakes in the settings:") else lines


def test_without_any_settings_everything_has_its_default(desk: Desk) -> None:
    settings = desk.load()
    assert (settings.server.host, settings.server.port, settings.server.drain_seconds) == ("127.0.0.1", 8484, 120)
    assert settings.server.max_body_bytes == 10 * 1024 * 1024
    assert settings.server_key is None
    policy = settings.policy
    assert (policy.name, policy.confidence_threshold, policy.max_retry_attempts) == ("default", 0.7, 2)
    assert (policy.batch_concurrency, policy.fallback_timeout_ms, policy.deadline_ms) == (5, 3000, 600_000)
    assert (policy.connect_timeout_ms, policy.idle_timeout_ms) == (3000, 30_000)
    assert (policy.cost_alert_nanousd, policy.baseline) == (100_000_000_000, None)
    assert policy.max_reply_bytes == 32 * 1024 * 1024
    assert settings.ledger.path == desk.home / ".local/share/routewright"
    assert {str(origin) for _, _, origin in settings.rows()} == {"default"}


def test_the_built_in_file_has_the_four_models(desk: Desk) -> None:
    models = {name: model for name, model in desk.load().models.items() if not model.needs_key}
    assert list(models) == BUILT_IN_MODELS
    assert [model.tier for model in models.values()] == [Tier.COMPLEX, Tier.STANDARD, Tier.STRUCTURED, Tier.BULK]
    assert [model.context_window for model in models.values()] == [1_000_000, 1_000_000, 1_000_000, 64_000]
    assert [model.max_output_tokens for model in models.values()] == [128_000, 128_000, 128_000, 8_192]
    prices = [(model.price.input, model.price.output) for model in models.values() if model.price]
    assert prices == [(5, 25), (3, 15), (3, 12), (Decimal("0.27"), Decimal("1.10"))]
    assert models["claude-opus-4.7"].capabilities == frozenset(Capability)
    assert models["deepseek-v3"].capabilities == {Capability.TOOLS}
    assert models["gpt-5.5"].fallbacks == ("claude-sonnet-4.6", "claude-opus-4.7")


def test_each_source_is_above_the_next(desk: Desk) -> None:
    def port(environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None) -> tuple[int, str]:
        settings = desk.load(environ, flags)
        return settings.server.port, str(settings.origin("server", "port"))

    assert port() == (8484, "default")
    desk.write_users("[server]\nport = 1\n")
    assert port() == (1, f"{desk.config}/routewright.toml:2")
    desk.write("\n[server]\nport = 2\n")
    assert port() == (2, "routewright.toml:3")
    environ = {"ROUTEWRIGHT_SERVER__PORT": "3"}
    assert port(environ) == (3, "environment ROUTEWRIGHT_SERVER__PORT")
    assert port(environ, {"server.port": 4}) == (4, "flag --port")
    assert port(environ, {"server.port": None}) == (3, "environment ROUTEWRIGHT_SERVER__PORT")


def test_sources_are_merged_key_by_key(desk: Desk) -> None:
    desk.write_users('[policy]\nname = "mine"\nbatch_concurrency = 7\n[providers.openai]\nconcurrency = 9\n')
    desk.write("[policy]\nbatch_concurrency = 8\n")
    settings = desk.load()
    assert (settings.policy.name, settings.policy.batch_concurrency) == ("mine", 8)
    openai = settings.providers["openai"]
    assert (openai.concurrency, openai.base_url) == (9, "https://api.openai.com/v1")


def test_a_file_named_on_the_command_line_is_read_in_place_of_the_projects(desk: Desk) -> None:
    desk.write("[server]\nport = 1\n")
    other = desk.home / "other.toml"
    other.write_text("[server]\nhost = 'localhost'\n")
    settings = desk.load(config=other)
    assert (settings.server.host, settings.server.port) == ("localhost", 8484)
    assert str(settings.origin("server", "host")) == f"{other}:2"
    assert list(settings.files) == [
        other,
        desk.config / "routewright.toml",
        desk.config / "keys.toml",
        settings.price_document,
    ]


def test_a_file_named_on_the_command_line_must_exist(desk: Desk) -> None:
    assert mistakes_of(desk, config=Path("no.toml")) == ["no.toml: there is no such file — check --config"]


def test_xdg_folders_are_respected_and_relative_ones_ignored(desk: Desk) -> None:
    desk.write_users("[server]\nport = 1\n")
    settings = desk.load({"XDG_CONFIG_HOME": str(desk.project), "XDG_DATA_HOME": "relative"})
    assert settings.server.port == 8484
    assert settings.ledger.path == desk.home / ".local/share/routewright"
    assert desk.project / "routewright" / "routewright.toml" in settings.files


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("ROUTING_CONFIDENCE", "0.8", "confidence_threshold", 0.8),
        ("ROUTING_MAX_RETRIES", "0", "max_retry_attempts", 0),
        ("BATCH_CONCURRENCY", "50", "batch_concurrency", 50),
        ("COST_ALERT_THRESHOLD", "0.10", "cost_alert_threshold", Decimal("0.10")),
    ],
)
def test_the_original_names_of_variables_still_count_below_our_own(
    desk: Desk, variable: str, text: str, key: str, value: object
) -> None:
    settings = desk.load({variable: text})
    assert getattr(settings.policy, key) == value
    assert str(settings.origin("policy", key)) == f"environment {variable}"
    ours = f"ROUTEWRIGHT_POLICY__{key.upper()}"
    assert str(desk.load({variable: text, ours: text}).origin("policy", key)) == f"environment {ours}"


def test_variables_hold_lists_truths_and_tables_of_tables(desk: Desk) -> None:
    settings = desk.load(
        {
            "ROUTEWRIGHT_MODELS__GPT-5.5__CAPABILITIES": "tools, vision",
            "ROUTEWRIGHT_MODELS__DEEPSEEK-V3__ENABLED": "false",
            "ROUTEWRIGHT_PROVIDERS__OLLAMA__BASE_URL": "http://box:11434/v1/",
        }
    )
    assert settings.models["gpt-5.5"].capabilities == {Capability.TOOLS, Capability.VISION}
    assert settings.models["deepseek-v3"].enabled is False
    assert settings.providers["ollama"].base_url == "http://box:11434/v1"


def test_a_variable_with_one_underscore_too_few_is_told_its_name(desk: Desk) -> None:
    environ = {"ROUTEWRIGHT_SERVER_PORT": "1", "ROUTEWRIGHT_OTHER": "x", "ROUTEWRIGHT_SERVER_API_KEY": "secret"}
    assert mistakes_of(desk, environ) == [
        "environment ROUTEWRIGHT_SERVER_PORT: the name of this setting is ROUTEWRIGHT_SERVER__PORT, "
        "with two underscores between section and key"
    ]


def test_all_mistakes_are_told_at_once_each_with_its_place(desk: Desk) -> None:
    desk.write(
        """\
[server]
prot = 1
[policy]
confidence_threshold = 1.7
  fallback_timeout_ms = "3 s"
tresholds = { a = 1, b = 2 }
[polcy]
a = 1
b = 2
[models."gpt-5.5"]
tier = "huge"
capabilities = ["tools", "telepathy"]
price = { input = -1, ouput = 2 }
[providers.openai]
dialect = "openai"
base_url = "ftp://host"
"""
    )
    environ = {"BATCH_CONCURRENCY": "0", "ROUTEWRIGHT_LEDGER__PATHS": "/x"}
    assert mistakes_of(desk, environ, flags={"server.port": 99999}) == [
        'unknown key "prot" in [server] (routewright.toml:2:1) — did you mean "port"?',
        "policy.confidence_threshold: 1.7 is not a number from 0 to 1 (routewright.toml:4:1)",
        'policy.fallback_timeout_ms: "3 s" is not a whole number from 1 to 86400000 (routewright.toml:5:3)',
        'unknown key "tresholds" in [policy] (routewright.toml:6:1)'
        ' — did you mean "cost_alert_threshold" or "confidence_threshold"?',
        'unknown key "polcy" at the top (routewright.toml:7:2) — did you mean "policy"?',
        'models."gpt-5.5".tier: "huge" is not "complex", "standard", "structured" or "bulk" (routewright.toml:11:1)',
        'models."gpt-5.5".capabilities: ["tools", "telepathy"] is not a list of "tools", "vision", "json_schema" or '
        '"reasoning" (routewright.toml:12:1)',
        'models."gpt-5.5".price.input: must be a finite number of at least 0, not -1 (routewright.toml:13:11)',
        'unknown key "ouput" in [models."gpt-5.5".price] (routewright.toml:13:23) — did you mean "output"?',
        'providers.openai.dialect: "openai" is not "openai_chat", "openai_responses", "anthropic_messages" or "gemini" '
        "(routewright.toml:15:1)",
        "providers.openai.base_url: 'ftp://host' is not an address; write it like \"https://api.openai.com/v1\" "
        "(routewright.toml:16:1)",
        'policy.batch_concurrency: "0" is not a whole number from 1 to 1000 (environment BATCH_CONCURRENCY)',
        'unknown key "paths" in [ledger] (environment ROUTEWRIGHT_LEDGER__PATHS) — did you mean "path"?',
        "server.port: 99999 is not a whole number from 0 to 65535 (flag --port)",
    ]


RANGES = [
    ("server.port", 0, 65535),
    ("server.max_body_bytes", 1024, 1024**3),
    ("server.drain_seconds", 0, 3600),
    ("policy.confidence_threshold", 0, 1),
    ("policy.max_retry_attempts", 0, 10),
    ("policy.batch_concurrency", 1, 1000),
    ("policy.fallback_timeout_ms", 1, 86_400_000),
    ("policy.response_timeout_ms", 1, 86_400_000),
    ("policy.deadline_ms", 1, 86_400_000),
    ("policy.connect_timeout_ms", 1, 86_400_000),
    ("policy.idle_timeout_ms", 1, 86_400_000),
    ("policy.max_reply_bytes", 1024, 1024**3),
    ("ledger.max_journal_bytes", 8 * 1024**2, 1024**4),
    ("drift.smallest_change", 0, 100),
]


@pytest.mark.parametrize(("key", "least", "most"), RANGES)
def test_the_ends_of_a_range_are_in_it_and_what_is_beyond_is_not(desk: Desk, key: str, least: int, most: int) -> None:
    section, _, name = key.partition(".")
    for value in (least, most):
        desk.write(f"{key} = {value}")
        assert getattr(getattr(desk.load(), section), name) == value
    for wrong in (str(least - 1), str(most + 1), "inf", "nan", "true", '"5"', "[1]", "2020-01-01"):
        desk.write(f"{key} = {wrong}")
        [mistake] = mistakes_of(desk)
        assert mistake.startswith(f"{key}: ")
        assert f" number from {least} to {most} (routewright.toml:1:" in mistake


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("server = 3", "server: 3 is not a table (routewright.toml:1:1)"),
        ("providers.x = []", "providers.x: [] is not a table (routewright.toml:1:11)"),
        ("server.port = {}", "server.port: a table is not a whole number from 0 to 65535 (routewright.toml:1:8)"),
        (
            "server.port.low = 1",
            "server.port: a table is not a whole number from 0 to 65535 (routewright.toml:1:13)",
        ),
        ("server.host = ''", 'server.host: "" is not a text of 1 to 100 characters (routewright.toml:1:8)'),
        (
            "policy.cost_alert_threshold = true",
            "policy.cost_alert_threshold: True is not an amount; write a number like 0.27 (routewright.toml:1:8)",
        ),
        ("polcy = {}", 'unknown key "polcy" at the top (routewright.toml:1:1) — did you mean "policy"?'),
        ("[a.b.c.d.e.f.g]", 'unknown key "a" at the top (routewright.toml:1:2)'),
    ],
)
def test_a_value_in_place_of_a_table_or_the_reverse_is_quoted(desk: Desk, line: str, said: str) -> None:
    desk.write(line)
    assert mistakes_of(desk) == [said]


def test_an_empty_section_says_nothing(desk: Desk) -> None:
    desk.write('[server]\n[providers]\n[models."gpt-5.5"]\n[models."gpt-5.5".price]\n')
    settings = desk.load()
    assert (settings.server.port, settings.names_catalog) == (8484, False)
    assert settings.models["gpt-5.5"].price is not None


def test_a_long_value_is_quoted_in_part(desk: Desk) -> None:
    desk.write(f'policy.name = "{"x" * 5000}"')
    [mistake] = mistakes_of(desk)
    assert len(mistake) < 200


def test_missing_keys_are_told_with_what_they_should_be(desk: Desk) -> None:
    desk.write(
        '[providers.mine]\nconcurrency = 1\n[models.x]\nprice.input = 1\n[models.y]\ndeployments = ["openai/y"]\n'
    )
    assert mistakes_of(desk) == [
        'providers.mine.base_url is missing; it is an address like "https://host/v1" (routewright.toml:2:1)',
        "models.x.price.output is missing; it is USD per million tokens, from 0 to 10000 (routewright.toml:4:7)",
    ]
    desk.write('[models.y]\ndeployments = ["openai/y", "y", "opnai/y"]\ncontext_window = 5\nmax_output_tokens = 6\n')
    assert mistakes_of(desk) == [
        'models.y: tier is missing; it is "complex", "standard", "structured" or "bulk" (routewright.toml:2:1)',
        "models.y.max_output_tokens: 6 tokens are more than the context window of 5, which holds input and output "
        "together (routewright.toml:4:1)",
        'models.y.deployments: "y" is not "provider/model" (routewright.toml:2:1)',
        'models.y.deployments: no provider is called "opnai" (routewright.toml:2:1) — did you mean "openai"?',
    ]


def test_names_that_routewright_needs_itself_or_cannot_say_are_refused(desk: Desk) -> None:
    desk.write(
        '[models.auto]\ntier = "bulk"\n[models."a b"]\ntier = "bulk"\n[providers.Big]\nbase_url = "http://h"\n'
        '[aliases]\n"auto:best" = "gpt-5.5"\n"gpt-5.5" = "deepseek-v3"\n'
    )
    assert mistakes_of(desk) == [
        "providers.Big: a name has small letters, digits, and _ . - between them (routewright.toml:6:1)",
        "models.auto: this name lets routewright choose; take another (routewright.toml:2:1)",
        'models."a b": a name has 1 to 100 characters and no spaces (routewright.toml:4:1)',
        'aliases."auto:best": this name lets routewright choose; take another (routewright.toml:8:1)',
        'aliases."gpt-5.5": there is a model of that name (routewright.toml:9:1)',
    ]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://user:sk-1@host/v1", "holds a password"),
        ("https://host/v1?key=1", "more than a host and a path"),
        ("https://host/ v1", "more than a host and a path"),
        ("https:///v1", "is not an address"),
        ("host:80", "is not an address"),
    ],
)
def test_addresses_hold_a_host_and_a_path_only(desk: Desk, address: str, problem: str) -> None:
    desk.write(f'providers.openai.base_url = "{address}"')
    [mistake] = mistakes_of(desk)
    assert problem in mistake
    assert "sk-1" not in mistake


def test_prices_are_exact_whether_quoted_or_not(desk: Desk) -> None:
    desk.write('[models."gpt-5.5"]\nprice = { input = 0.1, output = "0.3", cache_read = 1 }')
    price = desk.load().models["gpt-5.5"].price
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (Decimal("0.1"), Decimal("0.3"), Decimal(1))


def test_a_price_is_replaced_as_a_whole(desk: Desk) -> None:
    desk.write_users('[models."gpt-5.5"]\nprice = { input = 1, output = 2, cache_read = 3 }')
    desk.write('[models."gpt-5.5".price]\ninput = 4\noutput = 5\n')
    settings = desk.load()
    price = settings.models["gpt-5.5"].price
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (Decimal(4), Decimal(5), None)
    assert str(settings.origin("models", "gpt-5.5", "price", "cache_read")) == "default"
    desk.write('[models."gpt-5.5".price]\ninput = 4\n')
    assert 'models."gpt-5.5".price.output is missing' in mistakes_of(desk)[0]


@pytest.mark.parametrize("price", ["nan", "inf", "-0.1", "10001", "15000000", "0.0000001", "true", '"five"', "[]"])
def test_prices_that_cannot_be_meant_are_refused(desk: Desk, price: str) -> None:
    desk.write(f"[models.x.price]\ninput = {price}\noutput = 1")
    [mistake] = mistakes_of(desk)
    assert mistake.startswith("models.x.price.input: ")
    assert mistake.endswith(" (routewright.toml:2:1)")


@pytest.mark.parametrize("place", ["file", "environment", "flag"])
def test_a_literal_key_is_refused_everywhere_and_never_shown(desk: Desk, place: str) -> None:
    literal = "sk-live-0123456789"
    if place == "file":
        desk.write(f'[providers.openai]\napi_key = "{literal}"')
    environ = {"ROUTEWRIGHT_PROVIDERS__OPENAI__API_KEY": literal} if place == "environment" else {}
    flags = {"providers.openai.api_key": literal} if place == "flag" else {}
    [mistake] = mistakes_of(desk, environ, flags=flags)
    assert mistake.startswith(
        "providers.openai.api_key: a key itself must not stand in settings; run `routewright keys set openai` and "
        'write "keys:openai" here, or write "env:VARIABLE" ('
    )
    assert literal not in mistake


def test_keys_come_from_the_environment_or_the_store_and_are_not_in_what_is_shown(desk: Desk) -> None:
    store = desk.config / "keys.toml"
    store.write_text('mine = "sk-stored"\nanthropic = "sk-anthropic"\n')
    store.chmod(0o600)
    desk.write(
        '[providers.mine]\nbase_url = "https://h"\napi_key = "keys:mine"\n'
        '[providers.other]\nbase_url = "https://h"\napi_key = "${OTHER}"\n'
    )
    settings = desk.load({"OPENAI_API_KEY": "sk-openai", "OTHER": "sk-other"})
    assert settings.keys == {
        "openai": Secret("sk-openai"),
        "anthropic": Secret("sk-anthropic"),  # no variable, but a key is stored under the provider's name
        "mine": Secret("sk-stored"),
        "other": Secret("sk-other"),
    }
    assert "sk-" not in f"{settings!r}{list(settings.rows())}"
    assert ("providers.other.api_key", "env:OTHER") in [row[:2] for row in settings.rows()]


def test_a_provider_whose_key_is_missing_is_unusable_with_the_reason(desk: Desk) -> None:
    desk.write('[providers.mine]\nbase_url = "https://h"\napi_key = "env:MINE"\n')
    settings = desk.load({"OPENAI_API_KEY": "sk-1"})
    assert settings.unusable["mine"] == "the environment variable MINE is not set"
    assert settings.unusable["anthropic"] == (
        "the environment variable ANTHROPIC_API_KEY is not set (or run `routewright keys set anthropic`)"
    )
    assert "openai" not in settings.unusable
    assert "ollama" not in settings.unusable


def test_loose_permissions_of_the_stored_keys_stop_the_start(desk: Desk) -> None:
    (desk.config / "keys.toml").write_text('openai = "sk-1"\n')
    (desk.config / "keys.toml").chmod(0o644)
    assert "can be read or changed by others (mode 0644)" in mistakes_of(desk)[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.example.com"])
def test_an_open_host_without_a_key_is_refused_with_the_command_that_fixes_it(desk: Desk, host: str) -> None:
    desk.write(f'[server]\nhost = "{host}"')
    settings = desk.load()
    with pytest.raises(SettingsError) as refused:
        check_binding(settings, has_keys=False)
    assert refused.value.message == (
        f'server.host: "{host}" is open to other machines, and without a key everyone there could spend your money '
        "(routewright.toml:2:1)"
    )
    assert "`routewright keys create NAME`" in (refused.value.hint or "")
    assert "ROUTEWRIGHT_SERVER__API_KEY=keys:server" in (refused.value.hint or "")
    check_binding(settings, has_keys=True)
    environ = {"ROUTEWRIGHT_SERVER__API_KEY": "env:DOOR", "DOOR": "secret"}
    assert desk.load(environ).server_key == Secret("secret")
    check_binding(desk.load(environ), has_keys=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(desk: Desk, host: str) -> None:
    check_binding(desk.load(flags={"server.host": host}), has_keys=False)


def test_a_server_key_that_is_asked_for_but_missing_stops_the_start(desk: Desk) -> None:
    desk.write('server.api_key = "env:DOOR"')
    assert mistakes_of(desk) == ["server.api_key: the environment variable DOOR is not set"]


def test_the_secret_of_virtual_keys_is_a_reference_and_must_be_there(desk: Desk) -> None:
    assert desk.load().access_secret is None
    desk.write('access.secret = "env:ROUTEWRIGHT_ACCESS_SECRET"')
    assert mistakes_of(desk) == ["access.secret: the environment variable ROUTEWRIGHT_ACCESS_SECRET is not set"]
    assert desk.load({"ROUTEWRIGHT_ACCESS_SECRET": "s" * 32}).access_secret == Secret("s" * 32)


def test_alerts_go_nowhere_unless_that_is_set(desk: Desk) -> None:
    settings = desk.load()
    assert (settings.webhook, settings.slack_webhook) == (None, None)


def test_alerts_go_to_a_plain_address_or_one_that_is_kept_elsewhere(desk: Desk) -> None:
    desk.write('[alerts]\nwebhook = "http://127.0.0.1:9/alerts"\nslack_webhook = "env:SLACK"\n')
    settings = desk.load({"SLACK": "https://hooks.slack.com/services/T/B/x"})
    assert settings.webhook == Secret("http://127.0.0.1:9/alerts")
    assert settings.slack_webhook == Secret("https://hooks.slack.com/services/T/B/x")
    assert "hooks.slack.com" not in str(list(settings.rows()))
    desk.write('alerts.webhook = "keys:hook"\n')
    KeyStore(desk.config / "keys.toml").set("hook", Secret("https://example.com/a?token=1"))
    assert desk.load().webhook == Secret("https://example.com/a?token=1")


@pytest.mark.parametrize(
    ("written", "environ", "mistake"),
    [
        ('slack_webhook = "env:SLACK"', {}, "alerts.slack_webhook: the environment variable SLACK is not set"),
        ('webhook = "env:HOOK"', {"HOOK": "secret"}, "alerts.webhook: what env:HOOK holds is not an address"),
        (
            'webhook = "https://example.com/a?token=secret"',
            {},
            "alerts.webhook: is not a plain address; if it holds a token, give it by reference (routewright.toml:2:1)",
        ),
    ],
)
def test_an_alert_that_could_not_be_sent_is_a_mistake_that_shows_no_secret(
    desk: Desk, written: str, environ: Mapping[str, str], mistake: str
) -> None:
    desk.write(f"[alerts]\n{written}\n")
    assert mistakes_of(desk, environ) == [mistake]


@pytest.mark.parametrize("value", ["https://hooks.slack.com/services/T/B/secret", "secret", 7])
def test_the_address_in_slack_stands_elsewhere(desk: Desk, value: object) -> None:
    desk.write(f"alerts.slack_webhook = {json.dumps(value)}\n")
    (mistake,) = mistakes_of(desk)
    assert mistake.startswith("alerts.slack_webhook: a key itself must not stand in settings")
    assert "secret" not in mistake


def test_local_servers_are_looked_for_until_the_settings_name_a_catalog(desk: Desk) -> None:
    assert list(desk.load().local_servers) == ["ollama", "llamacpp", "lmstudio", "vllm"]
    desk.write("[server]\nport = 1\n")
    assert len(desk.load().local_servers) == 4
    desk.write('[models."gpt-5.5"]\nenabled = false\n')
    assert desk.load().local_servers == {}
    desk.write('[models."gpt-5.5"]\nenabled = false\n[providers.ollama]\nlocal = true\n')
    assert desk.load().local_servers == {"ollama": "http://127.0.0.1:11434/v1"}


def test_answers_are_kept_in_redis_only_if_there_is_one(desk: Desk) -> None:
    desk.write('[cache]\nroutes = ["all"]\nstore = "redis"\n')
    with pytest.raises(SettingsError, match=r'cache\.store: "redis" needs .* set redis\.url \(routewright\.toml:3:1\)'):
        desk.load()
    assert desk.load(flags={"redis.url": "redis://localhost"}).cache.store == "redis"


def test_rows_show_every_value_plainly_with_its_origin(desk: Desk) -> None:
    desk.write(
        '[ledger]\npath = "books"\n[models."gpt-5.5"]\ncapabilities = ["vision", "tools"]\n[aliases]\ng = "gpt-5.5"\n'
    )
    rows = {key: (value, str(origin)) for key, value, origin in desk.load().rows()}
    assert rows["server.port"] == (8484, "default")
    assert rows["ledger.path"] == ("books", "routewright.toml:2")
    assert rows['models."gpt-5.5".capabilities'] == (["tools", "vision"], "routewright.toml:4")
    assert rows['models."gpt-5.5".price.output'] == ("12", "default")
    assert rows["aliases.g"] == ("gpt-5.5", "routewright.toml:6")
    assert "server.api_key" not in rows


def test_reading_settings_brings_neither_an_event_loop_nor_a_user_interface() -> None:
    program = "import sys, routewright.settings; print({'asyncio', 'click', 'rich', 'uvicorn'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
