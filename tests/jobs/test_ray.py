"""Whole jobs asked by a crew, over a stand-in for Ray whose actors die when they are told to.

On a real cluster: `tests/faultlab/test_m05_ray.py`.
"""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from routewright.errors import BadInput, ClusterUnusable, RoutewrightError
from routewright.jobs import ray as rays
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import Asking
from routewright.jobs.opening import Wish, errors_path, input_of, opened
from routewright.jobs.ray_actor import Answerer, Posting
from routewright.jobs.runner import Run
from routewright.jobs.store import JobStore
from routewright.runtime import Runtime
from simulated import open_runtime


class RayError(Exception):
    """Ray's own root."""


class RayTaskError(RayError):
    """A mistake in an actor's code."""


class Here(Answerer):
    """An actor with the test's runtime."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    async def begin(self, posting: Posting) -> RoutewrightError | None:
        return None

    async def close(self) -> None:
        return None


class Actor:
    """A handle; `dies_at` says whether a call of a method, by its count in this actor, kills it: before it is done."""

    def __init__(self, inside: Any, dies_at: Callable[[str, int], bool]) -> None:
        self.inside = inside
        self.dies_at = dies_at
        self.is_dead = False
        self.is_closed = False
        self.busy = self.busiest = 0
        self.counts: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self._call(name, *arguments))

    async def _call(self, name: str, *arguments: Any) -> Any:
        count = self.counts[name] = self.counts.get(name, 0) + 1
        if self.is_dead or self.dies_at(name, count):
            self.is_dead = True
            raise RayError("the actor died\nof something")
        self.is_closed |= name == "close"
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            return await getattr(self.inside, name)(*arguments)
        finally:
            self.busy -= 1


class Ray:
    """What the crew uses of the package; `script` has when the first actors die, and the others live."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, inside: Callable[[], Any], *script: Callable[[str, int], bool]) -> None:
        self._inside = inside
        self._script = iter(script)
        self.actors: list[Actor] = []

    def is_initialized(self) -> bool:
        return True

    def remote(self, kind: type[Any]) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self) -> Actor:
        self.actors.append(Actor(self._inside(), next(self._script, lambda name, count: False)))
        return self.actors[-1]

    def kill(self, actor: Actor) -> None:
        actor.is_dead = True


def at(name: str, count: int) -> Callable[[str, int], bool]:
    return lambda method, number: (method, number) == (name, count)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    opened_runtime = open_runtime(tmp_path)
    yield opened_runtime
    await opened_runtime.close()


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    path = tmp_path / "in.txt"
    path.write_text("".join(f"question {number}\n" for number in range(12)))
    asking = Asking(max_tokens=20)
    return Wish(source=path, output=tmp_path / "out.jsonl", asking=asking, actors=2, concurrency=3)


@pytest.fixture
def starts(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ray]:
    """Has Ray be a stand-in whose actors die as told."""

    def start(*script: Callable[[str, int], bool], inside: Callable[[], Any] = lambda: Here(runtime)) -> Ray:
        ray = Ray(inside, *script)
        monkeypatch.setattr(rays, "load_ray", lambda: ray)
        monkeypatch.setattr(rays, "PAUSE_S", 0)
        return ray

    return start


async def done(runtime: Runtime, wish: Wish) -> tuple[Job, Run]:
    with opened(runtime, input_of(wish, io.BytesIO()), wish) as (run, _):
        return await run.run(), run


def each_result(run: Run, then: Callable[[], object]) -> None:
    """Have something done at each result."""
    add = run._ticker.add

    def added(result: Any) -> None:
        add(result)
        then()

    run._ticker.add = added  # type: ignore[method-assign]


def ids(path: Path) -> list[str]:
    return sorted(json.loads(line)["custom_id"] for line in path.read_text().splitlines()) if path.exists() else []


ALL = sorted(f"item-{number}" for number in range(1, 13))


