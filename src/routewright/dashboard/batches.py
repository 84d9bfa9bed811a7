"""Batches: how far each is, what it cost, and what can be done about it."""

from collections.abc import Mapping, Sequence

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.jobs.job import Counts, Job, JobState, Share
from routewright.jobs.store import JobStore

MOST_SHOWN = 20
"""On a page, the newest first."""
MOST_COUNTED = 200_000
"""Items whose results are counted for the list; batches beyond are counted when they are opened."""
_NUMBERS = 2**53


def read(desk: Desk, asked: Parameters) -> View:
    """One question for the list, and one for each batch that is not too large."""
    store = JobStore(desk.ledger.database)
    jobs = store.jobs(MOST_SHOWN + 1, asked.whole("before", _NUMBERS))
    shown, has_more = jobs[:MOST_SHOWN], len(jobs) > MOST_SHOWN
    table = _batches(shown, _counts(store, shown))
    values = {
        "is_empty": not jobs,
        "batches": table,
        "older": asked.changed(before=str(shown[-1].number)) if has_more else "",
        "is_first": asked.text("before") is None,
    }
    return View(title="Batches", template="batches.html", values=values, listings=(table,))


def read_one(desk: Desk, asked: Parameters) -> View:
    """Three questions: the batch, how far it is, and who did it. Raises JobNotFound."""
    store = JobStore(desk.ledger.database)
    job = store.get(asked.part)
    counts = store.counts(job)
    table, shares = _batches([job], {job.id: counts}), _shares(store.shares(job))
    values = {
        "job": job,
        "table": table,
        "shares": shares,
        "done": counts.done,
        "total": job.total,
        "can_cancel": job.state in (JobState.VALIDATING, JobState.IN_PROGRESS),
        "can_resume": job.state in (JobState.IN_PROGRESS, JobState.FINALIZING),
    }
    return View(title=f"Batch {job.id}", template="batch.html", values=values, listings=(table, shares))


def _counts(store: JobStore, jobs: Sequence[Job]) -> Mapping[str, Counts]:
    """How far they are, of as many as may be counted."""
    found, looked_at = {}, 0
    for job in jobs:
        looked_at += 0 if job.summary else job.total
        if looked_at <= MOST_COUNTED:
            found[job.id] = store.counts(job)
    return found


def _batches(jobs: Sequence[Job], counts: Mapping[str, Counts]) -> Listing:
    uncounted = sum(job.id not in counts for job in jobs)
    return Listing(
        name="batches",
        title="Batches",
        columns=(
            Column("batch", "batch"),
            Column("state", "state"),
            Column("endpoint", "endpoint"),
            Column("key", "key"),
            Column("items", "items", Kind.COUNT),
            Column("completed", "answered", Kind.COUNT),
            Column("failed", "failed", Kind.COUNT),
            Column("done", "done", Kind.SHARE),
            Column("cost_usd", "cost", Kind.USD),
            Column("limit_usd", "at most", Kind.USD),
            Column("created", "made (UTC)", Kind.TIME),
            Column("ended", "over (UTC)", Kind.TIME),
        ),
        rows=[_row(job, counts.get(job.id)) for job in jobs],
        links=[f"/ui/batches/{job.id}" for job in jobs],
        note="Those without figures are counted when they are opened." if uncounted else "",
    )


def _row(job: Job, counts: Counts | None) -> tuple[Cell, ...]:
    done = None if counts is None or not job.total else 1000 * counts.done // job.total
    figures = (None, None) if counts is None else (counts.completed, counts.failed)
    cost = None if counts is None else counts.cost_nanousd
    times = (job.created_at_ns, job.ended_at_ns)
    total = job.total or None
    return job.id, job.state, job.endpoint, job.key or None, total, *figures, done, cost, job.limit_nanousd, *times


def _shares(shares: Sequence[Share]) -> Listing:
    return Listing(
        name="shares",
        title="Who did it",
        columns=(
            Column("model", "model"),
            Column("tier", "tier"),
            Column("completed", "answered", Kind.COUNT),
            Column("failed", "failed", Kind.COUNT),
            Column("twins", "of equal questions", Kind.COUNT),
            Column("cost_usd", "cost", Kind.USD),
            Column("baseline_usd", "at the baseline", Kind.USD),
            Column("twins_saved_usd", "saved by equal questions", Kind.USD),
        ),
        rows=[
            (
                share.model or "(nobody)",
                share.tier or None,
                share.completed,
                share.failed,
                share.twins,
                share.cost_nanousd,
                share.baseline_nanousd,
                share.saved_nanousd,
            )
            for share in shares
        ],
    )
