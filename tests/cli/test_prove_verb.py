import json
from pathlib import Path

import pytest

from routewright.proofs import report
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Run, Size, Told
from terminal import Terminal


def kept(run: Run, told: Told) -> list[Figure]:
    told(1.0)
    return [Figure(name="kept", what="a promise", bar="0", measured=f"0 {run.size}", has_passed=True, run="just now")]


def broken(run: Run, told: Told) -> list[Figure]:
    return [Figure(name="broken", what="another", bar="≤ 1", measured="2", has_passed=False, run="just now")]


def needy(run: Run, told: Told) -> list[Figure]:
    if run.data is None:
        raise NotHere("recorded outcomes are needed")
    return kept(run, told)


def failing(run: Run, told: Told) -> list[Figure]:
    raise AssertionError("the gateway did not start:\nno room")


def other_gateways(run: Run, told: Told) -> list[Figure]:
    return [Figure(name="peer", what="its CPU", bar="", measured="9", has_passed=True, run="")]


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that take no time."""
    groups = {
        "money": {"f2a": kept, "f3": kept},
        "faults": {"f6": broken},
        "quality": {"outcomes": needy},
        "speed": {"bench": failing},
        "peers": {"peers": other_gateways},
    }
    monkeypatch.setattr(report, "GROUPS", groups)


def test_kept_promises_end_with_zero_and_say_where_it_ran(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("prove", "--only", "money")
    assert result.exit_code == 0
    assert result.stdout.count("a promise") == 2
    assert "seed 20261126, usual" in result.stdout
    assert "dev.py prove" in result.stderr, "what is tried elsewhere is said"


def test_a_missed_bar_ends_with_one_and_is_named(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("prove", "--only", "f2a,f6")
    assert result.exit_code == 1
    assert "✗ missed" in result.stdout
    assert "missed: broken" in result.stderr


def test_what_cannot_be_tried_is_skipped_with_its_reason(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("prove", "--only", "quality")
    assert result.exit_code == 0
    assert "not tried: quality: outcomes: recorded outcomes are needed" in result.stderr
    assert "a promise" in Terminal(tmp_path).run("prove", "--only", "quality", "--data", str(tmp_path)).stdout


def test_a_trial_that_breaks_off_is_a_promise_not_kept(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("prove", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    (speed,) = (group["figures"] for group in found["groups"] if group["name"] == "speed")
    assert speed[0]["measured"] == "AssertionError: the gateway did not start: no room"
    assert found["seed"] == 20261126
    assert {"version", "machine", "load", "day", "size", "elapsed_s"} <= found.keys()
    assert "peers" not in [group["name"] for group in found["groups"]], "peers are for those who ask"


def test_the_page_has_the_command_the_figures_and_what_was_skipped(tmp_path: Path) -> None:
    page = tmp_path / "proofs.md"
    Terminal(tmp_path).run("prove", "--quick", "--seed", "7", "--only", "money,quality", "--peers", "--into", str(page))
    text = page.read_text()
    assert "`routewright prove --quick --only money,quality --seed 7 --peers --into FILE`" in text
    assert "2 of 2 figures are within their bars" in text
    assert "| kept | a promise | 0 | 0 quick | ✓ | just now |" in text
    assert "| trial | peer |\n|---|---|\n| its CPU | 9 |" in text
    assert "* quality: outcomes: recorded outcomes are needed" in text
    assert "the last are those of [quality.md](quality.md)" in text


def test_a_page_of_other_gateways_alone_is_named_so_and_counts_no_bars(tmp_path: Path) -> None:
    page = tmp_path / "peers.md"
    Terminal(tmp_path).run("prove", "--only", "peers", "--peers-in", str(tmp_path), "--into", str(page))
    text = page.read_text()
    assert text.startswith("# Beside other gateways: the trials\n")
    assert "`routewright prove --only peers --seed 20261126 --peers-in DIR --into FILE`" in text
    assert "within their bars" not in text
    assert "Not tried" not in text


def test_an_unknown_part_is_a_usage_error_that_lists_what_there_is(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("prove", "--only", "monny")
    assert result.exit_code == 2
    assert "monny" in result.stderr
    assert "f2a" in result.stderr


def test_sizes_are_picked() -> None:
    assert [Run(size=size).pick(1, 2, 3) for size in Size] == [1, 2, 3]
