"""What the lab's providers share: a dialect as its provider speaks it, written apart from `routewright.dialects`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from matrix.meaning import Said, Wish

FAILED = "Error: "
"""How a tool's failure is told in dialects without a word for it."""


class Speaker(Protocol):
    """One provider's dialect, read and written."""

    model: str
    """An id that a model of this provider has."""
    path: str
    """After the base address; of Gemini's, whatever stands before the verb."""
    has_seals: bool
    """Thoughts come with a seal, and are taken back with it."""

    def understood(self, body: Mapping[str, Any]) -> Wish:
        """What a request means."""
        ...

    def whole(self, said: Said) -> bytes:
        """An answer that is not streamed."""
        ...

    def frames(self, said: Said) -> Iterator[bytes]:
        """The events of a stream."""
        ...

    def error(self, status: int, message: str) -> bytes:
        """The body of an answer with this status."""
        ...


def frame(body: Mapping[str, Any], event: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {encoded(body)}\n\n".encode()


def encoded(body: object) -> str:
    """JSON in UTF-8: characters of more than one byte stay what they are, and can be cut anywhere."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def halves(text: str) -> tuple[str, str]:
    """Cut in two, as arguments come in a stream."""
    middle = len(text) // 2
    return text[:middle], text[middle:]
