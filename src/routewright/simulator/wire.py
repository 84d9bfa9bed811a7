"""What the wire formats share: how a request is read, refused, answered whole, and answered in pieces."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Struct

from routewright.call import JsonObject
from routewright.simulator.answers import Ask, Completion


class Reason(StrEnum):
    """Why a request is refused; each wire format has its own status and words for it."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    OVERLOADED = "overloaded"


class Refusal(Exception):
    """The request gets an error for an answer; `retry_after_s` comes with a rate limit."""

    def __init__(self, reason: Reason, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class Chunk(Struct, frozen=True):
    """Bytes of a stream, and whether a token had to be generated for them."""

    data: bytes
    takes_a_token: bool = False


class WireFormat(Protocol):
    """One provider's way of saying things."""

    request_id_header: str

    def read(self, body: bytes) -> Ask:
        """What a request body asks for. Raises Refusal."""
        ...

    def whole(self, completion: Completion) -> bytes:
        """The body of an unstreamed answer."""
        ...

    def stream(self, completion: Completion, *, with_usage: bool) -> Iterator[Chunk]:
        """The events of a streamed answer; `with_usage` where usage is the client's to ask for."""
        ...

    def refuse(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """The status and body of an error answer."""
        ...


def server_sent(data: JsonObject, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + msgspec.json.encode(data) + b"\n\n"


def words(content: str | list[JsonObject] | None) -> str:
    """The text of a message's content, in any format."""
    if isinstance(content, list):
        texts = (part.get("text") for part in content if part.get("type") in ("text", "input_text"))
        return "\n".join(text for text in texts if isinstance(text, str))
    return content or ""
