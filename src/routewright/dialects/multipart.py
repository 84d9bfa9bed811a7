"""`multipart/form-data` (RFC 7578), read strictly and in pieces: a file of any size passes through, a form does not.

Our own, since all that a form with a file needs is this page: no preamble, no epilogue, no encodings and no nesting, so
that no two readers see two forms in the same bytes; and what is held in memory is bounded before it is there.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum

from msgspec import Struct

from routewright.errors import InvalidRequest

MOST_PARTS = 16
MOST_HEAD_BYTES = 4096
"""Of one part."""
MOST_FIELD_BYTES = 4096

_TYPE = re.compile(
    r'multipart/form-data *;(?:[^"]*;)? *boundary=(?:"([^"\r\n]{1,70})"|([\w\'()+,./:=?-]{1,70})) *(?:;|$)',
    re.IGNORECASE | re.ASCII,
)
_DISPOSITION = re.compile(r"content-disposition: *form-data *(;.*)", re.IGNORECASE)
_PARAMETER = re.compile(r'; *([a-z]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^";\s]+)) *', re.IGNORECASE)


class Part(Struct, frozen=True):
    """The head of a part; its bytes follow."""

    name: str
    filename: str | None
    """None for a plain field."""


class _State(Enum):
    START = "start"
    MARK = "mark"
    """After a boundary: is there another part?"""
    HEAD = "head"
    BODY = "body"
    END = "end"


class Multipart:
    """A form, which gives the same parts under any split of its bytes."""

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's header. Raises InvalidRequest."""
        found = _TYPE.match(content_type)
        if found is None:
            raise InvalidRequest(
                "the body must be multipart/form-data, with its boundary", hint="send the file in a form, as SDKs do"
            )
        self._boundary = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
        self._waiting = b"\r\n"  # before the first boundary as well, so that it is like all others
        self._state = _State.START
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Part | bytes]:
        """The heads of parts, and after each the bytes of its part. Raises InvalidRequest."""
        self._waiting += data
        while True:
            before = self._state
            yield from _STEPS[before](self)
            if self._state is before:
                return

    def end(self) -> None:
        """There is no more. Raises InvalidRequest for a form that is not whole."""
        if self._state is not _State.END:
            raise _broken("ends before its last boundary")

    def _start(self) -> Iterator[Part | bytes]:
        length = len(self._boundary)
        if not self._boundary.startswith(self._waiting[:length]):
            raise _broken("does not begin with its boundary")
        if len(self._waiting) >= length:
            self._waiting, self._state = self._waiting[length:], _State.MARK
        yield from ()

    def _mark(self) -> Iterator[Part | bytes]:
        if len(self._waiting) >= 2:
            mark, self._waiting = self._waiting[:2], self._waiting[2:]
            if mark not in (b"\r\n", b"--"):
                raise _broken("has something behind a boundary")
            self._state = _State.HEAD if mark == b"\r\n" else _State.END
        yield from ()

    def _head(self) -> Iterator[Part | bytes]:
        head, mark, rest = self._waiting.partition(b"\r\n\r\n")
        if len(head) > MOST_HEAD_BYTES:
            raise _broken(f"has a part whose head is over {MOST_HEAD_BYTES:,} bytes")
        if not mark:
            return
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _broken(f"has more than {MOST_PARTS} parts")
        self._waiting, self._state = rest, _State.BODY
        yield _read_head(head)

    def _body(self) -> Iterator[Part | bytes]:
        content, mark, rest = self._waiting.partition(self._boundary)
        if mark:
            self._waiting, self._state = rest, _State.MARK
        else:  # its end may be the beginning of a boundary
            kept = len(self._boundary) - 1
            content, self._waiting = content[:-kept], content[-kept:]
        if content:
            yield content

    def _end(self) -> Iterator[Part | bytes]:
        if not b"\r\n".startswith(self._waiting):
            raise _broken("goes on after its last boundary")
        yield from ()


_STEPS = {
    _State.START: Multipart._start,
    _State.MARK: Multipart._mark,
    _State.HEAD: Multipart._head,
    _State.BODY: Multipart._body,
    _State.END: Multipart._end,
}


class Form:
    """The plain fields of a form, and the head of its one file, as they come."""

    def __init__(self, content_type: str) -> None:
        """Raises InvalidRequest."""
        self._multipart = Multipart(content_type)
        self._fields: dict[str, bytes] = {}
        self._current: Part | None = None
        self.file: Part | None = None
        """The head of the part named `file`, once it has come."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The file's bytes that are in this piece. Raises InvalidRequest."""
        for found in self._multipart.feed(data):
            if isinstance(found, Part):
                self._begin(found)
            elif self._current is self.file:
                yield found
            else:
                self._add(found)

    def end(self) -> Mapping[str, str]:
        """All fields by name. Raises InvalidRequest for a form that is not whole, or without a file."""
        self._multipart.end()
        if self.file is None:
            raise InvalidRequest("file is required: a part with a filename", param="file")
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise _broken("has a field that is not UTF-8") from None

    def _begin(self, part: Part) -> None:
        is_file = part.name == "file"
        if is_file is (part.filename is None):
            raise InvalidRequest("the form must have one file, named file", param="file")
        if part.name in self._fields or (is_file and self.file is not None):
            raise InvalidRequest(f"the form has {part.name[:100]!r} twice", param=part.name[:100])
        self._current = part
        if is_file:
            self.file = part
        else:
            self._fields[part.name] = b""

    def _add(self, data: bytes) -> None:
        assert self._current is not None, "bytes come after the head of their part"
        name = self._current.name
        if len(self._fields[name]) + len(data) > MOST_FIELD_BYTES:
            raise InvalidRequest(f"{name[:100]} is over {MOST_FIELD_BYTES:,} bytes", param=name[:100])
        self._fields[name] += data


def _read_head(head: bytes) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _broken("has a head that is not UTF-8") from None
    found = [match for line in lines if (match := _DISPOSITION.fullmatch(line))]
    parameters = found[0][1] if len(found) == 1 else ""
    said = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(parameters)}
    if "".join(match[0] for match in _PARAMETER.finditer(parameters)) != parameters or not said.get("name"):
        raise _broken("has a part without a name")
    return Part(said["name"], said.get("filename"))


def _broken(what: str) -> InvalidRequest:
    return InvalidRequest(f"the form {what}", hint="send the file in a form, as SDKs do")
