"""Before anything is asked: a job is found again or made, and all its items are read once and noted."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.errors import BadInput, JobRefused
from routewright.jobs.inputs import Input
from routewright.jobs.job import Item, Job, JobState
from routewright.jobs.lines import Malformed, digest_of
from routewright.jobs.output import unordered
from routewright.jobs.store import JobStore

_ITEMS_AT_ONCE = 5_000
MALFORMED_TOLD = 5


class Spec(Struct, frozen=True, kw_only=True):
    """How a job is run, beside what is asked; kept with it."""

    tier: str | None = None
    dedupe: bool = False
    ordered: bool = False


class Planned(Struct, frozen=True, kw_only=True):
    """A job that can be run, or has been."""

    job: Job
    is_new: bool
    retried: int = 0
    """Items that have failed, and are asked again."""
    malformed: tuple[str, ...] = ()
    """What is wrong with the first few records of which nothing will be asked."""
    malformed_count: int = 0


def fingerprint_of(source: Input, spec: Spec) -> str:
    """Equal for the same input that is asked in the same way."""
    asking = source.asking
    said = (
        source.digest(),
        source.format,
        asking.template.text if asking.template else None,
        asking.model,
        asking.system,
        asking.max_tokens,
        asking.schema,
        spec,
    )
    return sha256(msgspec.json.encode(said)).hexdigest()


def find_job(store: JobStore, job: Job) -> Job | None:
    """The job that `job` would be again, as far as it has come; None if it is a new one.

    Raises JobRefused when its output has something else in it.
    """
    before = store.latest(job.output)
    if before is not None and before.state not in (JobState.FAILED, JobState.CANCELLED):
        if before.fingerprint == job.fingerprint:
            if before.summary is not None and not before.state.is_over:
                raise _forgotten(before)
            return before
        if not before.state.is_over:
            raise JobRefused(
                f"{job.output} belongs to {before.id}, which is {before.state} with another input or other options",
                hint=f"choose another one with -o, or give that one up: routewright batch cancel {before.id}",
            )
    for path in (Path(job.output), unordered(Path(job.output)), Path(job.errors)):
        if path.exists() and path.stat().st_size:
            raise JobRefused(f"{path} is there already, and not of this batch", hint="choose another one with -o")
    return None


def _forgotten(job: Job) -> JobRefused:
    return JobRefused(
        f"{job.id} has been over for so long that nothing is known of its items any more",
        hint="ask what is left as a new batch, with another -o; batches.kept_days says how long items are kept",
    )


def plan(store: JobStore, source: Input, job: Job, spec: Spec, *, now_ns: int) -> Planned:
    """Note every item of a new job, or of one whose reading was cut off, and let it begin.

    Raises BadInput, and the job has then failed: nothing was asked.
    """
    before = find_job(store, job)
    if before is not None and before.state is not JobState.VALIDATING:
        again = store.allow(before, limit_nanousd=job.limit_nanousd, deadline_ns=job.deadline_ns)
        if again.state is JobState.EXPIRED:
            again = store.move(again, JobState.IN_PROGRESS, at_ns=now_ns)
        return Planned(job=again, is_new=False)
    job = before or store.create(job)
    store.forget_items(job)
    reading = _Reading(source, spec)
    try:
        for items in _pages(reading.items()):
            store.add(job, items)
        _check(store, job, reading)
    except BadInput:
        store.move(job, JobState.FAILED, at_ns=now_ns)
        store.forget_items(job)
        raise
    if spec.dedupe:
        store.link_twins(job)
    store.counted(job, reading.count)
    job = store.move(job, JobState.IN_PROGRESS, at_ns=now_ns)
    return Planned(job=job, is_new=True, malformed=tuple(reading.malformed), malformed_count=reading.malformed_count)


def retry_failed(store: JobStore, planned: Planned, spec: Spec) -> Planned:
    """Have what failed of a job asked again, if that is completed."""
    failed = store.counts(planned.job).failed
    if planned.job.state is not JobState.COMPLETED or not failed:
        return planned
    if planned.job.summary is not None:
        raise _forgotten(planned.job)
    return replace(planned, job=store.reopen(planned.job, is_ordered=spec.ordered), retried=failed)


class _Reading:
    """One pass over an input."""

    def __init__(self, source: Input, spec: Spec) -> None:
        self.count = 0
        self.malformed: list[str] = []
        self.malformed_count = 0
        self._source = source
        self._spec = spec

    def items(self) -> Iterator[Item]:
        for record in self._source:
            self.count += 1
            entry = record.read()
            if isinstance(entry, Malformed):
                self.malformed_count += 1
                if self.malformed_count <= MALFORMED_TOLD:
                    self.malformed.append(entry.reason)
                yield Item(record.position, entry.custom_id)
            else:
                yield Item(record.position, entry.custom_id, digest_of(entry) if self._spec.dedupe else None)


def _pages(items: Iterator[Item]) -> Iterable[list[Item]]:
    return iter(lambda: list(islice(items, _ITEMS_AT_ONCE)), [])


def _check(store: JobStore, job: Job, reading: _Reading) -> None:
    if not reading.count:
        raise BadInput(f"{job.source} has nothing to ask")
    if reading.malformed_count == reading.count:
        raise BadInput(f"{job.source} has no record that can be asked; {reading.malformed[0]}")
    if repeated := store.repeated(job):
        custom_id, first, last = repeated
        raise BadInput(
            f"custom_id {custom_id!r} is there more than once: in records {first + 1} and {last + 1}",
            hint="answers are told apart by it: give each record its own, or none at all",
        )
