"""Whole jobs, against the simulator: exact over whatever ends a run."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from routewright.catalog.registry import Tier
from routewright.errors import BadInput, JobRefused
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import Asking, Template
from routewright.jobs.opening import Wish, errors_path, input_of, opened, usual_output
from routewright.jobs.planning import Spec
from routewright.jobs.runner import Run
from routewright.jobs.store import JobStore
from routewright.runtime import Runtime
from routewright.simulator.faults import FaultRates
from simulated import open_runtime


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    opened_runtime = open_runtime(tmp_path)
    yield opened_runtime
    await opened_runtime.close()


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """Twelve lines of text."""
    path = tmp_path / "in.txt"
    path.write_text("".join(f"function {number}\n" for number in range(12)))
    asking = Asking(template=Template("Document this: {item}"), max_tokens=20)
    return Wish(source=path, output=tmp_path / "out.jsonl", asking=asking, concurrency=2)


async def done(runtime: Runtime, wish: Wish, *, stop_after: int | None = None) -> tuple[Job, Run]:
    with opened(runtime, _input(wish), wish) as (run, _):
        if stop_after is not None:
            stop_when(run, stop_after)
        return await run.run(), run


def stop_when(run: Run, count: int, stop: Callable[[], object] | None = None) -> None:
    add = run._ticker.add

    def counted(result: Any) -> None:
        add(result)
        if run.progress.done >= count:
            (stop or run.stop)()

    run._ticker.add = counted  # type: ignore[method-assign]


def _input(wish: Wish) -> Any:
    return input_of(wish, io.BytesIO())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ids(path: Path) -> list[str]:
    return [line["custom_id"] for line in lines(path)]


async def test_every_item_is_answered_once_in_openais_form(runtime: Runtime, wish: Wish) -> None:
    job, run = await done(runtime, wish)
    assert (job.state, run.progress.completed, run.progress.failed) == (JobState.COMPLETED, 12, 0)
    assert sorted(ids(wish.output)) == sorted(f"item-{number}" for number in range(1, 13))
    first = lines(wish.output)[0]["response"]
    assert (first["status_code"], first["body"]["object"]) == (200, "chat.completion")
    assert not errors_path(wish.output).exists()


async def test_results_and_ledger_agree_to_the_nanodollar(runtime: Runtime, wish: Wish) -> None:
    job, run = await done(runtime, wish)
    await runtime.flush()
    store = JobStore(runtime.store.database)
    (spent,) = runtime.store.sums((), only={"tag": job.tag})
    assert store.counts(job).cost_nanousd == run.progress.cost_nanousd == spent[1].cost_nanousd > 0
    assert all(result.baseline_nanousd for result in store.results(job))


async def test_a_run_that_was_stopped_goes_on_and_asks_nothing_again(runtime: Runtime, wish: Wish) -> None:
    job, _ = await done(runtime, wish, stop_after=5)
    assert job.state is JobState.IN_PROGRESS
    before = ids(wish.output)
    assert 5 <= len(before) < 12
    again, run = await done(runtime, wish)
    assert (again.id, again.state) == (job.id, JobState.COMPLETED)
    assert ids(wish.output)[: len(before)] == before
    assert len(set(ids(wish.output))) == len(ids(wish.output)) == 12
    assert run.progress.begun_with == len(before)
    await runtime.flush()
    assert len(runtime.store.tail(100)) == 12


async def test_a_job_that_is_done_is_not_done_again(runtime: Runtime, wish: Wish) -> None:
    first, _ = await done(runtime, wish)
    again, _ = await done(runtime, wish)
    assert (again.id, again.state, len(ids(wish.output))) == (first.id, JobState.COMPLETED, 12)


async def test_m05_an_answer_that_was_written_and_not_told_is_not_asked_for_again(
    runtime: Runtime, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process had died before the store was told of anything."""
    store = JobStore(runtime.store.database)
    monkeypatch.setattr(JobStore, "record", lambda *_, **__: None)
    job, _ = await done(runtime, wish, stop_after=7)
    monkeypatch.undo()
    written = len(ids(wish.output))
    assert store.counts(job).done == 0
    assert written >= 7
    await runtime.flush()
    _, run = await done(runtime, wish)
    assert run.progress.begun_with == written
    assert len(set(ids(wish.output))) == len(ids(wish.output)) == 12
    await runtime.flush()
    assert len(runtime.store.tail(100)) == 12
    assert store.counts(job).cost_nanousd == runtime.store.totals().cost_nanousd, "costs are taken from the ledger"


