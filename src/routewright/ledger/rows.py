"""Events ⇄ rows: a column for each field, of the same name; what has no columns of its own is kept as JSON text."""

import logging
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec
from msgspec import Struct

from routewright.ledger.database import Row, Value
from routewright.ledger.ledger import (
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
)
from routewright.usage import InputParts, Usage

log = logging.getLogger(__name__)


class _RequestAsSent(RequestRecorded, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """A request whose documents stay the JSON text they are: storing them needs no look inside."""

    route: msgspec.Raw  # type: ignore[assignment]
    tags: msgspec.Raw = msgspec.Raw(b"[]")  # type: ignore[assignment]


class Insert(NamedTuple):
    """Where rows go."""

    table: str
    columns: tuple[str, ...]


class _Table:
    """Where events of one type go: a column per field, of the same name; `documents` are kept as JSON text."""

    def __init__(self, name: str, event_type: type[Struct], *, documents: Sequence[str] = ()) -> None:
        fields = [field for field in event_type.__struct_fields__ if field not in documents]
        paths = [path for field in fields for path in _FLATTENED.get(field, (field,))]
        columns = ["kind"] if name == "events" else []
        columns += [*(_COLUMNS.get(path, path.rpartition(".")[2]) for path in paths), *documents]
        self.insert = Insert(name, tuple(columns))
        self._kind = (event_type.__struct_config__.tag,) if name == "events" else ()
        self._values = attrgetter(*paths)
        self._documents = attrgetter(*documents) if documents else None

    def row(self, event: Struct) -> tuple[Value, ...]:
        """The values, in the order of the columns."""
        values: tuple[Value, ...] = self._kind + self._values(event)
        return (*values, *map(_text, self._documents(event))) if self._documents else values


_DOCUMENTS = ("route", "tags", "charges")
_FLATTENED = {
    "usage": tuple(f"usage.{tokens}" for tokens in Usage.__struct_fields__),
    "input_parts": tuple(f"input_parts.{part}" for part in InputParts.__struct_fields__),
}
_COLUMNS = {f"input_parts.{part}": f"input_{part}" for part in InputParts.__struct_fields__}
_TABLES: dict[type[Struct], _Table] = {
    Reserved: _Table("events", Reserved, documents=("tags", "charges")),
    Settled: _Table("events", Settled, documents=("tags", "charges")),
    Released: _Table("events", Released, documents=("tags", "charges")),
    _RequestAsSent: _Table("requests", _RequestAsSent, documents=("route", "tags")),
    OutcomeRecorded: _Table("outcomes", OutcomeRecorded),
    EmbeddingRecorded: _Table("embeddings", EmbeddingRecorded),
}
_UNREAD = Insert("unread", ("payload", "reason"))
_NUL = (b"\\u0000", b"\\ufffd")
"""A zero character, which PostgreSQL has in no text, and what stands for it."""

_decoder = msgspec.json.Decoder(Reserved | Settled | Released | _RequestAsSent | OutcomeRecorded | EmbeddingRecorded)
_row_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent, strict=False)


def rows_of(batch: Sequence[bytes]) -> dict[Insert, list[tuple[Value, ...]]]:
    """The rows of a batch, by where they go."""
    rows: dict[Insert, list[tuple[Value, ...]]] = {}
    for payload in batch:
        try:
            event = _decoder.decode(payload.replace(*_NUL) if _NUL[0] in payload else payload)
            table = _TABLES[type(event)]
            insert, row = table.insert, table.row(event)
        except msgspec.MsgspecError as error:
            log.error("a ledger record cannot be read and is kept aside: %s", error)
            insert, row = _UNREAD, (payload, str(error))
        rows.setdefault(insert, []).append(row)
    return rows


def _text(document: msgspec.Raw | tuple[object, ...]) -> str:
    if isinstance(document, msgspec.Raw):
        return bytes(document).decode()
    return msgspec.json.encode(document).decode() if document else "[]"


def event_of(row: Row) -> LedgerEvent:
    """A row as the event it came from."""
    documents = {name: msgspec.Raw(row[name].encode()) for name in _DOCUMENTS if name in row}
    parts = {part: row.get(f"input_{part}", 0) for part in InputParts.__struct_fields__}
    return _row_decoder.decode(msgspec.json.encode({**row, **documents, "usage": row, "input_parts": parts}))
