"""`routewright ledger migrate`: the whole ledger into another database."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import click

from routewright.cli.counting import counting
from routewright.cli.ledger import EMPTY
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.clock import SystemClock
from routewright.errors import LedgerInUse
from routewright.ledger.copying import Copied, copy_ledger
from routewright.ledger.database import Database
from routewright.ledger.recovery import Recovered, Recovery, has_left_overs, writers_in
from routewright.ledger.sqlite import SqliteDatabase
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.stores import SQLITE_FILE, ledger_file, open_store
from routewright.text import counted, one_line

_TABLE = (Column("table"), Column("rows", is_number=True))


@click.command("migrate", short_help="Copy the whole ledger into another database.")
@click.option(
    "--to",
    metavar="DATABASE",
    required=True,
    help="postgresql://…, a reference to such an address (env:NAME or keys:NAME), or the path of a SQLite file.",
)
@json_option
@settings_options
def migrate(to: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Copy the whole ledger into another database: every row of every table, from SQLite to PostgreSQL or back.

    Stop the gateway first. The ledger itself is not changed, but for what dead processes left: in the journal, which is
    brought into it, and open, which is settled. A copy that was cut off goes on when the same is said again; in the end
    both are compared, by counts, sums and the hash of every day.
    """
    settings = settings_of(config, flags)
    path = ledger_file(settings)
    if path is not None and not path.exists():
        say(EMPTY)
        return
    _require_rest(settings)
    with _source(settings) as source, _target(to, config, flags) as target:
        with counting("copying") as add:
            copied = copy_ledger(source, target, add)
        _require_rest(settings)
    _print(copied, to, as_json=as_json)


def _require_rest(settings: Settings) -> None:
    if writers := writers_in(settings.ledger.path / "journal"):
        raise LedgerInUse(
            f"the ledger of {settings.ledger.path} is in use: a process that lives has {writers[0]}",
            hint="stop the gateway, and say it again: nothing was changed, and a copy goes on where it was",
        )


@contextmanager
def _source(settings: Settings) -> Iterator[Database]:
    """The ledger of the settings, for reading, with all that belongs to it."""
    journal = settings.ledger.path / "journal"
    is_file = ledger_file(settings) is not None
    if is_file or has_left_overs(journal):
        with closing(open_store(settings)) as store:
            recovery = Recovery(journal, store, SystemClock())
            found = recovery.look()
            if is_file:  # of a database that machines share, nobody could say it any more
                found += recovery.settle_the_forgotten()
        if found != Recovered():
            events = counted(found.records, "event")
            say(f"{events} of dead processes brought into the ledger first, {counted(found.holds, 'hold')} settled")
    with closing(open_store(settings, read_only=True)) as store:
        yield store.database


@contextmanager
def _target(to: str, config: ConfigPlace | None, flags: Mapping[str, str]) -> Iterator[Database]:
    if _is_file(to):
        with closing(SqliteDatabase(Path(to).expanduser())) as database:
            yield database
        return
    settings = settings_of(config, {**flags, "ledger.database_url": to})
    with closing(open_store(settings)) as store:
        yield store.database


def _is_file(to: str) -> bool:
    return "://" not in to and not to.startswith(("env:", "keys:", "${", "os.environ/"))


def _print(copied: Copied, to: str, *, as_json: bool) -> None:
    lines = list(_settings_lines(to))
    if as_json:
        print_json({"rows": copied.rows, "settings": lines})
        return
    print_table(_TABLE, [(name, f"{rows:,}") for name, rows in copied.rows.items()])
    say("\nboth are equal; to use the copy, put this into routewright.toml:\n")
    for line in lines:
        click.echo(line)


def _settings_lines(to: str) -> Iterator[str]:
    yield "[ledger]"
    if not _is_file(to):
        kept = to if "://" not in to else "env:LEDGER_URL"
        yield f'database_url = "{one_line(kept)}"' + ("" if kept == to else "  # the address, from the environment")
        return
    path = Path(to).expanduser().resolve()
    yield f'path = "{one_line(str(path.parent))}"' + (
        "" if path.name == SQLITE_FILE else f"  # after renaming {path.name} to {SQLITE_FILE}"
    )
