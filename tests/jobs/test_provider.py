"""Jobs by way of a provider's batch API: answered at its price, held for as a whole, exact over whatever ends a run."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from routewright.jobs import provider
from routewright.jobs.choosing import Via
from routewright.jobs.exchange import Exchange
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import Asking
from routewright.jobs.opening import Wish, input_of, opened
from routewright.jobs.parts import PartState, PartStore
from routewright.jobs.provider import ProviderWay
from routewright.jobs.store import JobStore
from routewright.ledger import job_holds
from routewright.ledger.job_holds import JobHolds
from routewright.ledger.ledger import Settled
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.simulator.batches import BatchPlan
from routewright.testing import FakeClock

MODELS = {"openai_chat": "gpt-5.5", "anthropic_messages": "claude-opus-4.7"}
BUDGET = '[budgets.all]\nscope = "total"\nlimit_usd = {limit}\nperiod = "day"\n\n'


class Killed(Exception):
    """As if the process had died here."""


class Calendar(FakeClock):
    """Dates are the test's, and durations real: budgets are given back by real time."""

    def monotonic(self) -> float:
        return time.monotonic()


class World:
    """A provider and a clock that outlive processes."""

    def __init__(self, folder: Path, **plan: Any) -> None:
        self.folder = folder
        self.clock = Calendar()
        self.simulator = Simulator(time_scale=0, clock=self.clock, batches=BatchPlan(**plan))
        self.requests: list[str] = []
        send = self.simulator.send

        async def noted(request: Any, *, connect_timeout_s: float) -> Any:
            self.requests.append(f"{request.method} {request.url}")
            return await send(request, connect_timeout_s=connect_timeout_s)

        self.simulator.send = noted  # type: ignore[method-assign]

    def open(self) -> Runtime:
        flags = {"policy.classifier": "heuristic"}
        source = SettingsSource(environ={"HOME": str(self.folder)}, cwd=self.folder, flags=flags, simulate=True)
        return Runtime.open(source, simulator=self.simulator, clock=self.clock)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def count(self, end: str) -> int:
        return sum(request.endswith(end) for request in self.requests)


def wish(folder: Path, model: str, count: int = 6) -> Wish:
    path = folder / "in.jsonl"
    prompts = [{"custom_id": f"item {n}", "prompt": f"Question {n}", "model": model} for n in range(count)]
    path.write_text("".join(json.dumps(each) + "\n" for each in prompts))
    return Wish(source=path, output=folder / "out.jsonl", asking=Asking(max_tokens=20))


@contextmanager
def way(world: World, runtime: Runtime, wanted: Wish, *, sends: bool = True) -> Iterator[Any]:
    with opened(runtime, input_of(wanted, io.BytesIO()), wanted) as (run, planned):
        run.first = ProviderWay(runtime, run, planned.job, sends=sends, sleep=world.sleep).run
        yield run


async def done(world: World, wanted: Wish, *, sends: bool = True) -> Job:
    runtime = world.open()
    try:
        with way(world, runtime, wanted, sends=sends) as run:
            job: Job = await run.run()
        await runtime.flush()
        return job
    finally:
        await runtime.close()


def books(world: World) -> tuple[list[Settled], int, int]:
    """What was settled, how many holds are open, and how much is granted to jobs."""
    runtime = world.open()
    store = runtime.store
    requests = [row["request_id"] for row in store.database.read("SELECT request_id FROM requests")]
    settled = [
        attempt.close
        for request_id in requests
        if (record := store.request(request_id)) is not None
        for attempt in record.attempts
        if isinstance(attempt.close, Settled)
    ]
    granted = store.database.read("SELECT count(*) AS n FROM grants WHERE boot LIKE 'batch%'")[0]["n"]
    open_holds = len(store.open_holds())
    runtime._close_ledger()
    return settled, open_holds, granted


def answers(wanted: Wish) -> list[str]:
    return [json.loads(line)["custom_id"] for line in wanted.output.read_text().splitlines()]


