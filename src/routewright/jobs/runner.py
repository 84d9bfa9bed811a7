"""Running a job from its first item, or from where it was left, to its last line.

The order in which things are written is what makes it exact (decision 34): the line of an answer goes into the output
file, then its attempt is settled in the ledger, then the store is told of the item. Whoever dies between two of these
has left the earlier one, and the next run takes it from there; no answer that was received is ever asked for again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from math import inf
from pathlib import Path
from random import Random
from typing import Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Options
from routewright.catalog.registry import Tier
from routewright.errors import (
    BadInput,
    CallerError,
    CheckFailed,
    DeadlineExceeded,
    JobRefused,
    RoutewrightError,
    StoreUnavailable,
)
from routewright.jobs.answering import Asker, Limits, RunEnded, spread
from routewright.jobs.fitting import Fit, fit_of
from routewright.jobs.inputs import Input, Record
from routewright.jobs.job import COMPLETE, ItemResult, Job, JobState
from routewright.jobs.lines import DIALECTS, Entry, Malformed, Question, call_of, checks_of
from routewright.jobs.output import Found, JobFiles, Place, arrange
from routewright.jobs.planning import Spec
from routewright.jobs.results import Answered, answer_line, answered_of, failure_line, refusal_line, renamed
from routewright.jobs.store import PAGE, JobStore, Undecided
from routewright.jobs.ticker import Ticker
from routewright.ledger.budgets import BATCH_BUDGETS, Budget, Period, Scope
from routewright.ledger.ledger import NANOSECONDS, Settled
from routewright.ledger.store import AttemptRecord
from routewright.reply import Receipt
from routewright.runtime import Runtime
from routewright.tenant import NOBODY, Tenant

MALFORMED = "malformed_record"
"""The code of an item that could not be read."""


class Progress(Struct, kw_only=True):
    """How far a run is; changed in place, for who looks at it now and then."""

    total: int
    completed: int
    failed: int
    cost_nanousd: int
    begun_with: int
    """What was decided before this run."""
    begun_at: float
    """Monotonic seconds."""

    @property
    def done(self) -> int:
        """Those that are decided."""
        return self.completed + self.failed


Take: TypeAlias = Callable[[Answered], None]
Ask: TypeAlias = Callable[[Call, Take], Awaitable[Receipt | None]]
"""Has a call answered, and returns what it cost; the second argument is given the answer before its attempt is settled.

None where whoever answered died before it could say: the ledger knows more.
"""


class Crew(Protocol):
    """Others that ask for this process, for as long as it is entered. Raises ClusterUnusable when it is."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, call: Call, take: Take) -> Receipt | None:
        """See `Ask`. Raises RoutewrightError when it has failed, RunEnded when nothing more can be asked."""
        ...


