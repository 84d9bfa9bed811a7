"""The envelopes of both batch APIs: what a live call would send goes in as it is, what comes out is read by name."""

import json
from typing import Any

import pytest

from builders import attempt, call, deployment, model
from routewright.call import Attempt
from routewright.dialects.anthropic_batch import AnthropicBatch
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.batch import BatchDialect, Result, Stage, portions
from routewright.dialects.openai_batch import OpenAIBatch
from routewright.dialects.openai_chat import OpenAIChat
from routewright.errors import InvalidResponse
from routewright.secret import Secret

OPENAI, ANTHROPIC = OpenAIBatch(), AnthropicBatch()
BOTH: tuple[BatchDialect, ...] = (OPENAI, ANTHROPIC)


def to(dialect: str) -> Attempt:
    base_url = "https://api.example/v1" if dialect == "openai_chat" else "https://api.example"
    place = deployment(dialect=dialect, base_url=base_url, key=Secret("sk-1"))
    return attempt(call("Say ü", max_output_tokens=9), model("swift", place))


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([], []),
        ([9], [[9]]),
        ([50], [[50]]),
        ([4, 4, 2], [[4, 4, 2]]),
        ([4, 4, 3], [[4, 4], [3]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([50, 1, 50, 50], [[50], [1], [50], [50]]),
    ],
)
def test_a_job_is_split_into_files_of_the_providers_size(sizes: list[int], found: list[list[int]]) -> None:
    assert [sizes[part] for part in portions(sizes, most_requests=3, most_bytes=10)] == found


def test_openais_line_is_a_live_request_with_its_address() -> None:
    asked = to("openai_chat")
    live = OpenAIChat().write_request(asked)
    line = OPENAI.line("a-1", live, asked.deployment.base_url)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "custom_id": "a-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": json.loads(live.body),
    }
    made = json.loads(OPENAI.create(asked.deployment, "job-1", [line], "file-1").body)
    assert made == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"routewright": "job-1"},
    }


def test_anthropics_requests_go_along_with_their_batch() -> None:
    asked = to("anthropic_messages")
    live = AnthropicMessages().write_request(asked)
    lines = [ANTHROPIC.line(name, live, asked.deployment.base_url) for name in ("a", "b")]
    assert ANTHROPIC.upload(asked.deployment, "job-1", lines) is None
    request = ANTHROPIC.create(asked.deployment, "job-1", lines, "")
    assert json.loads(request.body) == {
        "requests": [{"custom_id": name, "params": json.loads(live.body)} for name in ("a", "b")]
    }
    assert (request.url, request.method) == ("https://api.example/v1/messages/batches", "POST")
    assert request.headers["x-api-key"] == "sk-1"


@pytest.mark.parametrize("dialect", BOTH)
def test_x03_an_id_of_a_provider_is_a_part_of_no_other_address(dialect: BatchDialect) -> None:
    place = deployment()
    for odd in ("../../v1/keys", "a/b", "a?b", "a#b", "", "a%2fb", "x" * 129):
        for write in (dialect.retrieve, dialect.cancel, dialect.fetch):
            with pytest.raises(InvalidResponse):
                write(place, odd)
    assert dialect.cancel(place, "batch_1").url.endswith("/batches/batch_1/cancel")


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"id": 7}', b'{"data": [{}]}', b"[" * 5000])
def test_what_cannot_be_read_is_an_invalid_answer(dialect: BatchDialect, body: bytes) -> None:
    for read in (dialect.standing, dialect.standings, dialect.result):
        with pytest.raises(InvalidResponse):
            read(body)


OPENAI_BATCH = {"id": "batch_1", "status": "in_progress", "metadata": {"routewright": "job-1"}}


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("validating", Stage.RUNNING),
        ("in_progress", Stage.RUNNING),
        ("finalizing", Stage.RUNNING),
        ("cancelling", Stage.RUNNING),
        ("completed", Stage.ENDED),
        ("expired", Stage.ENDED),
        ("cancelled", Stage.ENDED),
        ("failed", Stage.REFUSED),
        ("a new word", Stage.RUNNING),
    ],
)
def test_openais_states(status: str, stage: Stage) -> None:
    assert OPENAI.standing(json.dumps(OPENAI_BATCH | {"status": status}).encode()).stage is stage


def test_openais_batch_is_found_by_its_name_and_says_where_its_answers_are() -> None:
    ended: dict[str, Any] = OPENAI_BATCH | {
        "status": "expired",
        "output_file_id": "file-1",
        "error_file_id": "file-2",
        "request_counts": {"total": 4, "completed": 2, "failed": 1},
    }
    [found] = OPENAI.standings(json.dumps({"data": [ended]}).encode())
    assert (found.name, found.results, found.done) == ("job-1", ("file-1", "file-2"), 3)
    refused = OPENAI_BATCH | {"status": "failed", "errors": {"data": [{"message": "line 1 is\nodd"}]}}
    assert OPENAI.standing(json.dumps(refused).encode()).reason == "line 1 is odd"


def test_openais_results() -> None:
    good = b'{"custom_id":"a","response":{"status_code":200,"request_id":"r","body":{"id":"x"}},"error":null}'
    assert OPENAI.result(good) == Result(custom_id="a", status=200, body=b'{"id":"x"}')
    late = b'{"custom_id":"a","response":null,"error":{"code":"batch_expired","message":"late"}}'
    assert OPENAI.result(late) == Result(custom_id="a", status=0)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"type": "succeeded", "message": {"id": "m"}}, 200),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}}, 400),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error"}}}, 529),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "a_new_error"}}}, 500),
        ({"type": "expired"}, 0),
        ({"type": "canceled"}, 0),
    ],
)
def test_anthropics_results(result: dict[str, object], status: int) -> None:
    found = ANTHROPIC.result(json.dumps({"custom_id": "a", "result": result}).encode())
    assert (found.custom_id, found.status) == ("a", status)
    if status >= 200:
        assert json.loads(found.body) == result.get("message", result.get("error"))


def test_anthropics_states() -> None:
    running = {"id": "msgbatch_1", "processing_status": "canceling", "request_counts": {"processing": 2}}
    assert ANTHROPIC.standing(json.dumps(running).encode()).stage is Stage.RUNNING
    counts = {"succeeded": 2, "errored": 1, "canceled": 1, "expired": 1}
    ended = ANTHROPIC.standing(json.dumps(running | {"processing_status": "ended", "request_counts": counts}).encode())
    assert (ended.stage, ended.results, ended.done) == (Stage.ENDED, ("msgbatch_1",), 5)
