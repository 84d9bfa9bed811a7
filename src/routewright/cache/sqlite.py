"""Answers in a SQLite file of their own: they outlive the process, and all processes of this machine share them.

Not in the ledger's database: that never has content unless it is asked to, is kept for years, copied and handed to
auditors, and every commit of it is waited for by somebody. What is here may be lost, or deleted, at any time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from routewright.errors import StoreUnavailable

FILE = "cache.db"
_VERSION = 1
_BUSY_MS = 25
_SCHEMA = """
DROP TABLE IF EXISTS answers;
DROP TABLE IF EXISTS held;
CREATE TABLE answers (
    number   INTEGER PRIMARY KEY,  -- in the order in which they came
    key      BLOB    NOT NULL UNIQUE,
    until_ns INTEGER NOT NULL,
    kept     BLOB    NOT NULL
) STRICT;
CREATE INDEX answers_by_end ON answers (until_ns);
CREATE TABLE held (entries INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO held VALUES (0, 0);
CREATE TRIGGER answer_comes AFTER INSERT ON answers BEGIN
    UPDATE held SET entries = entries + 1, bytes = bytes + length(NEW.kept);
END;
CREATE TRIGGER answer_goes AFTER DELETE ON answers BEGIN
    UPDATE held SET entries = entries - 1, bytes = bytes - length(OLD.kept);
END;
"""
_OLDEST = "DELETE FROM answers WHERE number = (SELECT min(number) FROM answers)"


class SqliteAnswers:
    """Implements `AnswerStore`: the oldest go first. The file is opened at the first use, and made anew if damaged."""

    def __init__(self, path: Path, *, max_entries: int, max_bytes: int) -> None:
        self._path = path
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._connection: apsw.Connection | None = None

    def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key and may still be used. Raises StoreUnavailable."""
        with self._opened() as connection:
            sql = "SELECT kept FROM answers WHERE key = ? AND until_ns > ?"
            kept: bytes | None = connection.execute(sql, (key, now_ns)).get
        return kept

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Keep it, and let those go whose time is over or that there is no room for. Raises StoreUnavailable."""
        with self._opened() as connection, connection:
            connection.execute("DELETE FROM answers WHERE until_ns <= ? OR key = ?", (now_ns, key))
            connection.execute("INSERT INTO answers (key, until_ns, kept) VALUES (?, ?, ?)", (key, until_ns, kept))
            while self._is_overfull(connection):
                connection.execute(_OLDEST)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_overfull(self, connection: apsw.Connection) -> bool:
        ((entries, size),) = connection.execute("SELECT entries, bytes FROM held")
        return bool(entries > self._max_entries or size > self._max_bytes)

    @contextmanager
    def _opened(self) -> Iterator[apsw.Connection]:
        """The one border where apsw's errors become ours."""
        try:
            if self._connection is None:
                self._connection = _open(self._path)
            yield self._connection
        except (apsw.NotADBError, apsw.CorruptError) as error:
            self.close()
            for ending in ("", "-wal", "-shm"):
                with suppress(OSError):
                    self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
            raise StoreUnavailable(f"{self._path} was damaged, and is made anew: {error}") from error
        except (apsw.Error, OSError) as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error


def _open(path: Path) -> apsw.Connection:
    """Only its owner may read it, as it has answers in it; a power cut may cost the latest of them."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(_BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "off")
    with connection:
        if connection.pragma("user_version") != _VERSION:
            connection.execute(_SCHEMA)
            connection.pragma("user_version", _VERSION)
    return connection
