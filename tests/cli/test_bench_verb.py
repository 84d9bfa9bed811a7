import json
from collections.abc import Callable
from pathlib import Path

import pytest

from routewright.bench import measure
from routewright.bench.plan import Plan
from routewright.bench.report import Machine, Report, figure
from terminal import Terminal


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were run, by a stand-in that measures nothing."""
    seen: list[Plan] = []

    def run(plan: Plan, progress: Callable[[str], None]) -> Report:
        seen.append(plan)
        progress("measuring")
        figures = (figure("a", "a thing", "µs", [1.0, 2.0, 3.0], bar=1.5), figure("b", "another", "ms", [7.0]))
        machine = Machine(processor="made up", cores=2, system="Linux", python="CPython 3.13", decision="compiled")
        return Report(machine=machine, figures=figures, elapsed_s=1.0)

    monkeypatch.setattr(measure, "run", run)
    return seen


def test_figures_are_shown_with_their_bars(tmp_path: Path, plans: list[Plan]) -> None:
    result = Terminal(tmp_path).run("bench")
    assert result.exit_code == 0
    assert result.stdout.startswith("made up, 2 cores, Linux, CPython 3.13, decision: compiled\n")
    assert "✗ missed" in next(line for line in result.stdout.splitlines() if "a thing" in line)
    assert result.stderr == ""
    assert plans == [Plan()]


def test_quick_run_is_a_smaller_plan(tmp_path: Path, plans: list[Plan]) -> None:
    report = json.loads(Terminal(tmp_path).run("bench", "--quick", "--json").stdout)
    assert [each["name"] for each in report["figures"]] == ["a", "b"]
    assert plans == [Plan.quick()]
