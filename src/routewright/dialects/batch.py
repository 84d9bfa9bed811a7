"""What a provider's batch API is to us: a file of requests goes there, and some hours later their answers come back.

Each request is written and each answer read by the dialect that live calls use, so all that a live call can carry can
be carried here; what is left is the envelope. Pure, as dialects are.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Deployment
from routewright.dialects.strict_json import UNREADABLE
from routewright.dialects.wire import WireRequest
from routewright.errors import InvalidResponse

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Stage(StrEnum):
    """How far a batch is at its provider."""

    RUNNING = "running"
    ENDED = "ended"
    """What it has can be fetched; some of its requests may have failed, or expired."""
    REFUSED = "refused"
    """Nothing of it was asked, and nothing is billed."""


class Standing(Struct, frozen=True, kw_only=True):
    """What a provider says of a batch."""

    id: str
    name: str = ""
    """By which we named it, if the provider keeps names."""
    stage: Stage
    results: tuple[str, ...] = ()
    """Where its answers are, in the provider's words."""
    done: int = 0
    """Requests that are decided."""
    reason: str = ""
    """Why it was refused."""


class Result(Struct, frozen=True, kw_only=True):
    """What became of one request."""

    custom_id: str
    status: int
    """The HTTP status that a live call would have had; 0 for one that was not asked in time, and is not billed."""
    body: bytes = b""
    """As of a live call."""


class BatchDialect(Protocol):
    """One provider's batch API."""

    @property
    def most_requests(self) -> int:
        """In one batch."""
        ...

    @property
    def most_bytes(self) -> int:
        """Of one batch."""
        ...

    @property
    def keeps_names(self) -> bool:
        """Whether a batch can be found by the name that it was given."""
        ...

    def line(self, custom_id: str, request: WireRequest, base_url: str) -> bytes:
        """A request of a batch, from what a live call of the same deployment would send."""
        ...

    def upload(self, place: Deployment, name: str, lines: Sequence[bytes]) -> WireRequest | None:
        """What brings the lines there, where that is a step of its own."""
        ...

    def uploaded(self, body: bytes) -> str:
        """The id of what was uploaded. Raises InvalidResponse."""
        ...

    def create(self, place: Deployment, name: str, lines: Sequence[bytes], upload_id: str) -> WireRequest:
        """What begins a batch."""
        ...

    def retrieve(self, place: Deployment, batch_id: str) -> WireRequest:
        """How it stands."""
        ...

    def cancel(self, place: Deployment, batch_id: str) -> WireRequest:
        """End it; what is answered already is kept, and billed."""
        ...

    def latest(self, place: Deployment) -> WireRequest:
        """The newest batches: to find one of which we do not know whether it was begun."""
        ...

    def fetch(self, place: Deployment, where: str) -> WireRequest:
        """Its answers; `where` is one of `Standing.results`."""
        ...

    def standing(self, body: bytes) -> Standing:
        """What the answer to `create`, `retrieve` or `cancel` says. Raises InvalidResponse."""
        ...

    def standings(self, body: bytes) -> tuple[Standing, ...]:
        """What the answer to `latest` says. Raises InvalidResponse."""
        ...

    def result(self, line: bytes) -> Result:
        """One line of what was fetched. Raises InvalidResponse."""
        ...


def portions(sizes: Sequence[int], most_requests: int, most_bytes: int) -> list[slice]:
    """Requests of these sizes, in as few files as the bounds allow, in their order; each file is a slice of them."""
    found, start, size = [], 0, 0
    for position, each in enumerate(sizes):
        if position > start and (position - start == most_requests or size + each > most_bytes):
            found.append(slice(start, position))
            start, size = position, 0
        size += each
    return [*found, slice(start, len(sizes))] if sizes else []


def read_as(body: bytes, kind: type[T]) -> T:
    """A provider's words as one of our values. Raises InvalidResponse."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise InvalidResponse(f"the provider's batch API said what cannot be read: {error}") from None


def checked(name: str) -> str:
    """A provider's id, fit to be part of an address. Raises InvalidResponse."""
    if not _ID.fullmatch(name):
        raise InvalidResponse(f"the provider's batch API gave {name[:40]!r} as an id")
    return name
