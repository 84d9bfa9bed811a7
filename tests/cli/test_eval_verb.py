import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outcome_rows import STRONG, WEAK, FakeLearner, rows, write
from routewright.cli import evaluating
from terminal import Terminal


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> FakeLearner:
    """Instead of the one that comes with the package."""

    def score(texts: Sequence[str]) -> Any:
        return np.linspace(0, 1, len(texts))

    fake = FakeLearner()
    monkeypatch.setattr(evaluating, "learner_of", lambda artefact: fake)
    monkeypatch.setattr(fake, "needs", score, raising=False)
    return fake


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "mine.jsonl", rows())


def found(tmp_path: Path, *arguments: str) -> Any:
    result = Terminal(tmp_path).run("eval", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["results"][0]


def router(result: Any, name: str) -> Any:
    return next(each for each in result["routers"] if each["name"] == name)


def test_learned_router_is_measured_beside_what_is_easier(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    result = found(tmp_path, str(data))
    assert (result["weak"], result["strong"], result["best"]) == (WEAK, STRONG, STRONG)
    assert (result["train"], result["dev"]) == (200, 200)
    apgr = {each["name"]: each["pair"]["apgr"]["value"] for each in result["routers"] if each["pair"]}
    assert apgr["random"] == pytest.approx(0.5)
    assert apgr["oracle"] >= apgr["learned"] > 0.75
    learned = router(result, "learned")["curve"]
    assert learned["cost_to_match"]["value"] < 0.5
    assert router(result, "always cheapest")["curve"]["cost_to_match"]["value"] is None
    assert router(result, "fixed mixture")["curve"]["cost_to_match"]["value"] == pytest.approx(1)
    assert result["calibration"]["ece"]["value"] < 0.08


def test_tables_are_shown_with_what_was_learned_from(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    result = Terminal(tmp_path).run("eval", str(data))
    assert result.stdout.startswith("mine: learned from 200 prompts, measured on 200\n")
    assert f"{WEAK} or {STRONG}, 200 prompts" in result.stdout
    assert "never" in next(line for line in result.stdout.splitlines() if "always cheapest" in line)
    assert result.stderr == ""


def test_same_seed_gives_the_same_figures(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    one, other = (
        found(tmp_path, str(data), "--outcomes", "20", "--draws", "2", "--paraphrases", "1") for _ in range(2)
    )
    assert one == other


def test_outcomes_are_drawn_as_often_as_was_said(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    assert found(tmp_path, str(data), "--outcomes", "20", "--draws", "3")["train"] == 20
    assert learner.shown == [20, 20, 20]


def test_prior_alone_learns_from_nothing_and_knows_the_prices(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    result = Terminal(tmp_path).run("eval", str(data), "--outcomes", "0")
    assert "learned from nothing" in result.stdout
    assert learner.shown == [0]
    assert router(found(tmp_path, str(data), "--outcomes", "0"), "learned")["curve"]["cost_to_match"]["value"] < 0.5


def test_paraphrases_measure_stability(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    result = found(tmp_path, str(data), "--paraphrases", "2")
    assert result["pair_stability"]["value"] == pytest.approx(1)
    assert result["choice_stability"]["value"] == pytest.approx(1)


def test_prompts_without_all_scores_are_left_out(tmp_path: Path, learner: FakeLearner) -> None:
    records = rows()
    for record in records[1:200:2]:
        record[f"s:{WEAK}"] = None
    result = found(tmp_path, str(write(tmp_path / "t.jsonl", records)))
    assert result["pair_prompts"] == result["curve_prompts"] == 100


def test_without_costs_only_the_pair_is_measured(tmp_path: Path, learner: FakeLearner) -> None:
    path = write(tmp_path / "t.jsonl", rows(**{f"c:{WEAK}": ..., f"c:{STRONG}": ...}))
    result = found(tmp_path, str(path))
    assert result["best"] is None
    assert router(result, "learned")["curve"] is None
    assert "the curve is left out" in " ".join(result["notes"])
    drawn = Terminal(tmp_path).run("eval", str(path), "--svg", "c.svg")
    assert drawn.exit_code == 1
    assert "error[E504]: there is no curve to draw" in drawn.stderr


def test_own_export_is_measured_without_what_reads_texts(tmp_path: Path, learner: FakeLearner) -> None:
    records = rows(prompt=..., kinds={"maths": 0.5}, sketch="AAEC")
    names = [each["name"] for each in found(tmp_path, str(write(tmp_path / "t.jsonl", records)))["routers"]]
    assert "learned" in names
    assert not {"score", "heuristic", "prompt length"} & set(names)


def test_picture_is_well_formed_light_and_dark_and_needs_nothing_else(
    tmp_path: Path, data: Path, learner: FakeLearner
) -> None:
    result = Terminal(tmp_path).run("eval", str(data), "--svg", "c.svg", "--html", "c.html")
    assert "written: c.svg" in result.stderr
    picture = (tmp_path / "c.svg").read_text(encoding="utf-8")
    texts = [text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 our own
    for label in ("mean score", "mean cost a prompt", "routewright", "oracle", "always cheapest", "always strongest"):
        assert label in texts
    assert "prefers-color-scheme: dark" in picture
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert picture.strip() in page
    assert "src=" not in page
    assert "href=" not in page


def test_names_of_models_cannot_break_the_picture(tmp_path: Path, learner: FakeLearner) -> None:
    changes = {f"s:{STRONG}": ..., f"c:{STRONG}": ..., "s:<b>&": 1.0, "c:<b>&": 0.01}
    Terminal(tmp_path).run("eval", str(write(tmp_path / "t.jsonl", rows(**changes))), "--svg", "c.svg")
    assert "always &lt;b&gt;&amp;" in (tmp_path / "c.svg").read_text(encoding="utf-8")


def test_report_says_how_it_came_about(tmp_path: Path, learner: FakeLearner) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in ("a", "b"):
        write(folder / f"{name}.jsonl", rows())
    Terminal(tmp_path).run("eval", str(folder), "--report", "r.md", "--seed", "7")
    report = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "seed 7" in report
    assert "numpy " in report
    assert "routewright" in report
    assert report.index("## a") < report.index("## b")
    assert "| learned | " in report


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere.jsonl",), "does not exist"),
        (("mine.jsonl", "--pair", "swift"), "is not WEAK,STRONG"),
        (("mine.jsonl", "--pair", "swift,swift"), "is not WEAK,STRONG"),
        ((".", "--svg", "c.svg"), "a picture shows one table"),
        (("mine.jsonl", "--draws", "0"), "not in the range"),
    ],
)
def test_wrong_command_line_is_a_usage_error(
    tmp_path: Path, data: Path, learner: FakeLearner, arguments: tuple[str, ...], told: str
) -> None:
    write(tmp_path / "other.jsonl", rows())
    result = Terminal(tmp_path).run("eval", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_unknown_pair_names_the_models_there_are(tmp_path: Path, data: Path, learner: FakeLearner) -> None:
    result = Terminal(tmp_path).run("eval", str(data), "--pair", "swift,gpt-9")
    assert result.exit_code == 1
    assert "error[E504]: mine has no outcomes of 'gpt-9'\nhint: it has those of swift, sage\n" in result.stderr


def test_empty_file_is_an_error(tmp_path: Path, learner: FakeLearner) -> None:
    result = Terminal(tmp_path).run("eval", str(write(tmp_path / "t.jsonl", [])))
    assert result.exit_code == 1
    assert "error[E504]: t is empty" in result.stderr


def test_shipped_learner_measures_a_tiny_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", rows(80))
    for arguments in ((), ("--outcomes", "0")):
        result = found(tmp_path, str(path), *arguments)
        assert 0 <= router(result, "learned")["pair"]["apgr"]["value"] <= 1.2
