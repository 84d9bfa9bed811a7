"""Connections to providers: opened when needed, used again, never more than the bound, each closed exactly once."""

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed, TlsFailed
from routewright.http1.place import Place, head
from routewright.http1.response import READ_BYTES, Connection, Response
from routewright.names import Addresses, Names

IDLE_CONNECTION_MAX_S: Final = 55
"""A connection that has been idle longer is not used again: load balancers close them after 60 s as a rule."""

IDLE_CONNECTIONS_MAX: Final = 1000
"""Connections kept for later requests; beyond it the one idle for longest is closed."""

NEXT_ADDRESS_S: Final = 0.2
"""After which another address of the same host is tried beside the one that does not answer (RFC 8305)."""

_Key = tuple[str, int, bool]


class Pool:
    """A `Transport` of one event loop."""

    def __init__(self, max_connections: int, max_header_bytes: int, ca_file: str | None) -> None:
        """See `HttpTransport`."""
        self.max_header_bytes = max_header_bytes
        self.buffer = bytearray(READ_BYTES)
        self.loop = asyncio.get_running_loop()
        self._names = Names()
        self._max_connections = max_connections
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._keys: dict[Connection, _Key] = {}
        self._opening = 0
        self._idle: dict[Connection, None] = {}
        """The one idle for longest first."""
        self._idle_at: defaultdict[_Key, dict[Connection, None]] = defaultdict(dict)
        """The one idle for longest first, also here."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> Response:
        """See `Transport.send`."""
        place = Place.of(request.url)
        first = head(request)
        connection = self._idle_one(place.key) or await self._connected(place, connect_timeout_s)
        response = connection.ask(first, request.body)
        await response.answered()
        return response

    async def close(self) -> None:
        """See `Transport.close`."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._keys):
            connection.cut()

    # ---- idle connections

    def take_back(self, connection: Connection) -> None:
        """See `Home.take_back`."""
        connection.idle_since = self.loop.time()
        self._idle[connection] = None
        self._idle_at[self._keys[connection]][connection] = None
        if len(self._idle) > IDLE_CONNECTIONS_MAX:
            next(iter(self._idle)).drop()
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(IDLE_CONNECTION_MAX_S, self._sweep)
        if self._waiting:
            self._let_one_in()

    def forget(self, connection: Connection) -> None:
        """See `Home.forget`."""
        key = self._keys.pop(connection, None)
        if key is not None:
            self._idle.pop(connection, None)
            its = self._idle_at[key]
            its.pop(connection, None)
            if not its:
                del self._idle_at[key]
            self._let_one_in()

    def _idle_one(self, key: _Key) -> Connection | None:
        """The connection used last, as it is the least likely to have been closed meanwhile."""
        connections = self._idle_at[key]
        while connections:
            connection, _ = connections.popitem()
            del self._idle[connection]
            if not connection.is_stale and self.loop.time() - connection.idle_since < IDLE_CONNECTION_MAX_S:
                return connection
            connection.drop()
        return None

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = self.loop.time() - IDLE_CONNECTION_MAX_S
        for connection in list(self._idle):
            if connection.idle_since > oldest:
                self._sweeper = self.loop.call_at(connection.idle_since + IDLE_CONNECTION_MAX_S, self._sweep)
                return
            connection.drop()

    # ---- new ones

    async def _connected(self, place: Place, limit_s: float) -> Connection:
        """A connection that is free. Raises ConnectFailed, TlsFailed."""
        began = self.loop.time()
        addresses: Addresses | None = (place.host,) if place.is_address else self._names.known(place.host)
        if addresses is None:
            addresses = await self._found(place.host, limit_s)
        try:
            async with asyncio.timeout(began + limit_s - self.loop.time()):
                while self._opening + len(self._keys) >= self._max_connections and not self._make_room():
                    await self._turn()
                    if connection := self._idle_one(place.key):
                        return connection
                return await self._open(place, addresses)
        except TimeoutError:
            raise ConnectFailed(f"no connection to {place.peer}: it timed out after {limit_s:g} s") from None
        except ssl.SSLError as error:
            raise TlsFailed(f"no trusted connection to {place.peer}: {error}") from error
        except OSError as error:
            raise ConnectFailed(f"no connection to {place.peer}: {error.strerror or error}") from error

    async def _found(self, host: str, limit_s: float) -> Addresses:
        try:
            async with asyncio.timeout(limit_s):
                return await self._names.find(host)
        except TimeoutError:
            raise ConnectFailed(f"no connection to {host}: its name was not found within {limit_s:g} s") from None
        except OSError as error:
            raise ConnectFailed(f"no connection to {host}: {error.strerror or error}") from error

    def _make_room(self) -> bool:
        for connection in self._idle:
            connection.drop()
            return True
        return False

    async def _turn(self) -> None:
        """Wait until a connection is idle or gone."""
        turn = self.loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._let_one_in()  # it was our turn: the next one's now
            raise

    def _let_one_in(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _open(self, place: Place, addresses: Addresses) -> Connection:
        """Raises OSError, ssl.SSLError, ConnectFailed."""
        self._opening += 1
        try:
            if not self._is_closed:
                connection = await _first_of([partial(self._open_at, place, address) for address in addresses])
            if self._is_closed:
                raise ConnectFailed(f"no connection to {place.host}: we ended before there was one")
            self._keys[connection] = place.key
        finally:
            self._opening -= 1
            self._let_one_in()
        return connection

    async def _open_at(self, place: Place, address: str) -> Connection:
        tls = self._trust() if place.is_tls else None
        _, connection = await self.loop.create_connection(
            partial(Connection, self, place.peer),
            address,
            place.port,
            ssl=tls,
            server_hostname=place.host if place.is_tls else None,
        )
        return connection

    def _trust(self) -> ssl.SSLContext:
        """Made once, as the authorities take milliseconds to read; those of the system obey SSL_CERT_FILE."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca_file)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


async def _first_of(tries: Sequence[Callable[[], Coroutine[Any, Any, Connection]]]) -> Connection:
    """The first connection there is; each try gets a head start. Raises what the first failure was."""
    if len(tries) == 1:
        return await tries[0]()
    left, running, failures = deque(tries), set[asyncio.Task[Connection]](), list[BaseException]()
    try:
        while left or running:
            if left:
                running.add(asyncio.create_task(left.popleft()()))
            done, _ = await asyncio.wait(
                running, timeout=NEXT_ADDRESS_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            running -= done
            for task in done:
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                failures.append(error)
        raise failures[0]
    finally:
        for task in running:
            if not task.cancel() and task.exception() is None:
                task.result().drop()
