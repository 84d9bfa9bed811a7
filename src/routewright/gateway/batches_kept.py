"""Where batches of clients live until they are over: each a job in the ledger's database and a folder beside it.

The folder has the client's file (a second name of it, so that it may be deleted meanwhile) and what was answered so
far. When the job is over, its output and errors become files of the client and the input goes; *that it is gone* says
that all is delivered. Every verb waits for the disk or the database, and belongs into a thread.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from routewright.clock import Clock
from routewright.dialects.fields import wrong
from routewright.errors import JobNotFound, StorageFull
from routewright.gateway.batches_checking import Problem
from routewright.gateway.files_kept import KEPT_S, KeptFiles, write_whole
from routewright.jobs.job import Job, JobState
from routewright.jobs.store import PAGE, JobStore

MOST_OPEN = 100
"""Batches of one who pays that are not over."""
OPEN = (JobState.VALIDATING, JobState.IN_PROGRESS, JobState.FINALIZING, JobState.CANCELLING)
_BEFORE = {JobState.CANCELLED: JobState.CANCELLING, JobState.FAILED: JobState.VALIDATING}
WINDOW_S = 86_400
"""How long a batch may take."""

_NS = 1_000_000_000
_ID = re.compile(r"batch_[0-9a-f]{32}")
_INPUT, _OUTPUT, _ERRORS, _PROBLEMS = "input.jsonl", "output.jsonl", "errors.jsonl", "problems.json"


class Wish(Struct, frozen=True, kw_only=True):
    """What a client said of its batch; kept as the job's `spec`."""

    input_file_id: str
    metadata: dict[str, str] | None = None
    output_kept_s: int = KEPT_S


class KeptBatches:
    """The batches of one gateway's folder; several processes may share it."""

    def __init__(self, folder: Path, jobs: JobStore, files: KeptFiles, clock: Clock) -> None:
        self._folder = folder
        self._files = files
        self._clock = clock
        self.jobs = jobs

    def create(self, owner: str, endpoint: str, wish: Wish) -> Job:
        """A new batch, which nobody works on yet. Raises FileNotKept, InvalidRequest, StorageFull, OSError."""
        file = self._files.find(owner, wish.input_file_id)
        if file.purpose != "batch":
            raise wrong("input_file_id", "a file sent for batches", file.id)
        source = self._files.path(owner, file.id)
        if sum(1 for job in self.all(owner) if job.state in OPEN) >= MOST_OPEN:
            raise StorageFull(f"{MOST_OPEN} batches are not over yet", hint="wait for one of them, or cancel it")
        batch_id = f"batch_{self._files.mint_id().removeprefix('file-')}"
        folder = self._folder / batch_id
        folder.mkdir(mode=0o700, parents=True)
        os.link(source, folder / _INPUT)
        now_ns = self._clock.time_ns()
        return self.jobs.create(
            Job(
                id=batch_id,
                created_at_ns=now_ns,
                endpoint=endpoint,
                source=str(folder / _INPUT),
                output=str(folder / _OUTPUT),
                errors=str(folder / _ERRORS),
                fingerprint=batch_id,
                spec=msgspec.json.encode(wish).decode(),
                key=owner,
                deadline_ns=now_ns + WINDOW_S * _NS,
            )
        )

    def find(self, owner: str, batch_id: str) -> Job:
        """Raises JobNotFound, in the same words for what is another's, or was not made through this API."""
        try:
            job = self.jobs.get(batch_id) if _ID.fullmatch(batch_id) else None
        except JobNotFound:
            job = None
        if job is None or job.key != owner or wish_of(job) is None:
            raise JobNotFound(f"No batch found with id {batch_id[:100]!r}", param="batch_id")
        return job

    def all(self, owner: str, before: int | None = None) -> Iterator[Job]:
        """The newest first, older than the one with the number `before`."""
        while found := self.jobs.jobs(PAGE, before, owner):
            yield from (job for job in found if wish_of(job) is not None)
            before = found[-1].number

    def cancel(self, job: Job) -> Job:
        """Ask nothing more of it. Raises JobRefused when it is over."""
        to = JobState.CANCELLED if job.state is JobState.VALIDATING else JobState.CANCELLING
        return self.jobs.move(job, to, at_ns=self._clock.time_ns())

    def undelivered(self) -> list[Job]:
        """Those of this folder that are not over, or whose files their clients do not have yet; the oldest first."""
        found = []
        for path in sorted(self._folder.glob(f"*/{_INPUT}")):
            with contextlib.suppress(JobNotFound):  # the gateway ended while it was made
                found.append(self.jobs.get(path.parent.name))
        return found

    def state(self, job: Job) -> JobState:
        """Where it is for its client, to whom nothing is over before it is delivered."""
        if job.state in OPEN or not Path(job.source).exists():
            return job.state
        return _BEFORE.get(job.state, JobState.FINALIZING)

    def deliver(self, job: Job) -> None:
        """Make its output and its errors files of the client; said again after a crash, it goes on."""
        wish = wish_of(job)
        assert wish is not None, "only what was made here is delivered here"
        for path, file_id, size in (
            (job.output, output_id(job), job.output_bytes),
            (job.errors, errors_id(job), job.error_bytes),
        ):
            if size:
                name = f"{job.id}_{Path(path).name}"
                self._files.add(job.key, file_id, name, "batch_output", Path(path), wish.output_kept_s)
        Path(job.source).unlink(missing_ok=True)

    def note_problems(self, job: Job, problems: Sequence[Problem]) -> None:
        """Keep why the input cannot be used."""
        write_whole(self._folder / job.id / _PROBLEMS, msgspec.json.encode(problems))

    def problems(self, job: Job) -> list[Problem]:
        """Why the input cannot be used; empty if that is not so."""
        try:
            return msgspec.json.decode((self._folder / job.id / _PROBLEMS).read_bytes(), type=list[Problem])
        except FileNotFoundError:
            return []

    def sweep(self) -> None:
        """Delete the folders of what has been over for as long as files are kept."""
        oldest_s = self._clock.time_ns() // _NS - KEPT_S
        for folder in self._folder.glob("batch_*"):
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < oldest_s:
                    shutil.rmtree(folder)


def wish_of(job: Job) -> Wish | None:
    """What a client said of it; None for a job that was not made through this API."""
    try:
        return msgspec.json.decode(job.spec, type=Wish)
    except msgspec.ValidationError:
        return None


def output_id(job: Job) -> str:
    """The id of the file with its answers, before there is one: so to deliver twice is to deliver once."""
    return _beside(job, 1)


def errors_id(job: Job) -> str:
    """The same of its errors."""
    return _beside(job, 2)


def _beside(job: Job, number: int) -> str:
    return f"file-{int(job.id.removeprefix('batch_'), 16) ^ number:032x}"
