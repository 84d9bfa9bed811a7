"""What all connections of clients share: what one may cost, how many there may be, and how one is refused."""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from routewright.errors import Overloaded, RoutewrightError

OVERLOAD_PAUSE_S = 1.0
BODY_PACE_S, BODY_PACE_BYTES = 10.0, 1024
WRITE_STALL_S = 60.0


class Limits(Struct, frozen=True):
    """What a connection may cost us."""

    max_connections: int
    max_connections_per_address: int
    max_header_bytes: int
    """Of a head in all; also of whatever comes without being part of a body, such as trailers."""
    header_timeout_s: float
    """For a head, from its first byte; for the first one from the connection on."""
    body_pace_s: float = BODY_PACE_S
    body_pace_bytes: int = BODY_PACE_BYTES
    """A body that brings fewer bytes than this in that time is given up."""
    write_stall_s: float = WRITE_STALL_S
    """A client that takes nothing for so long is cut."""


class Entrance:
    """What all connections share: their limits, how many there are, and how one is refused.

    `write_refusal` makes the whole answer to a request that never became one.
    """

    def __init__(self, limits: Limits, write_refusal: Callable[[RoutewrightError], bytes]) -> None:
        self.limits = limits
        self.write_refusal = write_refusal
        self.keeps_alive = True
        """Connections, for another request; no more when the gateway is about to end."""
        self._by_address: Counter[str] = Counter()
        self._open = 0
        self._common_of: list[tuple[bytes, bytes]] = []
        self._common = b""

    def common(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The lines of what every answer has, such as the date; uvicorn makes a new list of them once a second."""
        if headers is not self._common_of:
            self._common_of, self._common = headers, b"".join([b"%b: %b\r\n" % pair for pair in headers])
        return self._common

    def admit(self, address: str) -> None:
        """Count one more. Raises Overloaded."""
        most_here = self.limits.max_connections_per_address
        if self._open >= self.limits.max_connections:
            raise Overloaded("too many connections are open", retry_after_s=OVERLOAD_PAUSE_S)
        if self._by_address[address] >= most_here:
            raise Overloaded(f"{most_here} connections from this address are open", retry_after_s=OVERLOAD_PAUSE_S)
        self._by_address[address] += 1
        self._open += 1

    def leave(self, address: str) -> None:
        """One that was admitted has ended."""
        self._open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
