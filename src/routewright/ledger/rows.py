"""Events ⇄ rows: a column for each field, of the same name; what has no columns of its own is kept as JSON text."""

import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from routewright.ledger.database import Row, Value
from routewright.ledger.ledger import (
    ComparisonRecorded,
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
)
from routewright.route import Route
from routewright.usage import InputParts, Usage

log = logging.getLogger(__name__)


class _RequestAsSent(RequestRecorded, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """A request whose documents stay the JSON text they are: storing them needs no look inside."""

    route: msgspec.Raw  # type: ignore[assignment]
    tags: msgspec.Raw = msgspec.Raw(b"[]")  # type: ignore[assignment]


class Insert(Struct, frozen=True, eq=False):
    """Where rows go. There is one for each type of event, so it is its own key: hashing all columns takes longer."""

    table: str
    columns: tuple[str, ...]


class _Table:
    """Where events of one type go: a column per field, of the same name; `documents` are kept as JSON text."""

    def __init__(self, name: str, event_type: type[Struct], *, documents: Sequence[str] = ()) -> None:
        fields = event_type.__struct_fields__
        columns = [column for field in fields for column in _FLATTENED.get(field, (field,))]
        self._kind = (event_type.__struct_config__.tag,) if name == "events" else ()
        self.insert = Insert(name, ("kind", *columns) if self._kind else tuple(columns))
        self._documents = [fields.index(field) for field in documents]
        self._flattened = [place for place, field in reversed(list(enumerate(fields))) if field in _FLATTENED]

    def row(self, event: Struct) -> tuple[Value, ...]:
        """The values, in the order of the columns."""
        values = list(astuple(event))
        for place in self._documents:
            values[place] = _text(values[place])
        for place in self._flattened:  # from the last one on, as each moves those behind it
            values[place : place + 1] = astuple(values[place])
        return (*self._kind, *values)


_DOCUMENTS = ("route", "tags", "charges")
_FLATTENED = {
    "usage": Usage.__struct_fields__,
    "input_parts": tuple(f"input_{part}" for part in InputParts.__struct_fields__),
}
_TABLES: dict[type[Struct], _Table] = {
    Reserved: _Table("events", Reserved, documents=("tags", "charges")),
    Settled: _Table("events", Settled, documents=("tags", "charges")),
    Released: _Table("events", Released, documents=("tags", "charges")),
    _RequestAsSent: _Table("requests", _RequestAsSent, documents=("route", "tags")),
    OutcomeRecorded: _Table("outcomes", OutcomeRecorded),
    EmbeddingRecorded: _Table("embeddings", EmbeddingRecorded),
    ComparisonRecorded: _Table("comparisons", ComparisonRecorded),
}
_UNREAD = Insert("unread", ("payload", "reason"))
_NUL = (b"\\u0000", b"\\ufffd")
"""A zero character, which PostgreSQL has in no text, and what stands for it."""
_ESCAPE = _NUL[0][:1]
"""Looked for first: a single byte is found ten times as fast, and most records have none."""

_decoder = msgspec.json.Decoder(
    Reserved | Settled | Released | _RequestAsSent | OutcomeRecorded | EmbeddingRecorded | ComparisonRecorded
)
_COLUMNS = '"examined":'
"""Only where not all candidates are written out."""
_route_decoder: msgspec.json.Decoder[Route] = msgspec.json.Decoder(Route)
_row_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent, strict=False)


def rows_of(batch: Sequence[bytes]) -> dict[Insert, list[tuple[Value, ...]]]:
    """The rows of a batch, by where they go."""
    rows: dict[Insert, list[tuple[Value, ...]]] = {}
    for payload in batch:
        try:
            event = _decoder.decode(payload.replace(*_NUL) if _ESCAPE in payload else payload)
            table = _TABLES[type(event)]
            insert, row = table.insert, table.row(event)
        except msgspec.MsgspecError as error:
            log.error("a ledger record cannot be read and is kept aside: %s", error)
            insert, row = _UNREAD, (payload, str(error))
        rows.setdefault(insert, []).append(row)
    return rows


def _text(document: msgspec.Raw | tuple[object, ...]) -> str:
    if isinstance(document, msgspec.Raw):
        return str(document, "utf-8")
    return msgspec.json.encode(document).decode() if document else "[]"


def event_of(row: Row) -> LedgerEvent:
    """A row as the event it came from."""
    documents = {name: msgspec.Raw(row[name].encode()) for name in _DOCUMENTS if name in row}
    parts = {part: row.get(f"input_{part}", 0) for part in InputParts.__struct_fields__}
    event = _row_decoder.decode(msgspec.json.encode({**row, **documents, "usage": row, "input_parts": parts}))
    if isinstance(event, RequestRecorded) and event.route is not None:
        return replace(event, route=event.route.written_out())
    return event


def written_out(route: str) -> str:
    """A stored route's JSON with all its candidates, as it is shown."""
    if _COLUMNS not in route:
        return route
    return msgspec.json.encode(_route_decoder.decode(route).written_out()).decode()
