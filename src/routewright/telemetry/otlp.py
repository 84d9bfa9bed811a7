"""Spans as OTLP's protobuf, written by hand: pure, a few microseconds each.

Field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`, `common/v1/common.proto`); a test reads what
is written here by the official library (docs/decisions/0048-traces.md says why that does not write it).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import TypeAlias

from msgspec import Struct

from routewright.trace import SpanContext

Value: TypeAlias = str | bool | int | float | tuple[str, ...]

_STRING, _BOOL, _INT, _DOUBLE, _ARRAY = b"\x0a", b"\x10", b"\x18", b"\x21", b"\x2a"
"""Tags of an `AnyValue`'s fields, each its number and how its value is written."""
_ERROR = b"\x18\x02"
"""Of a `Status`: `code: STATUS_CODE_ERROR`."""
_BITS = 0xFFFF_FFFF_FFFF_FFFF
_BYTE = 0x80


class Kind(IntEnum):
    """What a span is of: a request that we answer, or one that we make."""

    SERVER = 2
    CLIENT = 3


class Span(Struct, frozen=True, kw_only=True):
    """Something that took its time, and is over."""

    context: SpanContext
    parent_id: str
    """Empty for the first span of a trace."""
    name: str
    kind: Kind
    start_ns: int
    """UTC, as the next."""
    end_ns: int
    attributes: Sequence[tuple[str, Value]]
    is_error: bool = False


def encode_span(span: Span) -> bytes:
    """A span, as it stands in a `ScopeSpans`."""
    context = span.context
    parts = [
        _field(b"\x0a", bytes.fromhex(context.trace_id)),
        _field(b"\x12", bytes.fromhex(context.span_id)),
        _field(b"\x1a", context.state.encode()) if context.state else b"",
        _field(b"\x22", bytes.fromhex(span.parent_id)) if span.parent_id else b"",
        _field(b"\x2a", _utf8(span.name)),
        b"\x30%c" % span.kind,
        b"\x39" + struct.pack("<Q", span.start_ns),
        b"\x41" + struct.pack("<Q", span.end_ns),
        *(_field(b"\x4a", _attribute(name, value)) for name, value in span.attributes),
        _field(b"\x7a", _ERROR) if span.is_error else b"",
        b"\x85\x01" + struct.pack("<I", context.is_sampled),
    ]
    return _field(b"\x12", b"".join(parts))


def encode_request(resource: Mapping[str, str], scope: str, version: str, spans: Iterable[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` with what `encode_span` made; `resource` says who they are of."""
    named = _field(b"\x0a", _field(b"\x0a", _utf8(scope)) + _field(b"\x12", _utf8(version)))
    told = b"".join(_field(b"\x0a", _attribute(name, value)) for name, value in resource.items())
    scope_spans = _field(b"\x12", named + b"".join(spans))
    return _field(b"\x0a", _field(b"\x0a", told) + scope_spans)


def _attribute(name: str, value: Value) -> bytes:
    return _name(name) + _field(b"\x12", _any(value))


@cache  # a closed set: `names`
def _name(name: str) -> bytes:
    return _field(b"\x0a", name.encode())


def _any(value: Value) -> bytes:
    if isinstance(value, str):
        return _field(_STRING, _utf8(value))
    if isinstance(value, bool):
        return _BOOL + (b"\x01" if value else b"\x00")
    if isinstance(value, int):
        return _INT + _varint(value & _BITS)
    if isinstance(value, float):
        return _DOUBLE + struct.pack("<d", value)
    return _field(_ARRAY, b"".join(_field(b"\x0a", _any(each)) for each in value))


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (size.to_bytes() if size < _BYTE else _varint(size)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number >= _BYTE:
        groups.append(number & 0x7F | _BYTE)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _utf8(text: str) -> bytes:
    """What a client sent may have halves of surrogate pairs, which protobuf's readers refuse."""
    return text.encode(errors="replace")
