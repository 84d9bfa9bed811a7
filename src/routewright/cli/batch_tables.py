"""How batches stand, as tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from routewright.cli.screen import Column, print_table, say
from routewright.errors import JobNotFound
from routewright.jobs.job import Counts, Job, JobState, Share
from routewright.jobs.store import JobStore
from routewright.ledger.database import Database
from routewright.ledger.store import Store
from routewright.reports.reading import END_NS
from routewright.text import counted, percent, usd

if TYPE_CHECKING:  # it reads every dialect
    from routewright.jobs.forecast import Forecast


_RETRY = "; the same command with --retry-failed asks those again"


class Summary(Struct, frozen=True, kw_only=True):
    """One batch, and who did what of it."""

    job: Job
    counts: Counts
    shares: tuple[Share, ...]
    spent_nanousd: int
    """By the ledger: with what failed, and what was cut off."""
    baselines: tuple[str, ...]
    """The models that answers were compared with on its days."""

    @property
    def baseline_nanousd(self) -> int:
        """What its answers would have cost at the baseline model, twins included."""
        return sum(share.baseline_nanousd for share in self.shares)


def summary_of(database: Database | None, job_id: str) -> Summary:
    """Raises JobNotFound."""
    if database is None:
        raise JobNotFound(f"there is no batch {job_id!r}", hint="there is no ledger yet; see `routewright config show`")
    store, ledger = JobStore(database), Store(database)
    job = store.get(job_id)
    until_ns = END_NS if job.ended_at_ns is None else job.ended_at_ns + 1
    return Summary(
        job=job,
        counts=store.counts(job),
        shares=tuple(store.shares(job)),
        spent_nanousd=sum(sums.cost_nanousd for _, sums in ledger.sums((), only={"tag": job.tag})),
        baselines=tuple(ledger.baselines(job.created_at_ns, until_ns)),
    )


def print_jobs(jobs: Sequence[Job], counts: Sequence[Counts]) -> None:
    """One line each."""
    columns = [
        Column("batch"),
        Column("begun"),
        Column("state"),
        Column("done", is_number=True),
        Column("failed", is_number=True),
        Column("cost", is_number=True),
        Column("output"),
    ]
    rows = [
        (
            job.id,
            f"{datetime.fromtimestamp(job.created_at_ns // 10**9, UTC):%Y-%m-%d %H:%M}",
            str(job.state),
            f"{its.done:,} / {job.total:,}",
            f"{its.failed:,}",
            usd(its.cost_nanousd),
            job.output,
        )
        for job, its in zip(jobs, counts, strict=True)
    ]
    print_table(columns, rows)


def print_summary(summary: Summary) -> None:
    """By model and tier; then what was saved, and where it all is."""
    job, counts = summary.job, summary.counts
    columns = [
        Column("model"),
        Column("tier"),
        Column("answered", is_number=True),
        Column("failed", is_number=True),
        Column("cost", is_number=True),
        Column("at the baseline", is_number=True),
    ]
    rows = [
        (
            share.model or "nobody",
            share.tier or "–",
            f"{share.completed:,}",
            f"{share.failed:,}",
            usd(share.cost_nanousd),
            usd(share.baseline_nanousd) if share.baseline_nanousd else "–",
        )
        for share in summary.shares
    ]
    total = (
        "all",
        "",
        f"{counts.completed:,}",
        f"{counts.failed:,}",
        usd(counts.cost_nanousd),
        usd(summary.baseline_nanousd) if summary.baseline_nanousd else "–",
    )
    print_table(columns, rows, total=total)
    for line in _remarks(summary):
        say(line)
    say(f"{job.id} is {job.state}: {counts.done:,} of {counted(job.total, 'item')} decided, in {job.output}")
    if Path(job.errors).exists():
        say(f"failures are in {job.errors}{_RETRY if job.state is JobState.COMPLETED else ''}")


def _remarks(summary: Summary) -> list[str]:
    remarks = []
    baseline, wasted = summary.baseline_nanousd, summary.spent_nanousd - summary.counts.cost_nanousd
    if wasted > 0:
        remarks.append(f"{usd(wasted)} more, for what failed or was cut off: {usd(summary.spent_nanousd)} in all")
    if baseline:
        saved = baseline - sum(share.compared_nanousd for share in summary.shares) - max(0, wasted)
        versus = " or ".join(summary.baselines) or "the baseline model"
        remarks.append(f"saved {usd(saved)} ({percent(saved, baseline)}) vs always {versus}")
    if twins := sum(share.twins for share in summary.shares):
        spared = sum(share.saved_nanousd for share in summary.shares)
        remarks.append(f"{counted(twins, 'duplicate')} took the answer of an equal question: {usd(spared)} not spent")
    return remarks


def print_forecast(found: "Forecast") -> None:
    """What is expected, before anything is spent."""
    print_table([Column("tier"), Column("items", is_number=True)], [(n, f"{c:,}") for n, c in found.tiers.items()])
    print_table([Column("model"), Column("items", is_number=True)], [(n, f"{c:,}") for n, c in found.models.items()])
    looked_at = "" if found.sampled >= found.records - found.malformed - found.duplicates else ", by a sample of them"
    say(f"{counted(found.records, 'item')}{looked_at}; nothing was asked, and nothing spent")
    for count, what in (
        (found.malformed, "malformed, and will be in the error file"),
        (found.duplicates, "asked already by another one"),
        (found.refused, "for which there is no model"),
        (found.unpriced, "at a model without a price, not in the cost"),
    ):
        if count:
            say(f"  {count:,} {what}")
    told = f"expected cost {usd(found.cost_nanousd)} (from {usd(found.low_nanousd)} to {usd(found.high_nanousd)})"
    if found.baseline_model:
        told += f"; {usd(found.baseline_nanousd)} at always {found.baseline_model}"
    say(told)
