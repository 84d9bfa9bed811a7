"""Talking to providers' batch APIs: a file goes there, is looked for, looked at, called back and fetched."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from pathlib import Path

from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.dialects.batch import BatchDialect, Stage, Standing
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectionLost, ProviderError
from routewright.jobs.choosing import WAYS
from routewright.ledger.ledger import NANOSECONDS
from routewright.transport import Transport

CONNECT_S = 10.0


class Exchange:
    """Raises ProviderError from every verb; nothing is tried again here."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    async def submit(self, place: Deployment, name: str, lines: Sequence[bytes]) -> str:
        """Begin a batch, and return the provider's id of it."""
        dialect, upload_id = WAYS[place.dialect], ""
        if upload := dialect.upload(place, name, lines):
            try:
                upload_id = dialect.uploaded(await self._ask(place, upload))
            except ConnectionLost as error:  # a file that nobody makes a batch of costs nothing
                raise ProviderError(error.message) from error
        return dialect.standing(await self._ask(place, dialect.create(place, name, lines, upload_id))).id

    async def standing(self, place: Deployment, batch_id: str) -> Standing:
        """How a batch stands."""
        dialect = WAYS[place.dialect]
        return dialect.standing(await self._ask(place, dialect.retrieve(place, batch_id)))

    async def find(
        self, place: Deployment, name: str, *, known: AbstractSet[str], mine: AbstractSet[str]
    ) -> Standing | None:
        """A batch of which only we know whether it was begun: by its name, or by the `custom_id` of its first result.

        `known` are batches that it cannot be, `mine` its attempts. One that runs and may be it is taken for it until
        its results show whose it is. None where there is none.
        """
        dialect = WAYS[place.dialect]
        found = dialect.standings(await self._ask(place, dialect.latest(place)))
        if dialect.keeps_names:
            return next((each for each in found if each.name == name), None)
        for each in found:
            if each.id not in known and (each.stage is Stage.RUNNING or await self._first_id(place, each) in mine):
                return each
        return None

    async def cancel(self, place: Deployment, batch_id: str) -> None:
        """End a batch; what is answered by then is kept."""
        await self._ask(place, WAYS[place.dialect].cancel(place, batch_id))

    async def fetch(self, place: Deployment, standing: Standing, spool: Path) -> dict[str, tuple[int, int]]:
        """Bring all results here; where each is in the file, by attempt."""
        dialect = WAYS[place.dialect]
        with spool.open("wb") as file:
            for where in standing.results:
                async with aclosing(self._pieces(place, dialect.fetch(place, where))) as pieces:
                    async for data in pieces:
                        file.write(data)
        return await asyncio.to_thread(_places, dialect, spool)

    async def _first_id(self, place: Deployment, standing: Standing) -> str:
        """The `custom_id` of a batch's first result; empty without one."""
        dialect = WAYS[place.dialect]
        for where in standing.results:
            data = b""
            async with aclosing(self._pieces(place, dialect.fetch(place, where))) as pieces:
                async for piece in pieces:
                    data += piece
                    if b"\n" in data:
                        break
            return dialect.result(data.partition(b"\n")[0]).custom_id
        return ""

    async def _ask(self, place: Deployment, request: WireRequest) -> bytes:
        return b"".join([data async for data in self._pieces(place, request)])

    async def _pieces(self, place: Deployment, request: WireRequest) -> AsyncGenerator[bytes]:
        response = await self._transport.send(request, connect_timeout_s=CONNECT_S)
        try:
            if response.status >= 300:
                body = await response.next()
                now_s = self._clock.time_ns() / NANOSECONDS
                raise UPSTREAMS[place.dialect].read_error(response.status, response.headers, body, now_s=now_s)
            while data := await response.next():
                yield data
        finally:
            response.abort()


def _places(dialect: BatchDialect, spool: Path) -> dict[str, tuple[int, int]]:
    """Where each result begins, and its length, by attempt."""
    found, offset = dict[str, tuple[int, int]](), 0
    with spool.open("rb") as file:
        for line in file:
            if line.strip():
                found[dialect.result(line).custom_id] = offset, len(line)
            offset += len(line)
    return found
