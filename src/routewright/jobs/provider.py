"""The way by a provider's own batch API: files of requests go there, and hours later their answers come back.

What is about to be sent is noted, then held for, then sent; so whoever runs the job next knows what may be there, asks
the provider, and collects it. What a provider did not answer, or refused, is left to the run, which asks it live.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from math import inf
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Attempt, Call, Cause, Routed
from routewright.catalog.pricing import BATCH
from routewright.catalog.registry import Deployment, Model
from routewright.decision.tokens import upper_bound_tokens
from routewright.dialects.anthropic_batch import AnthropicBatch
from routewright.dialects.batch import BatchDialect, Result, Stage, Standing
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.openai_batch import OpenAIBatch
from routewright.dialects.wire import WireRequest
from routewright.engine import Engine
from routewright.errors import ConnectionLost, HoldRefused, ProviderError, RoutewrightError, UnpricedModel
from routewright.jobs.job import Job
from routewright.jobs.lines import Malformed, Question
from routewright.jobs.parts import Part, PartState, PartStore
from routewright.jobs.runner import Run
from routewright.jobs.store import Undecided
from routewright.layers.budget import Budget
from routewright.layers.record import Record
from routewright.ledger.billing import priced_usage
from routewright.ledger.ledger import NANOSECONDS
from routewright.reply import Event, Reply
from routewright.runtime import Runtime
from routewright.usage import Usage

log = logging.getLogger(__name__)

WAYS: Mapping[str, BatchDialect] = {
    "openai_chat": OpenAIBatch(),
    "openai_responses": OpenAIBatch(),
    "anthropic_messages": AnthropicBatch(),
}
"""Who has a batch API, by the dialect of the deployment."""
MOST_REQUESTS, MOST_BYTES = 10_000, 16 * 1024 * 1024
"""Of one file: less than providers take, as it is in memory until it is sent."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0
"""Between two looks at how a file stands."""
CONNECT_S = 10.0
SETTLED_AT_ONCE = 200
WINDOW_S = 86_400
"""What providers promise."""
LEAST_ITEMS = 100
"""Fewer are not worth a day's waiting."""
SAMPLE = 20
_OURS = ("service_tier", "speed")
"""Fields that would ask for another way of being served."""


class Via(StrEnum):
    """How a job is answered."""

    AUTO = "auto"
    LIVE = "live"
    PROVIDER = "provider"


class Choice(Struct, frozen=True):
    """A decision between the ways, and what is expected of it."""

    is_provider: bool
    reason: str


class _Draft(Struct):
    """A file that is being filled."""

    place: Deployment
    positions: list[int] = []
    attempts: list[Attempt] = []
    lines: list[bytes] = []
    size: int = 0


