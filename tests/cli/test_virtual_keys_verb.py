import json
from pathlib import Path
from typing import Any

import pytest

from routewright.access.format import read_id
from terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def created(terminal: Terminal, *arguments: str) -> dict[str, Any]:
    result = terminal.run("keys", "create", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    fields: dict[str, Any] = json.loads(result.stdout)
    return fields


def listed(terminal: Terminal) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(terminal.run("keys", "list", "--json").stdout)["virtual"]
    return keys


def test_only_the_key_is_on_stdout_and_it_is_shown_once(terminal: Terminal) -> None:
    result = terminal.run("keys", "create", "app")
    text = result.stdout.strip()
    key_id = read_id(text)
    assert key_id is not None
    assert key_id in result.stderr
    for verb in (("keys", "list"), ("keys", "list", "--json"), ("config", "show", "--origin")):
        shown = terminal.run(*verb)
        assert shown.exit_code == 0
        assert text not in shown.stdout + shown.stderr
    [key] = listed(terminal)
    assert (key["id"], key["name"], key["state"], key["roles"]) == (key_id, "app", "active", ["use"])


OPTIONS = """
--team research --tag a --tag b --role use --role read --model auto --model swift --tier bulk
--budget 10/month --budget 1/day/soft --rpm 60 --tpm 9000 --concurrency 4 --expires 30d
"""


def test_every_option_is_kept(terminal: Terminal) -> None:
    key = created(terminal, "app", *OPTIONS.split())
    assert read_id(key.pop("key")) == key["id"]
    assert [key] == listed(terminal)
    assert (key["team"], key["tags"], key["roles"]) == ("research", ["a", "b"], ["use", "read"])
    assert (key["models"], key["tiers"]) == (["auto", "swift"], ["bulk"])
    assert key["budgets"] == [
        {"limit_usd": "10", "period": "month", "is_hard": True},
        {"limit_usd": "1", "period": "day", "is_hard": False},
    ]
    assert (key["requests_per_minute"], key["tokens_per_minute"], key["concurrency"]) == (60, 9000, 4)
    assert key["expires_at"] > key["created_at"]
    table = terminal.run("keys", "list").stdout
    assert "$10/month, $1/day soft, 60 requests/min, 9,000 tokens/min, 4 at once" in table
    assert "auto, swift, tier bulk" in table


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--budget", "10"], "write it like"),
        (["--expires", "soon"], "write it like 12h, 30d or 4w"),
        (["--role", "root"], "root"),
        (["--rpm", "0"], "0"),
    ],
)
def test_an_option_that_is_none_is_a_usage_error(terminal: Terminal, options: list[str], problem: str) -> None:
    result = terminal.run("keys", "create", "app", *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not terminal.ledger.exists()


def test_a_budget_without_a_number_is_told(terminal: Terminal) -> None:
    result = terminal.run("keys", "create", "app", "--budget", "ten/month")
    assert (result.exit_code, "'ten' is not a number" in result.stderr) == (2, True)
    assert not terminal.ledger.exists()


def test_a_revoked_key_stays_in_the_list(terminal: Terminal) -> None:
    key = created(terminal, "app")
    result = terminal.run("keys", "revoke", key["id"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert listed(terminal)[0]["state"] == "revoked"
    assert json.loads(terminal.run("keys", "revoke", key["id"], "--json").stdout)["state"] == "revoked"
    rotated = terminal.run("keys", "rotate", key["id"])
    assert (rotated.exit_code, "is revoked" in rotated.stderr) == (1, True)


def test_rotation_prints_another_text_of_the_same_key(terminal: Terminal) -> None:
    key = created(terminal, "app")
    result = terminal.run("keys", "rotate", key["id"], "--grace", "1h")
    assert read_id(result.stdout.strip()) == key["id"]
    assert result.stdout.strip() != key["key"]
    assert listed(terminal)[0]["previous_secret_until"] is not None
    terminal.run("keys", "rotate", key["id"])
    assert listed(terminal)[0]["previous_secret_until"] is None


def test_an_id_that_is_none_is_told(terminal: Terminal) -> None:
    for verb in ("revoke", "rotate"):
        result = terminal.run("keys", verb, "0000000000")
        assert (result.exit_code, "error[E115]" in result.stderr) == (1, True)


def test_a_name_cannot_command_the_terminal(terminal: Terminal) -> None:
    assert terminal.run("keys", "create", "\x1b[31mred").exit_code == 1
    created(terminal, "app", "--team", "\u202egnp.exe")
    assert "\u202e" not in terminal.run("keys", "list").stdout


def test_another_secret_is_told_with_what_failed(terminal: Terminal) -> None:
    created(terminal, "app")
    terminal.settings('access.secret = "env:SHARED"')
    result = terminal.run("keys", "create", "other", environ={"SHARED": "s" * 32})
    assert result.exit_code == 78
    assert "the fingerprints differ" in result.stderr
    doctor = terminal.run("doctor", environ={"SHARED": "s" * 32})
    assert "the fingerprints differ" in doctor.stdout


def test_doctor_knows_the_keys(terminal: Terminal) -> None:
    assert "✓ virtual keys: none" in terminal.run("doctor").stdout
    created(terminal, "app")
    assert "✓ virtual keys: 1 key, checked with " in terminal.run("doctor").stdout


def test_doctor_tells_of_an_open_address_without_a_key(terminal: Terminal) -> None:
    terminal.settings('server.host = "0.0.0.0"\nserver.port = 0\n')
    assert "is open to other machines" in terminal.run("doctor").stdout
    created(terminal, "app")
    assert "is open to other machines" not in terminal.run("doctor").stdout


def test_an_open_address_without_a_key_is_not_served(terminal: Terminal) -> None:
    refused = terminal.spawn("serve", "--simulate", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 78
    assert "is open to other machines" in refused.stderr
    assert "`routewright keys create NAME`" in refused.stderr


def test_a_model_that_nobody_knows_is_noted_and_may_come_later(terminal: Terminal) -> None:
    result = terminal.run("keys", "create", "app", "--model", "deepseek-v33", "--model", "auto", "--model", "ollama/x")
    assert result.exit_code == 0
    assert "note: the settings know no model 'deepseek-v33' — did you mean \"deepseek-v3\"?" in result.stderr
    assert result.stderr.count("note:") == 1


def test_keys_of_litellm_are_made_anew_or_told_why_not(terminal: Terminal) -> None:
    told = {"keys": [{"key_alias": "reports", "max_budget": 5, "models": []}, {"key_alias": "old", "blocked": True}]}
    (terminal.home / "keys.json").write_text(json.dumps(told))
    checked = terminal.run("keys", "import", "keys.json", "--check")
    assert (checked.exit_code, listed(terminal)) == (0, [])
    assert "to be made" in checked.stdout
    made = json.loads(terminal.run("keys", "import", "keys.json", "--json").stdout)["keys"]
    [key] = listed(terminal)
    assert (key["name"], key["budgets"][0]["limit_usd"], key["budgets"][0]["period"]) == ("reports", "5", "forever")
    assert read_id(made[0]["key"]) == key["id"]
    assert (made[1]["key"], made[1]["plan"]["notes"]) == (None, ["it is blocked there, or its team is"])


def test_of_an_export_with_one_wrong_key_none_is_made(terminal: Terminal) -> None:
    told = {"keys": [{"key_alias": "a"}, {"key_alias": "b", "rpm_limit": -1}]}
    (terminal.home / "keys.json").write_text(json.dumps(told))
    done = terminal.run("keys", "import", "keys.json")
    assert (done.exit_code, listed(terminal)) == (1, [])
    assert "error[E157]: the key 'b' cannot be made: requests_per_minute" in done.stderr


def test_budgets_of_teams_are_printed_as_settings(terminal: Terminal) -> None:
    (terminal.home / "keys.json").write_text(json.dumps({"keys": [{"key_alias": "a", "team_id": "t1", "models": []}]}))
    (terminal.home / "teams.json").write_text(json.dumps([{"team_id": "t1", "team_alias": "search", "max_budget": 5}]))
    done = terminal.run("keys", "import", "keys.json", "--teams", "teams.json")
    assert '[budgets."team-search"]\nscope = "team:search"\nlimit_usd = "5"' in done.stdout
    assert [key["team"] for key in listed(terminal)] == ["search"]
