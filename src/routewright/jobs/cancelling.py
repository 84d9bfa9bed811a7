"""To end a batch, whoever works on it, and wherever that is."""

from pathlib import Path

from routewright.errors import JobRefused
from routewright.jobs.job import Job, JobState
from routewright.jobs.output import LineFile, unordered
from routewright.jobs.parts import PartStore
from routewright.jobs.store import JobStore


def is_running(job: Job) -> bool:
    """Whether a process has its files; of those that share a database with other machines, as far as is known here."""
    try:
        for path in (Path(job.output), unordered(Path(job.output))):
            if path.exists():
                LineFile(path).close()
    except JobRefused:
        return True
    return False


def cancel(store: JobStore, parts: PartStore, job: Job, *, now_ns: int) -> Job:
    """Ask nothing more of it: at once, or when what is in flight or at a provider is back. Raises JobRefused."""
    to = JobState.CANCELLING if is_running(job) or parts.open(job) else JobState.CANCELLED
    return store.move(job, to, at_ns=now_ns)
