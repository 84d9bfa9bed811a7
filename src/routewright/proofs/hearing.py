"""A client of any gateway, by raw sockets: what it has heard, down to how the answer ended.

A stream is *presented as complete* when it says so, by a `finish_reason` or by `[DONE]`, without an error before. Where
its body ends properly, and says neither that nor an error, it ends *without a word*, which most clients take for the
end. An error event, or a body that breaks off, is *told*; and JSON that breaks off is *unreadable*, which a client
notices by itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

from msgspec import Struct

PATH = "/v1/chat/completions"
DONE = b"[DONE]"


class Ending(StrEnum):
    """What a client must think of an answer."""

    COMPLETE = "complete"
    WITHOUT_A_WORD = "without a word"
    ERROR = "error"
    BROKEN_OFF = "broken off"
    UNREADABLE = "unreadable"
    NOTHING = "nothing"
    """Within its patience."""


class Heard(Struct):
    """One answer, as far as it has come."""

    status: int = 0
    """0: none came."""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    is_whole: bool = False
    """The body came to the end that HTTP has for it."""

    @property
    def ending(self) -> Ending:
        """Of a stream, or of a whole answer."""
        if not self.status:
            return Ending.NOTHING
        if self.status != 200:
            return Ending.ERROR
        told = [event for event in self.events if event != DONE]
        said = [_read(event) for event in told]
        if any("error" in each for each in said):
            return Ending.ERROR
        if not self.is_whole:
            return Ending.BROKEN_OFF
        if not all(map(_is_readable, told)):
            return Ending.UNREADABLE
        if len(told) < len(self.events) or any(map(_finishes, said)):
            return Ending.COMPLETE
        return Ending.WITHOUT_A_WORD

    @property
    def events(self) -> list[bytes]:
        """The data of a stream's events; of a whole answer, its body."""
        if "event-stream" not in self.headers.get("content-type", ""):
            return [self.body]
        return [line.removeprefix(b"data:").strip() for line in self.body.splitlines() if line.startswith(b"data:")]

    @property
    def text(self) -> str:
        """What was answered."""
        said = (choice for event in self.events for choice in _choices(_read(event)))
        return "".join((each.get("delta") or each.get("message") or {}).get("content") or "" for each in said)


def _read(data: bytes) -> dict[str, object]:
    """An object; anything else has nothing in it."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_readable(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _choices(said: Mapping[str, object]) -> Sequence[dict[str, dict[str, str]]]:
    found = said.get("choices")
    return found if isinstance(found, list) else ()


def _finishes(said: Mapping[str, object]) -> bool:
    return any(choice.get("finish_reason") for choice in _choices(said))


class Question(Struct, frozen=True, kw_only=True):
    """What is asked."""

    model: str
    trial: str
    """The first word: the provider's bill has it."""
    is_stream: bool = False
    max_tokens: int = 64
    headers: Sequence[str] = ()
    leaves_after: int | None = None
    """The client hangs up when it has so many bytes of the body; 0: shortly after it has asked."""

    def request(self, port: int) -> bytes:
        """As it goes over the wire."""
        message = {"role": "user", "content": f"{self.trial} and what do you say?"}
        body = json.dumps(
            {"model": self.model, "messages": [message], "max_tokens": self.max_tokens, "stream": self.is_stream}
        ).encode()
        lines = [f"POST {PATH} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json", *self.headers]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


LEAVES_AFTER_S = 0.03
"""Of who leaves at once: long enough for the request to have reached the provider, as a rule."""


async def ask(port: int, question: Question, *, patience_s: float, begun: asyncio.Event | None = None) -> Heard:
    """By a connection of its own. `begun` is set when the first piece of a body is there."""
    heard = Heard()
    with suppress(OSError, EOFError, TimeoutError, ValueError):  # what was heard until then is what there is
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(question.request(port))
                if question.leaves_after == 0:
                    await asyncio.sleep(LEAVES_AFTER_S)
                else:
                    await _hear(heard, reader, question.leaves_after, begun or asyncio.Event())
            finally:
                writer.transport.abort()
    return heard


async def _hear(heard: Heard, reader: asyncio.StreamReader, most: int | None, begun: asyncio.Event) -> None:
    """Until its end, or until the client has `most` bytes. Raises EOFError where it breaks off."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    heard.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    heard.status = int(lines[0].split()[1])
    async for piece in _pieces(reader, heard.headers):
        heard.body += piece
        begun.set()
        if most is not None and len(heard.body) >= most:
            return
    heard.is_whole = True


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if "chunked" not in headers.get("transfer-encoding", ""):
        yield await reader.readexactly(int(headers.get("content-length", 0)))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
