import json
from pathlib import Path
from typing import Any

import pytest

import exports as made
from routewright.ledger.ledger import LedgerEvent, Reserved
from routewright.usage import Usage
from terminal import NOON, Terminal, settled

OPUS = {
    "model": "claude-opus-4.7",
    "deployment": "anthropic/claude-opus-4-7",
    "served_model": "claude-opus-4-7-20260401",
}
SONNET = {"model": "claude-sonnet-4.6", "deployment": "anthropic/claude-sonnet-4-6", "served_model": ""}
DAY_NS = 86_400 * 10**9


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def reconciled(terminal: Terminal, text: str, *options: str) -> tuple[int, dict[str, Any]]:
    (terminal.home / "export.csv").write_text(text, encoding="utf-8")
    result = terminal.run("ledger", "reconcile", "export.csv", "--json", *options)
    return result.exit_code, json.loads(result.stdout)


def anthropics(terminal: Terminal, *more: LedgerEvent) -> None:
    terminal.record(
        settled("r1", usage=Usage(1000, 300, 200, 50, 400, 100), **OPUS),
        settled("r2", usage=Usage(input=10, output=5), service_tier="batch", **OPUS),
        settled("r3", usage=Usage(input=1000, output=7), at_ns=NOON + DAY_NS, **SONNET),
        settled("r4", deployment="openai/gpt-5.5", model="gpt-5.5"),
        *more,
    )


def test_a_ledger_that_has_all_of_it_agrees_with_the_export(terminal: Terminal) -> None:
    anthropics(terminal)
    code, found = reconciled(terminal, made.ANTHROPIC_USAGE)
    assert (code, found["differences"], found["compared"]) == (0, [], 10)
    assert (found["first_day"], found["last_day"], found["provider"]) == ("2026-11-01", "2026-11-02", "anthropic")


def test_an_attempt_counts_on_the_day_it_was_sent(terminal: Terminal) -> None:
    sent = Reserved(
        attempt_id="late-attempt-1",
        request_id="late",
        at_ns=NOON + DAY_NS // 2 - 10**9,
        boot="boot",
        cause="first",
        amount_nanousd=1,
        price_version="p",
        model=OPUS["model"],
        deployment=OPUS["deployment"],
    )
    terminal.record(sent, settled("late", at_ns=NOON + DAY_NS // 2 + 10**9, usage=Usage(input=1, output=1), **OPUS))
    header = made.ANTHROPIC_USAGE.splitlines()[0]
    line = "2026-11-01,claude-opus-4-7,k,w,standard,x,1,0,0,0,1,0,us,"
    assert reconciled(terminal, f"{header}\n{line}\n")[0] == 0


def test_a_difference_is_printed_with_its_causes_and_what_is_left(terminal: Terminal) -> None:
    anthropics(terminal, settled("r5", usage=Usage(input=40, output=3), is_estimated=True, **OPUS))
    (terminal.home / "export.csv").write_text(made.ANTHROPIC_USAGE.replace("fast", ""), encoding="utf-8")
    result = terminal.run("ledger", "reconcile", "export.csv")
    assert result.exit_code == 0
    assert "estimated -40 (1 attempts without a report, taken at their bound)" in result.stdout
    assert "10 numbers compared, 2 differ, 0 of them not explained in full" in result.stderr


def test_what_stays_unexplained_is_said_and_makes_the_exit_code_one(terminal: Terminal) -> None:
    anthropics(terminal)
    text = made.ANTHROPIC_USAGE.replace(",1000,200,", ",1001,200,")
    (terminal.home / "export.csv").write_text(text, encoding="utf-8")
    result = terminal.run("ledger", "reconcile", "export.csv")
    assert result.exit_code == 1
    assert "unexplained 1" in result.stdout


def test_costs_are_compared_by_the_names_that_people_read_and_list_prices_explain_them(terminal: Terminal) -> None:
    usage = Usage(input=10_000, output=50_000)
    terminal.record(settled("r1", usage=usage, cost_nanousd=1_000_000_000, **OPUS))
    code, found = reconciled(terminal, made.ANTHROPIC_COST)
    (difference,) = found["differences"]
    assert code == 0
    assert (difference["measure"], difference["exported"], difference["recorded"]) == (
        "money",
        1_300_000_000,
        1_000_000_000,
    )
    assert [(cause["why"], cause["amount"]) for cause in difference["causes"]] == [("price version", 300_000_000)]


def test_an_open_hold_may_be_what_is_missing(terminal: Terminal) -> None:
    hold = Reserved(
        attempt_id="open",
        request_id="r9",
        at_ns=NOON,
        boot="boot",
        cause="first",
        amount_nanousd=5_000,
        price_version="p",
        model=OPUS["model"],
        deployment=OPUS["deployment"],
    )
    anthropics(terminal, hold)
    code, found = reconciled(terminal, made.ANTHROPIC_USAGE.replace(",1000,200,", ",1001,200,"))
    assert code == 0
    assert found["differences"][0]["causes"][0]["why"] == "crashed or open"


def test_openais_export_is_compared_with_openais_attempts_alone(terminal: Terminal) -> None:
    gpt = {"model": "gpt-5.5", "deployment": "openai/gpt-5.5", "served_model": "gpt-5.5-2026-04-24"}
    usage = Usage(input=600, cache_read=300, output=450, audio_input=100, audio_output=50)
    terminal.record(settled("r1", usage=usage, **gpt), settled("r2", **OPUS))
    code, found = reconciled(terminal, made.OPENAI_USAGE)
    assert code == 0
    assert {cause["why"] for each in found["differences"] for cause in each["causes"]} == {"requests not in the ledger"}
    code, found = reconciled(terminal, made.OPENAI_USAGE, "--api-key", "key_1")
    assert (code, found["differences"]) == (0, [])
    code, found = reconciled(terminal, made.OPENAI_USAGE, "--provider", "openrouter")
    assert {cause["why"] for each in found["differences"] for cause in each["causes"]} == {"model not in the ledger"}


def test_without_a_ledger_everything_came_another_way(terminal: Terminal) -> None:
    code, found = reconciled(terminal, made.OPENAI_COST)
    assert (code, found["unexplained"]) == (0, 0)


def test_a_file_that_cannot_be_read_is_an_error_with_its_problem(terminal: Terminal) -> None:
    assert "E506" in terminal.run("ledger", "reconcile", "nowhere.csv").stderr
    (terminal.home / "export.csv").write_text("a,b\n1,2\n")
    assert "none of the known sets of columns" in terminal.run("ledger", "reconcile", "export.csv").stderr
    (terminal.home / "export.csv").write_text(made.OPENAI_COST.splitlines()[0])
    assert terminal.run("ledger", "reconcile", "export.csv").exit_code == 0


def test_a_provider_that_nobody_knows_is_a_slip(terminal: Terminal) -> None:
    (terminal.home / "export.csv").write_text(made.ANTHROPIC_USAGE, encoding="utf-8")
    result = terminal.run("ledger", "reconcile", "export.csv", "--provider", "antropic")
    assert result.exit_code == 2
    assert "neither the settings nor the price table know a provider 'antropic'" in result.stderr
