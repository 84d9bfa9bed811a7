import json
import sys
from pathlib import Path

import pytest

from builders import call
from outcomes import ASKED, STRONG, TABLE, WEAK, table_rows, write_lines, write_parquet, written_prompts
from routewright.classifiers import load_artefact
from routewright.cli.train import LICENCES
from routewright.decision.features import extract
from routewright.decision.forecast import Lessons
from routewright.decision.learned import LearnedClassifier
from terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """In a folder with a table of outcomes and a file of written prompts."""
    held_back = [row | {"split": "dev"} for row in table_rows(10)]
    write_parquet(tmp_path / f"{TABLE}.parquet", [row | {"split": "train"} for row in table_rows()] + held_back)
    write_lines(tmp_path / "prompts.jsonl", written_prompts())
    return Terminal(tmp_path)


def train(terminal: Terminal, *more: str, to: str = "own.artefact") -> tuple[int, str, str]:
    result = terminal.run("train", f"{TABLE}.parquet", "--prompts", "prompts.jsonl", "-o", to, *more)
    return result.exit_code, result.stdout, result.stderr


def test_artefact_is_trained_and_decides_where_the_settings_name_it(terminal: Terminal) -> None:
    code, printed, _ = train(terminal)
    assert code == 0
    artefact = load_artefact(terminal.home / "own.artefact")
    assert printed.startswith(f"own.artefact: version {artefact.version}, ")
    assert "5 kinds of work" in printed
    assert "tier right, written prompts" in printed
    classifier = LearnedClassifier(artefact, Lessons.none(artefact), [])
    for kind, (tier, asked) in ASKED.items():
        verdict = classifier.classify(extract(call(asked.format("purple", "bridge", "clock"))))
        assert (verdict.kinds[0].kind, verdict.tier) == (kind, tier)
    named = ("--simulate", "--json", "--set", "policy.artefact=own.artefact")
    route = json.loads(terminal.run("route", *named, "Translate this into red").stdout)
    assert route["verdict"]["classifier"].startswith(f"learned@{artefact.version}+")


def test_card_counts_the_rows_that_were_learned_from(terminal: Terminal) -> None:
    code, printed, _ = train(terminal, "--json")
    told = json.loads(printed)
    assert code == 0
    assert told["bytes"] == (terminal.home / "own.artefact").stat().st_size
    assert told["card"]["data"] == {
        TABLE: f"40 rows, {LICENCES[TABLE]}",
        "written prompts": "75 prompts, Apache-2.0",
    }
    assert told["card"]["measured"]


def test_table_that_is_left_out_teaches_nothing(terminal: Terminal) -> None:
    code, _, errors = train(terminal, "--leave-out", TABLE)
    assert code == 1
    assert "no table shows when a strong model is needed" in errors
    assert WEAK in errors
    assert STRONG in errors
    assert not (terminal.home / "own.artefact").exists()


@pytest.mark.parametrize("missing", ["sklearn.linear_model", "scipy.sparse"])
def test_missing_extra_is_named_with_what_to_install(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "routewright.training.fit", raising=False)
    code, _, errors = train(terminal)
    assert code == 1
    assert f"training needs {missing}, which is not installed" in errors
    assert "pip install 'routewright[train,data]'" in errors


def test_missing_directory_is_noticed_before_the_training(terminal: Terminal) -> None:
    code, _, errors = train(terminal, to="nowhere/own.artefact")
    assert code == 2
    assert "there is no directory nowhere" in errors


def test_prompts_are_required_and_files_must_exist(terminal: Terminal) -> None:
    assert terminal.run("train", "-o", "own.artefact").exit_code == 2
    assert terminal.run("train", "absent.parquet", "--prompts", "prompts.jsonl", "-o", "x").exit_code == 2
