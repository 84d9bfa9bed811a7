"""Server-sent events, in both directions, for every dialect that streams.

The rule that everything here serves: under any chunk split the same bytes give the same frames, and the frames' raw
bytes put together are the bytes received. So a frame ends where its blank line does, never where a chunk happens to.
"""

import re

import msgspec
from msgspec import Struct

from routewright.dialects.strict_json import UNREADABLE

FRAME_LIMIT = 1 << 20
"""Bytes; a frame (or a line without end) above it is not an answer but an attack on our memory."""

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LF, _CR = b"\n\r"  # as numbers: bytes are searched for these several times faster than for bytes
_BOM = b"\xef\xbb\xbf"
# A lone CR may be the first half of CRLF: as the second line end it counts only once the next byte is known.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r(?=[^\n]))")


class Frame(Struct, frozen=True, gc=False):
    """One event on the wire: its bytes, blank line included, and the value of its `data` lines."""

    raw: bytes
    data: bytes


def payload(raw: bytes) -> bytes:
    """The `data` of a frame's bytes: its data lines, joined by line feeds; empty for a mere comment."""
    lines = raw.removeprefix(_BOM).splitlines()
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def is_text(data: bytes) -> bool:
    """Whether it is UTF-8 throughout; who reads JSON does not look at what it skips."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def legible(candidate: Frame) -> Frame:
    """The frame, with what is not UTF-8 in it replaced, as the standard has it."""
    if is_text(candidate.raw):
        return candidate
    raw = candidate.raw.decode(errors="replace").encode()
    return Frame(raw, payload(raw))


def is_comment(candidate: Frame) -> bool:
    """Whether there is nothing else in it: that keeps a connection alive and says nothing."""
    return all(line.startswith(b":") for line in candidate.raw.removeprefix(_BOM).splitlines() if line)


def is_junk(candidate: Frame) -> bool:
    """Whether it is no comment, and no event with an object in it either."""
    if not candidate.data:
        return not is_comment(candidate)
    try:
        return type(msgspec.json.decode(candidate.data)) is not dict
    except UNREADABLE:
        return True


def frame(data: bytes) -> bytes:
    """The bytes of an event with this one line of data."""
    return b"data: %b\n\n" % data


def looks_like_events(start: bytes) -> bool:
    """Whether a body that begins so may be an event stream."""
    start = start.removeprefix(_BOM).strip()
    return any(start.startswith(field) or field.startswith(start) for field in _FIELDS)


class Splitter:
    """Cuts a byte stream into frames; holds at most `FRAME_LIMIT` bytes."""

    def __init__(self) -> None:
        self.is_overfull = False
        """A frame went over the limit: nothing after it can be read."""
        self._pieces: list[bytes] = []
        self._held = 0

    def only_line(self, data: bytes) -> bytes:
        """The data of a chunk that is one event of one line, as most are; empty for any other, which is to be fed."""
        if self._pieces or not data.startswith(b"data: ") or data.find(_LF) != len(data) - 2 or data[-1] != _LF:
            return b""
        return data[6:-2] if _CR not in data and len(data) <= FRAME_LIMIT else b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now."""
        if self._pieces:
            if self._ends_nothing(data):  # so that a long line in many small chunks is joined only once
                self._hold(data)
                return []
            data = b"".join((*self._pieces, data))
            self._pieces.clear()
            self._held = 0
        frames, rest = _split(data) if _CR in data else _split_at_line_feeds(data)
        self._hold(rest)
        if len(data) > FRAME_LIMIT:
            self._drop_from_first_too_long(frames)
        return frames

    def end(self) -> Frame | None:
        """What was left without its blank line, completed with one; None when nothing was."""
        raw = b"".join(self._pieces)
        self._pieces.clear()
        if not raw or raw.isspace():
            return None
        if not raw.endswith((b"\n", b"\r")):
            raw += b"\n\n"
        elif not raw.endswith((b"\r\r", b"\n\r")):
            raw += b"\n"
        return Frame(raw, payload(raw))

    def _ends_nothing(self, data: bytes) -> bool:
        return _LF not in data and _CR not in data and not self._pieces[-1].endswith(b"\r")

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._pieces.append(data)
        self._held += len(data)
        if self._held > FRAME_LIMIT:
            self.is_overfull = True
            self._pieces.clear()

    def _drop_from_first_too_long(self, frames: list[Frame]) -> None:
        for index, candidate in enumerate(frames):
            if len(candidate.raw) > FRAME_LIMIT:
                self.is_overfull = True
                del frames[index:]
                return


def _split_at_line_feeds(data: bytes) -> tuple[list[Frame], bytes]:
    """The frames of data without a CR, and the unfinished rest: the fast way, for what nearly every provider sends."""
    frames = []
    *pieces, rest = data.split(b"\n\n")
    for piece in pieces:
        is_plain = piece.startswith(b"data: ") and _LF not in piece
        frames.append(Frame(piece + b"\n\n", piece[6:] if is_plain else payload(piece)))
    return frames, rest


def _split(data: bytes) -> tuple[list[Frame], bytes]:
    """The frames of data with any legal line ends, and the unfinished rest."""
    frames = []
    start = 0
    for blank in _BLANK_LINE.finditer(data):
        raw = data[start : blank.end()]
        frames.append(Frame(raw, payload(raw)))
        start = blank.end()
    return frames, data[start:]
