"""A document at an address: encrypted on its way, and bounded in size, time and redirects."""

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from routewright.errors import ProviderError

if TYPE_CHECKING:  # it brings libcurl, and settings are read without
    from routewright.transport import Transport, WireResponse

CONNECT_S = 5.0
MOST_URL_CHARS = 2_000
_REDIRECTS = (301, 302, 303, 307, 308)


class Unfetched(Exception):
    """It could not be had; the text says why, and names the address."""


class Fetched(Struct, frozen=True):
    """A document as it came."""

    url: str
    """Where it was asked for."""
    content: bytes
    etag: str = ""
    """By which to ask whether it has changed; empty if the server did not say."""


async def fetch(
    url: str,
    transport: "Transport",
    *,
    most_bytes: int,
    patience_s: float,
    redirects: int = 0,
    etag: str = "",
    accept: str = "*/*",
) -> Fetched | None:
    """The document at an https address (http on this machine only), within `patience_s`; None if it is still `etag`.

    Each of the `redirects` must lead to such an address too. Raises Unfetched.
    """
    import asyncio

    check_address(url)
    shown = shown_url(url)
    headers = {"accept": accept, **({"if-none-match": etag} if etag else {})}
    try:
        async with asyncio.timeout(patience_s):
            response = await _answered(url, transport, headers, redirects)
            if response.status == 304 and etag:
                response.abort()
                return None
            content = bytearray()
            while len(content) <= most_bytes and (piece := await response.next()):
                content += piece
            response.abort()
    except (ProviderError, TimeoutError) as error:
        raise Unfetched(f"cannot fetch {shown}: {str(error) or 'no answer in time'}") from error
    if response.status != 200:
        raise Unfetched(f"{shown} answered with status {response.status}")
    if len(content) > most_bytes:
        raise Unfetched(f"{shown} is over {most_bytes >> 20} MiB")
    return Fetched(url, bytes(content), response.headers.get("etag", ""))


async def _answered(url: str, transport: "Transport", headers: dict[str, str], redirects: int) -> "WireResponse":
    from routewright.dialects.wire import WireRequest

    for left in range(redirects, -1, -1):
        request = WireRequest(url=url, headers=headers, body=b"", method="GET")
        response = await transport.send(request, connect_timeout_s=CONNECT_S)
        if not left or response.status not in _REDIRECTS or "location" not in response.headers:
            break
        response.abort()
        url = urljoin(url, response.headers["location"])
        check_address(url)
    return response


def fetch_alone(url: str, *, most_bytes: int, patience_s: float, redirects: int = 0, etag: str = "") -> Fetched | None:
    """The same from a loop of its own, for who has none, or must not wait in the one there is. Raises Unfetched."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def fetched() -> Fetched | None:
        from routewright.transport import HttpTransport

        transport = HttpTransport()
        try:
            return await fetch(
                url, transport, most_bytes=most_bytes, patience_s=patience_s, redirects=redirects, etag=etag
            )
        finally:
            await transport.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, fetched()).result()


def shown_url(url: str) -> str:
    """For messages: without a query and a password, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_address(url: str) -> None:
    """Raises Unfetched for what is no address, or none that a document can be had from unchanged."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Unfetched(f"{url[:100]!r} is no address: {error}") from error
    if len(url) > MOST_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise Unfetched(f"{shown_url(url)[:100]!r} is no address")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise Unfetched(f"{shown_url(url)} is not fetched: only https keeps it from being changed on its way")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
