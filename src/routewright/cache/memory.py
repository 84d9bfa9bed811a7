"""Answers in the memory of this process: the default."""

from collections import OrderedDict


class MemoryAnswers:
    """Implements `Answers`: the one unused for longest goes first."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
        """Key → until when, and what."""
        self._bytes = 0

    async def find(self, key: bytes, now_ns: int) -> bytes | None:
        """What was kept under a key and may still be used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        until_ns, kept = entry
        if until_ns <= now_ns:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return kept

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        """Keep it, and let those go that there is no room for."""
        if key in self._entries:
            self._drop(key)
        self._entries[key] = until_ns, kept
        self._bytes += len(kept)
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: bytes) -> None:
        _, kept = self._entries.pop(key)
        self._bytes -= len(kept)
