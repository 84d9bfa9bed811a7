"""What a client of OpenAI's Responses sees when an answer breaks off, whatever the provider's dialect; and how answers
of a provider that speaks it are taken."""

from pathlib import Path
from typing import Any

import openai
import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, Fault, chunk
from lab import PATIENCE_S, lab, model
from speech import ALL_DIALECTS, RESPONSES, data

every_dialect = pytest.mark.parametrize("dialect", ALL_DIALECTS)


async def hanging(exchange: Exchange) -> None:
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:8]))
    await exchange.silence()


async def cut(exchange: Exchange) -> None:
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:8]))
    exchange.writer.close()


async def ended_early(exchange: Exchange) -> None:
    """A proper end of the body, but not of the answer."""
    exchange.charge(5)
    await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:-1]), chunk(b""))


BREAKS = [
    (hanging, "upstream_idle_timeout"),
    (cut, "upstream_stream_cut"),
    (ended_early, "upstream_stream_cut"),
]


@every_dialect
@pytest.mark.parametrize(("fault", "code"), BREAKS[:2])
async def test_u06_u08_a_stream_that_breaks_fails_for_agents_and_raises_in_the_sdk(
    tmp_path: Path, dialect: str, fault: Fault, code: str
) -> None:
    async with (
        lab(tmp_path, model("broken"), faults={"broken": fault}, dialect=dialect, patience_s=PATIENCE_S) as it,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{it.port}/v1", api_key="unused", max_retries=0) as client,
    ):
        told: list[Any] = []

        async def listen() -> None:
            stream = await client.responses.create(model="broken", input="n123", stream=True)
            async for event in stream:
                told.append(event)  # noqa: PERF401 what came before the error counts

        with pytest.raises(openai.APIError) as raised:
            await listen()
        assert it.upstream.reached("broken") == 1
        assert raised.value.code == code
        assert [event.delta for event in told if event.type == "response.output_text.delta"]
        assert (told[-1].type, told[-1].response.error.code) == ("response.failed", code)
        books = await it.books()
        assert books.open_holds == 0
        assert books.rows[-1].outcome == code


@pytest.mark.parametrize(("fault", "code"), BREAKS)
async def test_u06_u08_a_response_without_its_last_event_is_never_whole(
    tmp_path: Path, fault: Fault, code: str
) -> None:
    async with lab(tmp_path, model("broken"), faults={"broken": fault}, dialect=RESPONSES, patience_s=PATIENCE_S) as it:
        seen = await it.ask("broken")
        assert (seen.status, seen.code, seen.is_done) == (200, code, False)
        assert seen.text_due.startswith(seen.text)
        await it.audit(most_attempts=1)


async def failed(exchange: Exchange) -> None:
    exchange.charge(0)
    failure = {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oh"}}}
    await exchange.answer(exchange.speech.frames()[0], data(failure))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_u10_a_response_that_failed_before_a_word_is_replaced(tmp_path: Path, stream: bool) -> None:
    async with lab(tmp_path, model("failed", fallbacks=["ok"]), faults={"failed": failed}, dialect=RESPONSES) as it:
        seen = await it.ask("failed", stream=stream)
        assert it.upstream.reached("failed") >= 1
        assert seen.is_complete
        assert seen.headers["x-routewright-model"] == "ok"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_answer_is_billed_as_the_provider_counted(tmp_path: Path, stream: bool) -> None:
    async with lab(tmp_path, model("well"), dialect=RESPONSES) as it:
        seen = await it.ask("well", stream=stream)
        assert seen.is_complete
        await it.audit()
