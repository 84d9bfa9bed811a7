"""F11: damaged input of every kind is answered as documented; and the fuzzer finds what is not.

In CI some hundred cases; `measure(cases=100_000, seed=…)` is the proof.
"""

import pytest
from documented import Finding, judge, judge_stream
from fuzzing import measure

from lobby import Answered
from routewright.dialects.openai_chat import OpenAIChat
from routewright.gateway.models_api import RouteOnly

CASES, SEED = 600, 20261127


def test_f11_damaged_bytes_bodies_and_answers_are_answered_as_documented() -> None:
    fuzzed = measure(CASES, SEED)
    assert fuzzed.findings == ()
    assert fuzzed.found == 0
    assert fuzzed.ways == {"wire": 240, "request": 240, "answer": 120}
    assert fuzzed.upstream >= 120, "every damaged answer reached the gateway"
    seen = set(fuzzed.statuses)
    assert {"wire 200", "wire 400", "request 200", "request 400", "request 401", "request 403"} <= seen
    assert {"answer 200", "answer 502"} <= seen
    assert measure(20, SEED, first=40).statuses == measure(20, SEED, first=40).statuses, "a case can be made again"


def test_f11_a_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(RouteOnly, "__call__", broken)
    fuzzed = measure(150, SEED)
    assert fuzzed.found
    assert "internal_error" in fuzzed.findings[0]


def test_f11_an_answer_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAIChat, "write_error", lambda *_: b'{"error":"no"}')
    fuzzed = measure(100, SEED)
    assert fuzzed.found > 10
    assert "another shape" in fuzzed.findings[0]
    assert {finding.partition(":")[0].partition("(")[2] for finding in fuzzed.findings} >= {"wire)", "request)"}


GOOD = {"x-request-id": "a", "content-type": "application/json", "x-should-retry": "false"}
BODY = b'{"error":{"message":"m","type":"t","param":null,"code":"%b"}}'


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, GOOD, BODY % b"internal_error"),
        (502, GOOD, BODY % b"upstream_failed"),
        (418, GOOD, BODY % b"invalid_request"),
        (400, GOOD, BODY % b"made_up"),
        (400, GOOD, b"<html>"),
        (400, GOOD, b"[]"),
        (400, {**GOOD, "content-type": "text/html"}, BODY % b"invalid_request"),
        (400, {**GOOD, "x-request-id": ""}, BODY % b"invalid_request"),
        (200, {}, b"{}"),
    ],
)
def test_f11_what_is_not_documented_is_a_finding(status: int, headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(Finding):
        judge(Answered(status, headers, body), lambda status, code: False)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {}",
        b"data: {}\n\n",
        b"data: [DONE]\n\ndata: {}\n\n",
        b'data: {"error":{}}\n\ndata: [DONE]\n\n',
        b"data: x\n\n",
    ],
)
def test_f11_a_stream_has_one_end_and_one_only(body: bytes) -> None:
    with pytest.raises((Finding, ValueError)):
        judge_stream(body)
