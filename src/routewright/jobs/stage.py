"""A stage of a Ray Data pipeline: `ds.map_batches(RoutewrightStage("docs-7", template="Document this: {item}"))`.

Ray Data works on a block again when its node dies, and on all of them when the pipeline is started again; so what was
answered is kept in the ledger's database before its attempt is settled, by the job's name and the row's `custom_id`,
and a row that has its answer there is not asked again. Nothing here imports Ray: a stage is a function of a batch.
"""

import asyncio
import os
import re
import threading
from collections.abc import Coroutine, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, JsonObject, Options
from routewright.catalog.registry import Tier
from routewright.errors import BadInput, RoutewrightError
from routewright.jobs.answering import Asker, RunEnded, limits_of, spread
from routewright.jobs.lines import Asking, Malformed, Question, Template, call_of, digest_of, read_row
from routewright.jobs.ray_actor import Common, check_common, machine
from routewright.jobs.runner import tag_budget
from routewright.jobs.stage_store import StageAnswer, StageStore
from routewright.money import NANO
from routewright.reply import NOT_CHARGED, Draft
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource

T = TypeVar("T")

_JOB = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Where(Struct, frozen=True):
    """Which settings: the files that whoever made the stage has, read with the environment of where it works."""

    cwd: str
    config: str | None
    flags: tuple[tuple[str, object], ...]
    simulate: bool

    def source(self) -> SettingsSource:
        """In this process."""
        return SettingsSource(
            environ=os.environ,
            cwd=Path(self.cwd),
            config=None if self.config is None else Path(self.config),
            flags=dict(self.flags),
            simulate=self.simulate,
        )


