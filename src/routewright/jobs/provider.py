"""The way by a provider's own batch API: files of requests go there, and hours later their answers come back.

What is about to be sent is noted, then held for, then sent; so whoever runs the job next knows what may be there, asks
the provider, and collects it. What a provider did not answer, or refused, is left to the run, which asks it live.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Attempt, Call, Cause, Routed
from routewright.catalog.registry import Deployment
from routewright.dialects.batch import Result, Stage, Standing
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.openai_embeddings import DIALECT as EMBEDDINGS
from routewright.errors import BatchNotHeld, CheckFailed, HoldRefused, ProviderError, RoutewrightError, UnpricedModel
from routewright.jobs.answering import RunEnded
from routewright.jobs.choosing import WAYS, WINDOW_S, as_batch, batch_place
from routewright.jobs.exchange import Exchange
from routewright.jobs.job import Job
from routewright.jobs.lines import Malformed, Question
from routewright.jobs.parts import Part, PartState, PartStore
from routewright.jobs.results import answered_of
from routewright.jobs.runner import Run, Take
from routewright.jobs.store import Undecided
from routewright.layers.budget import Budget
from routewright.layers.record import Record
from routewright.ledger.ledger import NANOSECONDS, Reserved
from routewright.reply import Ended, Receipt, Reply
from routewright.runtime import Runtime
from routewright.tenant import Tenant

log = logging.getLogger(__name__)

MOST_REQUESTS, MOST_BYTES = 10_000, 16 * 1024 * 1024
"""Of one file: less than providers take, as it is in memory until it is sent."""
MOST_TEXTS = 50_000
"""Of one file of embeddings, as OpenAI has it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0
"""Between two looks at how a file stands."""
UNSURE_S = 30
"""For so long after it was sent, a file that the provider does not have may be on its way to it."""
UNSENT = "unsent"
SOON_S = 1.0
"""After it was called back."""
LAST_S = 3_600.0
"""Before a deadline of a day or more, what is not back is called back, and asked live."""
SETTLED_AT_ONCE = 200
SLICE = 10
"""Items between two moments for whatever else runs in this loop: about a millisecond's work."""
_HINT = "raise the budget, say --max-tokens, or ask live: --via live"


class _Draft(Struct):
    """A file that is being filled."""

    place: Deployment
    positions: list[int] = []
    attempts: list[Attempt] = []
    lines: list[bytes] = []
    size: int = 0
    texts: int = 0
    """That are embedded."""


