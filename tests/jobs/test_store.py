"""One contract for jobs in both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from databases import open_database
from routewright.catalog.registry import Tier
from routewright.errors import JobNotFound, JobRefused
from routewright.jobs.job import REOPENED, Counts, Item, ItemResult, Job, JobState
from routewright.jobs.store import JobStore
from routewright.ledger.database import Database

JOB = Job(
    id="batch_1",
    created_at_ns=5,
    source="/in.jsonl",
    output="/out.jsonl",
    errors="/out.errors.jsonl",
    fingerprint="abc",
    spec='{"model":"auto"}',
    limit_nanousd=7,
)


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    opened = open_database(place)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


def result(position: int, outcome: str = "complete", **more: object) -> ItemResult:
    plain = ItemResult(
        position=position, outcome=outcome, model="m", tier=Tier.BULK, cost_nanousd=10, offset=0, length=9
    )
    return replace(plain, **more)


def items(*names: str) -> list[Item]:
    return [Item(position, name) for position, name in enumerate(names)]


def test_a_job_comes_back_as_it_was_made(store: JobStore) -> None:
    job = store.create(JOB)
    assert job == replace(JOB, number=1)
    assert store.get("batch_1") == store.latest("/out.jsonl") == job
    with pytest.raises(JobNotFound):
        store.get("batch_2")


def test_jobs_are_listed_newest_first_in_pages_and_by_key(store: JobStore) -> None:
    for number, key in enumerate(("a", "b", "a"), 1):
        store.create(replace(JOB, id=f"batch_{number}", key=key))
    assert [job.id for job in store.jobs(2)] == ["batch_3", "batch_2"]
    assert [job.id for job in store.jobs(2, before=2)] == ["batch_1"]
    assert [job.id for job in store.jobs(9, key="a")] == ["batch_3", "batch_1"]


def test_states_follow_the_table_and_say_when(store: JobStore) -> None:
    job = store.move(store.create(JOB), JobState.IN_PROGRESS, at_ns=10)
    assert (job.state, job.begun_at_ns, job.ended_at_ns) == (JobState.IN_PROGRESS, 10, None)
    assert store.move(job, JobState.IN_PROGRESS, at_ns=11) == job, "again changes nothing"
    expired = store.move(job, JobState.EXPIRED, at_ns=12)
    assert expired.ended_at_ns == 12
    again = store.move(expired, JobState.IN_PROGRESS, at_ns=13)
    assert (again.begun_at_ns, again.ended_at_ns) == (10, None)
    with pytest.raises(JobRefused, match="in_progress, and so cannot become completed"):
        store.move(job, JobState.COMPLETED, at_ns=14)


def test_undecided_is_what_has_no_result_in_order_and_in_pages(store: JobStore) -> None:
    job = store.create(JOB)
    store.add(job, items("a", "b", "c", "d"))
    store.add(job, items("a", "b"))
    store.record(job, [result(1)], output_bytes=9, error_bytes=0)
    assert [(each.position, each.custom_id) for each in store.undecided(job)] == [(0, "a"), (2, "c"), (3, "d")]
    assert [each.position for each in store.undecided(job, after=0, limit=1)] == [2]
    assert store.positions(job, ["d", "nobody"]) == {"d": 3}


def test_results_are_written_once_and_with_how_far_the_files_are(store: JobStore) -> None:
    job = store.create(JOB)
    store.add(job, items("a", "b"))
    store.record(job, [result(0)], output_bytes=9, error_bytes=0)
    store.record(job, [result(0, cost_nanousd=99), result(1, "upstream_failed")], output_bytes=9, error_bytes=5)
    assert (store.get(job.id).output_bytes, store.get(job.id).error_bytes) == (9, 5)
    assert store.result(job, 0) == result(0)
    assert [each.position for each in store.results(job, after=0)] == [1]
    assert store.counts(job) == Counts(completed=1, failed=1, cost_nanousd=20)


def test_a_repeated_custom_id_is_found_with_its_places(store: JobStore) -> None:
    job = store.create(JOB)
    store.add(job, items("a", "b", "c", "b"))
    assert store.repeated(job) == ("b", 1, 3)
    store.forget_items(job)
    store.add(job, items("a", "b"))
    assert store.repeated(job) is None


def test_twins_take_the_answer_of_the_first_and_their_saving_is_summed(store: JobStore) -> None:
    job = store.create(JOB)
    store.add(job, [Item(0, "a", b"x"), Item(1, "b", b"y"), Item(2, "c", b"x"), Item(3, "d", b"x"), Item(4, "e")])
    store.link_twins(job)
    assert [each.position for each in store.undecided(job)] == [0, 1, 4]
    assert [(each.position, each.twin_of) for each in store.undecided_twins(job)] == [(2, 0), (3, 0)]
    twins = [result(position, cost_nanousd=0) for position in (2, 3)]
    store.record(job, [result(0, baseline_nanousd=30), result(1), *twins], output_bytes=1, error_bytes=0)
    (share,) = store.shares(job)
    assert (share.completed, share.twins, share.cost_nanousd, share.saved_nanousd) == (4, 2, 20, 20)
    assert (share.baseline_nanousd, share.compared_nanousd) == (30, 10)


def test_jobs_do_not_see_each_others_items(store: JobStore) -> None:
    first, second = store.create(JOB), store.create(replace(JOB, id="batch_2"))
    store.add(first, [Item(0, "a", b"x")])
    store.add(second, [Item(0, "a", b"x")])
    store.link_twins(second)
    store.record(first, [result(0)], output_bytes=1, error_bytes=0)
    assert store.counts(second).done == 0
    assert len(store.undecided(second)) == 1


def test_a_job_is_given_another_budget(store: JobStore) -> None:
    job = store.allow(store.counted(store.create(JOB), 3), limit_nanousd=8, deadline_ns=9)
    assert (job.total, job.limit_nanousd, job.deadline_ns) == (3, 8, 9)


def test_what_failed_is_left_again_and_ordered_lines_are_where_they_stand_now(store: JobStore) -> None:
    job = store.move(store.counted(store.create(JOB), 3), JobState.IN_PROGRESS, at_ns=1)
    store.add(job, items("a", "b", "c"))
    lines = [result(2, offset=0, length=7), result(1, "failed", offset=0), result(0, offset=7, length=5)]
    store.record(job, lines, output_bytes=12, error_bytes=9)
    for state in (JobState.FINALIZING, JobState.COMPLETED):
        job = store.move(job, state, at_ns=2)
    job = store.reopen(job, is_ordered=True)
    assert (job.state, job.ended_at_ns, job.output_bytes, job.error_bytes) == (JobState.IN_PROGRESS, None, 12, REOPENED)
    assert [(each.position, each.offset) for each in store.results(job)] == [(0, 0), (2, 5)]
    assert [each.position for each in store.undecided(job)] == [1]
    assert store.reopened(job).error_bytes == 0
