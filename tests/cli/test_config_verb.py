import json
from pathlib import Path

from terminal import Terminal

SETTINGS = """
[policy]
confidence_threshold = 0.8

[providers.acme]
base_url = "https://acme.example/v1"

[models.swift]
tier = "bulk"
deployments = ["acme/swift"]
context_window = 1000
price = { input = "1", output = "2" }
"""


def test_check_tells_what_was_read_and_what_can_be_called(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    result = terminal.run("config", "check")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"✓ the settings are valid: read from {tmp_path}/routewright.toml; ")
    assert json.loads(terminal.run("config", "check", "--json").stdout)["valid"] is True


def test_check_tells_all_mistakes_at_once(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings("[server]\nport = 99999\n[policy]\nbaseline = 3\n")
    result = terminal.run("config", "check")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "routewright.toml:2:1" in result.stderr
    assert "routewright.toml:4:1" in result.stderr


def test_show_tells_where_each_value_comes_from(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    environ = {"ROUTEWRIGHT_SERVER__PORT": "9000"}
    result = terminal.run("config", "show", "--origin", "--set", "policy.max_retry_attempts=1", environ=environ)
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}
    assert rows["policy.confidence_threshold"] == ["0.8", "routewright.toml:3"]
    assert rows["server.port"] == ["9000", "environment ROUTEWRIGHT_SERVER__PORT"]
    assert rows["policy.max_retry_attempts"][0] == "1"
    assert rows["policy.max_retry_attempts"][1].startswith("flag ")
    assert rows["server.host"] == ['"127.0.0.1"', "default"]


def test_show_as_json_has_values_and_if_asked_origins(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    plain = json.loads(terminal.run("config", "show", "--json").stdout)
    assert plain["policy.confidence_threshold"] == 0.8
    with_origin = json.loads(terminal.run("config", "show", "--json", "--origin").stdout)
    assert with_origin["policy.confidence_threshold"] == {"value": 0.8, "origin": "routewright.toml:3"}


def test_show_with_origin_tells_what_models_cost_and_who_says_so(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings('[models."gpt-5.5".price]\ninput = "4.5"\noutput = "27"\n')
    shown = terminal.run("config", "show", "--json", "--origin", environ={"OPENAI_API_KEY": "sk-test"})
    rows = json.loads(shown.stdout)
    assert rows['catalog."gpt-5.5".max_output_tokens'] == {"value": 128000, "origin": "built-in"}
    assert rows['catalog."gpt-5.5".price.input'] == {"value": "4.5", "origin": "routewright.toml:2"}
    assert rows['catalog."claude-opus-4.7".price.output']["value"] == "25"
    assert rows['catalog."claude-opus-4.7".price.output']["origin"].startswith("genai-prices ")


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[server]\nport = 9001\n")
    terminal = Terminal(tmp_path)
    assert "server.port = 9001\n" in terminal.run("config", "show", "--config", "other.toml").stdout
    missing = terminal.run("config", "show", "--config", "missing.toml")
    assert missing.exit_code == 78
    assert "there is no such file" in missing.stderr