async def test_m05_the_line_is_written_before_the_attempt_is_settled(runtime: Runtime, wish: Wish) -> None:
    """So no death between the two leaves an answer that was paid for and is lost."""
    seen: list[int] = []
    with opened(runtime, _input(wish), replace(wish, concurrency=1)) as (run, _):
        write = run._files.write

        def written(line: bytes, *, is_ok: bool) -> Any:
            seen.append(sum(runtime.engine.tally.requests.values()))
            return write(line, is_ok=is_ok)

        run._files.write = written  # type: ignore[method-assign]
        await run.run()
    assert seen == list(range(12)), "of each, the request was still open"


async def test_answers_can_be_had_in_order(runtime: Runtime, wish: Wish) -> None:
    wish = replace(wish, spec=Spec(ordered=True))
    await done(runtime, wish, stop_after=4)
    assert not wish.output.exists()
    await done(runtime, wish)
    assert ids(wish.output) == [f"item-{number}" for number in range(1, 13)]
    assert not wish.output.with_name("out.jsonl.part").exists()


async def test_equal_questions_are_asked_once(runtime: Runtime, wish: Wish, tmp_path: Path) -> None:
    path = tmp_path / "twice.txt"
    path.write_text("a\nb\na\na\n")
    job, _ = await done(runtime, replace(wish, source=path, spec=Spec(dedupe=True)))
    assert sorted(ids(wish.output)) == ["item-1", "item-2", "item-3", "item-4"]
    bodies = {line["custom_id"]: line["response"]["body"] for line in lines(wish.output)}
    assert bodies["item-1"] == bodies["item-3"] == bodies["item-4"] != bodies["item-2"]
    await runtime.flush()
    assert len(runtime.store.tail(100)) == 2
    shares = JobStore(runtime.store.database).shares(job)
    assert sum(share.twins for share in shares) == 2
    assert sum(share.saved_nanousd for share in shares) > 0


async def test_malformed_records_end_in_the_error_file_and_cost_nothing(
    runtime: Runtime, wish: Wish, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "good"}\n{oops\n{"custom_id": "x", "body": {"model": "nobody", "messages": []}}\n')
    wish = replace(wish, source=path, asking=Asking())
    job, run = await done(runtime, wish)
    assert (job.state, run.progress.completed, run.progress.failed) == (JobState.COMPLETED, 1, 2)
    malformed, refused = sorted(lines(errors_path(wish.output)), key=lambda line: str(line["custom_id"]))
    assert malformed["error"]["code"] == "malformed_record"
    assert "line 2 is not JSON" in malformed["error"]["message"]
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("x", 400)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"custom_id": "a", "prompt": "x"}\n{"custom_id": "a", "prompt": "y"}', "'a' is there more than once"),
        ('{"prompt": "x"}\n{"custom_id": "b", "url": "/v1/images", "body": {}}', "line 2 is for '/v1/images'"),
        ("{oops", "no record that can be asked"),
        ("\n", "has nothing to ask"),
    ],
)
async def test_an_input_that_cannot_be_used_is_one_error_and_costs_nothing(
    runtime: Runtime, wish: Wish, tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=reason):
        await done(runtime, replace(wish, source=path, asking=Asking()))
    assert not wish.output.exists()
    (job,) = JobStore(runtime.store.database).jobs(9)
    assert job.state is JobState.FAILED
    path.write_text('{"prompt": "mended"}')
    again, _ = await done(runtime, replace(wish, source=path, asking=Asking()))
    assert again.state is JobState.COMPLETED


async def test_an_output_of_something_else_is_not_touched(runtime: Runtime, wish: Wish) -> None:
    wish.output.write_text("mine\n")
    with pytest.raises(JobRefused, match="is there already"):
        await done(runtime, wish)
    with pytest.raises(BadInput, match="is the input"):
        await done(runtime, replace(wish, output=wish.source))
    assert wish.output.read_text() == "mine\n"


async def test_other_options_are_another_job(runtime: Runtime, wish: Wish) -> None:
    await done(runtime, wish, stop_after=3)
    with pytest.raises(JobRefused, match="with another input or other options"):
        await done(runtime, replace(wish, spec=Spec(tier="bulk")))


async def test_a_tier_and_a_batchs_concurrency_are_kept_to(runtime: Runtime, wish: Wish) -> None:
    job, _ = await done(runtime, replace(wish, spec=Spec(tier="bulk"), concurrency=2))
    assert {share.tier for share in JobStore(runtime.store.database).shares(job)} == {Tier.BULK}