@pytest.mark.parametrize("dialect", MODELS)
async def test_a_job_is_answered_in_a_batch_at_its_price(tmp_path: Path, dialect: str) -> None:
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit=5))
    world, wanted = World(tmp_path, takes_s=3600), wish(tmp_path, MODELS[dialect])
    job = await done(world, wanted)
    assert job.state is JobState.COMPLETED
    assert sorted(answers(wanted)) == [f"item {n}" for n in range(6)]
    assert world.count("/chat/completions") == world.count("/v1/messages") == 0, "nothing was asked live"
    settled, open_holds, granted = books(world)
    assert len(settled) == 6
    assert {(each.service_tier, each.is_estimated, each.outcome) for each in settled} == {("batch", False, "complete")}
    assert (open_holds, granted) == (0, 0)


@pytest.mark.parametrize("dialect", MODELS)
async def test_what_expired_or_failed_is_asked_live(tmp_path: Path, dialect: str) -> None:
    world, wanted = World(tmp_path, expired=0.4, failed=0.3), wish(tmp_path, MODELS[dialect], 20)
    job = await done(world, wanted)
    assert job.state is JobState.COMPLETED
    assert sorted(answers(wanted)) == sorted(f"item {n}" for n in range(20))
    settled, open_holds, _ = books(world)
    tiers = [each.service_tier for each in settled]
    assert 0 < tiers.count("batch") < 20
    assert len(tiers) == 20, "each was paid for once"
    assert open_holds == 0


@pytest.mark.parametrize("dialect", MODELS)
async def test_a_process_that_dies_while_it_waits_leaves_its_holds_to_the_next(tmp_path: Path, dialect: str) -> None:
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit=5))
    world, wanted = World(tmp_path, takes_s=3600), wish(tmp_path, MODELS[dialect])

    async def dies(seconds: float) -> None:
        raise Killed

    sleep, world.sleep = world.sleep, dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await done(world, wanted)
    settled, open_holds, granted = books(world)
    assert (settled, open_holds, granted) == ([], 6, 1), "another process starts, and leaves them alone"
    world.sleep = sleep  # type: ignore[method-assign]
    made = len(world.requests)
    job = await done(world, wanted, sends=False)
    assert job.state is JobState.COMPLETED
    assert not [request for request in world.requests[made:] if request.startswith("POST")], "nothing is sent twice"
    settled, open_holds, granted = books(world)
    assert (len(settled), open_holds, granted) == (6, 0, 0)


@pytest.mark.parametrize("dialect", MODELS)
async def test_a_batch_whose_beginning_was_cut_off_is_found_at_the_provider(tmp_path: Path, dialect: str) -> None:
    world, wanted = World(tmp_path, takes_s=3600), wish(tmp_path, MODELS[dialect])
    note = ProviderWay._note

    def dies(self: ProviderWay, part: Any, *, batch_id: str) -> None:
        raise Killed

    ProviderWay._note = dies  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            await done(world, wanted)
    finally:
        ProviderWay._note = note  # type: ignore[method-assign]
    job = await done(world, wanted)
    assert job.state is JobState.COMPLETED
    assert sum(request.startswith("POST") and request.endswith("/batches") for request in world.requests) == 1
    assert len(books(world)[0]) == 6


async def test_without_room_for_a_whole_file_nothing_is_sent_and_nothing_stays_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_holds, "TRIES", 3)
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit="0.0005"))
    world, wanted = World(tmp_path), wish(tmp_path, MODELS["openai_chat"])
    await done(world, wanted)
    assert world.count("/files") == 0
    _, open_holds, _ = books(world)
    assert open_holds == 0


async def test_all_that_a_job_can_cost_is_held_before_its_first_file_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "MOST_REQUESTS", 2)
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit=5))
    world, wanted = World(tmp_path), wish(tmp_path, MODELS["openai_chat"])
    seen: list[int] = []
    send = world.simulator.send

    async def watched(request: Any, *, connect_timeout_s: float) -> Any:
        if request.method == "POST" and request.url.endswith("/files"):
            rows = watching.store.database.read("SELECT sum(granted_nanousd) AS n FROM grants WHERE boot LIKE 'batch%'")
            seen.append(int(rows[0]["n"]))
        return await send(request, connect_timeout_s=connect_timeout_s)

    world.simulator.send = watched  # type: ignore[method-assign]
    watching = world.open()
    with way(world, watching, wanted) as run:
        await run.run()
    held = watching.store.database.read("SELECT sum(amount_nanousd) AS n FROM events WHERE kind = 'reserved'")[0]["n"]
    await watching.close()
    assert seen == [held] * 3, "for all six, before each of three files"
    assert books(world)[1:] == (0, 0)


