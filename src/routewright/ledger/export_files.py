"""Files that an export is written to: Parquet, CSV, JSON lines; whole under their name, or not there at all."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from routewright.errors import ExportFailed
from routewright.ledger.exporting import Cell, Field, Kind

_OBEYED = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula (OWASP, "CSV injection")."""
_ROWS_PER_GROUP = 50_000
"""Of Parquet: larger groups compress better, and all of one is in memory."""

Rows = Sequence[tuple[Cell, ...]]


class Writer(Protocol):
    """Takes an export's rows, page by page."""

    def write(self, rows: Rows) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Write what is still held back, and let go of the file without closing it."""
        ...


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name, durably, only when the block has ended well; private to its owner.

    Raises ExportFailed when the disk does not take it.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        raise ExportFailed(
            f"cannot write {path}: {error.strerror or error}", hint="check its folder and disk; no part of it was left"
        ) from error


def write_file(path: Path, form: str, fields: Sequence[Field], pages: Iterable[Rows]) -> int:
    """Write pages to a file of the form `parquet`, `csv` or `jsonl`, in place of what is there; returns their rows.

    Raises ExportFailed.
    """
    count = 0
    with replacing(path) as file, closing(WRITERS[form](file, fields)) as writer:
        for rows in pages:
            writer.write(rows)
            count += len(rows)
    return count


class JsonLines:
    """An object a line, its keys in the order of the columns."""

    def __init__(self, file: IO[bytes], fields: Sequence[Field]) -> None:
        self._file = file
        self._names = [field.name for field in fields]
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Rows) -> None:
        """Add rows."""
        objects = [dict(zip(self._names, row, strict=True)) for row in rows]
        self._file.write(self._encoder.encode_lines(objects))

    def close(self) -> None:
        """Nothing is held back."""


class Csv:
    """A header and a line a row (RFC 4180, UTF-8). A text that a spreadsheet would obey has a `'` before it."""

    def __init__(self, file: IO[bytes], fields: Sequence[Field]) -> None:
        self._text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text)
        self._writer.writerow(field.name for field in fields)

    def write(self, rows: Rows) -> None:
        """Add rows."""
        self._writer.writerows([_harmless(cell) for cell in row] for row in rows)

    def close(self) -> None:
        """Let go of the file."""
        self._text.detach()


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_OBEYED) else cell


class Parquet:
    """Typed columns, compressed. Raises ExportFailed where pyarrow is not installed."""

    def __init__(self, file: IO[bytes], fields: Sequence[Field]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ExportFailed("Parquet needs pyarrow", hint="pip install 'routewright[data]'") from error
        types = {
            Kind.TEXT: pyarrow.string(),
            Kind.INTEGER: pyarrow.int64(),
            Kind.NUMBER: pyarrow.float64(),
            Kind.TRUTH: pyarrow.bool_(),
        }
        self._schema: Any = pyarrow.schema([(field.name, types[field.kind]) for field in fields])
        self._record_batch: Any = pyarrow.record_batch
        self._table: Any = pyarrow.Table
        self._writer: Any = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0

    def write(self, rows: Rows) -> None:
        """Add rows; they are written by the group."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._batches.append(self._record_batch(columns, schema=self._schema))
        self._waiting += len(rows)
        if self._waiting >= _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last group and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(self._table.from_batches(self._batches, self._schema))
        self._batches, self._waiting = [], 0


WRITERS: Mapping[str, Callable[[IO[bytes], Sequence[Field]], Writer]] = {
    "parquet": Parquet,
    "csv": Csv,
    "jsonl": JsonLines,
}
"""By the form's name, which is also the ending of its files."""
