import math
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcomes import STRONG, TABLE, WEAK, table_rows, write_lines, write_parquet
from routewright.errors import ArtefactError
from routewright.training.tables import KIND_OF, SUBJECTS, kind_of, read_tables


def refused(path: Path) -> ArtefactError:
    with pytest.raises(ArtefactError) as caught:
        read_tables([path])
    assert str(path) in caught.value.message
    return caught.value


def test_parquet_and_lines_give_the_same_rows(tmp_path: Path) -> None:
    rows = table_rows(6)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    of_lines = read_tables([write_lines(tmp_path / "one" / f"{TABLE}.jsonl", rows)])
    of_parquet = read_tables([write_parquet(tmp_path / "two" / f"{TABLE}.parquet", rows)])
    assert of_lines == of_parquet
    assert len(of_lines) == 6


def test_row_says_what_is_recorded(tmp_path: Path) -> None:
    (_, row) = read_tables([write_lines(tmp_path / f"{TABLE}.jsonl", table_rows(2))])
    assert row.prompt.startswith("Find the residue")
    assert (row.table, row.kind, row.split) == (TABLE, "hard_math", "train")
    assert row.scores == {WEAK: 0.0, STRONG: 1.0}
    assert row.costs == {STRONG: 0.002}
    assert row.output_tokens == {STRONG: 400.0}


def test_what_is_not_recorded_is_left_out_and_not_zero(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a", "s:swift": 1.0}, {"prompt": "b", "s:swift": None, "split": "dev"}]
    first, second = read_tables([write_lines(tmp_path / "small.jsonl", rows)])
    assert (first.scores, first.kind, first.split) == ({"swift": 1.0}, None, "train")
    assert (second.scores, second.split) == ({}, "dev")
    (third,) = read_tables([write_parquet(tmp_path / "nan.parquet", [{"prompt": "c", "s:swift": math.nan}])])
    assert third.scores == {}


def test_no_files_are_no_rows(tmp_path: Path) -> None:
    assert read_tables([]) == []
    assert read_tables([write_lines(tmp_path / "empty.jsonl", [])]) == []


@pytest.mark.parametrize("content", [b"{", b"[1]\n", b"\xff\xfe\n", b'{"prompt": "a"}\nno json\n'])
def test_lines_that_are_no_objects_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(content)
    assert "cannot be read as a table" in refused(path).message


@pytest.mark.parametrize("content", [b"", b"PAR1", b"this is no parquet file", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_damaged_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    assert "cannot be read as a table" in refused(path).message


def test_parquet_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "cut.parquet", table_rows(6))
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as a table" in refused(path).message


@pytest.mark.parametrize("row", [{}, {"prompt": None}, {"prompt": 3}, {"question": "a"}])
def test_row_without_a_prompt_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    error = refused(write_lines(tmp_path / "rows.jsonl", [row]))
    assert "a row has no prompt" in error.message
    assert error.hint is not None
    assert "s:MODEL" in error.hint


@pytest.mark.parametrize("value", ["good", [1], {"score": 1}])
def test_figure_that_is_no_number_is_refused(tmp_path: Path, value: object) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [{"prompt": "a", "s:swift": value}])
    assert "a figure that is no number" in refused(path).message


def test_parquet_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "table.parquet", table_rows(2))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet")
    assert refused(path).hint == "pip install 'routewright[data]'"


def test_kind_of_work_is_told_by_data_set_and_domain() -> None:
    assert kind_of("mmlu", "professional_law") == "law"
    assert kind_of("mmlu_pro", "computer science") == "hard_computer_science"
    assert kind_of("ulab_math", "anything") == "maths_problem"
    assert kind_of("mmlu", "mmlu") is None
    assert kind_of("", "") is None


def test_no_subject_is_of_two_kinds() -> None:
    assert len(KIND_OF) == sum(len(subjects.split()) for subjects in SUBJECTS.values())


def test_nothing_is_learned_from_rows_whose_licence_does_not_allow_it(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = [{"prompt": f"about {domain}", "domain": domain} for domain in ("trivia_qa", "mbpp")]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    assert [row.prompt for row in read_tables([path])] == ["about mbpp"]
