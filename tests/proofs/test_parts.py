"""The parts of `routewright prove` in small; their trials have tests of their own in the lab of faults."""

from pathlib import Path

import pytest

from routewright.cli import prove
from routewright.proofs import decision, drift, faults, quality, report
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Run, Size

QUICK = Run(size=Size.QUICK)
PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"


def test_the_weight_of_the_decision_is_measured() -> None:
    seen: list[float] = []
    figures = {figure.name: figure for figure in decision.weight(QUICK, seen.append)}
    assert figures["artefact"].has_passed
    assert seen[-1] == 1.0


def test_drift_is_found_soon() -> None:
    delays = list(drift.delays(20))
    assert len(delays) == 4
    assert all(watched.is_met for watched in delays)


@pytest.mark.parametrize("part", [faults.f7, quality.alarms, quality.outcomes])
def test_what_takes_long_or_needs_data_says_so(part: object) -> None:
    assert callable(part)
    with pytest.raises(NotHere, match=r"--quick|--data"):
        part(QUICK, lambda share: None)


def test_what_a_figure_says_stays_in_its_cell() -> None:
    figure = Figure(name="peers", what="settings", bar="", measured="a | b\nc", has_passed=True, run="")
    assert figure.row() == "| peers | settings |  | a \\| b c |  |  |"


def test_the_verb_names_every_group_but_peers() -> None:
    assert [*prove.GROUPS, "peers"] == list(report.GROUPS)


def test_the_page_of_the_docs_has_every_group() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"## {group.capitalize()}" in text for group in prove.GROUPS)
    assert "seed" in text
