"""`routewright ledger export`: attempts, requests or outcomes as a file for other programs."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import click

from routewright.cli.counting import counting
from routewright.cli.ledger import EMPTY
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.report import moment
from routewright.cli.screen import print_json, say
from routewright.ledger.database import Database
from routewright.ledger.export_files import WRITERS, write_file
from routewright.ledger.exporting import FIELDS, pages
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.stores import ledger_file, open_store
from routewright.text import counted, one_line

FOREVER_NS = 2**63 - 1


@contextmanager
def database_of(settings: Settings, *, read_only: bool = False) -> Iterator[Database | None]:
    """The ledger's database, beside whoever writes to it; None if there is none yet. Raises LedgerUnavailable."""
    path = ledger_file(settings)
    if path is not None and not path.exists():
        yield None
        return
    with closing(open_store(settings, read_only=read_only)) as store:
        yield store.database


@click.command("export", short_help="Write attempts, requests or outcomes to a file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="Where to; a file of that name is replaced once the new one is whole.",
)
@click.option(
    "--format", "form", type=click.Choice(tuple(WRITERS)), help="What it is written as; if not said, as FILE ends."
)
@click.option(
    "--what", type=click.Choice(tuple(FIELDS)), default="attempts", help="What is written; attempts if not said."
)
@click.option("--since", "since_ns", metavar="WHEN", callback=moment, help="From then on: 7d, 24h, 2w or 2026-11-01.")
@click.option("--until", "until_ns", metavar="WHEN", callback=moment, help="Before then, alike.")
@json_option
@settings_options
def export(
    output: Path,
    form: str | None,
    what: str,
    since_ns: int | None,
    until_ns: int | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Write attempts, requests or outcomes to a file, in bounded memory.

    Money is in whole nano-USD and as a decimal of USD, times in nanoseconds and as ISO 8601, in UTC. Parquet needs
    `pip install 'routewright[data]'`.
    """
    form = form or output.suffix.removeprefix(".")
    if form not in WRITERS:
        raise click.UsageError(f"{one_line(output.name)} does not say what to write: add --format {'|'.join(WRITERS)}")
    with database_of(settings_of(config, flags), read_only=True) as database:
        if database is None:
            say(EMPTY)
        with counting("writing") as add:

            def counted_pages() -> Iterator[list[tuple[str | int | float | bool | None, ...]]]:
                until = FOREVER_NS if until_ns is None else until_ns
                for rows in pages(database, what, since_ns or 0, until) if database else ():
                    yield rows
                    add(len(rows))

            rows = write_file(output, form, FIELDS[what], counted_pages())
    if as_json:
        print_json({"file": str(output), "format": form, "what": what, "rows": rows})
    else:
        say(f"{counted(rows, 'row')} of {what} written to {one_line(str(output))}")
