"""`routewright ledger verify` and `seal`: whether the accounts are what they were, and the chain that shows it."""

import time
from collections.abc import Mapping

import click

from routewright.cli.counting import counting
from routewright.cli.ledger import EMPTY
from routewright.cli.ledger_exporting import database_of
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.report import moment
from routewright.cli.screen import print_json, say
from routewright.ledger.checks import verify as verified
from routewright.ledger.database import Database
from routewright.ledger.findings import Finding, Subject, Verdict
from routewright.ledger.sealed_rows import PAGE, Pause
from routewright.ledger.seals import last_seal, seal_due
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.text import counted, one_line

_MARKS = {Verdict.OK: "✓", Verdict.DIFFERENCE: "✗", Verdict.SKIPPED: "–"}


@click.command("verify", short_help="Check hashes, sums and files of the whole ledger.")
@click.option(
    "--since", "since_ns", metavar="WHEN", callback=moment, help="Rows from then on: 7d, 24h, 2w or 2026-11-01 (UTC)."
)
@json_option
@settings_options
def verify(since_ns: int | None, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Check hashes, sums and files of the whole ledger, in bounded memory; the exit code is 1 if anything is wrong.

    Keep the last line's hash somewhere else: with it, nobody can write another past, not even with another chain. The
    gateway may use the ledger meanwhile.
    """
    settings = settings_of(config, flags)
    with database_of(settings, read_only=True) as database:
        if database is None:
            say(EMPTY)
            findings, head = [], None
        else:
            with counting("checking") as add:
                findings = list(verified(_subject(settings, database, since_ns or 0, lambda: add(PAGE))))
            head = last_seal(database)
    if as_json:
        print_json({"checks": findings, "head": head})
    else:
        for finding in findings:
            _print(finding)
        if head is not None:
            click.echo(f"\nchain of {counted(head.number, 'seal')} up to {head.day}: {head.chain_hash}")
    if any(finding.verdict is Verdict.DIFFERENCE for finding in findings):
        raise click.exceptions.Exit(1)


def _subject(settings: Settings, database: Database, since_ns: int, pause: Pause) -> Subject:
    return Subject(
        database=database,
        tables=frozenset(table.name for table in database.tables()),
        journal=settings.ledger.path / "journal",
        now_ns=time.time_ns(),
        since_ns=since_ns,
        deadline_ms=settings.policy.deadline_ms,
        pause=pause,
    )


def _print(finding: Finding) -> None:
    click.echo(f"{_MARKS[finding.verdict]} {finding.name}: {one_line(finding.found)}")
    for row in finding.rows:
        click.echo(f"    {one_line(row)}")


@click.command("seal", short_help="Seal the days that are over.")
@json_option
@settings_options
def seal(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Seal the days that are over, and what came late for older ones; the gateway does it once an hour.

    A seal is a hash over all events and requests of a day (UTC), chained to the one before.
    """
    with database_of(settings_of(config, flags)) as database:
        if database is None:
            say(EMPTY)
            made = []
        else:
            with counting("hashing") as add:
                made = seal_due(database, time.time_ns(), lambda: add(PAGE))
    if as_json:
        print_json(made)
        return
    for each in made:
        late = f", supplement {each.supplement}" if each.supplement else ""
        click.echo(f"{each.day}{late}: {counted(each.rows, 'row')}, {each.chain_hash}")
    say(f"{counted(len(made), 'seal')} made")
