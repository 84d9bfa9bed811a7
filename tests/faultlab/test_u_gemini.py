"""How answers of a provider that speaks Gemini's own API are taken, whole and broken off."""

from pathlib import Path

import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, Fault, body_of, chunk
from lab import PATIENCE_S, lab, model
from speech import GEMINI, data, encoded

both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


async def hanging(exchange: Exchange) -> None:
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:5]))
    await exchange.silence()


async def cut(exchange: Exchange) -> None:
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:5]))
    exchange.writer.close()


async def ended_early(exchange: Exchange) -> None:
    """A proper end of the body, but nothing that says why the answer ended."""
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:-1]), chunk(b""))


@pytest.mark.parametrize(
    ("fault", "code"),
    [(hanging, "upstream_idle_timeout"), (cut, "upstream_stream_cut"), (ended_early, "upstream_stream_cut")],
)
async def test_u06_u08_an_answer_without_its_finish_is_never_whole(tmp_path: Path, fault: Fault, code: str) -> None:
    async with lab(tmp_path, model("broken"), faults={"broken": fault}, dialect=GEMINI, patience_s=PATIENCE_S) as it:
        seen = await it.ask("broken")
        assert it.upstream.reached("broken") == 1
        assert (seen.status, seen.code, seen.is_done) == (200, code, False)
        assert seen.text_due.startswith(seen.text)
        assert seen.text
        await it.audit(most_attempts=1)


async def malformed(exchange: Exchange) -> None:
    """A call that the model got wrong: no answer, but a 200."""
    exchange.charge(0)
    body = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]}
    await exchange.answer(data(body) if exchange.is_stream else encoded(body))


async def refused_key(exchange: Exchange) -> None:
    """Which Google says with the status of a bad request."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.", "details": details}
    exchange.charge(status=400)
    await exchange.send(body_of(encoded({"error": error}), status=400))


@both_ways
@pytest.mark.parametrize("fault", [malformed, refused_key])
async def test_u13_u14_what_is_no_answer_is_had_from_another(tmp_path: Path, fault: Fault, stream: bool) -> None:
    async with lab(tmp_path, model("failing", fallbacks=["ok"]), faults={"failing": fault}, dialect=GEMINI) as it:
        seen = await it.ask("failing", stream=stream)
        assert it.upstream.reached("failing") >= 1
        assert seen.is_complete
        assert seen.headers["x-routewright-model"] == "ok"


@both_ways
async def test_an_answer_is_billed_as_the_provider_counted(tmp_path: Path, stream: bool) -> None:
    async with lab(tmp_path, model("well"), dialect=GEMINI) as it:
        seen = await it.ask("well", stream=stream)
        assert it.upstream.reached("well") == 1
        assert seen.is_complete
        await it.audit()
