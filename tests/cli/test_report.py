import json
import time
from pathlib import Path

import pytest

from routewright.cli.report import read_since
from routewright.usage import Usage
from terminal import NOON, Terminal, request, settled

DAY_NS = 86_400 * 10**9


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A ledger of two days: a plain answer, a dearer one after a retry, and a request that failed for money."""
    terminal = Terminal(tmp_path)
    later = NOON + DAY_NS
    terminal.record(
        request("a"),
        settled("a"),
        request("b", at_ns=later, tier="complex", model="strong", cost_nanousd=13_000_000, attempts=2),
        settled("b", at_ns=later, outcome="upstream_stream_cut", is_estimated=True, cost_nanousd=3_000_000),
        settled("b", attempt_id="b-2", at_ns=later, model="strong", cause="fallback", cost_nanousd=10_000_000),
        request(
            "c",
            at_ns=later,
            model=None,
            baseline_cost_nanousd=None,
            outcome="all_attempts_failed",
            cost_nanousd=500_000,
        ),
        settled("c", at_ns=later, outcome="upstream_timeout", cost_nanousd=500_000),
    )
    return terminal


def test_saving_names_its_baseline_and_is_net_of_everything(terminal: Terminal) -> None:
    lines = terminal.run("report").stdout.splitlines()
    assert lines[0].startswith("spent $0.015500 in all · 3 requests, 66.7 % answered to the end · 4 attempts")
    assert lines[1].startswith(
        "vs always strong: actual $0.015000, would have cost $0.020000, saved $0.004500 (22.5 %)"
    )
    assert "net of routing: retries and $0.000500 of failed requests are counted" in lines[1]


def test_there_is_a_table_for_each_model_tier_and_day(terminal: Terminal) -> None:
    text = terminal.run("report").stdout
    table = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  ")}
    assert table["swift"][1:4] == ["1", "100.0", "%"]
    assert {"standard", "complex", "2026-11-01", "2026-11-02"} <= set(table)
    assert table["(nobody)"][1] == "1"
    assert "≤  1 attempt estimated: the cost is an upper bound" in text


def test_one_table_is_enough_if_asked_for(terminal: Terminal) -> None:
    text = terminal.run("report", "--by", "day").stdout
    assert "2026-11-01" in text
    assert "standard" not in text


def test_since_leaves_out_what_was_before(terminal: Terminal) -> None:
    text = terminal.run("report", "--since", "2026-11-02").stdout
    assert text.startswith("spent $0.013500 since 2026-11-02 00:00:00 UTC · 2 requests")
    assert "2026-11-01" not in text


def test_json_has_the_same_in_integers(terminal: Terminal) -> None:
    report = json.loads(terminal.run("report", "--json").stdout)
    assert report["totals"]["cost_nanousd"] == 15_500_000
    assert report["saving"]["baselines"] == ["strong"]
    assert report["saving"]["failed_nanousd"] == 500_000
    assert [row["key"] for row in report["by"]["day"]] == ["2026-11-01", "2026-11-02"]


BASELINE = """
[providers.acme]
base_url = "https://acme.example/v1"

[models.cheap]
tier = "bulk"
deployments = ["acme/cheap"]
context_window = 1000
price = { input = "1", output = "2" }

[models.unpriced]
tier = "bulk"
deployments = ["acme/unpriced"]
context_window = 1000
"""


def test_another_baseline_is_priced_anew_and_may_show_a_loss(terminal: Terminal) -> None:
    terminal.settings(BASELINE)
    lines = terminal.run("report", "--baseline", "cheap", "--by", "tier").stdout.splitlines()
    # 1,000 tokens in and 500 out are $0.002 there, for each of two answers.
    assert "vs always cheap: actual $0.015000, would have cost $0.004000, saved -$0.011500 (-287.5 %)" in lines[1]
    complex_row = next(line for line in lines if line.startswith("  complex")).split()
    assert complex_row[-5:] == ["$0.013000", "$0.002000", "-$0.011000", "-550.0", "%"]


@pytest.mark.parametrize(("name", "number"), [("unpriced", "E110"), ("nobody", "E107")])
def test_baseline_must_be_a_model_with_a_price(terminal: Terminal, name: str, number: str) -> None:
    terminal.settings(BASELINE)
    result = terminal.run("report", "--baseline", name)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error[{number}]")


def test_attempts_without_a_price_are_told_apart_from_free_ones(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(baseline_cost_nanousd=None), settled(cost_nanousd=None))
    text = terminal.run("report").stdout
    assert "+? 1 attempt of models without a price: not in the cost, and not free" in text
    assert "nothing to compare with" in text


def test_empty_ledger_says_so_and_what_to_do_next(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    result = terminal.run("report")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the ledger is empty: ask something first, as in `routewright ask --simulate hello`" in result.stderr
    assert not terminal.ledger.exists()
    assert json.loads(terminal.run("report", "--json").stdout)["totals"]["requests"] == 0


def test_names_from_outside_cannot_drive_the_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(model="\x1b[2Jswift", tier=None), settled(model="\x1b[2Jswift", usage=Usage(input=1)))
    assert "\x1b" not in terminal.run("report").stdout


def test_times_are_read_as_durations_or_days() -> None:
    assert read_since("7d", NOON) == NOON - 7 * DAY_NS
    assert read_since("24h", NOON) == NOON - DAY_NS
    assert read_since("2026-11-01", 0) == NOON - DAY_NS // 2
    assert read_since("999999w", time.time_ns()) == 0
    for nonsense in ("yesterday", "7", "d", "2026-13-01", "-1d"):
        with pytest.raises(ValueError, match=nonsense):
            read_since(nonsense, NOON)
