import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from routewright.proofs.hearing import Ending, Heard, Question, ask

STREAM = {"content-type": "text/event-stream"}
WORD = b'data: {"choices": [{"delta": {"content": "hello "}, "finish_reason": null}]}\n\n'
STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "it broke"}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "is_whole", "ending"),
    [
        (WORD + STOP + DONE, True, Ending.COMPLETE),
        (WORD + STOP, True, Ending.COMPLETE),
        (WORD + DONE, True, Ending.COMPLETE),
        (WORD, True, Ending.WITHOUT_A_WORD),
        (WORD, False, Ending.BROKEN_OFF),
        (WORD[:40] + b"\n\n" + DONE, True, Ending.UNREADABLE),
        (WORD + ERROR, True, Ending.ERROR),
        (WORD + ERROR + DONE, True, Ending.ERROR),
    ],
)
def test_how_a_stream_ends_is_what_its_client_must_think(body: bytes, is_whole: bool, ending: Ending) -> None:
    assert Heard(status=200, headers=STREAM, body=body, is_whole=is_whole).ending is ending


def test_errors_are_known_by_status_or_by_what_they_say() -> None:
    assert Heard(status=502, body=b"", is_whole=True).ending is Ending.ERROR
    assert Heard(status=200, body=b'{"error": {}}', is_whole=True).ending is Ending.ERROR
    assert Heard(status=200, body=b"{", is_whole=True).ending is Ending.UNREADABLE
    assert Heard(status=200, body=b"{}", is_whole=True).ending is Ending.WITHOUT_A_WORD
    assert Heard().ending is Ending.NOTHING


def test_what_was_said_is_put_together() -> None:
    assert Heard(status=200, headers=STREAM, body=WORD + WORD + STOP).text == "hello hello "
    assert Heard(status=200, body=b'{"choices": [{"message": {"content": "hello"}}]}').text == "hello"


@asynccontextmanager
async def server(*pieces: bytes) -> AsyncIterator[int]:
    """Sends these to whoever asks, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(pieces)
        writer.close()

    serving = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with serving:
        yield serving.sockets[0].getsockname()[1]


async def heard(pieces: Sequence[bytes], *, leaves_after: int | None = None) -> Heard:
    question = Question(model="ok", trial="here", is_stream=True, leaves_after=leaves_after)
    async with server(*pieces) as port:
        return await ask(port, question, patience_s=5)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_body_that_ends_is_told_from_one_that_breaks_off() -> None:
    whole = await heard([HEAD, framed(WORD), framed(STOP), framed(b"")])
    broken = await heard([HEAD, framed(WORD), framed(STOP)[:-9]])
    assert (whole.ending, whole.text) == (Ending.COMPLETE, "hello ")
    assert (broken.ending, broken.text) == (Ending.BROKEN_OFF, "hello ")


async def test_who_leaves_has_what_came_until_then() -> None:
    assert (await heard([HEAD, framed(WORD), framed(STOP), framed(b"")], leaves_after=10)).body == WORD
    assert (await heard([HEAD], leaves_after=0)).ending is Ending.NOTHING


async def test_nobody_there_is_nothing_heard() -> None:
    async with server() as port:
        """And now it is gone."""
    assert (await ask(port, Question(model="ok", trial="here"), patience_s=5)).ending is Ending.NOTHING
