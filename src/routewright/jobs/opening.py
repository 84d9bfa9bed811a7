"""From what somebody wants to a job that can be run: where its files are, and whether it is an old one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.errors import BadInput
from routewright.jobs.answering import limits_of
from routewright.jobs.choosing import Via, choose
from routewright.jobs.inputs import Format, Input, spool
from routewright.jobs.job import REOPENED, Job
from routewright.jobs.lines import Asking
from routewright.jobs.output import JobFiles, unordered
from routewright.jobs.planning import Planned, Spec, find_job, fingerprint_of, plan, retry_failed
from routewright.jobs.provider import ProviderWay
from routewright.jobs.ray import RayCrew
from routewright.jobs.runner import Run
from routewright.jobs.store import JobStore
from routewright.ledger.ledger import NANOSECONDS
from routewright.runtime import Runtime


class Wish(Struct, frozen=True, kw_only=True):
    """What somebody wants of a batch."""

    source: Path | None
    """None for stdin."""
    output: Path
    asking: Asking
    format: Format | None = None
    """None for what the file's name, or its beginning, says."""
    spec: Spec = Spec()
    concurrency: int | None = None
    """To begin with; None for what the settings say; of each actor, where there are any."""
    max_concurrency: int | None = None
    """The same, of what it may rise to; actors stay at what they begin with."""
    retries: int = 1
    limit_nanousd: int | None = None
    deadline_s: float | None = None
    via: Via = Via.LIVE
    retry_failed: bool = False
    """Ask again what failed, where the job is completed."""
    actors: int = 0
    """On a Ray cluster; 0 for this process itself."""
    ray_address: str | None = None
    """None for what the environment says, or else a cluster that is started here."""


def usual_output(source: Path | None) -> Path:
    """Where answers go if nobody says: beside the input, or here for stdin."""
    return Path("batch.results.jsonl") if source is None else source.with_name(f"{source.stem}.results.jsonl")


def errors_path(output: Path) -> Path:
    """Where failures go."""
    return output.with_name(f"{output.stem}.errors{output.suffix or '.jsonl'}")


def input_of(wish: Wish, stdin: BinaryIO) -> Input:
    """The questions; those of stdin are kept beside the output, so that they can be read again. Raises BadInput."""
    if wish.source is not None:
        return Input(wish.source, wish.asking, wish.format)
    return Input(spool(stdin, wish.output), wish.asking, wish.format)


@contextmanager
def opened(runtime: Runtime, source: Input, wish: Wish) -> Iterator[tuple[Run, Planned]]:
    """A run of the job that is wanted, new or gone on with; its files are nobody else's as long as it is open.

    Raises BadInput and JobRefused before anything is asked, StoreUnavailable.
    """
    store, clock = JobStore(runtime.store.database), runtime.clock
    output = _absolute(wish.output)
    now_ns = clock.time_ns()
    job = Job(
        id=f"batch_{runtime.engine.mint_id().replace('-', '')}",
        created_at_ns=now_ns,
        source=str(_absolute(source.path)),
        output=str(output),
        errors=str(errors_path(output)),
        fingerprint=fingerprint_of(source, wish.spec),
        spec=msgspec.json.encode(wish.spec).decode(),
        limit_nanousd=wish.limit_nanousd,
        deadline_ns=None if wish.deadline_s is None else now_ns + int(wish.deadline_s * NANOSECONDS),
    )
    if output == _absolute(source.path):
        raise BadInput(f"{output} is the input", hint="choose another one with -o")
    find_job(store, job)  # before its files are touched
    with JobFiles(unordered(output) if wish.spec.ordered else output, Path(job.errors)) as files:
        planned = plan(store, source, job, wish.spec, now_ns=now_ns)
        if wish.retry_failed:
            planned = retry_failed(store, planned, wish.spec)
        if planned.job.error_bytes == REOPENED:
            planned = replace(planned, job=_prepared(store, planned.job, files, wish.spec))
        policy = runtime.engine.settings.policy
        each = wish.concurrency or policy.batch_concurrency
        together = each * wish.actors
        limits = limits_of(
            policy,
            concurrency=together or wish.concurrency,
            max_concurrency=together or wish.max_concurrency,
            retries=wish.retries,
        )
        run = Run(runtime, store, planned.job, source, files, spec=wish.spec, limits=limits)
        if wish.actors:
            run.crew = RayCrew(runtime, planned.job, actors=wish.actors, concurrency=each, address=wish.ray_address)
        choice = choose(wish.via, run, planned.job, runtime.engine, now_ns=now_ns)
        run.way = choice.reason
        must = wish.via is Via.PROVIDER
        run.first = ProviderWay(runtime, run, planned.job, sends=choice.is_provider, must=must).run
        yield run, planned


def _prepared(store: JobStore, job: Job, files: JobFiles, spec: Spec) -> Job:
    """What failed is in the error file no more; whoever dies before all of this is done has it done again."""
    try:
        files.errors.restart()
        if spec.ordered:  # the ordered file stays as it is until the new one takes its place
            files.output.restart(Path(job.output))
    except OSError as error:
        raise BadInput(f"{error.filename or job.output} cannot be used: {error.strerror or error}") from error
    return store.reopened(job)


def _absolute(path: Path) -> Path:
    return Path(os.path.realpath(path))
