"""From bytes to events: the two `Decoder`s, one for streams and one for whole answers.

Each has a dialect's reader inside and keeps what no dialect should have to think about: chunk splits, bounds, junk.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from routewright.dialects.sse import (
    FRAME_LIMIT,
    Frame,
    Splitter,
    frame,
    is_comment,
    is_junk,
    is_text,
    legible,
    looks_like_events,
)
from routewright.errors import InvalidResponse, ProviderError, StreamCut
from routewright.reply import Event

BODY_LIMIT = 32 << 20
"""Bytes of a whole answer."""


class FrameReader(Protocol):
    """What a dialect knows of its frames."""

    is_done: bool
    """The end mark has come; what follows it is not read."""

    def read(self, raw: bytes, data: bytes) -> Sequence[Event] | None:
        """The events of a frame, the first of them with `raw`; None for one that cannot be read.

        Raises ProviderError for a failure that the provider reports.
        """
        ...

    def is_whole(self) -> bool:
        """Whether the answer is complete although the end mark did not come."""
        ...

    def failure_in(self, body: bytes) -> ProviderError | None:
        """The failure that a body reports which should have been a stream and is not."""
        ...


class StreamDecoder:
    """Frames into events, by way of a dialect's reader: the `Decoder` of every streamed answer.

    Comments before the first event with an answer in it wait for that event, so that a reply does not count as begun
    while it can still be sent elsewhere. After it, events of a kind that is new to us are passed on too. Junk goes no
    further: a client's library would fail on it, and lose the rest. A failure waits until the events before it are
    handed out.
    """

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        self._splitter = Splitter()
        self._before = b""
        """All that came before the first event, for as long as there is none; and what of it is passed on."""
        self._preamble = b""
        self._has_begun = False
        self._failure: ProviderError | None = None

    def feed(self, data: bytes) -> tuple[Event, ...]:
        """The events that are complete now. Raises ProviderError."""
        if self._failure is not None:
            raise self._failure
        line = self._splitter.only_line(data) if self._has_begun and not self._reader.is_done else b""
        if line and (data.isascii() or is_text(data)):  # the first spares a call
            try:
                found = self._reader.read(data, line)
            except ProviderError as error:
                self._failure = error
                raise
            if found is not None:
                return tuple(found)
        events = self._events(self._splitter.feed(data))
        if not events and self._failure is not None:
            raise self._failure
        return tuple(events)

    def end(self) -> tuple[Event, ...]:
        """The events left at the end of the body. Raises StreamCut, or the failure that is still waiting."""
        if self._failure is not None:
            raise self._failure
        rest = self._splitter.end()
        rest = rest and legible(rest)
        # Without its blank line, a last frame is an event if it can be read; what was cut off in it is nothing.
        events = self._read(rest) if rest is not None and not self._reader.is_done else ()
        if not self._has_begun:
            raise self._nothing_came(rest)
        if not self._reader.is_done and not self._reader.is_whole():
            raise StreamCut("the answer broke off before its end mark")
        return tuple(events or ())

    def _events(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        try:
            for candidate in frames:
                if self._reader.is_done:
                    break
                if not candidate.raw.isascii():
                    candidate = legible(candidate)
                found = self._read(candidate)
                if found is not None:
                    events += found
                else:
                    self._pass_on(candidate, events)
            if self._splitter.is_overfull and not self._reader.is_done:
                raise InvalidResponse(f"the provider sent an event of more than {FRAME_LIMIT:,} bytes")
        except ProviderError as error:
            self._failure = error
        return events

    def _pass_on(self, candidate: Frame, events: list[Event]) -> None:
        if self._has_begun:
            if not is_junk(candidate):
                events.append(Event(raw=candidate.raw))
            return
        if is_comment(candidate):  # nothing with data in it: the first event's bytes have one event in them
            self._preamble += candidate.raw
        self._before += candidate.raw
        if len(self._before) > FRAME_LIMIT:
            raise InvalidResponse(f"the provider sent {FRAME_LIMIT:,} bytes without an answer in them")

    def _read(self, candidate: Frame) -> Sequence[Event] | None:
        """The events of a frame; None when there is nothing to read in it."""
        data = candidate.data
        if not data:
            return None
        found = self._reader.read(self._preamble + candidate.raw if self._preamble else candidate.raw, data)
        if found is None and b"\n" in data:
            found = self._read_lines(data)
        if found:
            self._has_begun = True
            self._preamble = self._before = b""
        return found

    def _read_lines(self, data: bytes) -> list[Event] | None:
        """Some servers forget the blank lines between their events: then every line is an event of its own."""
        events: list[Event] = []
        for line in data.split(b"\n"):
            found = self._reader.read(frame(line), line)
            if found is None:
                return None
            events += found
        return events

    def _nothing_came(self, rest: Frame | None) -> ProviderError:
        body = self._before + (rest.raw if rest else b"")
        failure = self._reader.failure_in(body)
        if failure is not None:
            return failure
        if self._reader.is_done:
            return InvalidResponse("the stream ended without an answer in it")
        if not looks_like_events(body):
            return InvalidResponse("the provider's answer is not an event stream")
        return StreamCut("the answer broke off before its first event")


class WholeDecoder:
    """Reads an answer that is not streamed: its events come at the end, when all of it is there."""

    def __init__(self, read: Callable[[bytes], tuple[Event, ...]]) -> None:
        self._read = read
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> tuple[Event, ...]:
        """Keeps the bytes. Raises InvalidResponse when they are too many."""
        self._size += len(data)
        if self._size > BODY_LIMIT:
            self._pieces.clear()
            raise InvalidResponse(f"the provider's answer is larger than {BODY_LIMIT >> 20} MiB")
        self._pieces.append(data)
        return ()

    def end(self) -> tuple[Event, ...]:
        """The events of the whole body. Raises InvalidResponse, and what the dialect's reader raises."""
        body = b"".join(self._pieces)
        if not is_text(body):
            raise InvalidResponse("the provider's answer is not UTF-8")
        return self._read(body)
