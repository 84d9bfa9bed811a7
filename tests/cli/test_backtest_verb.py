"""`routewright backtest` on traffic whose truth is known."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from decisions import COSTS, HALF, SETTINGS, TRUTH, traffic
from routewright.ledger.ledger import RequestRecorded
from routewright.reports.backtests import kept_backtest
from terminal import Terminal

KEY = {"ACME_KEY": "secret"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    return terminal


def compared(terminal: Terminal, *arguments: str) -> list[dict[str, Any]]:
    result = terminal.run("backtest", "--json", *arguments, environ=KEY)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["result"]["comparisons"]
    return found


def covers(estimate: dict[str, float], truth: float) -> bool:
    return estimate["low"] <= truth <= estimate["high"]


def test_what_another_threshold_would_have_cost_and_how_good_it_would_have_been(terminal: Terminal) -> None:
    """At 0.5 a quarter more is bulk: half of all goes to the weak model."""
    terminal.record(*traffic(800))
    (found,) = compared(terminal, "--set", "policy.confidence_threshold=0.5", "--set", "policy.exploration=0")
    assert (found["requests"], found["scored"], found["quality"]["by"]) == (800, 800, "dr")
    truth = (TRUTH["weak"] + TRUTH["strong"]) / 2
    for by in ("ips", "snips", "dr"):
        assert covers(found["quality"][by], truth), by
    assert covers(found["cost"]["dr"], (COSTS["weak"] + COSTS["strong"]) / 2)
    assert found["same"] == pytest.approx(0.75)
    assert {line["name"]: line["then"] for line in found["models"]} == {"weak": 0.5, "strong": 0.5}
    assert found["quality"]["dr"]["high"] - found["quality"]["dr"]["low"] < 0.2
    assert found["quality"]["change"]["value"] == pytest.approx(
        found["quality"]["dr"]["value"] - found["quality_now"]["value"]
    )


def test_the_present_settings_are_compared_when_nothing_else_is_said(terminal: Terminal) -> None:
    terminal.record(*traffic(200))
    result = terminal.run("backtest", environ=KEY)
    assert result.stdout.startswith("present settings\n")
    assert "200 requests replayed; the usual choice stays the same in 100.0%" in result.stdout


def test_several_policies_come_as_a_curve(terminal: Terminal) -> None:
    terminal.record(*traffic(400))
    result = terminal.run("backtest", "--try", "policy.confidence_threshold=0.5,0.95", environ=KEY)
    assert result.exit_code == 0, result.output
    cheapest, dearest = result.stdout.partition("all of them, the cheapest first")[2].splitlines()[2:4]
    assert cheapest.split()[0] == "policy.confidence_threshold=0.5"
    assert dearest.split()[0] == "policy.confidence_threshold=0.95"


def test_what_is_to_be_kept_is_kept_for_the_dashboard_in_place_of_the_one_before(terminal: Terminal) -> None:
    terminal.record(*traffic(400))
    for values in ("0.5", "0.5,0.95"):
        result = terminal.run("backtest", "--try", f"policy.confidence_threshold={values}", "--save", environ=KEY)
        assert result.exit_code == 0, result.output
    assert "kept for the dashboard" in result.stderr
    (file,) = terminal.home.rglob("backtest.json")
    kept = kept_backtest(file.parent)
    assert kept is not None
    names = [line.name for line in kept.lines]
    assert names == ["as it was", "policy.confidence_threshold=0.5", "policy.confidence_threshold=0.95"]
    assert all(line.cost_nanousd and line.quality for line in kept.lines)


def test_a_model_that_was_never_tried_is_said_to_be_unknown_and_its_cost_is_told(terminal: Terminal) -> None:
    never = replace(HALF, exploration=0.0)
    terminal.record(*traffic(400, policy=never))
    other = terminal.home / "other.toml"
    other.write_text(SETTINGS.replace('tier = "standard"', 'tier = "complex"').replace("weak]", "fresh]"))
    result = terminal.run("backtest", "--against", str(other), environ=KEY)
    assert result.exit_code == 0, result.output
    assert "not enough data on fresh: it would be chosen in" in result.stdout
    assert "so nothing is said of quality" in result.stdout
    assert "too few answers of fresh" in result.stdout
    (found,) = compared(terminal, "--against", str(other))
    assert (found["quality"]["by"], found["quality"]["dr"], found["guessed"]) == ("", None, ["fresh"])
    assert found["cost"]["by"] == "dr"


def test_other_prices_are_a_direct_replay(terminal: Terminal) -> None:
    terminal.record(*traffic(400, policy=replace(HALF, exploration=0.0)))
    other = terminal.home / "other.toml"
    other.write_text(SETTINGS.replace('"20"', '"10"').replace('"10",', '"5",').replace("0.5", "0"))
    (found,) = compared(terminal, "--against", str(other))
    assert (found["cost"]["by"], found["quality"]["by"], found["same"]) == ("direct", "direct", 1.0)
    now, then = found["cost_now"]["value"], found["cost"]["direct"]["value"]
    strong = sum(line["now"] for line in found["models"] if line["name"] == "strong")
    assert now - then == pytest.approx(strong * COSTS["strong"] / 2)
    assert found["quality"]["direct"] == found["quality_now"]


def test_few_outcomes_say_nothing_of_quality(terminal: Terminal) -> None:
    terminal.record(*traffic(100, scored=0.2))
    result = terminal.run("backtest", environ=KEY)
    assert "50 are needed" in result.stdout
    assert "quality: " in result.stdout


def test_time_team_and_tag_choose_the_requests(terminal: Terminal) -> None:
    events = traffic(60)
    marked = [
        replace(each, team="search", tags=("nightly",)) if isinstance(each, RequestRecorded) and at < 30 else each
        for at, each in enumerate(events)
    ]
    terminal.record(*marked)
    assert compared(terminal, "--team", "search", "--tag", "nightly")[0]["requests"] == 10
    assert compared(terminal, "--team", "")[0]["requests"] == 50
    nothing = terminal.run("backtest", "--until", "2026-01-01", environ=KEY)
    assert nothing.exit_code == 1
    assert "fewer than two decisions to replay of that time or kind\n" in nothing.stderr
    other = terminal.run("backtest", "--model", "nobody", environ=KEY)
    assert "fewer than two decisions to replay of that time or kind\n" in other.stderr


def test_one_decision_is_too_few_and_nothing_worse(terminal: Terminal) -> None:
    terminal.record(*traffic(1))
    alone = terminal.run("backtest", environ=KEY)
    assert alone.exit_code == 1
    assert "error[E136]: the ledger has fewer than two decisions to replay\n" in alone.stderr


def test_routes_that_do_not_say_enough_are_not_guessed(terminal: Terminal) -> None:
    terminal.record(
        *(
            replace(each, route=replace(each.route, asked=None))
            if isinstance(each, RequestRecorded) and each.route
            else each
            for each in traffic(20)
        )
    )
    result = terminal.run("backtest", environ=KEY)
    assert result.exit_code == 1
    assert "no decision in the ledger says enough to be replayed" in result.stderr


@pytest.mark.parametrize("text", ["policy.min_quality", "policy.min_quality=", "=1"])
def test_a_try_without_values_is_refused(terminal: Terminal, text: str) -> None:
    assert terminal.run("backtest", "--try", text, environ=KEY).exit_code == 2


def test_other_settings_that_are_not_replayed_are_named(terminal: Terminal) -> None:
    terminal.record(*traffic(20))
    result = terminal.run("backtest", "--set", "context.enabled=true", environ=KEY)
    assert "also differs in [context], which is not replayed" in result.stderr