class ProviderWay:
    """Sends what can be sent of a run's items, and collects all that was ever sent of its job."""

    def __init__(
        self,
        runtime: Runtime,
        run: Run,
        job: Job,
        *,
        sends: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Without `sends` only what was sent before is collected."""
        self._engine = runtime.engine
        self._transport = runtime.transport
        self._clock = runtime.clock
        self._parts = PartStore(runtime.store.database)
        self._holds = runtime.holds_of(job.id)
        self._run = run
        self._job = job
        self._sends = sends
        self._sleep = sleep
        ledger = self._holds.ledger
        self._record = Record(ledger, self._engine.registry, self._clock, tally=self._engine.tally)
        self._budget = Budget(ledger, self._clock)

    async def run(self) -> None:
        """Until nothing of the job is at a provider any more, or the run is stopped."""
        if self._sends:
            await self._send_all()
        for part in await asyncio.to_thread(self._parts.all, self._job):
            if part.state is not PartState.OVER:
                await self._finish(part)
        await asyncio.to_thread(self._give_back)

    def _give_back(self) -> None:
        parts = self._parts.all(self._job)
        if parts and all(part.state is PartState.OVER for part in parts):
            self._holds.give_back()

    # -- sending

    async def _send_all(self) -> None:
        sent = await asyncio.to_thread(self._parts.sent, self._job)
        drafts: dict[str, _Draft] = {}
        for number, (item, record) in enumerate(self._run.left()):
            if item.position not in sent and isinstance(entry := record.read(), Question):
                await self._add(drafts, item, entry)
            if number % 100 == 0:
                await asyncio.sleep(0)
        for draft in drafts.values():
            await self._send(draft)

    async def _add(self, drafts: dict[str, _Draft], item: Undecided, question: Question) -> None:
        attempt = self._attempt(question)
        if attempt is None:
            return
        place = attempt.deployment
        dialect, request = WAYS[place.dialect], UPSTREAMS[place.dialect].write_request(attempt)
        line = dialect.line(attempt.id, request, place.base_url)
        draft = drafts.setdefault(place.id, _Draft(place))
        most = min(MOST_REQUESTS, dialect.most_requests), min(MOST_BYTES, dialect.most_bytes)
        if draft.lines and (len(draft.lines) >= most[0] or draft.size + len(line) > most[1]):
            await self._send(draft)
            draft = drafts[place.id] = _Draft(place)
        draft.positions.append(item.position)
        draft.attempts.append(attempt)
        draft.lines.append(line)
        draft.size += len(line)

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
            await self._holds.reserve([(each, upper_bound_tokens(each.call)) for each in draft.attempts])
            await asyncio.to_thread(self._note, part, batch_id=await self._submit(draft, part.name(self._job)))
        except (HoldRefused, UnpricedModel) as error:
            log.warning("%d requests are not sent in a batch: %s", len(ids), error.message)
            await asyncio.to_thread(self._end, part, "unsent")
        except ProviderError as error:
            log.warning("a batch of %d requests was not begun: %s", len(ids), error.message)
            if not error.may_be_billed:
                await asyncio.to_thread(self._end, part, error.code)

    async def _submit(self, draft: _Draft, name: str) -> str:
        dialect, place, upload_id = WAYS[draft.place.dialect], draft.place, ""
        if upload := dialect.upload(place, name, draft.lines):
            try:
                upload_id = dialect.uploaded(await self._ask(place, upload))
            except ConnectionLost as error:  # a file that nobody makes a batch of costs nothing
                raise ProviderError(error.message) from error
        return dialect.standing(await self._ask(place, dialect.create(place, name, draft.lines, upload_id))).id

    async def _ask(self, place: Deployment, request: WireRequest) -> bytes:
        return b"".join([data async for data in self._pieces(place, request)])

    async def _pieces(self, place: Deployment, request: WireRequest):  # type: ignore[no-untyped-def]
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

    def _note(self, part: Part, *, batch_id: str) -> None:
        self._parts.note(self._job, replace(part, batch_id=batch_id, state=PartState.BEGUN))

    def _end(self, part: Part, outcome: str) -> None:
        """Nothing more comes of a file: whatever is held for it costs nothing."""
        self._holds.resume()
        self._holds.release(self._parts.attempts(self._job, part).values(), outcome)
        self._parts.note(self._job, replace(part, state=PartState.OVER))

    # -- what was sent

    async def _finish(self, part: Part) -> None:
        place = self._engine.registry.deployments.get(part.deployment)
        if place is None:
            log.error("%s is not in the settings any more: a batch there waits for it", part.deployment)
            return
        pause_s, is_called_back = FIRST_PAUSE_S, False
        while not await self._is_over(part, place):
            if self._run.is_over:
                if not await asyncio.to_thread(self._run.is_given_up):
                    return
                if part.batch_id and not is_called_back:
                    is_called_back = True
                    await self._call_back(part, place)
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
            if standing is None or standing.stage is Stage.REFUSED:
                await asyncio.to_thread(self._end, part, "refused" if standing else "unsent")
                return True
            if standing.stage is Stage.ENDED:
                await self._collect(replace(part, batch_id=standing.id), place, standing)
                return True
        except ProviderError as error:
            log.warning("how a batch stands is not known now: %s", error.message)
        return False

    async def _call_back(self, part: Part, place: Deployment) -> None:
        try:
            await self._ask(place, WAYS[place.dialect].cancel(place, part.batch_id))
        except ProviderError as error:
            log.warning("a batch could not be cancelled: %s", error.message)

    async def _standing(self, part: Part, place: Deployment) -> Standing | None:
        """How a file stands at its provider; None where that has none of ours."""
        dialect = WAYS[place.dialect]
        if part.batch_id:
            return dialect.standing(await self._ask(place, dialect.retrieve(place, part.batch_id)))
        found = dialect.standings(await self._ask(place, dialect.latest(place)))
        if dialect.keeps_names:
            return next((each for each in found if each.name == part.name(self._job)), None)
        known = {each.batch_id for each in await asyncio.to_thread(self._parts.all, self._job)}
        mine = set((await asyncio.to_thread(self._parts.attempts, self._job, part)).values())
        for each in found:
            if each.id in known:
                continue
            if each.stage is Stage.RUNNING:  # whose it is shows in its results only
                return each
            if await self._is_mine(place, each, mine):
                return each
        return None

    async def _is_mine(self, place: Deployment, standing: Standing, mine: set[str]) -> bool:
        dialect = WAYS[place.dialect]
        for where in standing.results:
            data = b""
            async for piece in self._pieces(place, dialect.fetch(place, where)):
                data += piece
                if b"\n" in data:
                    break
            return dialect.result(data.partition(b"\n")[0]).custom_id in mine
        return False

    async def _collect(self, part: Part, place: Deployment, standing: Standing) -> None:
        spool = Path(f"{self._job.output}.{part.number}.results")
        try:
            found = await self._fetch(place, standing, spool)
            await self._settle(part, place, spool, found)
        finally:
            await asyncio.to_thread(spool.unlink, missing_ok=True)
        await asyncio.to_thread(self._end, part, "expired")

    async def _fetch(self, place: Deployment, standing: Standing, spool: Path) -> dict[str, tuple[int, int]]:
        """Bring all results here; where each is in the file, by attempt."""
        dialect, found = WAYS[place.dialect], dict[str, tuple[int, int]]()
        with spool.open("wb") as file:
            for where in standing.results:
                async for data in self._pieces(place, dialect.fetch(place, where)):
                    file.write(data)
        with spool.open("rb") as file:
            offset = 0
            for line in file:
                if line.strip():
                    found[dialect.result(line).custom_id] = offset, len(line)
                offset += len(line)
        return found

    async def _settle(self, part: Part, place: Deployment, spool: Path, found: Mapping[str, tuple[int, int]]) -> None:
        attempts = await asyncio.to_thread(self._parts.attempts, self._job, part)
        reserved = await asyncio.to_thread(self._holds.resume)
        with spool.open("rb") as file:
            for number, (item, question) in enumerate(self._items(attempts)):
                attempt_id = attempts[item.position]
                if attempt_id in found and attempt_id in reserved:
                    offset, length = found[attempt_id]
                    file.seek(offset)
                    await self._take(item, question, attempt_id, WAYS[place.dialect].result(file.read(length)))
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
        call = as_batch(self._run.call(question, reserved.request_id))
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

        async def ask(_: Call, take: Callable[[Reply, tuple[Event, ...]], None]) -> Reply:
            reply = await self._record(call, lambda _: self._budget(attempt, lambda _: self._reply(attempt, result)))
            try:
                take(reply, await reply.next())
                await reply.next()
            finally:
                reply.close()
            return reply

        try:
            if self._run.is_decided(item.position):  # the line was written, and the process ended before it was settled
                await ask(call, lambda reply, events: None)
            else:
                await self._run.answer(item, call, ask)
        except ProviderError as error:
            log.info("an item failed in its batch, and is asked live: %s", error.message)

    async def _reply(self, attempt: Attempt, result: Result) -> Reply:
        dialect = UPSTREAMS[attempt.deployment.dialect]
        if result.status >= 300:
            raise dialect.read_error(result.status, {}, result.body, now_s=self._clock.time_ns() / NANOSECONDS)
        decoder = dialect.decoder(attempt)
        return Reply(attempt, _Over(), (*decoder.feed(result.body), *decoder.end()))


class _Over:
    """A `Source` that has said all."""

    async def next(self) -> tuple[Event, ...]:
        """The proper end."""
        return ()

    def abort(self) -> None:
        """Nothing is open."""


def as_batch(call: Call) -> Call:
    """The same call, to be answered within a day at the price of batches."""
    body = {name: value for name, value in call.body.items() if name not in _OURS}
    return replace(call, body=body, service_tier=BATCH, stream=False, deadline_at=inf)


def batch_place(model: Model) -> Deployment | None:
    """Where a model can be asked in a batch at a price that is known; None if nowhere."""
    for place in model.deployments:
        tariff = model.tariff if place.tariff is None else place.tariff
        if place.dialect in WAYS and tariff is not None and tariff.served_as(BATCH) is not None:
            return place
    return None


def choose(via: Via, run: Run, job: Job, engine: Engine, *, now_ns: int) -> Choice:
    """The way for a job: with `auto` by its time, its size and the prices of the first few of its items."""
    if via is Via.LIVE:
        return Choice(False, "live, as asked for")
    left_ns = inf if job.deadline_ns is None else job.deadline_ns - now_ns
    if via is Via.AUTO and (job.deadline_ns is None or left_ns < WINDOW_S * NANOSECONDS):
        return Choice(False, "live: a provider's batch may take a day, and --deadline does not allow for one")
    if via is Via.AUTO and job.total < LEAST_ITEMS:
        return Choice(False, f"live: fewer than {LEAST_ITEMS} items")
    live, batch = _prices(run, engine, now_ns // NANOSECONDS)
    if not batch:
        return Choice(False, "live: no model that would answer has a batch API with a known price")
    if via is Via.AUTO and batch >= live:
        return Choice(False, "live: in batches it would cost no less")
    return Choice(
        True, f"in batches at the providers: within a day, for some {100 * batch // live} % of the live price"
    )


def _prices(run: Run, engine: Engine, now_s: int) -> tuple[int, int]:
    """What the first items that can be in a batch are expected to cost, live and in a batch, nano-USD."""
    live = batch = 0
    for _, record in islice(run.left(), SAMPLE):
        entry = record.read()
        if isinstance(entry, Malformed):
            continue
        try:
            route = engine.route(run.call(entry, engine.mint_id()))
        except RoutewrightError:  # it is told with the item
            continue
        model = engine.registry.models[route.chosen.model]
        if (place := batch_place(model)) is None:
            continue
        tariff = model.tariff if place.tariff is None else place.tariff
        assert tariff is not None, "a place for batches has prices"
        usage = Usage(input=route.input_tokens, output=route.output_tokens)
        live += priced_usage(tariff, usage, now_s, "")
        batch += priced_usage(tariff, usage, now_s, BATCH)
    return live, batch