class ProviderWay:
    """Sends what can be sent of a run's items, and collects all that was ever sent of its job."""

    def __init__(
        self,
        runtime: Runtime,
        run: Run,
        job: Job,
        *,
        sends: bool,
        must: bool = False,
        when_sent: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Without `sends` only what was sent before is collected; with `must`, what has no room is not asked live.

        `when_sent` is called when all that is left to do is to wait.
        """
        self._engine = runtime.engine
        self._exchange = Exchange(runtime.transport, runtime.clock)
        self._clock = runtime.clock
        self._parts = PartStore(runtime.store.database)
        self._holds = runtime.holds_of(job.id)
        self._run = run
        self._job = job
        self._sends = sends
        self._must = must
        self._when_sent = when_sent
        self._sleep = sleep
        self._called_back: set[int] = set()
        self._last_s = LAST_S if has_a_day(job) else 0.0
        ledger = self._holds.ledger
        self._record = Record(ledger, self._engine.registry, self._clock, tally=self._engine.tally)
        self._budget = Budget(ledger, self._clock)

    async def run(self) -> None:
        """Until nothing of the job is at a provider any more, or the run is stopped.

        Raises RunEnded where all must go there, and the budgets have no room for it.
        """
        await self._resolve_all()
        refusal = await self._send_all() if self._sends else None
        await self._await_all()
        await asyncio.to_thread(self._give_back)
        if refusal is not None:
            raise RunEnded(refusal)

    async def _await_all(self) -> None:
        parts = await asyncio.to_thread(self._parts.open, self._job)
        if parts:
            self._run.is_elsewhere = True
            self._when_sent()
        try:
            for part in parts:
                await self._finish(part)
        finally:
            self._run.is_elsewhere = False

    def _give_back(self) -> None:
        if not self._parts.open(self._job):
            self._holds.give_back()

    # -- sending

    async def _send_all(self) -> BatchNotHeld | None:
        """All in two passes: first it is counted and held for, then sent file by file. None, or why nothing is sent."""
        try:
            await self._hold_all()
        except (HoldRefused, UnpricedModel) as error:
            if self._must:
                return BatchNotHeld(f"{self._job.id} is not sent: {error.message}", hint=_HINT)
            log.warning("%s is asked live, and not in batches at the providers: %s", self._job.id, error.message)
            return None
        drafts: dict[str, _Draft] = {}
        async for item, attempt in self._unsent():
            await self._add(drafts, item, attempt)
        for draft in drafts.values():
            if not self._run.is_over:
                await self._send(draft)
        return None

    async def _hold_all(self) -> None:
        """Have the budgets hold for all that is going to be sent, before any of it is."""
        bound = self._holds.bound()
        async for _, attempt in self._unsent():
            bound.add(attempt)
        if bound.needed:
            await self._holds.claim(bound)

    async def _unsent(self) -> AsyncIterator[tuple[Undecided, Attempt]]:
        """What can be sent and was not, in order: what is left and what was sent are walked side by side."""
        sent = self._sent()
        passed: int | None = -1
        for number, (item, record) in enumerate(self._run.left()):
            while passed is not None and passed < item.position:
                passed = next(sent, None)
            if passed != item.position and isinstance(entry := record.read(), Question):
                attempt = self._attempt(entry)
                if attempt is not None:
                    yield item, attempt
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def _sent(self) -> Iterator[int]:
        after = -1
        while page := self._parts.sent(self._job, after):
            yield from page
            after = page[-1]

    async def _add(self, drafts: dict[str, _Draft], item: Undecided, attempt: Attempt) -> None:
        place = attempt.deployment
        dialect, request = WAYS[place.dialect], UPSTREAMS[place.dialect].write_request(attempt)
        line = dialect.line(attempt.id, request, place.base_url)
        draft = drafts.setdefault(place.id, _Draft(place))
        most = min(MOST_REQUESTS, dialect.most_requests), min(MOST_BYTES, dialect.most_bytes)
        texts = len(attempt.call.messages) if place.dialect == EMBEDDINGS else 0
        is_full = len(draft.lines) >= most[0] or draft.size + len(line) > most[1] or draft.texts + texts > MOST_TEXTS
        if draft.lines and is_full:
            await self._send(draft)
            draft = drafts[place.id] = _Draft(place)
        draft.positions.append(item.position)
        draft.attempts.append(attempt)
        draft.lines.append(line)
        draft.size += len(line)
        draft.texts += texts

    def _attempt(self, question: Question) -> Attempt | None:
        """One that a batch API can take; None for what is asked live."""
        try:
            call = as_batch(self._run.call(question, self._engine.mint_id()))
            route = self._engine.route(call)
        except RoutewrightError:  # it is told with the item, when that is asked live
            return None
        model = self._engine.registry.models[route.chosen.model]
        place = batch_place(model)
        if place is None or UPSTREAMS[place.dialect].cannot_carry(call) is not None:
            return None
        return Attempt(
            id=self._engine.mint_id(),
            routed=Routed(call, route),
            model=model,
            deployment=place,
            number=1,
            cause=Cause.FIRST,
            is_last_model=True,
        )

    async def _send(self, draft: _Draft) -> None:
        parts = await asyncio.to_thread(self._parts.all, self._job)
        part = Part(number=len(parts) + 1, deployment=draft.place.id)
        ids = {position: each.id for position, each in zip(draft.positions, draft.attempts, strict=True)}
        await asyncio.to_thread(self._parts.intend, self._job, part, ids)
        try:
            await self._holds.reserve(draft.attempts)
            batch_id = await self._exchange.submit(draft.place, part.name(self._job), draft.lines)
            await asyncio.to_thread(self._note, part, batch_id=batch_id)
        except (HoldRefused, UnpricedModel) as error:
            log.warning("%d requests are not sent in a batch: %s", len(ids), error.message)
            await asyncio.to_thread(self._end, part, UNSENT)
        except ProviderError as error:
            log.warning("a batch of %d requests was not begun: %s", len(ids), error.message)
            if not error.may_be_billed:
                await asyncio.to_thread(self._end, part, error.code)

    def _note(self, part: Part, *, batch_id: str) -> None:
        self._parts.note(self._job, replace(part, batch_id=batch_id, state=PartState.BEGUN))

    def _end(self, part: Part, outcome: str) -> None:
        """Nothing more comes of a file: whatever is held for it costs nothing."""
        attempts = self._parts.attempts(self._job, part).values()
        self._holds.resume(attempts)
        self._holds.release(attempts, outcome)
        self._parts.note(self._job, replace(part, state=PartState.OVER))

    # -- what was sent

    async def _resolve_all(self) -> None:
        """Find out what became of files that were being sent when a process ended: those are there, or are not."""
        for part in await asyncio.to_thread(self._parts.open, self._job):
            place = self._engine.registry.deployments.get(part.deployment)
            if place is None or part.batch_id:
                continue
            try:
                while not self._run.is_over and await self._standing(part, place) is None:
                    if await asyncio.to_thread(self._forget, part):
                        break
                    await self._pause(SOON_S)
            except ProviderError as error:
                log.warning("whether a batch was begun is not known now: %s", error.message)

    def _forget(self, part: Part) -> bool:
        """Let what never arrived be sent again; False while it may still be on its way."""
        attempts = self._parts.attempts(self._job, part).values()
        youngest_ns = max((hold.at_ns for hold in self._holds.resume(attempts).values()), default=0)
        if youngest_ns + UNSURE_S * NANOSECONDS > self._clock.time_ns():
            return False
        self._end(part, UNSENT)
        self._parts.forget_items(self._job, part)
        return True

    async def _finish(self, part: Part) -> None:
        """Wait for a file, and collect it. All there are, are called back once it is too late to go on waiting."""
        place = self._engine.registry.deployments.get(part.deployment)
        if place is None:
            log.error("%s is not in the settings any more: a batch there waits for it", part.deployment)
            return
        pause_s = FIRST_PAUSE_S
        while not await self._is_over(part, place):
            is_stopped = self._run.is_over
            if is_stopped and not await asyncio.to_thread(self._run.is_given_up):
                return
            if (is_stopped or self._run.left_s < self._last_s) and await self._call_back():
                pause_s = SOON_S
            await self._pause(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)

    async def _pause(self, seconds: float) -> None:
        """In short ones, so that whoever stops the run need not wait for the end of a long one."""
        was_over = self._run.is_over
        while seconds > 0 and self._run.is_over is was_over:
            await self._sleep(min(1.0, seconds))
            seconds -= 1.0

    async def _is_over(self, part: Part, place: Deployment) -> bool:
        """Look how a file stands, and collect it if it has ended."""
        try:
            standing = await self._standing(part, place)
            if standing is None:
                return await asyncio.to_thread(self._forget, part)
            if standing.stage is Stage.REFUSED:
                await asyncio.to_thread(self._end, part, "refused")
                return True
            if standing.stage is Stage.ENDED:
                await self._collect(replace(part, batch_id=standing.id), place, standing)
                return True
        except ProviderError as error:
            log.warning("how a batch stands is not known now: %s", error.message)
        return False

    async def _standing(self, part: Part, place: Deployment) -> Standing | None:
        """How a file stands at its provider; None where that has none of ours."""
        if part.batch_id:
            return await self._exchange.standing(place, part.batch_id)
        known = {each.batch_id for each in await asyncio.to_thread(self._parts.all, self._job)}
        attempts = await asyncio.to_thread(self._parts.attempts, self._job, part)
        found = await self._exchange.find(place, part.name(self._job), known=known, mine=set(attempts.values()))
        if found is not None and WAYS[place.dialect].keeps_names:
            await asyncio.to_thread(self._note, part, batch_id=found.id)
        return found

    async def _call_back(self) -> bool:
        """Each file once, as far as it is known where it is; whether there was any."""
        known = len(self._called_back)
        for part in await asyncio.to_thread(self._parts.open, self._job):
            place = self._engine.registry.deployments.get(part.deployment)
            if place is None or not part.batch_id or part.number in self._called_back:
                continue
            self._called_back.add(part.number)
            try:
                await self._exchange.cancel(place, part.batch_id)
            except ProviderError as error:
                log.warning("a batch could not be cancelled: %s", error.message)
        return len(self._called_back) > known

    async def _collect(self, part: Part, place: Deployment, standing: Standing) -> None:
        spool = Path(f"{self._job.output}.{part.number}.results")
        try:
            found = await self._exchange.fetch(place, standing, spool)
            await self._settle(part, place, spool, found)
        finally:
            await asyncio.to_thread(spool.unlink, missing_ok=True)
        await asyncio.to_thread(self._end, part, "expired")

    async def _settle(self, part: Part, place: Deployment, spool: Path, found: Mapping[str, tuple[int, int]]) -> None:
        attempts = await asyncio.to_thread(self._parts.attempts, self._job, part)
        reserved = await asyncio.to_thread(self._holds.resume, attempts.values())
        with spool.open("rb") as file:
            for number, (item, question) in enumerate(self._items(attempts)):
                attempt_id = attempts[item.position]
                if attempt_id in found and attempt_id in reserved:
                    offset, length = found[attempt_id]
                    file.seek(offset)
                    await self._take(item, question, attempt_id, WAYS[place.dialect].result(file.read(length)))
                if number % SLICE == 0:
                    await asyncio.sleep(0)
                if number % SETTLED_AT_ONCE == SETTLED_AT_ONCE - 1:
                    await asyncio.to_thread(self._holds.log.flush)
        await asyncio.to_thread(self._holds.log.flush)

    def _items(self, attempts: Mapping[int, str]) -> Iterator[tuple[Undecided, Question]]:
        for record in self._run.source:
            if record.position in attempts and not isinstance(entry := record.read(), Malformed):
                yield Undecided(record.position, entry.custom_id, None), entry

    async def _take(self, item: Undecided, question: Question, attempt_id: str, result: Result) -> None:
        """Keep an answer and settle its attempt; what was not answered is asked live."""
        if not result.status:
            return
        reserved = self._holds.ledger.reserved[attempt_id]
        call = as_batch(self._run.call(question, reserved.request_id, payer_of(reserved)))
        registry = self._engine.registry
        attempt = Attempt(
            id=attempt_id,
            routed=Routed(call, self._engine.route(call).made_without_chance(reserved.model)),
            model=registry.models[reserved.model],
            deployment=registry.deployments[reserved.deployment],
            number=1,
            cause=Cause.FIRST,
            is_last_model=True,
        )

        async def ask(_: Call, take: Take) -> Receipt | None:
            reply = await self._record(call, lambda _: self._budget(attempt, lambda _: self._reply(attempt, result)))
            try:
                events = await reply.next()
                reply.findings = self._engine.examine(reply, events)
                take(answered_of(reply, events, self._clock.time_ns() // NANOSECONDS))
                await reply.next()
            finally:
                reply.close()
            return reply.receipt

        try:
            if self._run.is_decided(item.position):  # the line was written, and the process ended before it was settled
                await ask(call, lambda _: None)
            else:
                await self._run.answer(item, call, ask)
        except (ProviderError, CheckFailed) as error:
            log.info("an item failed in its batch, and is asked live: %s", error.message)

    async def _reply(self, attempt: Attempt, result: Result) -> Reply:
        dialect = UPSTREAMS[attempt.deployment.dialect]
        if result.status >= 300:
            raise dialect.read_error(result.status, {}, result.body, now_s=self._clock.time_ns() / NANOSECONDS)
        decoder = dialect.decoder(attempt)
        return Reply(attempt, Ended(), (*decoder.feed(result.body), *decoder.end()))


def has_a_day(job: Job) -> bool:
    """Whether a job was given as long as providers take."""
    return job.deadline_ns is not None and job.deadline_ns - job.created_at_ns >= WINDOW_S * NANOSECONDS


def payer_of(hold: Reserved) -> Tenant:
    """Who pays for what was sent, whether or not anything more would be sent for them now."""
    return Tenant(key=hold.key, team=hold.team, tags=hold.tags)
