"""`routewright ledger prune`: raw rows of days long past go; sums and seals stay."""

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
from routewright.ledger.database import Database
from routewright.ledger.retention import Due, Pruned, due, free_bytes
from routewright.ledger.retention import prune as pruned_from
from routewright.ledger.sealed_rows import PAGE, day_of
from routewright.ledger.seals import seal_due
from routewright.settings.sources import ConfigPlace
from routewright.text import counted

_MIB = 1024 * 1024


@click.command("prune", short_help="Delete single attempts and requests of days long past.")
@click.option(
    "--older-than",
    "before_ns",
    metavar="AGE",
    callback=moment,
    required=True,
    help="Days (UTC) before then: 90d, 12w, or 2026-08-01.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@json_option
@settings_options
def prune(before_ns: int, dry_run: bool, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Delete single attempts, requests, outcomes and vectors of days long past, in small batches.

    Sums, budgets, seals and open holds stay, so reports by hour and day do; `ledger show` and the bodies of exports go.
    Only sealed days are deleted; what is due is sealed first. The gateway may use the ledger meanwhile, and does the
    same once an hour if `ledger.retention_days` is set.
    """
    before_day = day_of(before_ns)
    with database_of(settings_of(config, flags), read_only=dry_run) as database:
        if database is None:
            say(EMPTY)
            return
        if dry_run:
            _print_due(due(database, before_day), before_day, as_json=as_json)
            return
        now_ns = time.time_ns()
        with counting("hashing") as add:
            seal_due(database, now_ns, lambda: add(PAGE))
        with counting("deleting", "batches") as add:
            pruned = pruned_from(database, before_day, now_ns, monotonic=time.monotonic, pause=lambda: add(1))
        _print_pruned(pruned, database, as_json=as_json)


def _print_due(found: Due, before_day: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found.seals:
        click.echo(f"{counted(found.rows, 'row')} of {found.first_day} to {found.last_day} would be deleted")
    else:
        say(f"nothing sealed before {before_day} is left to delete")


def _print_pruned(pruned: Pruned, database: Database, *, as_json: bool) -> None:
    free = free_bytes(database)
    if as_json:
        print_json({"days": pruned.days, "rows": pruned.rows, "free_bytes": free})
        return
    click.echo(f"{counted(pruned.rows, 'row')} of {counted(len(pruned.days), 'day')} deleted")
    if free >= _MIB:
        say(
            f"{free // _MIB:,} MiB in {database.name} are free for new rows; to give them back to the disk, stop the "
            f"gateway and say: sqlite3 {database.name} VACUUM"
        )
