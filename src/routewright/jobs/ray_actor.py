"""What runs on a node of a Ray cluster: an engine of its own, asked by the process that has the batch (decision 36).

An answer is given out in two steps, `answer` and `settle`: in between, whoever asked writes it down. So an attempt is
settled only once its answer is kept, though one process asks and another one writes. Nothing here knows of Ray.
"""

import asyncio
import platform
import uuid
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.errors import ClusterUnusable, JobNotFound, RoutewrightError
from routewright.jobs.job import Job
from routewright.jobs.results import Answered, answered_of
from routewright.jobs.runner import budget_of
from routewright.jobs.store import JobStore
from routewright.ledger.ledger import NANOSECONDS
from routewright.reply import Receipt, Reply
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.stores import ledger_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Common(Struct, frozen=True, kw_only=True):
    """What all that work on one job must have in common."""

    catalog: str
    """The version of the catalog by which they decide."""
    machine: str
    """Of whoever began it; all are there if the ledger is a file."""


class Posting(Struct, frozen=True, kw_only=True):
    """What an actor is told when it begins."""

    source: SettingsSource
    job: Job
    common: Common


def machine() -> str:
    """The same for all processes of one machine, and for no others."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode()}"


class Answerer:
    """One actor: asks what it is told to, and no more than that at a time. All of it is in one event loop."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._waiting: dict[str, Reply] = {}
        """Answers that were given out and are not settled yet, by their request."""

    async def begin(self, posting: Posting) -> RoutewrightError | None:
        """Open the engine; returns why it cannot be used."""
        try:
            runtime = await asyncio.to_thread(Runtime.open, posting.source)
        except RoutewrightError as error:
            return error
        try:
            check_common(runtime, posting.common)
            _check_job(runtime, posting.job)
        except RoutewrightError as error:
            await runtime.close()
            return error
        if posting.job.limit_nanousd is not None:
            runtime.engine.adopt_budgets([budget_of(posting.job)], owner=posting.job.id)
        self._runtime = runtime
        self._following = asyncio.create_task(runtime.follow_redis())
        return None

    async def answer(self, call: Call, left_s: float) -> Answered | RoutewrightError:
        """The answer to an unstreamed call that has `left_s` seconds; its attempt is open until `settle`."""
        runtime = self._runtime
        assert runtime is not None, "it has begun"
        try:
            reply = await runtime.engine.ask(replace(call, deadline_at=runtime.clock.monotonic() + left_s))
            events = await reply.next()
        except RoutewrightError as error:
            return error
        self._waiting[call.id] = reply
        return answered_of(reply, events, runtime.clock.time_ns() // NANOSECONDS)

    async def settle(self, request_id: str) -> Receipt | RoutewrightError | None:
        """Settle an answer that is kept now; None if this actor has not given it out."""
        reply = self._waiting.pop(request_id, None)
        if reply is None:
            return None
        try:
            await reply.next()
        except RoutewrightError as error:
            return error
        finally:
            reply.close()
        return reply.receipt

    async def close(self) -> None:
        """Cut what is in flight, and bring home what the ledger still has to write."""
        if self._runtime is None:
            return
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following
        for reply in self._waiting.values():
            reply.close()
        await self._runtime.close()


def _check_job(runtime: Runtime, job: Job) -> None:
    try:
        JobStore(runtime.store.database).get(job.id)
    except JobNotFound:
        raise ClusterUnusable(
            f"the ledger on {platform.node()} is another one: it does not have {job.id}",
            hint="all nodes need the same settings and environment, with the same ledger.database_url",
        ) from None


def check_common(runtime: Runtime, common: Common) -> None:
    """Raises ClusterUnusable for an engine that would decide, or account, otherwise than the others."""
    here, settings = platform.node(), runtime.engine.settings
    if ledger_file(settings) is not None and common.machine != machine():
        raise ClusterUnusable(
            f"the ledger on {here} is a SQLite file, which one machine has for itself",
            hint="let all nodes share one in PostgreSQL: ledger.database_url",
        )
    if runtime.engine.registry.version != common.catalog:
        raise ClusterUnusable(
            f"the settings on {here} are others: its models, their prices or who has a key differ",
            hint="give all nodes the same settings file, and the same environment with the keys",
        )