async def test_the_cost_never_exceeds_its_limit_and_the_rest_goes_on_with_more(runtime: Runtime, wish: Wish) -> None:
    asking = Asking(template=Template("Document this: {item}"), model="gpt-5.5", max_tokens=20)
    wish = replace(wish, asking=asking, limit_nanousd=2_000_000)
    job, run = await done(runtime, wish)
    assert run.ended_by is not None
    assert run.ended_by.code == "budget_exceeded"
    assert job.state is JobState.IN_PROGRESS
    assert 0 < run.progress.completed < 12
    assert run.progress.cost_nanousd <= 2_000_000
    again, run = await done(runtime, replace(wish, limit_nanousd=10**9))
    assert (again.state, run.progress.completed, run.ended_by) == (JobState.COMPLETED, 12, None)


async def test_a_deadline_that_has_passed_leaves_the_rest_and_can_be_moved(runtime: Runtime, wish: Wish) -> None:
    job, run = await done(runtime, replace(wish, deadline_s=1e-6))
    assert (job.state, run.progress.done) == (JobState.EXPIRED, 0)
    again, _ = await done(runtime, wish)
    assert again.state is JobState.COMPLETED


async def test_a_job_that_somebody_cancels_ends(runtime: Runtime, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.jobs.ticker.EVERY_S", 0.0)
    store = JobStore(runtime.store.database)
    with opened(runtime, _input(wish), wish) as (run, planned):
        store.move(planned.job, JobState.CANCELLING, at_ns=1)
        job = await run.run()
    assert job.state is JobState.CANCELLED
    assert store.get(job.id).ended_at_ns is not None


async def test_failures_are_the_items_own(tmp_path: Path, wish: Wish) -> None:
    runtime = open_runtime(tmp_path, by_model={"gpt-5.5": FaultRates(failed=1.0)})
    path = tmp_path / "in.jsonl"
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    models = ["deepseek-chat", "gpt-5.5"]
    path.write_text("".join(json.dumps({"custom_id": m, "body": {**body, "model": m}}) + "\n" for m in models))
    try:
        job, run = await done(runtime, replace(wish, source=path, asking=Asking(), retries=0, concurrency=1))
    finally:
        await runtime.close()
    assert (job.state, run.progress.completed + run.progress.failed) == (JobState.COMPLETED, 2)


async def test_a_disk_that_is_full_ends_the_run_and_it_can_go_on(runtime: Runtime, wish: Wish) -> None:
    with opened(runtime, _input(wish), replace(wish, concurrency=1)) as (run, _):
        write = run._files.write

        def full(line: bytes, *, is_ok: bool) -> Any:
            if run.progress.done >= 3:
                raise OSError(28, "No space left on device")
            return write(line, is_ok=is_ok)

        run._files.write = full  # type: ignore[method-assign]
        job = await run.run()
    assert run.ended_by is not None
    assert "cannot be written: No space left" in run.ended_by.message
    assert (job.state, run.progress.done) == (JobState.IN_PROGRESS, 3)
    again, _ = await done(runtime, wish)
    assert (again.state, len(ids(wish.output))) == (JobState.COMPLETED, 12)


async def test_an_input_that_changes_under_a_run_ends_it(runtime: Runtime, wish: Wish) -> None:
    path = wish.source
    assert path is not None
    with opened(runtime, _input(wish), replace(wish, concurrency=1)) as (run, _):
        path.write_text("\n" + path.read_text())
        await run.run()
    assert run.ended_by is not None
    assert "has changed: 'item-1' is not where it was" in run.ended_by.message
    assert not wish.output.exists()


async def test_a_run_that_is_given_up_can_go_on(runtime: Runtime, wish: Wish) -> None:
    with opened(runtime, _input(wish), replace(wish, concurrency=1)) as (run, _):
        task = asyncio.create_task(run.run())
        stop_when(run, 2, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
    job, _ = await done(runtime, wish)
    assert job.state is JobState.COMPLETED
    assert len(set(ids(wish.output))) == len(ids(wish.output)) == 12


def test_the_usual_output_is_beside_the_input() -> None:
    assert usual_output(Path("a/in.jsonl")) == Path("a/in.results.jsonl")
    assert usual_output(None) == Path("batch.results.jsonl")
    assert errors_path(Path("a/out.jsonl")) == Path("a/out.errors.jsonl")
