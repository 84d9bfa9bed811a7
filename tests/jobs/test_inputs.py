import io
from pathlib import Path

import pytest

from routewright.errors import BadInput
from routewright.jobs.inputs import LONGEST_LINE, Format, Input, spool
from routewright.jobs.lines import Asking, Malformed, Question, Template


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def prompts(source: Input) -> list[object]:
    entries = [record.read() for record in source]
    return [e.body["messages"][-1]["content"] if isinstance(e, Question) else e.reason for e in entries]


def test_json_lines_are_numbered_as_in_the_file_and_empty_ones_are_none(tmp_path: Path) -> None:
    source = Input(
        write(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"prompt": "one"}\r\n\n{oops\n{"prompt": "three"}'), Asking()
    )
    first, second, third = list(source)
    assert [record.position for record in (first, second, third)] == [0, 1, 2]
    assert isinstance(second.read(), Malformed)
    assert prompts(source)[1].startswith("line 3 is not JSON")  # type: ignore[attr-defined]
    assert [first.read().custom_id, third.read().custom_id] == ["item-1", "item-4"]


def test_csv_has_a_prompt_or_fills_in_a_template(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'custom_id,prompt,max_tokens\nx,"two\nlines",7\n,plain,\nshort\n')
    entries = [record.read() for record in Input(path, Asking())]
    assert isinstance(entries[0], Question)
    assert (entries[0].custom_id, entries[0].body["max_tokens"]) == ("x", 7)
    assert entries[0].body["messages"][0]["content"] == "two\nlines"
    assert entries[1].custom_id == "item-4"
    assert isinstance(entries[2], Malformed)
    assert "1 columns instead of 3" in entries[2].reason
    assert prompts(Input(path, Asking(template=Template("{custom_id}!"))))[:2] == ["x!", "!"]


def test_bytes_that_are_no_text_are_wrong_with_their_line_only(tmp_path: Path) -> None:
    for name in ("a.csv", "a.txt"):
        source = Input(write(tmp_path, name, b"prompt\ngood\nb\xffd\n"), Asking())
        assert prompts(source)[-2:] == ["good", "line 3 is not UTF-8"]


def test_parquet_is_read_by_its_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"name": ["f", "g"], "n": [1, 2]}), path)
    assert prompts(Input(path, Asking(template=Template("{name}{n}")))) == ["f1", "g2"]
    with pytest.raises(BadInput, match="no column `prompt`"):
        Input(path, Asking())
    with pytest.raises(BadInput, match="not Parquet"):
        Input(write(tmp_path, "b.parquet", "PAR"), Asking())


def test_what_has_no_telling_name_is_looked_at(tmp_path: Path) -> None:
    assert Input(write(tmp_path, "a", '{"prompt": "x"}'), Asking()).format is Format.JSONL
    assert Input(write(tmp_path, "b", "x"), Asking()).format is Format.LINES
    assert prompts(Input(write(tmp_path, "c", '{"x"}'), Asking(), Format.LINES)) == ['{"x"}']


@pytest.mark.parametrize(("name", "data"), [("a.csv", "name\nf\n"), ("a.jsonl", '{"name": "f"}'), ("a.txt", "f")])
def test_a_template_whose_field_is_nowhere_is_one_error(tmp_path: Path, name: str, data: str) -> None:
    with pytest.raises(BadInput, match=r"a field \{nam\}"):
        Input(write(tmp_path, name, data), Asking(template=Template("{nam}")))


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.csv", "none.txt", "none"):
        with pytest.raises(BadInput, match="cannot be read: No such file"):
            Input(tmp_path / name, Asking())


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    source = Input(write(tmp_path, "a.txt", b"x" * (LONGEST_LINE + 2)), Asking())
    with pytest.raises(BadInput, match=r"line 1 of .* has more than 32 MiB"):
        list(source)


def test_stdin_is_kept_so_that_it_can_be_read_again(tmp_path: Path) -> None:
    path = spool(io.BytesIO(b"one\ntwo\n"), tmp_path / "out.jsonl")
    assert prompts(Input(path, Asking())) == ["one", "two"]
    assert spool(io.BytesIO(b"one\ntwo\n"), tmp_path / "out.jsonl") == path
    assert spool(io.BytesIO(b"other\n"), tmp_path / "out.jsonl") != path
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(BadInput, match="cannot be kept"):
        spool(io.BytesIO(b""), tmp_path / "none" / "out.jsonl")