class Run:
    """One run of a job in this process."""

    def __init__(
        self,
        runtime: Runtime,
        store: JobStore,
        job: Job,
        source: Input,
        files: JobFiles,
        *,
        spec: Spec,
        limits: Limits,
        random: Random | None = None,
        tenant: Callable[[], Tenant] = lambda: NOBODY,
    ) -> None:
        """`files.output` is where answers are written as they come: the output itself, or where it is made from.

        `tenant` says for each item who pays, and raises RunEnded when nobody does any more.
        """
        self._engine = runtime.engine
        self._ledger = runtime.store
        self._clock = runtime.clock
        self._store = store
        self._job = job
        self.source = source
        self._files = files
        self._spec = spec
        self._limits = limits
        self._tenant = tenant
        self._asker = Asker(runtime.engine, runtime.clock, random or Random())
        self._ticker = Ticker(store, job, files, self.stop)
        self._options = Options(
            tier=Tier(spec.tier) if spec.tier else None, tags=(job.tag,), checks=checks_of(source.asking)
        )
        self._until = inf
        self._is_stopped = False
        self.first: Callable[[], Awaitable[None]] | None = None
        """Another way, by which as much is answered as can be before the rest is asked."""
        self.is_elsewhere = False
        """All that is left to do is to wait for providers that have it in batches."""
        self.crew: Crew | None = None
        """Who asks; None for this process itself."""
        self.way = ""
        """How it is answered, and why so, in words."""
        self.ended_by: RoutewrightError | None = None
        """Why nothing more could be asked, if not all was."""
        counts = store.counts(job)
        self.progress = Progress(
            total=job.total,
            completed=counts.completed,
            failed=counts.failed,
            cost_nanousd=counts.cost_nanousd,
            begun_with=counts.done,
            begun_at=runtime.clock.monotonic(),
        )

    def stop(self) -> None:
        """Ask nothing more; what is in flight is awaited."""
        self._is_stopped = True

    async def run(self) -> Job:
        """Ask what is left, and finish the job if all is decided. Returns it as it stands then.

        `ended_by` says why there is something left. Cancelled, it gives up what is in flight. Raises JobRefused when
        its files are not what they were, StoreUnavailable.
        """
        if self._job.state.is_over:
            return self._job
        if self._job.state is JobState.CANCELLING:
            self.stop()
        self._recover()
        if self._job.state is not JobState.FINALIZING:
            self._set_bounds()
            try:
                await self._ask_all()
            finally:
                self._engine.adopt_budgets((), owner=self._job.id)
                await self._ticker.tell()
        return await self._finished()

    # -- what was left

    def _recover(self) -> None:
        """Take up the lines that were written and not told of."""
        job = self._store.get(self._job.id)
        found = list(self._files.recovered(job.output_bytes, job.error_bytes))
        positions = self._store.positions(job, [line.custom_id for line in found])
        for line in found:
            if line.custom_id not in positions:
                raise JobRefused(f"the output has a line of {line.custom_id!r}, which the input does not have")
            if self._store.result(job, positions[line.custom_id]) is None:
                self._note(self._result_of(line, positions[line.custom_id]))
        self.progress.begun_with = self.progress.done

    def _result_of(self, line: Found, position: int) -> ItemResult:
        """By what the ledger has of its request; a process that was killed settled nothing, and others did for it."""
        record = self._ledger.request(line.request_id) if line.request_id else None
        request = record.request if record else None
        attempts = record.attempts if record else ()
        closes = [attempt.close for attempt in attempts if attempt.close]
        return ItemResult(
            position=position,
            outcome=COMPLETE if line.place.is_ok else line.code or (request.outcome if request else "failed"),
            request_id=line.request_id,
            model=(request.model if request else closes[-1].model if closes else None) or "",
            tier=Tier(request.tier) if request and request.tier else None,
            cost_nanousd=request.cost_nanousd if request else sum(map(cost_of, attempts)),
            is_estimated=request.is_estimated if request else True,
            baseline_nanousd=request.baseline_cost_nanousd if request else None,
            offset=line.place.offset,
            length=line.place.length,
        )

    def _set_bounds(self) -> None:
        job = self._job
        if job.deadline_ns is not None:
            left_s = (job.deadline_ns - self._clock.time_ns()) / NANOSECONDS
            self._until = self._clock.monotonic() + left_s
        if job.limit_nanousd is not None:
            self._engine.adopt_budgets([budget_of(job)], owner=job.id)

    # -- asking

    async def _ask_all(self) -> None:
        following = asyncio.create_task(self._ticker.follow())
        try:
            if self.first is not None:
                try:
                    await self.first()
                except RunEnded as error:
                    self._end(error.cause)
            with self._engine.lanes.opened(self._job.id, self._limits.window) as lane:
                async with self.crew or nullcontext():
                    await spread(self._drawn(), self._work, lane)
        finally:
            self._ticker.end()
            await following

    def _end(self, cause: RoutewrightError) -> None:
        self.ended_by = self.ended_by or cause
        self.stop()

    def _drawn(self) -> Iterator[tuple[Undecided, Record]]:
        """What is left, as far as it can be read: what is in flight is awaited then."""
        try:
            yield from self.left()
        except (BadInput, StoreUnavailable) as error:
            self._end(error)

    def left(self) -> Iterator[tuple[Undecided, Record]]:
        """What is undecided, with its record: the input and the store are walked side by side, both in order."""
        told = {result.position for result in self._ticker.untold}
        undecided = (each for each in self._undecided() if each.position not in told)
        wanted = next(undecided, None)
        for record in self.source:
            if wanted is None or self.is_over:
                return
            if record.position == wanted.position:
                yield wanted, record
                wanted = next(undecided, None)

    def is_given_up(self) -> bool:
        """Whether its time is up, or it was cancelled: what is elsewhere is called back. Waits for the store."""
        return self.left_s <= 0 or self._store.get(self._job.id).state is JobState.CANCELLING

    def is_decided(self, position: int) -> bool:
        """Whether an item has its line."""
        is_untold = any(result.position == position for result in self._ticker.untold)
        return is_untold or self._store.result(self._job, position) is not None

    def _undecided(self) -> Iterator[Undecided]:
        after = -1
        while page := self._store.undecided(self._job, after):
            yield from page
            after = page[-1].position

    @property
    def left_s(self) -> float:
        """How long it may go on."""
        return self._until - self._clock.monotonic()

    @property
    def is_over(self) -> bool:
        """Nothing more is to be asked."""
        return self._is_stopped or self.left_s <= 0

    async def _work(self, asked: tuple[Undecided, Record]) -> None:
        item, record = asked
        await self._ticker.room()
        try:
            entry = record.read()
            if entry.custom_id != item.custom_id:
                raise RunEnded(JobRefused(f"{self.source.path} has changed: {item.custom_id!r} is not where it was"))
            await self._decide(item, entry)
        except RunEnded as error:
            self._end(error.cause)
        except OSError as error:
            self._end(JobRefused(f"{error.filename or self._job.output} cannot be written: {error.strerror or error}"))

    async def _decide(self, item: Undecided, entry: Entry) -> None:
        """Raises RunEnded, OSError; the item is then still undecided."""
        request_id = self._engine.mint_id()
        if isinstance(entry, Malformed):
            self._fail(item, refusal_line(item.custom_id, request_id, MALFORMED, entry.reason), MALFORMED)
            return
        try:
            await self._ask(item, entry, request_id)
        except DeadlineExceeded as error:
            if self.left_s > 0:
                self._fail_asked(item, entry, request_id, error)
        except RoutewrightError as error:
            self._fail_asked(item, entry, request_id, error)

    def fit(self) -> Fit | None:
        """How questions like the first that is left fit into what the job may still spend; None where nothing is said.

        Raises BadInput, StoreUnavailable, RunEnded.
        """
        limit_nanousd = self._job.limit_nanousd
        first = None if limit_nanousd is None else next(self.left(), None)
        if limit_nanousd is None or first is None:
            return None
        entry = first[1].read()
        if isinstance(entry, Malformed):
            return None
        try:
            return fit_of(
                self._engine,
                self.call(entry, self._engine.mint_id()),
                room_nanousd=limit_nanousd - self.progress.cost_nanousd,
                wanted=self._limits.concurrency,
                now_s=self._clock.time_ns() // NANOSECONDS,
            )
        except CallerError:  # it is told with the item, when that is asked
            return None

    async def _ask(self, item: Undecided, question: Question, request_id: str) -> None:
        await self.answer(item, self.call(question, request_id), self._insist)

    async def _insist(self, call: Call, take: Take) -> Receipt | None:
        if (crew := self.crew) is not None:
            return await self._asker.insist(call, lambda call: crew.ask(call, take))
        reply = await self._asker.ask(
            call, lambda reply, events: take(answered_of(reply, events, self._clock.time_ns() // NANOSECONDS))
        )
        return reply.receipt

    async def answer(self, item: Undecided, call: Call, ask: Ask) -> None:
        """Have an item answered by whoever is asked, and keep the answer if it passes its checks.

        Raises what `ask` raises, CheckFailed.
        """
        failed: list[str] = []
        kept: list[tuple[Answered, Place]] = []

        def take(answered: Answered) -> None:
            if answered.failed:
                failed.append(answered.failed)
                return
            line = answer_line(item.custom_id, answered.request_id, answered.body)
            place = self._files.write(line, is_ok=True)
            self._ticker.expect(place)
            kept.append((answered, place))

        receipt = await ask(call, take)
        if failed:  # it is paid for, and settled as what it was
            raise CheckFailed(failed[0])
        answered, place = kept[0]
        if receipt is None:
            found = Found(item.custom_id, answered.request_id, "", place)
            result = await asyncio.to_thread(self._result_of, found, item.position)
            self._note(replace(result, model=answered.model, tier=answered.tier))
            return
        self._note(
            ItemResult(
                position=item.position,
                outcome=COMPLETE,
                request_id=answered.request_id,
                model=answered.model,
                tier=answered.tier,
                cost_nanousd=receipt.cost_nanousd,
                is_estimated=receipt.is_estimated,
                baseline_nanousd=receipt.baseline_cost_nanousd,
                offset=place.offset,
                length=place.length,
            )
        )

    def call(self, question: Question, request_id: str, payer: Tenant | None = None) -> Call:
        """What a question asks for, in the name of `payer`, or of who pays now. Raises CallerError, RunEnded."""
        call = call_of(question, request_id=request_id, options=self._options)
        limits = self._limits
        lane, payer = self._job.id, payer or self._tenant()
        return replace(call, max_retries=limits.retries, deadline_at=self._until, lane=lane, tenant=payer)

    def _fail_asked(self, item: Undecided, question: Question, request_id: str, error: RoutewrightError) -> None:
        line = failure_line(item.custom_id, request_id, error, DIALECTS[question.url])
        self._fail(item, line, error.code, request_id)

    def _fail(self, item: Undecided, line: bytes, code: str, request_id: str = "") -> None:
        place = self._files.write(line, is_ok=False)
        self._note(
            ItemResult(
                position=item.position, outcome=code, request_id=request_id, offset=place.offset, length=place.length
            )
        )

    def _note(self, result: ItemResult) -> None:
        progress = self.progress
        progress.completed += result.is_ok
        progress.failed += not result.is_ok
        progress.cost_nanousd += result.cost_nanousd
        self._ticker.add(result)

    # -- the end

    async def _finished(self) -> Job:
        job = await asyncio.to_thread(self._store.get, self._job.id)
        if job.state is JobState.CANCELLING:
            return self._move(JobState.CANCELLED)
        if self._store.undecided(job, limit=1):
            return self._move(JobState.EXPIRED) if self.left_s <= 0 else job
        self._move(JobState.FINALIZING)
        await self._answer_twins()
        if self._spec.ordered:
            await asyncio.to_thread(arrange, self._files.output, Path(job.output), self._in_order())
        job = self._move(JobState.COMPLETED)
        if self._spec.ordered:
            self._files.output.path.unlink()
        return job

    def _move(self, to: JobState) -> Job:
        return self._store.move(self._job, to, at_ns=self._clock.time_ns())

    async def _answer_twins(self) -> None:
        """Give every twin the line of the first that asked the same."""
        while twins := self._store.undecided_twins(self._job, limit=PAGE):
            for twin in twins:
                assert twin.twin_of is not None
                first = self._store.result(self._job, twin.twin_of)
                assert first is not None, "all that is nobody's twin is decided"
                line = self._files.read(Place(first.is_ok, first.offset, first.length))
                place = self._files.write(renamed(line, twin.custom_id, self._engine.mint_id()), is_ok=first.is_ok)
                taken = replace(first, position=twin.position, cost_nanousd=0, is_estimated=False)
                self._note(replace(taken, offset=place.offset, length=place.length))
            await self._ticker.tell()

    def _in_order(self) -> Iterator[Place]:
        after = -1
        while page := self._store.results(self._job, after):
            yield from (Place(True, each.offset, each.length) for each in page if each.is_ok)
            after = page[-1].position


def cost_of(attempt: AttemptRecord) -> int:
    """What an attempt cost, as far as the ledger knows; one that is open still counts as what is held for it."""
    if isinstance(attempt.close, Settled):
        return attempt.close.cost_nanousd or 0
    return (attempt.hold.amount_nanousd or 0) if attempt.close is None and attempt.hold else 0


def budget_of(job: Job) -> Budget:
    """What a job with a limit may spend in all, across all its runs."""
    assert job.limit_nanousd is not None
    return tag_budget(job.tag, job.limit_nanousd)


def tag_budget(tag: str, limit_nanousd: int) -> Budget:
    """What all calls with a tag may spend in all."""
    return Budget(
        name=f"{BATCH_BUDGETS}/{tag}",
        scope=Scope.TAG,
        subject=tag,
        limit_nanousd=limit_nanousd,
        period=Period.FOREVER,
        alerts_percent=(),
    )