async def test_a_job_that_dies_between_its_files_goes_on_with_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "MOST_REQUESTS", 2)
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit=5))
    world, wanted = World(tmp_path, takes_s=3600), wish(tmp_path, MODELS["anthropic_messages"])
    submit = Exchange.submit

    async def dies(self: Exchange, place: Any, name: str, lines: Any) -> str:
        if name.endswith("-2"):
            raise Killed
        return await submit(self, place, name, lines)

    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "submit", dies)
        with pytest.raises(Killed):
            await done(world, wanted)
    runtime = world.open()
    [job] = JobStore(runtime.store.database).jobs(1)
    granted = "SELECT granted_nanousd AS n FROM grants WHERE boot = ?"
    before = runtime.store.database.read(granted, job.id)[0]["n"]
    seen: set[int] = set()

    async def looks(seconds: float) -> None:
        seen.update(row["n"] for row in runtime.store.database.read(granted, job.id))
        world.clock.advance(seconds)

    with opened(runtime, input_of(wanted, io.BytesIO()), wanted) as (run, planned):
        run.first = ProviderWay(runtime, run, planned.job, sends=True, sleep=looks).run
        assert (await run.run()).state is JobState.COMPLETED
    await runtime.close()
    assert seen == {before}
    assert sorted(answers(wanted)) == [f"item {n}" for n in range(6)]
    settled, open_holds, left = books(world)
    assert (len(settled), open_holds, left) == (6, 0, 0)


async def test_a_run_that_is_stopped_while_it_sends_sends_nothing_more_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit=5))
    world, wanted = World(tmp_path), wish(tmp_path, MODELS["openai_chat"])
    runtime = world.open()
    with way(world, runtime, wanted) as run:
        claim = JobHolds.claim

        async def stops(self: JobHolds, bound: Any) -> None:
            await claim(self, bound)
            run.stop()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JobHolds, "claim", stops)
            assert (await run.run()).state is JobState.IN_PROGRESS
    await runtime.close()
    assert world.requests == []
    assert books(world) == ([], 0, 0)


@pytest.mark.parametrize("must", [False, True])
async def test_a_job_that_does_not_fit_whole_is_not_sent_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, must: bool
) -> None:
    """With room for each of its files, and for each of its items."""
    monkeypatch.setattr(provider, "MOST_REQUESTS", 1)
    monkeypatch.setattr(job_holds, "TRIES", 2)
    (tmp_path / "routewright.toml").write_text(BUDGET.format(limit="0.004"))
    world, wanted = World(tmp_path), wish(tmp_path, MODELS["openai_chat"])
    runtime = world.open()
    with opened(runtime, input_of(wanted, io.BytesIO()), wanted) as (run, planned):
        run.first = ProviderWay(runtime, run, planned.job, sends=True, must=must, sleep=world.sleep).run
        job = await run.run()
        cause = run.ended_by
    await runtime.close()
    assert world.count("/files") == 0
    if must:
        assert cause is not None
        assert (cause.code, job.state, world.requests) == ("batch_not_held", JobState.IN_PROGRESS, [])
        assert '"all" has no room' in cause.message
    else:
        assert (cause, job.state, world.count("/chat/completions")) == (None, JobState.COMPLETED, 6)
    assert books(world)[1:] == (0, 0)


async def test_a_file_that_the_provider_refuses_is_asked_live(tmp_path: Path) -> None:
    world, wanted = World(tmp_path, refused=True), wish(tmp_path, MODELS["openai_chat"])
    job = await done(world, wanted)
    assert job.state is JobState.COMPLETED
    assert world.count("/chat/completions") == 6
    runtime = world.open()
    assert {part.state for part in PartStore(runtime.store.database).all(job)} == {PartState.OVER}
    await runtime.close()


