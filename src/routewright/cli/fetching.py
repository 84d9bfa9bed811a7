"""A file or an address that somebody named on the command line, as bytes: bounded, and encrypted on its way."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from routewright.cli.failures import BadPrices
from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderError
from routewright.settings import is_loopback
from routewright.transport import HttpTransport, Transport

PATIENCE_S = 30.0
CONNECT_S = 5.0


def read_source(source: str, most_bytes: int) -> bytes:
    """What a path or an https address has. Raises BadPrices."""
    if "://" in source:
        return asyncio.run(_fetch_alone(source, most_bytes))
    try:
        with Path(source).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise BadPrices(f"cannot read {source}: {error.strerror}", hint="check the path") from error
    return _bounded(content, source, most_bytes)


async def _fetch_alone(url: str, most_bytes: int) -> bytes:
    transport = HttpTransport()
    try:
        return await fetch(url, most_bytes, transport)
    finally:
        await transport.close()


async def fetch(url: str, most_bytes: int, transport: Transport) -> bytes:
    """The body at an address, at most `most_bytes`, within half a minute. Raises BadPrices."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise BadPrices(f"{url} is not fetched: only https keeps prices from being changed on their way")
    request = WireRequest(url=url, headers={"accept": "application/json"}, body=b"", method="GET")
    try:
        async with asyncio.timeout(PATIENCE_S):
            response = await transport.send(request, connect_timeout_s=CONNECT_S)
            content = bytearray()
            while len(content) <= most_bytes and (piece := await response.next()):
                content += piece
            response.abort()
    except (ProviderError, TimeoutError) as error:
        raise BadPrices(f"cannot fetch {url}: {str(error) or 'no answer in time'}", hint="check the address") from error
    if response.status != 200:
        raise BadPrices(f"{url} answered with status {response.status}", hint="redirects are not followed")
    return _bounded(bytes(content), url, most_bytes)


def _bounded(content: bytes, source: str, most_bytes: int) -> bytes:
    if len(content) > most_bytes:
        raise BadPrices(f"{source} is over {most_bytes >> 20} MiB; that is no price document")
    return content
