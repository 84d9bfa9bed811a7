import json
import re
import socket
from datetime import date
from pathlib import Path

import pytest

from redises import redis_server
from routewright.cli.doctor import Verdict, disk_check, kernel_check, prices_check, python_check, sqlite_check
from terminal import Terminal

SETTINGS = """
[providers.acme]
base_url = "https://acme.example/v1"
api_key = "env:ACME_API_KEY"

[models.swift]
tier = "bulk"
deployments = ["acme/swift"]
context_window = 1000
price = { input = "1", output = "2" }

[server]
port = 0
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    return terminal


def test_well_installation_has_no_cross(terminal: Terminal) -> None:
    result = terminal.run("doctor", environ={"ACME_API_KEY": "secret-4711"})
    assert result.exit_code == 0
    assert "✗" not in result.stdout
    assert "✓ keys: found for acme" in result.stdout
    assert "✓ bulk models: swift" in result.stdout
    assert "! complex models: none can be called" in result.stdout
    assert "secret-4711" not in result.stdout
    assert not terminal.ledger.parent.exists()


def test_missing_key_fails_and_says_what_to_run(terminal: Terminal) -> None:
    result = terminal.run("doctor")
    assert result.exit_code == 1
    assert "✗ settings: no model can be called; " in result.stdout
    assert "acme: the environment variable ACME_API_KEY is not set" in result.stdout


def test_mistakes_in_the_settings_are_listed(terminal: Terminal) -> None:
    terminal.settings("[server]\nprt = 1\n[policy]\nconfidence_threshold = 3\n")
    result = terminal.run("doctor")
    assert result.exit_code == 1
    assert '✗ settings: unknown key "prt" in [server] (routewright.toml:2:1)' in result.stdout
    assert "✗ settings: policy.confidence_threshold: 3 is not a number from 0 to 1" in result.stdout


def test_what_was_trained_and_learned_is_told(terminal: Terminal) -> None:
    result = terminal.run("doctor", environ={"ACME_API_KEY": "k"})
    assert re.search(
        r"^✓ classifier: learned, artefact [0-9a-f]{8} of \d{4}-\d\d-\d\d; nothing learned here yet$",
        result.stdout,
        re.MULTILINE,
    )
    assert "decision kernel: " in result.stdout
    by_hand = terminal.run("doctor", "--set", "policy.classifier=heuristic", environ={"ACME_API_KEY": "k"})
    assert "✓ classifier: heuristic\n" in by_hand.stdout


def test_a_damaged_artefact_is_told_and_what_to_do(terminal: Terminal) -> None:
    (terminal.home / "broken.artefact").write_bytes(b"RWLEARN1 and nothing else")
    result = terminal.run("doctor", "--set", "policy.artefact=broken.artefact", environ={"ACME_API_KEY": "k"})
    assert result.exit_code == 1
    assert "✗ classifier: the artefact broken.artefact cannot be used: it is damaged" in result.stdout
    assert "the heuristic stands in\n    install routewright anew" in result.stdout


def test_redis_is_looked_for_where_there_should_be_one(terminal: Terminal) -> None:
    assert "Redis" not in terminal.run("doctor").output
    terminal.settings('[redis]\nurl = "redis://:very-secret@127.0.0.1:1/0"')
    output = terminal.run("doctor").output
    assert "! Redis: Redis at redis://:***@127.0.0.1:1/0: " in output
    assert "very-secret" not in output
    with redis_server() as server:
        terminal.settings(f'[redis]\nurl = "{server.url}"')
        assert f"✓ Redis: {server.url} answers" in terminal.run("doctor").output


def test_port_that_somebody_else_has_is_found(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = terminal.run("doctor", "--json", "--set", f"server.port={port}", environ={"ACME_API_KEY": "x"})
    assert result.exit_code == 1
    (failed,) = [check for check in json.loads(result.stdout) if check["verdict"] == "failed"]
    assert failed["what"] == "port"
    assert failed["found"].startswith(f"127.0.0.1:{port}: ")


def test_ledger_folder_that_cannot_be_is_found(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = terminal.run("doctor", "--set", f"ledger.path={tmp_path}/file/ledger", environ={"ACME_API_KEY": "x"})
    assert result.exit_code == 1
    assert f"✗ ledger: {tmp_path}/file cannot be written to" in result.stdout


def test_versions_are_held_against_the_oldest_that_work() -> None:
    assert python_check((3, 10, 9)).verdict is Verdict.FAILED
    assert python_check((3, 11, 0)).verdict is Verdict.OK
    assert sqlite_check("3.51.2").verdict is Verdict.FAILED
    assert sqlite_check("3.51.3").verdict is Verdict.OK


def test_decision_that_is_not_compiled_is_noted() -> None:
    assert kernel_check(is_compiled=True).verdict is Verdict.OK
    assert kernel_check(is_compiled=False).verdict is Verdict.NOTE


def test_disk_needs_room_for_journal_and_store() -> None:
    assert disk_check(199, 100).verdict is Verdict.FAILED
    assert disk_check(200, 100).verdict is Verdict.OK


def test_old_prices_are_noted() -> None:
    assert prices_check("2026-11-22", date(2027, 2, 20)).verdict is Verdict.OK
    stale = prices_check("2026-11-22", date(2027, 2, 21))
    assert (stale.verdict, stale.found) == (Verdict.NOTE, "of 2026-11-22, 91 days old")
