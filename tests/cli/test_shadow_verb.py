import json
from pathlib import Path

import pytest

from routewright.ledger.ledger import ComparisonRecorded, OutcomeRecorded
from terminal import NOON, Terminal, request, settled


def comparison(number: int, result: str, /, **changes: object) -> ComparisonRecorded:
    plain: dict[str, object] = {
        "request_id": f"request-{number}",
        "at_ns": NOON + number,
        "model": "strong",
        "shadow": "swift",
        "decided_by": "judge",
        "judge": "referee",
        "cost_nanousd": 1_000_000,
        "shadow_cost_nanousd": 10_000,
        "judge_cost_nanousd": 5_000,
        "total_ms": 900,
        "shadow_ms": 300,
    }
    return ComparisonRecorded(comparison_id=f"c{number}", result=result, **(plain | changes))  # type: ignore[arg-type]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    results = ["win", "loss", "tie", "different", "failed"]
    terminal.record(
        *(comparison(number, result) for number, result in enumerate(results)),
        comparison(5, "tie", is_same=True, decided_by="agreement", answer="it is \x1b[2J7", shadow_answer="7"),
    )
    return terminal


def test_the_report_has_results_cost_and_time_side_by_side(terminal: Terminal) -> None:
    header, row, note = terminal.run("shadow", "report").stdout.splitlines()
    assert header.split()[:3] == ["shadow", "beside", "compared"]
    assert row.split()[:5] == ["swift", "strong", "6", "16.7", "%"]
    assert "1 (5% – 70%)" in row
    assert "2 (15% – 85%)" in row
    assert "+0.00 (-0.80 – +0.80)" in row
    assert row.split()[-5:] == ["$0.005000", "$0.000050", "900", "300", "$0.000030"]
    assert note == "swift beside strong: 1 differ and were not judged, 1 gave no answer"
    [told] = json.loads(terminal.run("shadow", "report", "--json").stdout)
    assert (told["wins"]["count"], told["losses"]["count"], told["ties"]["count"]) == (1, 1, 2)


def test_ratings_of_both_answers_are_told(terminal: Terminal) -> None:
    for number, (model, score) in enumerate((("strong", 0.0), ("swift", 1.0))):
        terminal.record(
            OutcomeRecorded(
                outcome_id=f"o{number}", request_id="request-0", at_ns=NOON, model=model, source="feedback", score=score
            )
        )
    [told] = json.loads(terminal.run("shadow", "report", "--json").stdout)
    assert told["rated"] == 1


def test_single_comparisons_can_be_chosen_and_answers_are_shown_harmlessly(terminal: Terminal) -> None:
    listed = terminal.run("shadow", "list").stdout
    assert len([line for line in listed.splitlines() if "request-" in line]) == 7
    assert "strong: it is" in listed
    assert "\x1b" not in listed
    chosen = json.loads(terminal.run("shadow", "list", "--result", "win", "--result", "loss", "--json").stdout)
    assert [each["request_id"] for each in chosen] == ["request-0", "request-1"]
    different = json.loads(terminal.run("shadow", "list", "--different", "--json").stdout)
    assert [each["result"] for each in different] == ["win", "loss", "tie", "different"]
    assert len(json.loads(terminal.run("shadow", "list", "-n", "1", "--json").stdout)) == 1


def test_nothing_compared_is_said(tmp_path: Path, terminal: Terminal) -> None:
    assert "no model was asked beside another" in terminal.run("shadow", "report", "--since", "2026-12-01").stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    for verb in ("report", "list"):
        assert "no model was asked beside another" in Terminal(empty).run("shadow", verb).stderr


def test_a_saving_is_net_of_shadows(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(settled(), request())
    before = json.loads(terminal.run("report", "--json").stdout)["saving"]
    terminal.record(
        settled(attempt_id="s1", cause="shadow", cost_nanousd=300_000),
        settled(attempt_id="s2", cause="comparison", cost_nanousd=20_000),
    )
    report = json.loads(terminal.run("report", "--json").stdout)
    assert report["saving"]["shadows_nanousd"] == 320_000
    assert report["saving"]["saved_nanousd"] == before["saved_nanousd"] - 320_000
    assert report["saving"]["actual_nanousd"] == before["actual_nanousd"]
    assert "(shadows $0.000320)" in terminal.run("report").stdout
