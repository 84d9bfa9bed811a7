import json
import time
from pathlib import Path

import pytest

from routewright.ledger.sqlite import SqliteDatabase
from routewright.policies.store import PolicyStore
from routewright.settings.schema import Overlay
from routewright.testing import FakeClock
from terminal import Terminal
from tuned import SETTINGS, ledger

ALWAYS_SAGE = "[policy]\nmin_quality = 0.95\n"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(ALWAYS_SAGE + SETTINGS)
    return terminal


def policies(terminal: Terminal) -> PolicyStore:
    return PolicyStore(SqliteDatabase(terminal.ledger), FakeClock())


def test_promise_saving_and_difference_are_told_and_nothing_is_changed(terminal: Terminal) -> None:
    terminal.record(*ledger(450))
    result = terminal.run("tune")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "✓ at most 2 % worse than always sage, with 95 % confidence, saves 51 % ± 5 %"
    assert "450 requests whose answers were judged beside the baseline's" in lines[1]
    assert "goes to     swift 57%, sage 43%" in lines[3]
    assert "now         sage 100%, which saves 0%" in lines[4]
    assert ["min_quality", "0.95", "0.9"] in [line.split() for line in lines]
    assert policies(terminal).versions() == []


def test_apply_writes_a_version_with_its_promise_and_keeps_the_one_before(terminal: Terminal) -> None:
    terminal.record(*ledger(450))
    before = policies(terminal).apply("default", Overlay(min_quality=0.95, exploration=0.01), author="me")
    result = terminal.run("tune", "--apply")
    assert result.exit_code == 0
    assert "in force as version 2 of policy default; back by `routewright policies rollback default`" in result.stdout
    standing = policies(terminal).in_force().standings["default"].version
    assert (standing.number, standing.overlay.min_quality, standing.overlay.caution) == (2, 0.9, 0.0)
    assert standing.overlay.exploration == 0.01, "what does not decide who answers stays"
    promise = standing.evidence["promise"]
    assert (promise["baseline"], promise["within"], promise["before"]) == ("sage", 0.02, before.number)
    policies(terminal).rollback("default", author="me")
    assert policies(terminal).in_force().standings["default"].version == before


def test_tiers_and_fallbacks_are_proposed_where_no_quality_is_asked_for(terminal: Terminal) -> None:
    """Nobody expected anything of the models, so that the kind of work is all there is to go by."""
    terminal.settings(SETTINGS.replace('tier = "bulk"', 'tier = "complex"'))
    terminal.record(*ledger(450, expected=False))
    proposal = json.loads(terminal.run("tune", "--json").stdout)
    assert proposal["overlay"]["tiers"] == {"swift": "standard", "sage": "complex"}
    assert proposal["overlay"]["fallbacks"] == {"swift": ["sage"], "sage": ["swift"]}
    assert proposal["shares"]["swift"] == pytest.approx(0.6, abs=0.05)


def test_policy_in_force_that_keeps_the_promise_is_left_as_it_is(terminal: Terminal) -> None:
    terminal.settings(SETTINGS)
    terminal.record(*ledger(450))
    result = terminal.run("tune")
    assert "the policy in force is the cheapest that keeps it: nothing is to be changed" in result.stdout


def test_too_few_outcomes_are_told_with_how_many_more_it_takes(terminal: Terminal) -> None:
    terminal.record(*ledger(100))
    result = terminal.run("tune", "--apply")
    assert result.exit_code == 1
    assert "✗ no policy can be promised to be at most 2 % worse than always sage" in result.stdout
    assert "more, as it looks now" in result.stdout
    assert "never fewer than 2" in result.stdout, "the hundred of the guide are not enough"
    assert policies(terminal).versions() == []


def test_without_any_comparison_it_says_how_to_come_by_some(terminal: Terminal) -> None:
    terminal.record(*ledger(50, "feedback"))
    result = terminal.run("tune")
    assert result.exit_code == 1
    assert "error[E138]: of 50 requests that a policy decides, 0 have judged answers of sage" in result.stderr
    assert "policy.exploration" in result.stderr
    terminal.ledger.unlink()
    assert "E138" in terminal.run("tune").stderr


def test_choices_drawn_by_chance_are_weighted(terminal: Terminal) -> None:
    terminal.record(*ledger(600, "drawn"))
    proposal = json.loads(terminal.run("tune", "--json").stdout)
    assert proposal["how"] == "weighted"
    assert proposal["found"]["needed"] > 10_000
    assert proposal["found"]["baseline_quality"] == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize(("promise", "code"), [("match nobody within 2 %", 1), ("as good as sage", 2)])
def test_promise_that_cannot_be_held_against_anything_is_refused(terminal: Terminal, promise: str, code: int) -> None:
    terminal.record(*ledger(50))
    assert terminal.run("tune", "--promise", promise).exit_code == code


def test_models_that_are_gone_are_in_nobodys_way(terminal: Terminal) -> None:
    """What was withdrawn since cannot be proposed; a baseline that was cannot be kept to."""
    terminal.record(*ledger(450))
    swift, sage = (SETTINGS.replace(f"[models.{name}]", f"[models.{name}x]") for name in ("swift", "sage"))
    terminal.settings(swift)
    without_swift = terminal.run("tune")
    assert (without_swift.exit_code, "0 have judged answers of sage" in without_swift.stderr) == (1, True)
    terminal.settings(sage)
    without_sage = terminal.run("tune")
    assert (
        without_sage.exit_code,
        "error[E107]: no model that can be called is named 'sage'" in without_sage.stderr,
    ) == (1, True)


def test_a_promise_of_no_loss_at_all_is_never_proven_and_said_to_be_so(terminal: Terminal) -> None:
    terminal.record(*ledger(450))
    told = terminal.run("tune", "--promise", "match sage within 0 %").stdout
    assert "no number of them proves that nothing is lost" in told
    assert "never fewer than 0" not in told


# ---- watched --------------------------------------------------------------------------------------------------------


def applied_at_noon(terminal: Terminal) -> int:
    """Tune and apply; returns the moment after."""
    terminal.record(*ledger(450))
    assert terminal.run("tune", "--apply").exit_code == 0
    return policies(terminal).history()[-1].at_ns + 1


def test_promise_that_no_longer_holds_is_taken_back(terminal: Terminal) -> None:
    after_ns = applied_at_noon(terminal)
    worse = ledger(500, start=450, first="swift", swift=(0.5, 0.3), policy="default@1", from_ns=after_ns)
    terminal.record(*worse)
    result = terminal.run("tune", "--watch")
    assert result.exit_code == 1
    assert "✗ default, version 1: no longer at most 2 % worse than sage, by 500 comparisons" in result.stdout
    assert "it is taken back" in result.stdout
    assert policies(terminal).in_force().standings == {}
    assert policies(terminal).history()[-1].author == "tune"
    again = terminal.run("tune", "--watch")
    assert "error[E139]" in again.stderr


def test_promise_that_holds_is_watched_on(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    after_ns = applied_at_noon(terminal)
    terminal.record(*ledger(300, start=450, first="sage", policy="default@1", from_ns=after_ns))
    looked: list[float] = []

    def sleep(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    result = terminal.run("tune", "--watch")
    assert result.exit_code == 130
    assert result.stderr.count("by 300 comparisons since it was put in force") == 1
    assert "default" in policies(terminal).in_force().standings
