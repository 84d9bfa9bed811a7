"""A stage is a function of a batch; here it is called as Ray Data calls it, in one process."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_kills import SETTINGS, batch_upstream

from routewright import RoutewrightStage
from routewright.errors import BadInput, BudgetExceeded, ClusterUnusable
from routewright.jobs import stage as stages
from routewright.jobs.stage import StageEngine


@pytest.fixture
def bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A provider, its settings in the folder we are in, and the engines closed at the end."""
    engines: list[StageEngine] = []
    opened = stages.engine_of.__wrapped__

    def engine_of(where: stages.Where) -> StageEngine:
        if not engines:
            engines.append(opened(where))
        return engines[0]

    monkeypatch.setattr(stages, "engine_of", engine_of)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with batch_upstream(tmp_path / "bill.jsonl") as port:
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        yield tmp_path / "bill.jsonl"
        for engine in engines:
            engine.close()


def rows(*names: str, **more: list[Any]) -> dict[str, Any]:
    return {"prompt": np.array([f"{name} of many" for name in names]), **more}


def asked(bill: Path) -> int:
    return len(bill.read_text().splitlines())


def test_rows_get_their_answers_beside_what_they_had(bill: Path) -> None:
    found = RoutewrightStage("job", model="ok", max_tokens=64)(rows("a", "b", number=[1, 2]))
    assert (found["number"], list(found["answer"]), list(found["error"])) == ([1, 2], ["a", "b"], ["", ""])
    assert list(found["model"]) == ["ok", "ok"]
    assert len(set(found["request_id"])) == 2


def test_a_block_that_is_worked_on_again_asks_nothing_again(bill: Path) -> None:
    stage = RoutewrightStage("job", model="ok")
    first = stage(rows("a", "b", custom_id=["1", "2"]))
    again = pickle.loads(pickle.dumps(stage))(rows("b", "c", custom_id=["2", "3"]))  # noqa: S301 our own
    assert asked(bill) == 3
    assert again["request_id"][0] == first["request_id"][1]
    assert RoutewrightStage("another", model="ok")(rows("a"))["answer"][0] == "a"
    assert asked(bill) == 4, "another job pays for itself"


def test_rows_without_an_id_are_known_by_what_they_ask(bill: Path) -> None:
    found = RoutewrightStage("job", model="ok")(rows("a", "b", "a"))
    assert list(found["answer"]) == ["a", "b", "a"]
    assert asked(bill) == 2


def test_an_id_that_asks_something_else_is_refused_before_anything_is_asked(bill: Path) -> None:
    stage = RoutewrightStage("job", model="ok")
    stage(rows("a", custom_id=["1"]))
    with pytest.raises(BadInput, match="'1' has asked something else in job 'job'"):
        stage(rows("b", custom_id=["1"]))
    with pytest.raises(BadInput, match="'2' has asked something else"):
        stage(rows("a", "b", custom_id=["2", "2"]))
    assert asked(bill) == 1


def test_a_row_that_fails_is_the_only_one_and_is_decided(bill: Path) -> None:
    stage = RoutewrightStage("job")
    batch = {"prompt": ["a", None, "b"], "model": ["ok", None, "nobody"]}
    found = stage(batch)
    assert list(found["answer"]) == ["a", "", ""]
    assert found["error"][1].startswith("malformed_record: record 2")
    assert found["error"][2].startswith("model_not_found: ")
    assert stage(batch)["request_id"][2] == found["request_id"][2], "it is not asked again"


def test_what_a_job_may_cost_ends_it(bill: Path) -> None:
    stage = RoutewrightStage("job", model="ok", max_tokens=64, concurrency=1, max_cost_usd="0.0002")
    with pytest.raises(BudgetExceeded):
        stage(rows(*"abcdefghij"))
    before = asked(bill)
    assert 1 <= before < 10
    richer = RoutewrightStage("job", model="ok", max_tokens=64, max_cost_usd="0.1")
    assert list(richer(rows(*"abcdefghij"))["answer"]) == list("abcdefghij")
    assert asked(bill) == 10, "what was answered is not asked again"


@pytest.mark.parametrize(("job", "batch"), [("no name", {}), ("", {}), ("job", [1, 2])])
def test_bad_input_is_a_clear_error(job: str, batch: Any) -> None:
    with pytest.raises(BadInput):
        RoutewrightStage(job)(batch)


def test_a_node_with_other_settings_is_refused(bill: Path) -> None:
    stage = RoutewrightStage("job", model="ok")
    settings = bill.with_name("routewright.toml")
    settings.write_text(settings.read_text().replace('input = "1"', 'input = "2"'))
    with pytest.raises(ClusterUnusable, match="the settings on"):
        stage(rows("a"))
    assert not bill.read_text()
