"""A completed job whose failures are asked again: only those, and exact over whatever ends it."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from routewright.jobs import opening
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import Asking
from routewright.jobs.opening import Wish, errors_path, input_of, opened
from routewright.jobs.output import unordered
from routewright.jobs.planning import Spec
from routewright.jobs.runner import Run
from routewright.jobs.store import JobStore
from routewright.runtime import Runtime
from simulated import open_runtime

GOOD, BAD = "gpt-5.5", "later"
ORDERED = pytest.mark.parametrize("spec", [Spec(), Spec(ordered=True)], ids=["as-they-come", "ordered"])


class Killed(Exception):
    """As if the process had died here."""


@contextmanager
def running(runtime: Runtime, wish: Wish) -> Iterator[Run]:
    with opened(runtime, input_of(wish, io.BytesIO()), wish) as (run, _):
        yield run


async def done(folder: Path, wish: Wish, *, fails: bool = False, stop_after: int | None = None) -> Job:
    """One process, whose settings know the bad model, or do not."""
    (folder / "routewright.toml").write_text("" if fails else f'[aliases]\n{BAD} = "{GOOD}"\n')
    runtime = open_runtime(folder)
    try:
        with running(runtime, wish) as run:
            if stop_after is not None:
                add, before = run._ticker.add, run.progress.done

                def counted(result: Any) -> None:
                    add(result)
                    if run.progress.done - before >= stop_after:
                        run.stop()

                run._ticker.add = counted  # type: ignore[method-assign]
            return await run.run()
    finally:
        await runtime.close()


def asked(folder: Path) -> dict[str, int]:
    """How many requests there were, by outcome."""
    runtime = open_runtime(folder)
    rows = runtime.store.database.read("SELECT outcome, count(*) AS n FROM requests GROUP BY outcome")
    runtime._close_ledger()
    return {row["outcome"]: row["n"] for row in rows}


def ids(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """Six items, of which every second one fails at first, and one is no question."""
    path = tmp_path / "in.jsonl"
    items = [{"custom_id": f"n{n}", "prompt": f"Say {n}", "model": (GOOD, BAD)[n % 2]} for n in range(6)]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return Wish(source=path, output=tmp_path / "out.jsonl", asking=Asking(max_tokens=20), retries=0)


@ORDERED
async def test_only_what_failed_is_asked_again(tmp_path: Path, wish: Wish, spec: Spec) -> None:
    wish = replace(wish, spec=spec)
    job = await done(tmp_path, wish, fails=True)
    assert (job.state, len(ids(wish.output)), len(ids(errors_path(wish.output)))) == (JobState.COMPLETED, 3, 3)
    first = wish.output.read_bytes()
    again = await done(tmp_path, wish)
    assert (again.id, wish.output.read_bytes()) == (job.id, first), "not without leave"
    again = await done(tmp_path, replace(wish, retry_failed=True))
    assert (again.id, again.state) == (job.id, JobState.COMPLETED)
    assert sorted(ids(wish.output)) == [f"n{n}" for n in range(6)]
    if spec.ordered:
        assert ids(wish.output) == [f"n{n}" for n in range(6)]
        assert not unordered(wish.output).exists()
    else:
        assert wish.output.read_bytes().startswith(first)
    assert not errors_path(wish.output).exists()
    assert asked(tmp_path) == {"complete": 6, "model_not_found": 3}
    last = await done(tmp_path, replace(wish, retry_failed=True))
    assert (last.ended_at_ns, asked(tmp_path)["complete"]) == (again.ended_at_ns, 6), "there is nothing to ask again"


async def test_what_fails_again_is_told_once(tmp_path: Path, wish: Wish) -> None:
    await done(tmp_path, wish, fails=True)
    await done(tmp_path, replace(wish, retry_failed=True), fails=True)
    assert sorted(ids(errors_path(wish.output))) == ["n1", "n3", "n5"]
    await done(tmp_path, replace(wish, retry_failed=True))
    assert sorted(ids(wish.output)) == [f"n{n}" for n in range(6)]


@ORDERED
async def test_m05_a_retry_that_dies_before_its_files_are_ready_goes_on(
    tmp_path: Path, wish: Wish, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = replace(wish, spec=spec)
    await done(tmp_path, wish, fails=True)
    for moment in ("_prepared", "reopened"):

        def dies(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(opening if moment == "_prepared" else JobStore, moment, dies)
            with pytest.raises(Killed):
                await done(tmp_path, replace(wish, retry_failed=True))
    job = await done(tmp_path, wish)
    assert job.state is JobState.COMPLETED
    assert sorted(ids(wish.output)) == [f"n{n}" for n in range(6)]
    assert not errors_path(wish.output).exists()
    assert asked(tmp_path) == {"complete": 6, "model_not_found": 3}


@ORDERED
async def test_m05_a_retry_that_is_stopped_goes_on_where_it_was(tmp_path: Path, wish: Wish, spec: Spec) -> None:
    wish = replace(wish, spec=spec, concurrency=1)
    await done(tmp_path, wish, fails=True)
    job = await done(tmp_path, replace(wish, retry_failed=True), stop_after=1)
    assert job.state is JobState.IN_PROGRESS
    assert ids(errors_path(wish.output)) == []
    if spec.ordered:
        assert len(ids(wish.output)) == 3, "an ordered file is replaced in the end"
    else:
        assert 4 <= len(ids(wish.output)) < 6, "one more may have been ready to be asked when it was stopped"
    job = await done(tmp_path, replace(wish, retry_failed=True))
    assert job.state is JobState.COMPLETED
    assert sorted(ids(wish.output)) == [f"n{n}" for n in range(6)]
    assert asked(tmp_path) == {"complete": 6, "model_not_found": 3}


async def test_duplicates_of_what_failed_take_the_answer_that_comes(tmp_path: Path, wish: Wish) -> None:
    assert wish.source is not None
    wish.source.write_text("".join(json.dumps({"prompt": "the same", "model": BAD}) + "\n" for _ in range(3)))
    wish = replace(wish, spec=Spec(dedupe=True))
    await done(tmp_path, wish, fails=True)
    assert len(ids(errors_path(wish.output))) == 3
    await done(tmp_path, replace(wish, retry_failed=True))
    assert sorted(ids(wish.output)) == ["item-1", "item-2", "item-3"]
    assert asked(tmp_path) == {"complete": 1, "model_not_found": 1}
