import json
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from routewright.ledger.budgets import Budget, Period, Scope, window_at
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import Charge
from routewright.ledger.sqlite import SqliteDatabase
from terminal import Terminal, settled

SETTINGS = """
[policy]
cost_alert_threshold = 0
[budgets.all]
scope = "total"
limit_usd = "2"
period = "forever"
[budgets.teams]
scope = "team"
limit_usd = "1"
period = "forever"
kind = "soft"
"""
ALL = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=2 * 10**9, period=Period.FOREVER)
RED = Budget(
    name="teams/red", scope=Scope.TEAM, subject="red", limit_nanousd=10**9, period=Period.FOREVER, is_hard=False
)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    return terminal


def spend(terminal: Terminal, cost_nanousd: int) -> None:
    """An attempt that held half a dollar of both budgets."""
    charges = (Charge("all", 0), Charge("teams/red", 0))
    terminal.record()
    with closing(SqliteDatabase(terminal.ledger)) as database:
        escrow = DatabaseEscrow(database)
        for budget in (ALL, RED):
            window = window_at(budget.period, "UTC", 0)
            escrow.claim(budget, window, boot="boot", granted_nanousd=0, needed_nanousd=500_000_000)
    event = replace(
        settled(), cost_nanousd=cost_nanousd, held_nanousd=500_000_000, boot="boot", team="red", charges=charges
    )
    terminal.record(event)


def test_before_anything_was_spent_the_budgets_of_the_settings_are_listed(terminal: Terminal) -> None:
    lines = terminal.run("budgets", "list").stdout.splitlines()
    assert lines[1].split() == ["all", "hard", "$2.00", "$0.00", "0.0", "%", "$0.00", "$2.00", "for", "ever"]
    assert len(lines) == 2, "of one for each team, no team has spent anything"


def test_without_budgets_it_says_how_to_make_one(tmp_path: Path) -> None:
    told = Terminal(tmp_path).run("budgets", "list", "--set", "policy.cost_alert_threshold=0")
    assert "there are no budgets" in told.stderr
    assert json.loads(Terminal(tmp_path).run("budgets", "list", "--json").stdout)[0]["kind"] == "soft"


def test_what_was_spent_and_granted_is_told(terminal: Terminal) -> None:
    spend(terminal, 400_000_000)
    told = json.loads(terminal.run("budgets", "list", "--json").stdout)
    assert [(each["budget"], each["kind"], each["spent_nanousd"], each["left_nanousd"]) for each in told] == [
        ("all", "hard", 400_000_000, 1_600_000_000),
        ("teams/red", "soft", 400_000_000, 600_000_000),
    ]
    assert told[0]["granted_nanousd"] == 1_600_000_000, "all ahead, to a process that is alone"


def test_a_window_with_an_end_says_when(terminal: Terminal) -> None:
    terminal.settings(SETTINGS + '[budgets.day]\nscope = "total"\nlimit_usd = 0\nperiod = "day"\n')
    line = next(line for line in terminal.run("budgets", "list").stdout.splitlines() if "day" in line)
    assert "00:00 UTC" in line
    assert "–" in line


def test_m04_a_frozen_budget_is_thawed_by_name(terminal: Terminal) -> None:
    spend(terminal, 600_000_000)
    assert "frozen" in terminal.run("budgets", "list").stdout
    assert terminal.run("budgets", "thaw", "all").exit_code == 0
    assert "frozen" not in terminal.run("budgets", "list").stdout
    again = terminal.run("budgets", "thaw", "all")
    assert again.exit_code == 1
    assert "error[E502]: no budget 'all' is frozen" in again.stderr


def test_nothing_is_thawed_where_there_is_no_ledger_yet(terminal: Terminal) -> None:
    assert terminal.run("budgets", "thaw", "all").exit_code == 1
