import json
from pathlib import Path
from typing import Any

import pytest

from terminal import Terminal

SETTINGS = """
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 10_000
price = { input = "1", output = "2" }
[models."two.5"]
tier = "standard"
deployments = ["acme/two"]
context_window = 10_000
price = { input = "5", output = "10" }
[policies.second]
models = ["two.5"]
[rollout.shares]
second = 10
"""
BOLD = """
confidence_threshold = 0.5
success_value_usd = "0.05"
[tiers]
"two.5" = "complex"
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    (tmp_path / "bold.toml").write_text(BOLD)
    return terminal


def printed(terminal: Terminal, *arguments: str) -> Any:
    result = terminal.run("policies", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def told(terminal: Terminal, *arguments: str) -> str:
    result = terminal.run("policies", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout + result.stderr


def listed(terminal: Terminal) -> dict[str, tuple[int, float]]:
    return {each["name"]: (each["number"], each["share"]) for each in printed(terminal, "list")["policies"]}


def test_the_settings_alone_are_listed_without_making_a_ledger(terminal: Terminal) -> None:
    assert listed(terminal) == {"default": (0, 90), "second": (0, 10)}
    assert printed(terminal, "show", "second") == {"name": "second", "number": 0, "changes": {"models": ["two.5"]}}
    assert told(terminal, "show", "second") == 'models = ["two.5"]\n'
    assert not terminal.ledger.exists()


def test_a_version_is_applied_shown_and_rolled_back(terminal: Terminal) -> None:
    made = printed(terminal, "apply", "bold.toml", "--reason", "cheaper")
    assert (made["name"], made["number"], made["author"]) == ("default", 1, "command line")
    assert listed(terminal)["default"] == (1, 90)
    shown = told(terminal, "show", "default")
    assert shown == 'confidence_threshold = 0.5\nsuccess_value_usd = "0.05"\ntiers."two.5" = "complex"\n'
    (terminal.home / "again.toml").write_text(shown)
    again = printed(terminal, "apply", "again.toml")
    assert (again["number"], again["changes"]) == (2, made["changes"])
    assert told(terminal, "diff", "default") == ""
    assert "default, version 1, is in force again" in told(terminal, "rollback")
    assert "default is again what the settings say" in told(terminal, "rollback", "default")
    assert listed(terminal)["default"] == (0, 90)
    assert [each["number"] for each in printed(terminal, "list", "default")] == [1, 2]


def test_a_question_is_routed_by_what_is_in_force(terminal: Terminal) -> None:
    told(terminal, "apply", "bold.toml")
    policies = {each["name"]: each["version"] for each in printed(terminal, "list")["policies"]}
    for name in policies:
        result = terminal.run("route", "hello", "--policy", name, "--json")
        assert json.loads(result.stdout)["policy"] == policies[name]


def test_a_question_is_routed_also_beside_a_ledger_that_cannot_be_read(terminal: Terminal) -> None:
    terminal.ledger.parent.mkdir(parents=True)
    terminal.ledger.write_bytes(b"no database, but as long as one must be to be taken for one" * 100)
    result = terminal.run("route", "hello")
    assert result.exit_code == 0
    assert "note: what the ledger says of policies is not known" in result.stderr


def test_a_policy_of_its_own_gets_its_share(terminal: Terminal) -> None:
    told(terminal, "apply", "bold.toml", "--name", "trial", "--share", "25")
    assert listed(terminal) == {"default": (0, 65), "second": (0, 10), "trial": (1, 25)}
    table = told(terminal, "list")
    assert "(base)" in table
    assert "25 %" in table


def test_what_changed_is_told_key_by_key(terminal: Terminal) -> None:
    told(terminal, "apply", "bold.toml", "--name", "second")
    assert told(terminal, "diff", "second").splitlines() == [
        "+ confidence_threshold = 0.5",
        '- models = ["two.5"]',
        '+ success_value_usd = "0.05"',
        '+ tiers."two.5" = "complex"',
    ]
    assert printed(terminal, "diff", "second", "--from", "1", "--to", "0")["models"] == {"from": None, "to": ["two.5"]}


def test_the_switch(terminal: Terminal) -> None:
    told(terminal, "apply", "bold.toml")
    assert "policies are off" in told(terminal, "off", "--reason", "an outage")
    assert listed(terminal) == {"default": (1, 100), "second": (0, 0)}
    assert "policies are switched off" in told(terminal, "list")
    assert "on again" in told(terminal, "on")
    assert listed(terminal)["second"] == (0, 10)


@pytest.mark.parametrize(
    ("arguments", "text", "problem"),
    [
        (("apply", "wrong.toml"), "x = 1", 'error[E404]: unknown key "x" in [policies.default] (wrong.toml:1:1)'),
        (("apply", "wrong.toml"), 'models = ["tow"]', "error[E143]: policy default: no model is called 'tow'"),
        (("apply", "nowhere.toml"), "", "there is no such file"),
        (("apply", "wrong.toml", "--share", "5"), "", "the base gets what the others leave"),
        (("apply", "wrong.toml", "--name", "Two Words"), "", "is no name of a policy"),
        (("rollback", "second"), "", "error[E142]: policy 'second' has no version in force to go back from"),
        (("rollback", "second", "--to", "4"), "", "error[E142]: policy 'second' has no version 4"),
        (("rollback", "second", "--to", "9" * 20), "", "is not in the range"),
        (("show", "third"), "", "error[E142]: no policy is called 'third'"),
        (("show", "second", "--number", "3"), "", "error[E142]: policy 'second' has no version 3"),
    ],
)  # fmt: skip
def test_mistakes_are_told(terminal: Terminal, arguments: tuple[str, ...], text: str, problem: str) -> None:
    (terminal.home / "wrong.toml").write_text(text)
    result = terminal.run("policies", *arguments)
    assert result.exit_code != 0
    assert problem in result.stderr
