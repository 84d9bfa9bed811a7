"""Rows of jobs long over go, few at a time; what is told of the jobs stays the same. In both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from databases import open_database
from routewright.catalog.registry import Tier
from routewright.errors import JobRefused
from routewright.jobs.job import Item, ItemResult, Job, JobState
from routewright.jobs.parts import Part, PartStore
from routewright.jobs.planning import Planned, Spec, find_job, retry_failed
from routewright.jobs.pruning import DAY_NS, prune
from routewright.jobs.store import JobStore
from routewright.ledger.database import Database

TABLES = ("batch_items", "batch_results", "batch_sent")


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    opened = open_database(place)
    yield opened
    opened.close()


def over(database: Database, name: str, *, ended_at_ns: int, state: JobState = JobState.COMPLETED) -> Job:
    """A job of four items: one failed, one is a twin."""
    store = JobStore(database)
    job = store.create(
        Job(
            id=name,
            created_at_ns=0,
            source="/in",
            output=f"/{name}",
            errors=f"/{name}.errors",
            fingerprint=name,
        )
    )
    job = store.move(store.counted(job, 4), JobState.IN_PROGRESS, at_ns=0)
    store.add(job, [Item(position, f"n{position}", b"x" if position > 1 else None) for position in range(4)])
    store.link_twins(job)
    plain = ItemResult(position=0, outcome="complete", model="m", tier=Tier.BULK, cost_nanousd=9, offset=0, length=5)
    results = [replace(plain, position=position) for position in (0, 2, 3)]
    store.record(job, [*results, replace(plain, position=1, outcome="failed")], output_bytes=15, error_bytes=5)
    PartStore(database).intend(job, Part(number=1, deployment="d"), {0: "a", 1: "b"})
    for to in (JobState.FINALIZING, state) if state is JobState.COMPLETED else (state,):
        job = store.move(job, to, at_ns=ended_at_ns)
    return job


def rows(database: Database, job: Job) -> list[int]:
    return [
        database.read(f"SELECT count(*) AS n FROM {table} WHERE job = ?", job.number)[0]["n"]  # noqa: S608
        for table in TABLES
    ]


def test_old_jobs_lose_their_rows_and_keep_their_sums(database: Database) -> None:
    store = JobStore(database)
    old, young = over(database, "batch_old", ended_at_ns=1), over(database, "batch_young", ended_at_ns=40 * DAY_NS)
    counts, shares = store.counts(old), store.shares(old)
    assert (counts.completed, counts.failed, shares[0].twins) == (3, 1, 1)
    assert prune(store, 60 * DAY_NS, 30, pause=lambda: None) == 4
    assert (rows(database, old), rows(database, young)) == ([0, 0, 0], [4, 4, 2])
    old = store.get(old.id)
    assert (store.counts(old), store.shares(old)) == (counts, shares)
    assert [job.id for job in store.jobs(9)] == [young.id, old.id]
    assert prune(store, 60 * DAY_NS, 30) == 0
    assert prune(store, 10**6 * DAY_NS, 0) == 0, "0 days keep all"


def test_a_round_has_its_bound_and_the_next_one_goes_on(database: Database) -> None:
    store = JobStore(database)
    job = over(database, "batch_old", ended_at_ns=1)
    pauses: list[None] = []
    assert prune(store, 60 * DAY_NS, 30, most=3, pause=lambda: pauses.append(None)) == 3
    assert (rows(database, job), len(pauses)) == ([1, 1, 0], 1)
    assert store.counts(store.get(job.id)).completed == 3, "what was counted before its first row went"
    assert prune(store, 60 * DAY_NS, 30, most=3, pause=lambda: None) == 1
    assert rows(database, job) == [0, 0, 0]


def test_what_was_forgotten_cannot_go_on_and_says_so(database: Database) -> None:
    store = JobStore(database)
    expired = over(database, "batch_expired", ended_at_ns=1, state=JobState.EXPIRED)
    failed = over(database, "batch_failed", ended_at_ns=1)
    prune(store, 60 * DAY_NS, 30, pause=lambda: None)
    with pytest.raises(JobRefused, match="nothing is known of its items"):
        find_job(store, expired)
    found = find_job(store, failed)
    assert found is not None
    with pytest.raises(JobRefused, match="nothing is known of its items"):
        retry_failed(store, Planned(job=found, is_new=False), Spec())
