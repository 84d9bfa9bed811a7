"""Files of questions, read from their beginning as often as wanted, one record at a time."""

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from routewright.errors import BadInput
from routewright.jobs.lines import ITEM, Asking, Entry, Malformed, read_line, read_row, read_text, usual_id

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes of one line; what is longer is no line."""
_ROWS_AT_ONCE = 1_000


class Format(StrEnum):
    """What a file is."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    LINES = "lines"
    """Text, a prompt or a template's `{item}` a line."""


_SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".parquet": Format.PARQUET,
    ".txt": Format.LINES,
    ".md": Format.LINES,
}


class Record(Struct, frozen=True):
    """One record, not looked at yet; those that are decided already never are."""

    position: int
    """From 0, of those that are there: empty lines are not."""
    read: Callable[[], Entry]


class Input:
    """The questions of one file."""

    def __init__(self, path: Path, asking: Asking, format: Format | None = None) -> None:  # noqa: A002 - its name
        """Raises BadInput when it cannot be read, or has not what the template names."""
        self.path = path
        self.asking = asking
        self.format = format or _SUFFIXES.get(path.suffix.lower()) or _sniffed(path)
        self._columns = self._read_columns()
        self._check_template()

    def __iter__(self) -> Iterator[Record]:
        """All records, in order. Raises BadInput when the file cannot be read on."""
        ways = {Format.JSONL: self._json_lines, Format.LINES: self._text_lines, Format.PARQUET: self._parquet}
        try:
            yield from ways.get(self.format, self._csv)()
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def digest(self) -> str:
        """Of all its bytes."""
        try:
            with self.path.open("rb") as file:
                return file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(self.path, error) from error

    # -- the ways

    def _json_lines(self) -> Iterator[Record]:
        for position, (number, line) in enumerate(self._lines()):
            yield Record(position, lambda line=line, number=number: read_line(line, number, self.asking))  # type: ignore[misc]

    def _text_lines(self) -> Iterator[Record]:
        for position, (number, line) in enumerate(self._lines()):
            yield Record(position, lambda line=line, number=number: self._read_text(line, number))  # type: ignore[misc]

    def _read_text(self, line: bytes, number: int) -> Entry:
        try:
            return read_text(line.decode(), number, self.asking)
        except UnicodeDecodeError:
            return Malformed(usual_id(number), f"line {number} is not UTF-8")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadInput(f"line {number} of {self.path} has more than {LONGEST_LINE >> 20} MiB")
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if stripped := line.strip():
                    yield number, stripped

    def _csv(self) -> Iterator[Record]:
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, delimiter="\t" if self.format is Format.TSV else ",")
            try:
                next(rows, None)
                for position, row in enumerate(filter(None, rows)):
                    number = rows.line_num
                    yield Record(position, lambda row=row, number=number: self._read_cells(row, number))  # type: ignore[misc]
            except csv.Error as error:
                raise BadInput(f"line {rows.line_num} of {self.path} is no CSV: {error}") from error

    def _read_cells(self, row: list[str], number: int) -> Entry:
        if len(row) != len(self._columns):
            reason = f"line {number} has {len(row)} columns instead of {len(self._columns)}"
            return Malformed(usual_id(number), reason)
        if not all(cell.isascii() or _is_text(cell) for cell in row):
            return Malformed(usual_id(number), f"line {number} is not UTF-8")
        return read_row(_numbers_read(dict(zip(self._columns, row, strict=True))), number, self.asking)

    def _parquet(self) -> Iterator[Record]:
        position = 0
        for batch in _parquet_file(self.path).iter_batches(batch_size=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number = position + 1
                yield Record(position, lambda row=row, number=number: read_row(row, number, self.asking))  # type: ignore[misc]
                position += 1

    # -- what is checked at once

    def _read_columns(self) -> tuple[str, ...]:
        """Of a table; of the first record where each has its own."""
        try:
            if self.format is Format.PARQUET:
                return tuple(_parquet_file(self.path).schema_arrow.names)
            if self.format in (Format.CSV, Format.TSV):
                with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                    return tuple(next(csv.reader(file, delimiter="\t" if self.format is Format.TSV else ","), ()))
            if self.format is Format.LINES:
                with self.path.open("rb"):  # it can be read
                    return (ITEM,)
            first = next(iter(self._lines()), None)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        except csv.Error as error:
            raise BadInput(f"{self.path} is no CSV: {error}") from error
        return () if first is None else _names_in(first[1])

    def _check_template(self) -> None:
        template, is_table = self.asking.template, self.format in (Format.CSV, Format.TSV, Format.PARQUET)
        if template is not None and self._columns:
            template.require(self._columns, "the first record" if self.format is Format.JSONL else str(self.path))
        elif is_table and template is None and not {"prompt", "messages"} & set(self._columns):
            raise BadInput(
                f"{self.path} has no column `prompt`",
                hint=f'say what to ask with its columns: --template "… {{{(self._columns or ("name",))[0]}}}"',
            )


def _sniffed(path: Path) -> Format:
    """By the first byte that says something: JSON lines begin with a brace."""
    try:
        with path.open("rb") as file:
            return Format.JSONL if file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else Format.LINES
    except OSError as error:
        raise _unreadable(path, error) from error


def _names_in(line: bytes) -> tuple[str, ...]:
    """The fields of a JSON line that is a record; none if it is a request, or nothing that can be read."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(fields) if isinstance(fields, dict) and "body" not in fields else ()


def _numbers_read(row: dict[str, str]) -> dict[str, Any]:
    """A table of text cannot say that an empty cell is nothing, and a number no text."""
    found: dict[str, Any] = {name: cell or None for name, cell in row.items()}
    for name, read in (("max_tokens", int), ("temperature", float)):
        with suppress(ValueError):  # then the dialect says what is wrong with it
            if cell := row.get(name):
                found[name] = read(cell)
    return found


def _is_text(cell: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in cell)


def _parquet_file(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BadInput(f"{path} is Parquet, which needs pyarrow", hint="pip install 'routewright[data]'") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise BadInput(f"{path} is not Parquet: {error}") from error


def _unreadable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be read: {error.strerror or error}")


def spool(source: BinaryIO, output: Path) -> Path:
    """Keep what a pipe has beside an output, so that it can be read again; returns where. Raises BadInput.

    It is named by what it has: the same again is the same file, and something else leaves that of an earlier job alone.
    """
    beside, digest = output.with_name(f"{output.name}.{os.getpid()}.tmp"), sha256()
    try:
        with beside.open("wb") as file:
            while data := source.read(1 << 20):
                digest.update(data)
                file.write(data)
        return beside.replace(output.with_name(f"{output.name}.{digest.hexdigest()[:12]}.input"))
    except OSError as error:
        raise BadInput(f"what stdin has cannot be kept in {beside}: {error.strerror or error}") from error
