"""A report for a terminal: what it says in a few lines, its tables, and what to know of them."""

from collections.abc import Iterator, Sequence

import click

from routewright.cli.reports.prompts import MONTHS, PROMPTS, WORDS, month_rows, prompt_rows
from routewright.cli.screen import Column, print_table
from routewright.ledger.prompt_audit import PromptAudit
from routewright.ledger.spending import Sums
from routewright.reports.figures import OFTEN_NOTHING, bar, shown, sparkline
from routewright.reports.values import Measure, Report, Saving, Table, measures, name_of
from routewright.text import counted, one_line, percent, usd

MOST_ROWS = 100
"""Lines of a table; of more, the last line says how many there are."""
MOST_PROMPTS = 20

_BAR_WIDTH = 10
_SPARK_WIDTH = 60


def print_report(report: Report, *, of_input: bool) -> None:
    """Print all of it."""
    for line in summary(report):
        click.echo(line)
    for table in report.tables:
        click.echo()
        _print(
            table,
            [each for each in measures(table.by, of_input=of_input) if each.name not in OFTEN_NOTHING],
            of_input=of_input,
        )
    notes = [one_line(note) for note in report.notes]
    for line in ["", *notes] if notes else []:
        click.echo(line)


def summary(report: Report) -> Iterator[str]:
    """What was spent, against what, and how sure that is."""
    totals, saving = report.totals, report.saving
    when = f"since {report.since} UTC" if report.since else "in all"
    if report.until:
        when += f" until {report.until} UTC"
    only = "".join(f" · only {name} {one_line(value) or '(none)'}" for name, value in report.only.items())
    yield (
        f"spent {usd(totals.cost_nanousd)} {when}{only} · "
        f"{counted(totals.requests, 'request')}, {percent(totals.complete, totals.requests)} answered to the end · "
        f"{counted(totals.attempts, 'attempt')} · "
        f"{totals.usage.input_total:,} tokens in, {totals.usage.output_total:,} out"
    )
    if totals.from_cache:
        yield (
            f"{counted(totals.from_cache, 'answer')} from the response cache, "
            f"which cost {usd(totals.cache_saved_nanousd)} when they were made"
        )
    if not saving.requests:
        yield "nothing to compare with: no answer has a baseline with a price"
        return
    yield _saved(saving)
    if saving.low_nanousd != saving.high_nanousd:
        yield (
            f"  between {usd(saving.low_nanousd)} and {usd(saving.high_nanousd)}: "
            f"of {counted(saving.estimated, 'request')} the provider did not report the tokens"
        )


def _saved(saving: Saving) -> str:
    names = " or ".join(one_line(name) for name in saving.baselines)
    shadows = f" (shadows {usd(saving.shadows_nanousd)})" if saving.shadows_nanousd else ""
    return (
        f"vs always {names}: actual {usd(saving.actual_nanousd)}, would have cost {usd(saving.baseline_nanousd)}, "
        f"saved {usd(saving.saved_nanousd)} ({percent(saving.saved_nanousd, saving.baseline_nanousd)}), "
        f"net of routing: retries, {usd(saving.errands_nanousd)} of errands{shadows} and "
        f"{usd(saving.failed_nanousd)} of failed requests are counted"
    )


def _print(table: Table, its: Sequence[Measure], *, of_input: bool) -> None:
    columns = [Column(dimension) for dimension in table.by]
    columns += [Column(measure.title, is_number=True) for measure in its]
    greatest = max((_size(line.sums, of_input=of_input) for line in table.lines), default=0)
    columns.append(Column(""))
    rows = [
        (
            *(one_line(name_of(key, dimension)) for key, dimension in zip(line.keys, table.by, strict=True)),
            *(shown(measure, line.sums) for measure in its),
            bar(_size(line.sums, of_input=of_input), greatest, _BAR_WIDTH),
        )
        for line in table.lines[:MOST_ROWS]
    ]
    total = ("total", *[""] * (len(table.by) - 1), *(shown(measure, table.total) for measure in its), "")
    print_table(columns, rows, total=total)
    if len(table.lines) > MOST_ROWS:
        click.echo(f"  the first {MOST_ROWS} of {len(table.lines):,} lines; --csv, --json and --html have more")
    if table.by == ("day",) and len(table.lines) > 1:
        course = sparkline([_size(line.sums, of_input=of_input) for line in table.lines], _SPARK_WIDTH)
        click.echo(f"  {table.lines[0].keys[0]} {course} {table.lines[-1].keys[0]}")


def _size(sums: Sums, *, of_input: bool) -> int:
    return sums.input_parts.total if of_input else sums.cost_nanousd


def print_prompts(audit: PromptAudit) -> None:
    """Print the months, and the dearest prompts of the last one."""
    print_table([Column(name, is_number=at > 0) for at, name in enumerate(MONTHS)], month_rows(audit))
    click.echo(f"\n{audit.months[-1].month}, dearest first:")
    print_table(
        [Column(name, is_number=at >= WORDS) for at, name in enumerate(PROMPTS)], prompt_rows(audit, MOST_PROMPTS)
    )
    if len(audit.prompts) > MOST_PROMPTS:
        click.echo(f"  the first {MOST_PROMPTS} of {len(audit.prompts):,}; --csv, --json and --html have more")
    click.echo("\ncost: the system prompt's share of the input, by tokens, of what the input of the answer cost")
    if any(month.unpriced for month in audit.months):
        click.echo("+? some requests were answered by models without a price: not in the cost, and not free")
    if not any(prompt.preview for prompt in audit.prompts):
        click.echo("prompts are known by their hash; ledger.log_content = true also keeps how they begin")
