"""The batches of a gateway, worked on in the background: several at once, of one who pays one after another."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from routewright.clock import Clock
from routewright.errors import BadInput, JobRefused, RoutewrightError
from routewright.gateway.batches_checking import Problem, check
from routewright.gateway.batches_kept import OPEN, KeptBatches
from routewright.gateway.files_kept import KeptFiles
from routewright.jobs.job import Job, JobState

log = logging.getLogger(__name__)

MOST_AT_ONCE = 16
LOOK_EVERY_S = 30.0
"""Without news: for what could not go on, and what other processes left."""
SWEEP_EVERY_S = 3600.0

Run: TypeAlias = Callable[[Job], Awaitable[object]]
"""Answers what is left of a job, until it is over or cancelled in the store. Raises RoutewrightError."""


class BatchWork:
    """Whoever makes or cancels a batch wakes it; it goes on with what the gateway left when it ended."""

    def __init__(self, kept: KeptBatches, files: KeptFiles, run: Run, clock: Clock) -> None:
        self._kept = kept
        self._files = files
        self._run = run
        self._clock = clock
        self._news = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        """By who pays."""

    def wake(self) -> None:
        """There is something new to look at."""
        self._news.set()

    async def follow(self) -> None:
        """Work for as long as it is awaited."""
        try:
            while True:
                self._news.clear()
                await self.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_EVERY_S)
        finally:
            await self.stop()

    async def follow_age(self) -> None:
        """Delete what is too old, for as long as it is awaited."""
        while True:
            await asyncio.to_thread(self._files.sweep)
            await asyncio.to_thread(self._kept.sweep)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def look(self) -> None:
        """Begin what can be begun now. Raises StoreUnavailable."""
        for job in await asyncio.to_thread(self._kept.undelivered):
            if len(self._running) < MOST_AT_ONCE and job.key not in self._running:
                self._running[job.key] = asyncio.create_task(self._work(job))

    async def stop(self) -> None:
        """Leave all where it is, for the next process; returns when nothing runs any more."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Until nothing runs."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def _work(self, job: Job) -> None:
        try:
            await self._advance(job)
            job = await asyncio.to_thread(self._kept.jobs.get, job.id)
            if job.state not in OPEN:
                await asyncio.to_thread(self._kept.deliver, job)
                self.wake()
        except JobRefused as error:  # another process works on it
            log.info("%s is left alone: %s", job.id, error.message)
        except (RoutewrightError, OSError) as error:
            log.warning("%s cannot go on now, and is tried again: %s", job.id, error)
        finally:
            del self._running[job.key]

    async def _advance(self, job: Job) -> None:
        if job.state is JobState.CANCELLING:
            await self._move(job, JobState.CANCELLED)
            return
        problems = []
        if job.state is JobState.VALIDATING:
            problems = await asyncio.to_thread(check, Path(job.source), job.endpoint)
        if not problems and job.state in OPEN:
            try:
                await self._run(job)
            except BadInput as error:
                problems = [Problem(code="invalid_input", message=error.message, param="input_file_id")]
        if problems:
            await asyncio.to_thread(self._kept.note_problems, job, problems)
            await self._move(job, JobState.FAILED)

    async def _move(self, job: Job, to: JobState) -> None:
        await asyncio.to_thread(self._kept.jobs.move, job, to, at_ns=self._clock.time_ns())
