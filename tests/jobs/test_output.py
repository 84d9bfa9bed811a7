import json
import os
from pathlib import Path

import pytest

from routewright.dialects.openai_chat import OpenAIChat
from routewright.errors import BadInput, JobRefused, ProviderRejected
from routewright.jobs.output import Found, JobFiles, LineFile, Place, arrange
from routewright.jobs.results import answer_line, failure_line, refusal_line, renamed


def opened(folder: Path) -> JobFiles:
    return JobFiles(folder / "out.jsonl", folder / "out.errors.jsonl")


def test_lines_are_in_openais_form_and_one_line_whatever_the_provider_sent() -> None:
    line = answer_line("a", "01-2", b'{\n  "text": "x\\ny"\n}')
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "id": "batch_req_012",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "01-2", "body": {"text": "x\ny"}},
        "error": None,
    }


def test_a_failure_has_the_error_a_client_would_have_got() -> None:
    line = json.loads(failure_line("a", "r", ProviderRejected("no"), OpenAIChat()))
    assert (line["response"]["status_code"], line["error"]) == (400, None)
    assert line["response"]["body"]["error"]["code"] == "upstream_rejected"
    assert json.loads(refusal_line("a", "r", "malformed_record", "no"))["error"]["code"] == "malformed_record"


def test_a_twin_gets_the_same_answer_under_its_own_name() -> None:
    first, twin = answer_line("a", "r1", b'{"n":1}'), renamed(answer_line("a", "r1", b'{"n":1}'), "b", "r2")
    assert json.loads(twin) == {**json.loads(first), "custom_id": "b", "id": "batch_req_r2"}


def test_what_was_written_and_not_told_is_found_again_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        told = files.write(answer_line("a", "r1", b"{}"), is_ok=True)
        written = files.write(answer_line("b", "r2", b"{}"), is_ok=True)
        failed = files.write(refusal_line("c", "r3", "malformed_record", "no"), is_ok=False)
    with (tmp_path / "out.jsonl").open("ab") as file:
        file.write(b'{"id":"torn')
    with opened(tmp_path) as files:
        found = list(files.recovered(told.length, 0))
        assert found == [Found("b", "r2", "", written), Found("c", "", "malformed_record", failed)]
        again = files.write(answer_line("d", "r4", b"{}"), is_ok=True)
        assert again.offset == written.offset + written.length
    text = (tmp_path / "out.jsonl").read_text()
    assert [json.loads(line)["custom_id"] for line in text.splitlines()] == ["a", "b", "d"]


def test_files_that_somebody_changed_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        place = files.write(b"{}\n", is_ok=True)
        with pytest.raises(JobRefused, match="shorter than it was"):
            list(files.recovered(place.length + 1, 0))
        with pytest.raises(JobRefused, match="a line that is not ours"):
            list(files.recovered(0, 0))


def test_only_one_process_writes(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        files.write(b"x\n", is_ok=True)
        with pytest.raises(JobRefused, match="another process is writing"):
            LineFile(tmp_path / "out.jsonl")
    LineFile(tmp_path / "out.jsonl").close()


def test_a_file_without_a_line_is_not_left_behind(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        JobFiles(tmp_path / "none" / "out.jsonl", tmp_path / "errors.jsonl")


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as files:
        files.write(b"one\n", is_ok=True)
        write, writes = os.write, []

        def full(fd: int, data: bytes) -> int:
            writes.append(data)
            if len(writes) > 1:
                raise OSError(28, "No space left on device")
            return write(fd, data[:2])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            files.write(b"two\n", is_ok=True)
        assert len(writes) == 2
    assert (tmp_path / "out.jsonl").read_bytes() == b"one\n"


def test_lines_are_put_in_order_without_holding_them(tmp_path: Path) -> None:
    with opened(tmp_path) as files:
        places = [files.write(line, is_ok=True) for line in (b"c\n", b"a\n", b"b\n")]
        arrange(files.output, tmp_path / "sorted", (places[at] for at in (1, 2, 0)))
    assert (tmp_path / "sorted").read_bytes() == b"a\nb\nc\n"
    assert places[1] == Place(True, 2, 2)
