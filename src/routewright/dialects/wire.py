"""What a dialect is: a pure translator between bytes and our values, both ways. No socket, no retry, no clock."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from routewright.call import Attempt, Call, Message, Options
from routewright.errors import ProviderError, RoutewrightError
from routewright.reply import Answer, Event, Reply


class WireRequest(Struct, frozen=True, kw_only=True):
    """An HTTP request, ready to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    def __repr__(self) -> str:
        """Without what it says: there is a key in the headers, and in an alert's address, and a prompt in the body."""
        return f"WireRequest({self.method}, {len(self.body)} bytes)"


class Decoder(Protocol):
    """Turns a provider's bytes into events; fed under any chunk split it gives the same events."""

    def feed(self, data: bytes) -> tuple[Event, ...]:
        """The events that are complete now. Raises ProviderError (InvalidResponse, or what the provider reports)."""
        ...

    def end(self) -> tuple[Event, ...]:
        """The events left at the end of the body. Raises StreamCut when the stream did not end as it should."""
        ...


class Upstream(Protocol):
    """The side of a dialect that faces providers."""

    @property
    def name(self) -> str:
        """What `Call.dialect` and `Deployment.dialect` say."""
        ...

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of the call that has no counterpart here and changes the answer; None when there is none."""
        ...

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """Fields that have no counterpart here and do not change the answer: left out, and said so."""
        ...

    def write_request(self, attempt: Attempt) -> WireRequest:
        """The provider's request for this attempt."""
        ...

    def decoder(self, attempt: Attempt) -> Decoder:
        """A new decoder for the answer to this attempt, streamed or not as `attempt.call.stream` says."""
        ...

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """Our error for a provider's answer with a status of 300 or more; `now_s` is UTC, to read an HTTP date by."""
        ...


class EventWriter(Protocol):
    """Turns events into the client's stream."""

    def write(self, events: tuple[Event, ...]) -> bytes:
        """The bytes for these events; may be empty."""
        ...

    def end(self, reply: Reply) -> bytes:
        """The closing bytes of a complete reply: usage with its cost where wanted, then the dialect's own end mark."""
        ...

    def fail(self, error: RoutewrightError) -> bytes:
        """The error event of a stream that broke off; never followed by an end mark."""
        ...


class Downstream(Protocol):
    """The side of a dialect that faces clients."""

    @property
    def name(self) -> str:
        """What `Call.dialect` says."""
        ...

    def read(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The call that a request body means. Raises CallerError."""
        ...

    def write_answer(self, reply: Reply, answer: Answer, created_s: int) -> bytes:
        """The body of an unstreamed answer that came in another dialect."""
        ...

    def writer(self, reply: Reply, created_s: int) -> EventWriter:
        """A writer for this reply's stream; `created_s` is UTC in seconds since 1970."""
        ...

    def write_error(self, error: RoutewrightError, request_id: str) -> bytes:
        """The body of an error answer; `request_id` is the one that its header says."""
        ...


class Rewriter(Protocol):
    """A client's dialect in which a conversation can be changed after it was read."""

    @property
    def name(self) -> str:
        """What `Call.dialect` says."""
        ...

    def with_messages(self, call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
        """The call with other messages, in its canonical fields and in the client's body alike.

        `sources` says for each message which of the call's own it is or was made from; None for a new one. Of an old
        one only the words of its texts and tool results may differ.
        """
        ...
