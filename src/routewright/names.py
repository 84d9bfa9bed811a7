"""Names: the addresses of hosts, looked up aside; one lookup of a name at a time, whoever asks for it.

With a few threads for all lookups, as event loops and libcurl have them, a name server that hangs for one provider has
them all within a second, and no other provider is found any more. Here a name that hangs holds up nobody but
those who ask for it. What was found is used for a minute, and while newer addresses are looked for: that a name server
is down is not noticed for ten minutes by who was in use before.
"""

import asyncio
import contextlib
import socket
from threading import Thread

from msgspec import Struct

Addresses = tuple[str, ...]

FRESH_S = 60.0
"""So long what was found is not looked for again."""
USED_S = 600.0
"""So long it is used, if nothing newer is found."""


class _Found(Struct):
    """The addresses of a host, and when they were found and last looked for; both by the loop's clock."""

    addresses: Addresses
    found_at: float
    asked_at: float


class Names:
    """The names that one event loop asks for; as many as the settings have."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._found: dict[str, _Found] = {}
        self._lookups: dict[str, asyncio.Future[Addresses]] = {}

    def known(self, host: str) -> Addresses | None:
        """The addresses, if they are known; they are looked for again aside when that is due."""
        found, now = self._found.get(host), self._loop.time()
        if found is None or now - found.found_at > USED_S:
            return None
        if now - found.asked_at > FRESH_S:
            found.asked_at = now
            self._look_up(host)
        return found.addresses

    async def find(self, host: str) -> Addresses:
        """Look for the addresses; to cancel it leaves the lookup to the others who wait. Raises OSError."""
        return await asyncio.shield(self._look_up(host))

    def _look_up(self, host: str) -> "asyncio.Future[Addresses]":
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = self._loop.create_future()
            lookup.add_done_callback(lambda done: done.exception())  # perhaps nobody waits for it any more
            # A thread of its own, so that none waits for another's; a daemon, as nothing ends a lookup that hangs.
            Thread(target=self._ask, args=(host, self._loop.time()), name="name lookup", daemon=True).start()
        return lookup

    def _ask(self, host: str, asked_at: float) -> None:
        """In the thread."""
        answer: Addresses | OSError
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answer = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as error:
            answer = error
        except UnicodeError as error:  # a label that is empty or too long
            answer = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed meanwhile
            self._loop.call_soon_threadsafe(self._take, host, answer, asked_at)

    def _take(self, host: str, answer: Addresses | OSError, asked_at: float) -> None:
        lookup = self._lookups.pop(host)
        if isinstance(answer, OSError):
            lookup.set_exception(answer)
        else:
            self._found[host] = _Found(answer, asked_at, asked_at)
            lookup.set_result(answer)