async def test_actors_answer_all_of_a_job_and_no_more_at_a_time_than_they_take(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    ray = starts()
    job, run = await done(runtime, wish)
    await runtime.flush()
    assert (job.state, ids(wish.output)) == (JobState.COMPLETED, ALL)
    assert [actor.counts["answer"] > 0 and actor.busiest <= 3 for actor in ray.actors] == [True, True]
    assert [actor.is_closed and actor.is_dead for actor in ray.actors] == [True, True]
    assert run.progress.cost_nanousd == runtime.store.totals().cost_nanousd > 0


async def test_what_a_dead_actor_was_asking_is_asked_of_others_and_it_is_replaced(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    ray = starts(at("answer", 2))
    job, _ = await done(runtime, wish)
    assert (job.state, ids(wish.output)) == (JobState.COMPLETED, ALL)
    assert len(ray.actors) == 3
    assert sum(actor.counts.get("answer", 0) for actor in ray.actors) > 12, "something was asked again"


async def test_m05_an_answer_whose_actor_dies_unsettled_is_kept_and_not_asked_again(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    class Dying(Here):
        async def settle(self, request_id: str) -> Any:
            if request_id == asked[0]:
                await runtime.flush()
                raise RayError("killed")
            return await super().settle(request_id)

        async def answer(self, call: Any, left_s: float) -> Any:
            asked.append(call.id)
            return await super().answer(call, left_s)

    asked: list[str] = []
    ray = starts(inside=lambda: Dying(runtime))
    job, run = await done(runtime, replace(wish, actors=1, concurrency=1))
    assert (job.state, ids(wish.output)) == (JobState.COMPLETED, ALL)
    assert (len(ray.actors), len(asked)) == (2, 12), "it is lost, and nothing was asked again"
    first = JobStore(runtime.store.database).result(job, 0)
    assert first is not None
    assert (first.is_estimated, first.model != "", first.cost_nanousd > 0) == (True, True, True)
    assert run.progress.completed == 12


async def test_m05_a_line_whose_attempt_was_not_settled_yet_is_found_by_the_next_run(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    """Though the store was told of lines behind it before the driver died."""

    class Slow(Here):
        async def settle(self, request_id: str) -> Any:
            settled.append(request_id)
            return await (asyncio.Event().wait() if len(settled) == 3 else super().settle(request_id))

    settled: list[str] = []
    starts(inside=lambda: Slow(runtime))
    with opened(runtime, input_of(wish, io.BytesIO()), wish) as (run, planned):
        work = asyncio.create_task(run.run())
        each_result(run, lambda: run.progress.done == 11 and work.cancel())
        await asyncio.wait([work])
    assert JobStore(runtime.store.database).counts(planned.job).done == 11
    starts()
    job, run = await done(runtime, wish)
    assert (job.state, run.progress.begun_with, ids(wish.output)) == (JobState.COMPLETED, 12, ALL)


async def test_a_question_that_kills_its_actors_fails_alone(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    class Deadly(Here):
        async def answer(self, call: Any, left_s: float) -> Any:
            if "question 7" in str(call.body):
                raise RayError("killed")
            return await super().answer(call, left_s)

    ray = starts(inside=lambda: Deadly(runtime))
    job, _ = await done(runtime, replace(wish, concurrency=1))
    failed = errors_path(wish.output)
    assert (job.state, len(ids(wish.output)), ids(failed)) == (JobState.COMPLETED, 11, ["item-8"])
    assert "cluster_unusable" in failed.read_text()
    assert len(ray.actors) == 2 + rays.MOST_DEATHS


async def test_an_actor_that_has_other_settings_ends_the_run_before_anything_is_asked(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    class Refused(Here):
        async def begin(self, posting: Posting) -> RoutewrightError | None:
            return ClusterUnusable("the settings on there are others")

    starts(inside=lambda: Refused(runtime))
    with pytest.raises(ClusterUnusable, match="the settings on there are others"):
        await done(runtime, wish)
    assert not wish.output.exists()


async def test_actors_that_die_before_they_begin_end_the_run(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    ray = starts(*[at("begin", 1)] * 6)
    with pytest.raises(ClusterUnusable, match="actors die before they can begin: the actor died"):
        await done(runtime, replace(wish, actors=1))
    assert len(ray.actors) == rays.MOST_DEATHS


async def test_a_cluster_without_room_is_told(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting(Here):
        async def begin(self, posting: Posting) -> RoutewrightError | None:
            await asyncio.Event().wait()
            return None

    ray = starts(inside=lambda: Waiting(runtime))
    monkeypatch.setattr(rays, "PATIENCE_S", 0.01)
    with pytest.raises(ClusterUnusable, match="no actor could be placed"):
        await done(runtime, wish)
    assert all(actor.is_dead for actor in ray.actors)


async def test_a_stopped_run_awaits_what_is_in_flight_and_goes_on_later(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    ray, wish = starts(), replace(wish, concurrency=1)
    with opened(runtime, input_of(wish, io.BytesIO()), wish) as (run, _):
        each_result(run, run.stop)
        job = await run.run()
    before = len(ids(wish.output))
    assert (job.state, 1 <= before < 12) == (JobState.IN_PROGRESS, True)
    await runtime.flush()
    assert runtime.store.open_holds() == []
    assert all(actor.is_closed for actor in ray.actors)
    again, run = await done(runtime, wish)
    assert (again.id, again.state, run.progress.begun_with) == (job.id, JobState.COMPLETED, before)
    assert ids(wish.output) == ALL


async def test_a_mistake_in_an_actor_is_raised_as_it_would_be_here(
    runtime: Runtime, wish: Wish, starts: Callable[..., Ray]
) -> None:
    class Mistaken(Here):
        async def answer(self, call: Any, left_s: float) -> Any:
            raise RayTaskError("TypeError")

    starts(inside=lambda: Mistaken(runtime))
    with pytest.RaisesGroup(RayTaskError, RayTaskError, RayTaskError, RayTaskError, RayTaskError, RayTaskError):
        await done(runtime, wish)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput) as raised:
        rays.load_ray()
    assert raised.value.hint == 'pip install "routewright[ray]"'


def test_nobody_imports_ray_who_does_not_use_it() -> None:
    code = "import sys, routewright.cli.batch_running, routewright.jobs.opening, routewright.jobs.stage; "
    subprocess.run([sys.executable, "-c", code + "assert 'ray' not in sys.modules"], check=True)
