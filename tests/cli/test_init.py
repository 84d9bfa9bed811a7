import json
from pathlib import Path

import pytest

from terminal import Terminal

LITELLM = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-in-clear-and-secret
      rpm: 10
"""


def written(terminal: Terminal, name: str = "routewright.toml") -> str:
    return (terminal.home / name).read_text(encoding="utf-8")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "config.yaml").write_text(LITELLM, encoding="utf-8")
    return Terminal(tmp_path)


def test_each_line_is_told_and_the_settings_are_written(terminal: Terminal) -> None:
    result = terminal.run("init", "--from", "litellm", "config.yaml")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "config.yaml:4: kept: model_list[0].litellm_params.model → models.gpt-4o.deployments" in lines
    assert any(line.startswith("config.yaml:6: dropped: model_list[0].litellm_params.rpm · ") for line in lines)
    assert (
        "! secrets stand in clear in config.yaml, in line 5: move them into the environment, and replace them" in lines
    )
    assert "! set in the environment before `routewright serve`: OPENAI_API_KEY" in lines
    assert 'deployments = ["openai/gpt-4o"]  # config.yaml:4' in written(terminal)
    assert "sk-in-clear" not in result.output + written(terminal)


def test_what_is_written_is_tried_out(terminal: Terminal) -> None:
    result = terminal.run("init", "--from", "litellm", "config.yaml", "--check", "--json")
    account = json.loads(result.stdout)
    assert account["trial"] == {"models": 1, "model": "gpt-4o"}
    assert account["models"] == ["gpt-4o"]
    assert account["unset"] == ["OPENAI_API_KEY"]
    assert {finding["fate"] for finding in account["findings"]} == {"kept", "changed", "dropped", "added"}
    assert not (terminal.home / ".local").exists()


def test_result_is_what_the_gateway_starts_with(terminal: Terminal) -> None:
    terminal.run("init", "--from", "litellm", "config.yaml")
    checked = terminal.run("config", "check", "--json", environ={"OPENAI_API_KEY": "sk-test"})
    assert "gpt-4o" in json.loads(checked.stdout)["models"]


@pytest.mark.parametrize("arguments", [(), ("--from", "litellm", "config.yaml")])
def test_a_file_that_is_there_is_replaced_only_by_force(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    terminal.settings("# mine\n")
    refused = terminal.run("init", *arguments)
    assert refused.exit_code == 78
    assert "routewright.toml is there already\nhint: --force replaces it" in refused.stderr
    assert written(terminal) == "# mine\n"
    assert terminal.run("init", *arguments, "--force").exit_code == 0
    assert "# mine" not in written(terminal)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("--from", "litellm"), 2, "FILE and --from belong together"),
        (("config.yaml",), 2, "FILE and --from belong together"),
        (("--check",), 2, "--check belongs to --from"),
        (("--from", "litellm", "missing.yaml"), 78, "missing.yaml cannot be read: No such file"),
        (("--from", "litellm", "."), 78, "cannot be read|is not a file"),
        (("-o", "no/such/folder.toml"), 78, "folder.toml cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(terminal: Terminal, arguments: tuple[str, ...], exit_code: int, said: str) -> None:
    refused = terminal.run("init", *arguments)
    assert refused.exit_code == exit_code
    assert any(words in refused.stderr for words in said.split("|"))
    assert "Traceback" not in refused.output


def test_k02_a_file_of_50_mb_is_refused_unread(terminal: Terminal) -> None:
    with (terminal.home / "config.yaml").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    refused = terminal.run("init", "--from", "litellm", "config.yaml")
    assert refused.exit_code == 78
    assert "config.yaml: is over 1 MiB" in refused.stderr


def test_starter_names_the_keys_that_are_found(terminal: Terminal) -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-ant-in-clear"}
    result = terminal.run("init", "--json", environ=environ)
    assert json.loads(result.stdout) == {"output": "routewright.toml", "keys": ["anthropic"], "servers": []}
    assert '[providers.anthropic]\napi_key = "env:ANTHROPIC_API_KEY"' in written(terminal)
    assert "sk-ant" not in written(terminal)
    assert terminal.run("config", "check", environ=environ).exit_code == 0


def test_starter_without_anything_is_simulated(terminal: Terminal) -> None:
    assert "keys: none found" in terminal.run("init").stdout
    assert "the built-in simulator answers" in written(terminal)
    assert terminal.run("ask", "hello").exit_code == 0
