"""The batches of a gateway, worked on in the background: several at once, of one who pays one after another."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from routewright.clock import Clock
from routewright.errors import BadInput, BatchNotHeld, JobRefused, RoutewrightError, StoreUnavailable, Unauthorized
from routewright.gateway.batches_checking import Problem, check
from routewright.gateway.batches_kept import OPEN, KeptBatches
from routewright.gateway.files_kept import KeptFiles
from routewright.jobs.answering import RunEnded, limits_of
from routewright.jobs.choosing import Via, choose
from routewright.jobs.inputs import Format, Input
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import Asking
from routewright.jobs.output import JobFiles
from routewright.jobs.parts import PartStore
from routewright.jobs.planning import Spec, plan
from routewright.jobs.provider import ProviderWay
from routewright.jobs.pruning import prune
from routewright.jobs.runner import Run
from routewright.jobs.store import JobStore
from routewright.runtime import Runtime
from routewright.tenant import Tenant

log = logging.getLogger(__name__)

MOST_AT_ONCE = 16
MOST_ELSEWHERE = 64
"""Batches that wait for a provider: they take no turn, and some memory."""
LEAST_WINDOW_S = 43_200
"""What must be left of a batch's day for it to go to a provider: most are back in hours, and the rest is asked live."""
LOOK_EVERY_S = 30.0
"""Without news: for what could not go on, and what other processes left."""
SWEEP_EVERY_S = 3600.0
PATIENCE_S = 30.0
"""For what is in flight when the gateway ends."""

_SPEC = Spec()


