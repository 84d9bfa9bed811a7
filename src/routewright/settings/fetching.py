"""A document at an address: encrypted on its way, and bounded in size, time and redirects."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.settings.addresses import Fetched, Unfetched, check_address, shown_url
from routewright.transport import HttpTransport, Transport, WireResponse

CONNECT_S = 5.0
_REDIRECTS = (301, 302, 303, 307, 308)


async def fetch(
    url: str,
    transport: Transport,
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


async def _answered(url: str, transport: Transport, headers: dict[str, str], redirects: int) -> WireResponse:
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

    async def fetched() -> Fetched | None:
        transport = HttpTransport()
        try:
            return await fetch(
                url, transport, most_bytes=most_bytes, patience_s=patience_s, redirects=redirects, etag=etag
            )
        finally:
            await transport.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, fetched()).result()
