"""What a client of Anthropic's official SDK sees when an answer breaks off, whatever the provider's dialect."""

from pathlib import Path

import anthropic
import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, chunk
from lab import PATIENCE_S, lab, model
from speech import DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_u06_a_stream_that_hangs_is_an_error_of_the_sdk_after_what_came(tmp_path: Path, dialect: str) -> None:
    async def hanging(exchange: Exchange) -> None:
        exchange.charge(5)
        await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:8]))
        await exchange.silence()

    async with (
        lab(tmp_path, model("hanging"), faults={"hanging": hanging}, dialect=dialect, patience_s=PATIENCE_S) as it,
        anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{it.port}", api_key="unused", max_retries=0) as client,
    ):
        heard: list[str] = []

        async def listen() -> None:
            async with client.messages.stream(
                model="hanging", max_tokens=50, messages=[{"role": "user", "content": "n123"}]
            ) as stream:
                async for text in stream.text_stream:
                    heard.append(text)  # noqa: PERF401 what came before the error counts

        with pytest.raises(anthropic.APIStatusError) as broken:
            await listen()
        assert it.upstream.reached("hanging") == 1
        assert heard
        assert broken.value.type == "timeout_error"
        books = await it.books()
        assert books.open_holds == 0
        assert books.rows[-1].outcome == "upstream_idle_timeout"