async def test_a_cancelled_job_is_called_back_from_its_provider(tmp_path: Path) -> None:
    world, wanted = World(tmp_path, takes_s=10**6), wish(tmp_path, MODELS["anthropic_messages"])
    runtime = world.open()
    store = JobStore(runtime.store.database)

    async def cancels(seconds: float) -> None:
        [job] = store.jobs(1)
        if job.state is JobState.IN_PROGRESS:
            store.move(job, JobState.CANCELLING, at_ns=world.clock.time_ns())
        await asyncio.sleep(0.01)

    with way(world, runtime, wanted) as run:
        run.first = ProviderWay(runtime, run, store.jobs(1)[0], sends=True, sleep=cancels).run
        job = await run.run()
    await runtime.close()
    assert job.state is JobState.CANCELLED
    assert world.count("/cancel") == 1
    assert books(world) == ([], 0, 0)


async def test_a_job_that_was_cancelled_while_nobody_ran_it_is_called_back_by_the_next_run(tmp_path: Path) -> None:
    world, wanted = World(tmp_path, takes_s=10**6), wish(tmp_path, MODELS["openai_chat"])

    async def dies(seconds: float) -> None:
        raise Killed

    sleep, world.sleep = world.sleep, dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await done(world, wanted)
    world.sleep = sleep  # type: ignore[method-assign]
    runtime = world.open()
    store = JobStore(runtime.store.database)
    store.move(store.jobs(1)[0], JobState.CANCELLING, at_ns=1)
    await runtime.close()
    job = await done(world, wanted)
    assert (job.state, world.count("/cancel"), world.count("/chat/completions")) == (JobState.CANCELLED, 1, 0)
    assert books(world) == ([], 0, 0)


DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("via", "deadline_s", "count", "reason"),
    [
        (Via.LIVE, 2 * DAY_S, 200, "as asked for"),
        (Via.AUTO, None, 200, "may take a day"),
        (Via.AUTO, DAY_S / 2, 200, "may take a day"),
        (Via.AUTO, 2 * DAY_S, 99, "fewer than 100"),
        (Via.AUTO, 2 * DAY_S, 200, "for some 50 %"),
        (Via.PROVIDER, None, 1, "for some 50 %"),
    ],
)
async def test_the_way_is_chosen_by_time_size_and_price_and_says_so(
    tmp_path: Path, via: Via, deadline_s: float | None, count: int, reason: str
) -> None:
    world = World(tmp_path)
    runtime = world.open()
    wanted = replace(wish(tmp_path, MODELS["openai_chat"], count), via=via, deadline_s=deadline_s)
    with opened(runtime, input_of(wanted, io.BytesIO()), wanted) as (run, _):
        assert reason in run.way
    await runtime.close()


async def test_a_model_without_a_price_for_batches_is_asked_live(tmp_path: Path) -> None:
    world = World(tmp_path)
    runtime = world.open()
    wanted = replace(wish(tmp_path, "deepseek-v3"), via=Via.PROVIDER)
    with opened(runtime, input_of(wanted, io.BytesIO()), wanted) as (run, _):
        assert "no model that would answer has a batch API" in run.way
    await runtime.close()


async def test_what_a_provider_answered_and_does_not_fit_is_paid_for_and_asked_live(tmp_path: Path) -> None:
    world = World(tmp_path)
    wanted = wish(tmp_path, MODELS["openai_chat"], 2)
    schema = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string", "minLength": 40}}}
    wanted = replace(wanted, asking=Asking(max_tokens=3, schema=schema))
    job = await done(world, wanted)
    assert job.state is JobState.COMPLETED
    failed = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert [line["response"]["body"]["error"]["code"] for line in failed] == ["check_failed"] * 2
    settled, open_holds, granted = books(world)
    in_batch = [(each.outcome, each.is_estimated) for each in settled if each.service_tier == "batch"]
    assert in_batch == [("complete", False)] * 2
    assert world.count("/chat/completions") > 0
    assert (open_holds, granted) == (0, 0)


async def test_what_is_asked_in_a_batch_is_not_drawn_and_its_row_has_the_choice_that_was_made(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text("[policy]\nexploration = 1.0\n")
    world, wanted = World(tmp_path), wish(tmp_path, "auto", 12)
    await done(world, wanted)
    settled, _, _ = books(world)
    assert {each.service_tier for each in settled} == {"batch"}
    runtime = world.open()
    try:
        routes = {row.request_id: row.route for row in runtime.store.tail(50)}
    finally:
        await runtime.close()
    for each in settled:
        route = routes[each.request_id]
        assert route is not None
        assert (route.first_choice, route.propensity) == (each.model, 1.0)
