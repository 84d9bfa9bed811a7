"""A file or an address that somebody named on the command line, as bytes: bounded, and encrypted on its way."""

import asyncio
from pathlib import Path

from routewright.cli.failures import BadPrices
from routewright.settings.addresses import Unfetched
from routewright.settings.fetching import fetch as fetch_document
from routewright.transport import HttpTransport, Transport

PATIENCE_S = 30.0


def read_source(source: str, most_bytes: int) -> bytes:
    """What a path or an https address has. Raises BadPrices."""
    if "://" in source:
        return asyncio.run(_fetch_alone(source, most_bytes))
    try:
        with Path(source).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise BadPrices(f"cannot read {source}: {error.strerror}", hint="check the path") from error
    if len(content) > most_bytes:
        raise BadPrices(f"{source} is over {most_bytes >> 20} MiB; that is no price document")
    return content


async def _fetch_alone(url: str, most_bytes: int) -> bytes:
    transport = HttpTransport()
    try:
        return await fetch(url, most_bytes, transport)
    finally:
        await transport.close()


async def fetch(url: str, most_bytes: int, transport: Transport) -> bytes:
    """The body at an address, at most `most_bytes`, within half a minute. Raises BadPrices."""
    try:
        document = await fetch_document(
            url, transport, most_bytes=most_bytes, patience_s=PATIENCE_S, accept="application/json"
        )
    except Unfetched as error:
        raise BadPrices(str(error), hint="check the address; redirects are not followed") from error
    assert document is not None  # no ETag was sent
    return document.content