class RoutewrightStage:
    """Answers the rows of a batch in Ray Data's `numpy` format (a mapping of columns), and adds columns to them.

    They are `answer`, `error` (a code and a message, or empty), `model` and `request_id`. A row is a `prompt`, or fills
    in the template; `custom_id` is what it is known by, or, without one, what it asks. `job` names what is paid for
    once: the same again goes on. `max_cost_usd` is a hard budget of the job across all nodes and runs; reports know it
    by its name as a tag. Each worker process has one engine, by the same settings files and the environment of its
    node; all must have the same ledger. Raises BadInput, SettingsError.
    """

    def __init__(
        self,
        job: str,
        *,
        template: str | None = None,
        model: str | None = None,
        tier: str | None = None,
        system: str | None = None,
        max_tokens: int | None = None,
        schema: JsonObject | None = None,
        concurrency: int | None = None,
        retries: int = 1,
        max_cost_usd: str | float | None = None,
        config: str | None = None,
        flags: Mapping[str, object] | None = None,
        simulate: bool = False,
    ) -> None:
        if not _JOB.fullmatch(job):
            raise BadInput(f"{job!r} is no name of a job", hint="1 to 100 letters, digits, '.', '_' and '-'")
        self._job = job
        self._asking = Asking(
            template=None if template is None else Template(template),
            model=model,
            system=system,
            max_tokens=max_tokens,
            schema=schema,
        )
        self._options = Options(tier=Tier(tier) if tier else None, tags=(job,))
        self._concurrency = concurrency
        self._retries = retries
        self._limit_nanousd = None if max_cost_usd is None else int(Decimal(str(max_cost_usd)) * NANO)
        self._where = Where(str(Path.cwd()), config, tuple(sorted((flags or {}).items())), simulate)
        self._common = Common(catalog=self._where.source().load()[1].version, machine=machine())

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The same batch with its answers. Raises what concerns all rows: a spent budget, a refused key, the ledger,
        a node with other settings.
        """
        if not isinstance(batch, Mapping):
            raise BadInput(f"a stage takes columns, not a {type(batch).__name__}", hint='batch_format="numpy"')
        columns = {name: np.asarray(values).tolist() for name, values in batch.items()}
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        engine = engine_of(self._where)
        check_common(engine.runtime, self._common)
        answers = engine.run(self._answered(engine.runtime, rows))
        added = {
            name: np.array([getattr(each, name) for each in answers], dtype=object)
            for name in StageAnswer.__struct_fields__
        }
        return {**batch, **added}

    async def _answered(self, runtime: Runtime, rows: list[dict[str, Any]]) -> list[StageAnswer]:
        entries = [read_row(row, number, self._asking) for number, row in enumerate(rows, 1)]
        digests = [b"" if isinstance(entry, Malformed) else digest_of(entry) for entry in entries]
        ids = [_id_of(row, digest) for row, digest in zip(rows, digests, strict=True)]
        work = _Work(self, runtime)
        try:
            for custom_id, entry, digest in zip(ids, entries, digests, strict=True):
                work.add(custom_id, entry, digest)
            await work.do()
        finally:
            await runtime.flush()  # nobody tells a worker process that it will end
        return [
            StageAnswer(error=f"malformed_record: {entry.reason}")
            if isinstance(entry, Malformed)
            else work.found[custom_id]
            for custom_id, entry in zip(ids, entries, strict=True)
        ]

    @property
    def lane(self) -> str:
        """What calls and budgets of this stage are known by in a process."""
        return f"stage/{self.job}"

    def call(self, question: Question, request_id: str) -> Call:
        """What a row asks for. Raises CallerError."""
        call = call_of(question, request_id=request_id, options=self._options)
        return replace(call, max_retries=self._retries, lane=self.lane)

    @property
    def job(self) -> str:
        """Its name."""
        return self._job

    @property
    def limit_nanousd(self) -> int | None:
        """The most that all of the job may cost."""
        return self._limit_nanousd

    @property
    def concurrency(self) -> int | None:
        """Questions at a time in one worker process; None for what the settings say."""
        return self._concurrency


class _Work:
    """One batch: what of it has its answer, and what is to be asked."""

    def __init__(self, stage: RoutewrightStage, runtime: Runtime) -> None:
        self.found: dict[str, StageAnswer] = {}
        self._stage = stage
        self._runtime = runtime
        self._store = StageStore(runtime.store.database, stage.job)
        self._asker = Asker(runtime.engine, runtime.clock, Random())
        self._questions: dict[str, tuple[Question, bytes]] = {}
        self._ended_by: RoutewrightError | None = None

    def add(self, custom_id: str, entry: Question | Malformed, digest: bytes) -> None:
        """One more row. Raises BadInput for an id that stands for two questions."""
        if not isinstance(entry, Malformed):
            self._check(custom_id, digest, self._questions.setdefault(custom_id, (entry, digest))[1])

    def _check(self, custom_id: str, digest: bytes, before: bytes) -> None:
        if digest != before:
            raise BadInput(
                f"custom_id {custom_id!r} has asked something else in job {self._stage.job!r}",
                hint="give each row its own custom_id, and what asks otherwise another name of a job",
            )

    async def do(self) -> None:
        """Find or ask all of them. Raises RoutewrightError for what concerns all."""
        engine, stage = self._runtime.engine, self._stage
        if stage.limit_nanousd is not None:
            engine.adopt_budgets([tag_budget(stage.job, stage.limit_nanousd)], owner=stage.lane)
        for custom_id, found in (await asyncio.to_thread(self._store.find, list(self._questions))).items():
            self._check(custom_id, self._questions[custom_id][1], found.digest)
            self.found[custom_id] = found.answer
        missing = [custom_id for custom_id in self._questions if custom_id not in self.found]
        limits = limits_of(engine.settings.policy, concurrency=stage.concurrency)
        with engine.lanes.opened(stage.lane, limits.window) as lane:
            await spread(self._drawn(missing), self._ask, lane)
        if self._ended_by is not None:
            raise self._ended_by

    def _drawn(self, custom_ids: list[str]) -> Iterator[str]:
        for custom_id in custom_ids:
            if self._ended_by is not None:
                return
            yield custom_id

    async def _ask(self, custom_id: str) -> None:
        try:
            await self._decide(custom_id, self._runtime.engine.mint_id())
        except RunEnded as error:
            self._ended_by = self._ended_by or error.cause

    async def _decide(self, custom_id: str, request_id: str) -> None:
        """Raises RunEnded; the row then has no answer."""
        try:
            call = self._stage.call(self._questions[custom_id][0], request_id)
            await self._asker.insist(call, lambda call: self._once(custom_id, call))
        except RoutewrightError as error:
            failed = StageAnswer(error=f"{error.code}: {error.message}", request_id=request_id)
            await self._keep(custom_id, failed)

    async def _once(self, custom_id: str, call: Call) -> None:
        """Ask, keep the answer, settle."""
        reply, draft = await self._runtime.engine.ask(call), Draft()
        try:
            draft.hear(await reply.next())
            text = draft.answer(reply, NOT_CHARGED).text
            kept = StageAnswer(answer=text, model=reply.attempt.model.name, request_id=reply.attempt.call.id)
            await self._keep(custom_id, kept)
            await reply.next()
        finally:
            reply.close()

    async def _keep(self, custom_id: str, answer: StageAnswer) -> None:
        digest, at_ns = self._questions[custom_id][1], self._runtime.clock.time_ns()
        try:
            await asyncio.to_thread(self._store.keep, custom_id, digest, answer, at_ns=at_ns)
        except RoutewrightError as error:  # an answer that cannot be kept is no answer of the row's
            raise RunEnded(error) from error
        self.found[custom_id] = answer


def _id_of(row: Mapping[str, Any], digest: bytes) -> str:
    custom_id = row.get("custom_id")
    return f"={digest.hex()}" if custom_id is None else str(custom_id)


class StageEngine:
    """One engine in a worker process, in an event loop with a thread of its own."""

    def __init__(self, source: SettingsSource) -> None:
        """Raises SettingsError, LedgerUnavailable."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="routewright-stage", daemon=True)
        self._thread.start()
        try:
            self.runtime = self.run(_opened(source))
        except BaseException:
            self._stop()
            raise
        self._following = asyncio.run_coroutine_threadsafe(self.runtime.follow_redis(), self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What it comes to, for a thread without an event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Close the engine, and end the thread."""
        self._following.cancel()
        self.run(self.runtime.close())
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _opened(source: SettingsSource) -> Runtime:
    runtime = await asyncio.to_thread(Runtime.open, source)
    store = StageStore(runtime.store.database, "")
    await asyncio.to_thread(store.prune, runtime.clock.time_ns())
    return runtime


@cache
def engine_of(where: Where) -> StageEngine:
    """The one of this process: Ray Data gives a worker the stage anew with every block."""
    return StageEngine(where.source())
