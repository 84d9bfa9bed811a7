"""Which store the settings name, opened once: a reload that names the same one goes on with what it has."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from routewright.cache.answers import Answers
from routewright.cache.aside import Aside
from routewright.cache.memory import MemoryAnswers
from routewright.errors import SettingsError

if TYPE_CHECKING:  # it needs the redis package, which is not always installed
    from routewright.shared.connection import Connection


class Place(Struct, frozen=True, kw_only=True):
    """Where answers are kept, and how many."""

    store: str
    """`memory`, `sqlite` or `redis`."""
    folder: Path
    """Of the file."""
    max_entries: int
    max_bytes: int


class Places:
    """The store in force; one that a reload replaced goes with the requests that still use it."""

    def __init__(self, redis: "Connection | None" = None) -> None:
        """`redis` is needed for a place there."""
        self._redis = redis
        self._open: tuple[Place, Answers] | None = None

    def at(self, place: Place) -> Answers:
        """The store there. Raises SettingsError for one in a Redis that is not known yet."""
        if self._open is None or self._open[0] != place:
            self._open = place, self._opened(place)
        return self._open[1]

    async def close(self) -> None:
        """Let go of it."""
        if self._open is not None:
            await self._open[1].close()

    def _opened(self, place: Place) -> Answers:
        if place.store == "redis":
            from routewright.cache.redis import RedisAnswers

            if self._redis is None:
                raise SettingsError("cache.store: redis.url was not set when this process began", hint="restart it")
            return RedisAnswers(self._redis)
        if place.store == "sqlite":
            from routewright.cache.sqlite import FILE, SqliteAnswers

            path = place.folder / FILE
            return Aside(SqliteAnswers(path, max_entries=place.max_entries, max_bytes=place.max_bytes))
        return MemoryAnswers(max_entries=place.max_entries, max_bytes=place.max_bytes)
