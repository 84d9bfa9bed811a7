"""What is kept of an answer, and the narrow door to where it is kept. Times are UTC nanoseconds since 1970."""

from typing import Protocol

import msgspec
from msgspec import Struct

FORMAT = 1
"""Of what is kept: what another version wrote is not read."""


class Kept(Struct, frozen=True, array_like=True):
    """A whole answer in the provider's own bytes: the form that outlives a change of ours."""

    version: int
    at_ns: int
    """When it was there."""
    model: str
    deployment: str
    """Who gave it; its dialect reads it again."""
    cost_nanousd: int | None
    """What it cost then; None for a model without a price."""
    body: bytes


encode_kept = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


def decode_kept(kept: bytes) -> Kept | None:
    """What was kept; None for what cannot be read, or is of another version."""
    try:
        found = _decode(kept)
    except msgspec.MsgspecError:
        return None
    return found if found.version == FORMAT else None


class Answers(Protocol):
    """Where the layer looks. A store that fails or is slow has nothing: nobody fails or waits for it."""

    async def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key and may still be used."""
        ...

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Keep it, or do not; what was there under this key goes, and so may others, if there are too many."""
        ...

    async def close(self) -> None:
        """Let go of files and connections; afterwards there is nothing, and nothing is kept."""
        ...


class AnswerStore(Protocol):
    """The same for a store that has to be waited for: it runs in a thread (`cache.aside`)."""

    def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key and may still be used. Raises StoreUnavailable."""
        ...

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Keep it, and make room for it. Raises StoreUnavailable."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
