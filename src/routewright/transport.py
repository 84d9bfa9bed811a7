"""The only outgoing socket: HTTP/1.1, by a pool of our own (`http1.pool`), or by libcurl behind a proxy.

The only time limit here is the one for connecting: whoever calls holds the deadlines, and cancelling `send` or `next`
closes the connection at once.

Redirects are answers like any other, certificates are always verified, nothing is decompressed, and no request that may
have reached the provider is sent again (docs/decisions/0004-outgoing-http.md, 0045-the-hot-path.md).
"""

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from routewright.dialects.wire import WireRequest
from routewright.errors import SettingsError
from routewright.http1 import response
from routewright.http1.pool import Pool

BUFFERED_BYTES_MAX: Final = response.BUFFERED_BYTES_MAX

_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""With any of these in the environment libcurl does it all, which knows every kind of proxy and of exception."""


def proxy_variable() -> str | None:
    """Which variable of the environment names a proxy; None without any."""
    return next((name for name in _PROXIES if os.environ.get(name)), None)


def require_way() -> None:
    """Raises SettingsError where the environment names a proxy, and what goes through one, an extra, is missing."""
    name = proxy_variable()
    if name is None:
        return
    try:
        import pycurl  # type: ignore[import-untyped]  # noqa: F401 only looked for
    except ImportError as error:
        raise SettingsError(
            f"{name} names a proxy, and the pycurl package, which goes through it, is missing ({error})",
            hint=f"pip install 'routewright[proxy]', or unset {name}",
        ) from error


class WireResponse(Protocol):
    """A response whose status and headers have arrived. Read it to the end or abort it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of a repeated header, the last."""
        ...

    async def next(self) -> bytes:
        """The next bytes of the body, as soon as there are any; `b""` at its proper end.

        Raises StreamCut when the body ends early, InvalidResponse when it is not HTTP. To cancel it is to abort.
        """
        ...

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """Give `take` the bytes of the body as they come, until it returns False, or their proper end.

        Returns whether they have ended. Raises as `next` does, and what `take` raises. Of a socket of ours `take` is
        called as soon as something was read, within that callback: so it is quick, and does not wait.
        """
        ...

    def abort(self) -> None:
        """Drop the connection now. Never awaits; after the end of the body, or a second time, it does nothing."""
        ...


class Transport(Protocol):
    """What sends requests."""

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> WireResponse:
        """The response, once its status and headers have arrived. To cancel it is to drop the connection.

        Raises ConnectFailed or TlsFailed when provably nothing was sent; ConnectionLost or InvalidResponse after that.
        `connect_timeout_s` covers name resolution, connecting and the TLS handshake.
        """
        ...

    async def close(self) -> None:
        """Cut what is in flight and close every connection."""
        ...


class HttpTransport:
    """A `Transport` over real sockets, for the event loop that it is first used on.

    `max_connections` bounds the open connections, busy and idle; a request beyond it waits its turn, within its connect
    timeout. `max_header_bytes` bounds the head of a response. `ca_file` replaces the system's certificate authorities.
    """

    def __init__(
        self, *, max_connections: int = 10_000, max_header_bytes: int = 64 * 1024, ca_file: str | None = None
    ) -> None:
        self._max_connections = max_connections
        self._max_header_bytes = max_header_bytes
        self._ca_file = ca_file
        self._way: Transport | None = None

    def send(self, request: WireRequest, *, connect_timeout_s: float) -> Coroutine[Any, Any, WireResponse]:
        """See `Transport.send`. Raises InvalidRequest when a header value would smuggle in another header."""
        if self._way is None:
            self._way = self._open()
        return self._way.send(request, connect_timeout_s=connect_timeout_s)

    def _open(self) -> Transport:
        if proxy_variable() is None:
            return Pool(self._max_connections, self._max_header_bytes, self._ca_file)
        require_way()
        from routewright.http1.behind_proxy import Libcurl

        return Libcurl(self._max_connections, self._max_header_bytes, self._ca_file)

    async def close(self) -> None:
        """See `Transport.close`."""
        way, self._way = self._way, None
        if way is not None:
            await way.close()
