import json
import tomllib
from pathlib import Path

import pytest

from outcome_rows import STRONG, WEAK, FakeLearner, rows, write
from routewright.cli import evaluating
from terminal import Terminal

PROMISE = f"match {STRONG} within 10 %"


@pytest.fixture(autouse=True)
def learner(monkeypatch: pytest.MonkeyPatch) -> FakeLearner:
    fake = FakeLearner()
    monkeypatch.setattr(evaluating, "learner_of", lambda artefact: fake)
    return fake


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write(tmp_path / "mine.jsonl", rows()))


def test_floor_that_keeps_the_promise_comes_with_the_lines_to_paste(tmp_path: Path, data: str) -> None:
    terminal = Terminal(tmp_path)
    result = terminal.run("calibrate", data, "--promise", PROMISE)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"✓ {PROMISE}: kept with P ≥ ")
    pasted = "\n".join(line.strip() for line in result.stdout.partition("in routewright.toml:")[2].splitlines()[2:5])
    policy = tomllib.loads(pasted)["policy"]
    assert 0.05 < policy["min_quality"] <= 0.95
    terminal.settings(pasted)
    assert terminal.run("config", "check", environ={"OPENAI_API_KEY": "x"}).exit_code == 0


def test_json_has_the_whole_finding(tmp_path: Path, data: str) -> None:
    finding = json.loads(Terminal(tmp_path).run("calibrate", data, "--promise", PROMISE, "--json").stdout)
    assert finding["kept"]["cost"] < finding["kept"]["model_cost"] / 2
    assert finding["kept"]["shares"][finding["models"].index(WEAK)] == pytest.approx(2 / 3, abs=0.02)
    assert finding["settings"][0] == "[policy]"


def test_promise_that_cannot_be_kept_is_said_to_be_so(tmp_path: Path, data: str) -> None:
    result = Terminal(tmp_path).run("calibrate", data, "--promise", f"match {WEAK} within 1 %")
    assert result.exit_code == 1
    assert "no floor keeps this promise on these data and saves anything (n = 200)" in result.stdout
    assert "routewright.toml" not in result.stdout


@pytest.mark.parametrize("promise", ["as good as sage", "match sage within", "match sage within 200 %"])
def test_promise_that_is_not_understood_is_a_usage_error(tmp_path: Path, data: str, promise: str) -> None:
    result = Terminal(tmp_path).run("calibrate", data, "--promise", promise)
    assert result.exit_code == 2
    assert 'write "match MODEL within 2 %"' in " ".join(result.stderr.replace("│", "").split())


def test_unknown_model_and_too_few_rows_are_errors(tmp_path: Path, data: str) -> None:
    terminal = Terminal(tmp_path)
    unknown = terminal.run("calibrate", data, "--promise", "match gpt-9 within 2 %")
    assert (unknown.exit_code, unknown.stderr.splitlines()[1]) == (1, f"hint: it has those of {WEAK}, {STRONG}")
    few = terminal.run("calibrate", str(write(tmp_path / "few.jsonl", rows(10))), "--promise", PROMISE)
    assert few.exit_code == 1
    assert "few has 5 prompts to measure on" in few.stderr


def test_folder_is_no_table(tmp_path: Path, data: str) -> None:
    assert Terminal(tmp_path).run("calibrate", ".", "--promise", PROMISE).exit_code == 2


def test_pair_leaves_the_other_models_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", rows(**{"s:other": 1.0}))
    terminal = Terminal(tmp_path)
    assert "--pair" in terminal.run("calibrate", str(path), "--promise", PROMISE).stderr
    assert terminal.run("calibrate", str(path), "--promise", PROMISE, "--pair", f"{WEAK},{STRONG}").exit_code == 0
