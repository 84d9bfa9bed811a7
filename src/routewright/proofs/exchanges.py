"""The part of HTTP that the proofs' providers need: requests with a body, one after the other on a connection."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any


async def serve_requests(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Callable[[asyncio.StreamWriter, str, dict[str, Any]], Awaitable[None]],
) -> None:
    """Have each request of a connection answered, given the attempt's id and the body, until the client leaves.

    Who asks for anything else, such as the list of models, is hung up on.
    """
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if "content-length" not in headers:
                return
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            await answer(writer, headers.get("x-attempt-id", ""), body)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