class JobRunner:
    """Answers what is left of jobs, each as whoever made it."""

    def __init__(self, runtime: Runtime, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`sleep` is what waits between two looks at a provider."""
        self.store = JobStore(runtime.store.database)
        self._runtime = runtime
        self._sleep = sleep
        self._parts = PartStore(runtime.store.database)
        self._runs: dict[str, Run] = {}

    def is_elsewhere(self, job_id: str) -> bool:
        """Whether a job that runs here only waits for providers."""
        run = self._runs.get(job_id)
        return run is not None and run.is_elsewhere

    def is_left_elsewhere(self, job: Job) -> bool:
        """Whether anything of a job is at a provider, as far as it is known. Waits for the store."""
        return bool(self._parts.open(job))

    def prune(self) -> None:
        """Forget the items of batches that have been over for long; what a round leaves is the next one's."""
        try:
            prune(self.store, self._runtime.clock.time_ns(), self._runtime.engine.settings.batches.kept_days)
        except StoreUnavailable as error:
            log.warning("items of old batches are not deleted now: %s", error.message)

    async def run(self, job: Job, when_sent: Callable[[], None]) -> None:
        """Until it is over, cancelled in the store, or stopped; `when_sent` is called when providers are waited for.

        Raises BadInput when its input cannot be used, Unauthorized when its key is not valid any more, JobRefused when
        another process works on it, BatchNotHeld, and what else keeps it from going on.
        """
        if job.state is not JobState.CANCELLING:  # of one that is, nothing more is asked
            self._runtime.directory.tenant(job.key)
        source = await asyncio.to_thread(Input, Path(job.source), Asking(), Format.JSONL)
        now_ns = self._runtime.clock.time_ns()
        planned = await asyncio.to_thread(plan, self.store, source, job, _SPEC, now_ns=now_ns)
        with JobFiles(Path(job.output), Path(job.errors)) as files:
            try:
                run = self._runs[job.id] = self._run(planned.job, source, files, when_sent)
                await run.run()
            except RunEnded as error:
                raise error.cause from error
            finally:
                self._runs.pop(job.id, None)
        if run.ended_by is not None:
            raise run.ended_by

    def stop(self) -> None:
        """Ask nothing more; what is in flight is awaited."""
        for run in self._runs.values():
            run.stop()

    def _run(self, job: Job, source: Input, files: JobFiles, when_sent: Callable[[], None]) -> Run:
        runtime, settings = self._runtime, self._runtime.engine.settings
        limits = limits_of(settings.policy)
        payer = partial(self._payer, job.key)
        run = Run(runtime, self.store, job, source, files, spec=_SPEC, limits=limits, tenant=payer)
        via = Via(settings.batches.via)
        is_full = sum(each.is_elsewhere for each in self._runs.values()) >= MOST_ELSEWHERE
        if is_full or job.state is JobState.CANCELLING:
            via = Via.LIVE
        now_ns = runtime.clock.time_ns()
        choice = choose(via, run, job, runtime.engine, now_ns=now_ns, least_s=LEAST_WINDOW_S)
        log.info("%s is asked %s", job.id, choice.reason)
        way = ProviderWay(
            runtime,
            run,
            job,
            sends=choice.is_provider,
            must=via is Via.PROVIDER,
            when_sent=when_sent,
            sleep=self._sleep,
        )
        run.first = way.run
        return run

    def _payer(self, key: str) -> Tenant:
        try:
            return self._runtime.directory.tenant(key)
        except RoutewrightError as error:
            raise RunEnded(error) from error


class BatchWork:
    """Whoever makes or cancels a batch wakes it; it goes on with what the gateway left when it ended."""

    def __init__(self, kept: KeptBatches, files: KeptFiles, runner: JobRunner, clock: Clock) -> None:
        self.kept = kept
        self._files = files
        self._runner = runner
        self._clock = clock
        self._news = asyncio.Event()
        self._running: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        """By the batch."""

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
            await asyncio.to_thread(self.kept.sweep)
            await asyncio.to_thread(self._runner.prune)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def look(self) -> None:
        """Begin what can be begun now. Raises StoreUnavailable."""
        for job in await asyncio.to_thread(self.kept.undelivered):
            busy = [each.key for each, _ in self._running.values() if not self._runner.is_elsewhere(each.id)]
            if job.id not in self._running and len(busy) < MOST_AT_ONCE and job.key not in busy:
                self._running[job.id] = job, asyncio.create_task(self._work(job))

    async def stop(self) -> None:
        """Leave all to the next process; what is in flight is awaited, for a while. Returns when nothing runs."""
        self._runner.stop()
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Until nothing runs."""
        while self._running:
            await asyncio.wait([task for _, task in self._running.values()])

    async def _work(self, job: Job) -> None:
        try:
            await self._advance(job)
            job = await asyncio.to_thread(self.kept.jobs.get, job.id)
            if job.state not in OPEN:
                await asyncio.to_thread(self.kept.deliver, job)
                self.wake()
        except (RoutewrightError, OSError) as error:
            log.warning("%s cannot go on now, and is tried again: %s", job.id, error)
        finally:
            del self._running[job.id]

    async def _advance(self, job: Job) -> None:
        if job.state is JobState.CANCELLING and not await asyncio.to_thread(self._runner.is_left_elsewhere, job):
            await self._move(job, JobState.CANCELLED)
            return
        problems = []
        if job.state is JobState.VALIDATING:
            problems = await asyncio.to_thread(check, Path(job.source), job.endpoint)
        if not problems and job.state in OPEN:
            try:
                await self._runner.run(job, self.wake)
            except BadInput as error:
                problems = [Problem(code="invalid_input", message=error.message, param="input_file_id")]
            except BatchNotHeld as error:
                problems = [Problem(code=error.code, message=error.message)]
            except JobRefused as error:  # another process works on it, or it was cancelled just now
                log.info("%s is left alone: %s", job.id, error.message)
            except Unauthorized as error:
                log.warning("%s is cancelled: %s", job.id, error.message)
                is_elsewhere = await asyncio.to_thread(self._runner.is_left_elsewhere, job)
                await self._move(job, JobState.CANCELLING if is_elsewhere else JobState.CANCELLED)
                self.wake()
        if problems:
            await asyncio.to_thread(self.kept.note_problems, job, problems)
            await self._move(job, JobState.FAILED)

    async def _move(self, job: Job, to: JobState) -> None:
        await asyncio.to_thread(self.kept.jobs.move, job, to, at_ns=self._clock.time_ns())
