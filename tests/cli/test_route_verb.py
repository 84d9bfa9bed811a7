import json
import re
from pathlib import Path

from terminal import Terminal

PROOF = "Prove that every finite integral domain is a field"
RENAME = "rename foo to bar in this file"
BY_HAND = ("--set", "policy.classifier=heuristic")
"""A classifier whose confidences do not change with every training."""


def test_decision_is_shown_with_every_candidate(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    lines = terminal.run("route", "--simulate", *BY_HAND, PROOF).stdout.splitlines()
    assert lines[0].startswith("→ complex  claude-opus-4.7  confidence 0.")
    assert "policy default@" in lines[0]
    assert "signals: " in lines[1]
    assert lines[2].split() == ["model", "tier", "P(good)", "est.", "cost", "eligible", "why"]
    rows = {line.split()[0]: line for line in lines[3:7]}
    assert rows.keys() == {"claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3"}
    assert " yes " in rows["claude-opus-4.7"]
    assert " no " in rows["deepseek-v3"]


def test_route_calls_nobody_and_leaves_nothing_behind(tmp_path: Path) -> None:
    Terminal(tmp_path).run("route", "--simulate", PROOF)
    assert list(tmp_path.iterdir()) == []


def test_threshold_that_would_change_the_choice_is_found_by_deciding_again(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    believed = terminal.run("route", "--simulate", *BY_HAND, PROOF).stdout.splitlines()[-1]
    assert believed.startswith("  would change if: confidence_threshold > 0.")
    assert "→ claude-sonnet-4.6, saves $" in believed
    doubted = terminal.run("route", "--simulate", *BY_HAND, PROOF, "--set", "policy.confidence_threshold=1").stdout
    assert doubted.startswith("→ standard  claude-sonnet-4.6")
    assert "confidence_threshold ≤ 0." in doubted
    assert "→ claude-opus-4.7, costs $" in doubted


def test_kinds_of_work_and_what_each_model_makes_of_them_are_shown(tmp_path: Path) -> None:
    lines = Terminal(tmp_path).run("route", "--simulate", RENAME).stdout.splitlines()
    assert re.match(r"→ bulk  deepseek-v3  confidence [01]\.\d\d · est", lines[0])
    assert re.fullmatch(r"  looks like \w.* · kinds: [a-z ]+ \d+%(, [a-z ]+ \d+%)*", lines[1])
    assert all(0 < success < 1 for success in successes(lines).values())


def test_quality_that_is_asked_for_is_held_and_the_floors_that_change_the_choice_are_told(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    lines = terminal.run("route", "--simulate", "--min-quality", "0.01", RENAME).stdout.splitlines()
    assert lines[0].startswith("→ bulk  deepseek-v3")
    assert "quality 0.01 was asked for" in lines[1]
    told = re.fullmatch(r"  would change if: floor ≥ (0\.\d\d) → (\S+), costs \$[\d.]+ more", lines[-1])
    assert told is not None
    higher = terminal.run("route", "--simulate", "--min-quality", told[1], RENAME).stdout.splitlines()
    assert higher[0].split()[2] == told[2]
    assert "floor ≤ " in higher[-1]
    assert "→ deepseek-v3, saves $" in higher[-1]


def test_a_wish_may_be_said_as_a_sentence(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    lines = terminal.run("route", "--simulate", "--quality", "match gpt-5.5 within 0 %", PROOF).stdout.splitlines()
    assert "to match gpt-5.5 within 0 %" in lines[1]
    shown = successes(lines)
    assert shown[lines[0].split()[2]] >= shown["gpt-5.5"]
    unknown = terminal.run("route", "--simulate", "--quality", "match gpt-6 within 1 %", PROOF)
    assert unknown.exit_code == 78
    assert 'policy.quality: no model is called "gpt-6" (flag --quality)' in unknown.stderr
    assert terminal.run("route", "--quality", "good", PROOF).exit_code == 78
    assert terminal.run("route", "--min-quality", "1.1", PROOF).exit_code == 2


def successes(lines: list[str]) -> dict[str, float]:
    """Model → P(good), from the table."""
    return {line.split()[0]: float(line.split()[2]) for line in lines[3:7]}


def test_named_model_is_not_classified(tmp_path: Path) -> None:
    text = Terminal(tmp_path).run("route", "--simulate", "--model", "deepseek-v3", PROOF).stdout
    assert text.startswith("→ bulk  deepseek-v3  est. $")
    assert "would change" not in text


def test_json_is_the_whole_decision(tmp_path: Path) -> None:
    route = json.loads(Terminal(tmp_path).run("route", "--simulate", "--json", PROOF).stdout)
    assert route["verdict"]["tier"] == "complex"
    assert len(route["candidates"]) == 4


def test_prompt_may_come_from_stdin(tmp_path: Path) -> None:
    assert Terminal(tmp_path).run("route", "--simulate", *BY_HAND, stdin=PROOF).stdout.startswith("→ complex")


def test_mistake_in_the_question_is_the_callers(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    tier = terminal.run("route", "--simulate", "--tier", "huge", "hello")
    assert tier.exit_code == 1
    assert tier.stderr.startswith("error[E102]")
    model = terminal.run("route", "--simulate", "--model", "nobody", "hello")
    assert model.stderr.startswith("error[E107]: no model is called 'nobody'")
    assert terminal.run("route", "--simulate", stdin="").exit_code == 2
