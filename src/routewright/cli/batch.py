"""`routewright batch`: many questions from a file, and how batches stand."""

from collections.abc import Mapping

import click

from routewright.cli.batch_running import run
from routewright.cli.batch_tables import print_jobs, print_summary, summary_of
from routewright.cli.opening import database_of, settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import print_json, say
from routewright.clock import SystemClock
from routewright.jobs.cancelling import cancel, is_running
from routewright.jobs.job import JobState
from routewright.jobs.parts import PartStore
from routewright.jobs.store import JobStore
from routewright.settings.sources import ConfigPlace


@click.group("batch", short_help="Ask many questions from a file, each answered and paid for once.")
def command() -> None:
    """Ask many questions from a file, each answered and paid for once.

    `run` asks, and goes on where it was when it is said again; `list` and `show` tell how batches stand, and `cancel`
    ends one.
    """


command.add_command(run)


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@json_option
@settings_options
def list_jobs(limit: int, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Tell of the latest batches."""
    with database_of(settings_of(config, flags)) as database:
        store = None if database is None else JobStore(database)
        jobs = [] if store is None else store.jobs(limit)
        counts = [] if store is None else [store.counts(job) for job in jobs]
    if as_json:
        print_json([{"job": job, "counts": its} for job, its in zip(jobs, counts, strict=True)])
    elif jobs:
        print_jobs(jobs, counts)
    else:
        say("no batches yet: `routewright batch run FILE` makes one")


@command.command("show")
@click.argument("job_id", metavar="ID")
@json_option
@settings_options
def show_job(job_id: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Tell how one batch stands, by model and tier."""
    with database_of(settings_of(config, flags)) as database:
        summary = summary_of(database, job_id)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)


@command.command("cancel")
@click.argument("job_id", metavar="ID")
@settings_options
def cancel_job(job_id: str, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """End a batch. What is answered stays in its files; what is in flight is awaited."""
    with database_of(settings_of(config, flags), read_only=False) as database:
        job = summary_of(database, job_id).job
        assert database is not None
        store = JobStore(database)
        now_ns = SystemClock().time_ns()
        if job.state.is_over:
            say(f"{job.id} is {job.state} already")
            return
        if cancel(store, PartStore(database), job, now_ns=now_ns).state is JobState.CANCELLED:
            say(f"{job.id} is cancelled; what is answered is in {job.output}")
        elif is_running(job):
            say(f"{job.id} ends when what is in flight is answered")
        else:
            say(f"{job.id} has files at a provider: run it again, and they are called back")
