import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outcome_rows import STRONG, WEAK, row, rows, write
from routewright.cli.failures import BadTable
from routewright.cli.outcome_tables import read_tables, table_of
from routewright.decision.appraisal import Known


def test_rows_become_a_table(tmp_path: Path) -> None:
    (table,) = read_tables(write(tmp_path / "mine.jsonl", rows(6)))
    assert (table.name, table.models) == ("mine", (WEAK, STRONG))
    assert table.scores.shape == table.costs.shape == (6, 2)
    assert table.dev.tolist() == [1, 3, 5]
    assert table.texts(table.dev) is not None


def test_score_that_is_missing_null_or_not_a_number_is_unknown() -> None:
    key = f"s:{WEAK}"
    records = [row(0, **{key: ...}), row(1, **{key: None}), row(2, **{key: float("nan")}), row(3)]
    table = table_of("t", records)
    assert np.isnan(table.scores[:, table.column(WEAK)]).tolist() == [True, True, True, False]


def test_own_export_has_kinds_and_a_sketch_instead_of_a_prompt() -> None:
    records = rows(40, prompt=..., split=..., kinds={"maths": 0.9}, sketch="AAEC")
    for number, record in enumerate(records):
        record["kinds"] = {"maths": number / 40}
    table = table_of("mine", records)
    first = table.prompts[1]
    assert isinstance(first, Known)
    assert (first.kinds[0].kind, first.sketch) == ("maths", b"\x00\x01\x02")
    assert table.texts(table.dev) is None


def test_without_a_split_a_hash_of_the_prompt_decides() -> None:
    table = table_of("t", rows(1_000, split=...))
    assert 640 < len(table.train) < 760
    assert table.is_train == table_of("t", rows(1_000, split=...)).is_train


def test_pair_is_the_usual_one_or_the_cheapest_and_the_best() -> None:
    table = table_of("t", rows(20, **{"s:mid": 0.5, "c:mid": 0.002}))
    assert table.pair() == (WEAK, STRONG)
    assert table.pair(("mid", STRONG)) == ("mid", STRONG)
    assert table.only(["mid", WEAK]).scores[0].tolist() == [0.5, 0.0]
    with pytest.raises(BadTable, match="no outcomes of 'gpt'"):
        table.pair(("gpt", STRONG))


def test_well_known_table_has_its_usual_pair() -> None:
    models = ("gpt-4-1106-preview", "Mixtral-8x7B-Instruct-v0.1")
    records = [
        {"prompt": split, "split": split, f"s:{models[0]}": 1, f"s:{models[1]}": 1} for split in ("train", "dev")
    ]
    assert table_of("routellm_mmlu", records).pair() == models[::-1]


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "is empty"),
        (rows(4, **{f"s:{STRONG}": ...}), f"only of '{WEAK}'"),
        (rows(4, **{f"s:{STRONG}": ..., f"s:{WEAK}": ...}), "of no model"),
        (rows(4, prompt=...), "row 1 of t has neither a prompt nor kinds and sketch"),
        (rows(4, prompt=..., kinds={"a": 1}, sketch="%"), "row 1 of t: kinds or sketch"),
        (rows(4, split="train"), "no rows to measure on"),
        (rows(4, split="dev"), "no rows to learn from"),
        (rows(4, **{f"s:{WEAK}": 7}), "scores outside 0 to 1"),
        (rows(4, **{f"c:{WEAK}": -1}), "costs below 0"),
        (rows(4, **{f"s:{WEAK}": "good"}), "something else than numbers"),
    ],
)
def test_rows_that_make_no_table_are_refused(records: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(BadTable) as refused:
        table_of("t", records)
    assert told in refused.value.message


def test_folder_is_read_in_order_and_other_files_are_no_tables(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        write(tmp_path / name, rows(4))
    (tmp_path / "README.md").write_text("not a table")
    assert [table.name for table in read_tables(tmp_path)] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadTable, match=r"no \.parquet or \.jsonl file"):
        read_tables(tmp_path / "empty")


def test_lines_that_are_not_json_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row(0)) + "\nnonsense\n")
    with pytest.raises(BadTable, match="not JSON lines"):
        read_tables(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_pyarrow(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadTable) as refused:
        read_tables(tmp_path / "t.parquet")
    assert refused.value.hint == "pip install 'routewright[data]'"


def test_parquet_reads_like_json_lines(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows(6)), tmp_path / "t.parquet")
    (table,) = read_tables(tmp_path / "t.parquet")
    assert (table.scores == table_of("t", rows(6)).scores).all()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadTable, match="not parquet"):
        read_tables(tmp_path / "bad.parquet")
