"""`routewright prices diff` and `sync`: other prices beside those in force, and how they come into force."""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from routewright.catalog.documents import MOST_BYTES, read_document
from routewright.catalog.price_changes import WHOLE, Change, changes, tariff_changes
from routewright.catalog.pricing import PriceError
from routewright.catalog.sources import PriceTable, load_prices
from routewright.cli.failures import BadPrices, NotRecorded
from routewright.cli.fetching import read_source
from routewright.cli.opening import database_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.price_places import Desk, condition, find_priced, models_with, open_desk, per_million
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.ledger.price_history import PriceHistory
from routewright.settings.sources import ConfigPlace
from routewright.text import counted, one_line

PREVIOUS = "previous"
MOST_ROWS = 200
"""Changes that are printed; all are in `--json`."""
_GENAI = "genai-prices"
_VERSION = re.compile(r"[0-9a-f]{12}")

all_option = click.option("--all", "is_all", is_flag=True, help="Of all models, not only those of the settings.")


@click.command("diff")
@click.argument("other", metavar="[OTHER]", default=PREVIOUS)
@all_option
@json_option
@settings_options
def diff(other: str, is_all: bool, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print what differs between OTHER prices and those in force, by model and class of token.

    OTHER is a price document (a file, or an https address): then the change is what it would bring. Or it is a price
    version that an entry of the ledger names, or `previous` (also without it), the prices before the last `prices sync`
    or else those that come with routewright: then the change is what has happened since.
    """
    desk = open_desk(config, flags)
    now = int(time.time())
    found = _version_changes(desk, other, now)
    if found is None:
        is_newer = other != PREVIOUS
        found = _differences(desk, _read(other) if is_newer else _previous(desk), now, is_all=is_all, is_newer=is_newer)
    _show(found, as_json=as_json)


@click.command("sync")
@click.option(
    "--from",
    "source",
    metavar="FILE|URL",
    help="Take this document: our own, the data of genai-prices, or LiteLLM's price map.",
)
@click.option("--accept", is_flag=True, help="Take over prices that change by more than ten times, or to nothing, too.")
@all_option
@json_option
@settings_options
def sync(
    source: str | None,
    accept: bool,
    is_all: bool,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Put newer prices into force: from a document, or from the installed package genai-prices.

    They are checked, compared with those in force, and written beside the ledger (or where prices.document says); a
    running gateway takes them over within a second. No address is contacted but one that is given with --from.
    """
    desk = open_desk(config, flags)
    new = _read(source) if source else _installed(desk)
    if new is None:
        if as_json:
            print_json({"written": None, "changes": []})
        return
    now = int(time.time())
    _refuse_suspicious(desk, new, now, accept=accept)
    found = _differences(desk, new, now, is_all=is_all, is_newer=True)
    path = _write(desk, new)
    if as_json:
        print_json({"written": str(path), "source": new.source, "changes": found})
        return
    _show(found, as_json=False)
    say(f"in force: {one_line(new.source)}, of {new.date}, in {path}")


def _read(source: str) -> PriceTable:
    content = read_source(source, MOST_BYTES)
    try:
        return read_document(content, datetime.now(UTC).date().isoformat())
    except PriceError as error:
        raise BadPrices(f"{one_line(source)}: {error}") from error


def _installed(desk: Desk) -> PriceTable | None:
    """The prices of the installed package; None, and that is said, if those in force are as new."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(_GENAI)
    except PackageNotFoundError:
        raise BadPrices(
            f"there is nothing to take prices from: the package {_GENAI} is not installed",
            hint=f"pip install {_GENAI}, or name a document: `routewright prices sync --from FILE|URL`",
        ) from None
    name, _, in_force = desk.table.source.partition(" ")
    if name == _GENAI and _numbers(in_force) >= _numbers(installed):
        say(f"nothing to do: the prices in force are of {desk.table.source}, and {installed} is installed")
        return None
    from routewright.catalog.compile import compile_genai_prices

    return PriceTable(compile_genai_prices(datetime.now(UTC).date().isoformat()))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _previous(desk: Desk) -> PriceTable:
    kept = _previous_path(desk)
    return load_prices(kept) if kept.exists() else load_prices()


def _previous_path(desk: Desk) -> Path:
    return desk.settings.price_document.with_suffix(".previous.json")


def _differences(desk: Desk, other: PriceTable, now: int, *, is_all: bool, is_newer: bool) -> list[Change]:
    """From the older to the newer of both: the other table is either."""
    old, new = (desk.table, other) if is_newer else (other, desk.table)
    if is_all:
        return list(changes(old, new, now))
    return list(Desk(desk.settings, old, models_with(desk.settings, old)).changes_to(new, now))


def _version_changes(desk: Desk, name: str, now: int) -> list[Change] | None:
    """From a recorded price version to what its model costs now; None if it is not the name of a version."""
    if not _VERSION.fullmatch(name) or Path(name).exists():
        return None
    with database_of(desk.settings) as database:
        version = PriceHistory(database).lookup(name) if database else None
    if version is None:
        raise NotRecorded(f"the ledger has no price version {name}", hint="`routewright prices show` has today's")
    today = find_priced(desk, version.model)
    provider, _, model = version.model.partition("/") if "/" in version.model else ("", "", version.model)
    return list(tariff_changes((provider, model), version.tariff, today[1].tariff if today else None, now))


def _refuse_suspicious(desk: Desk, new: PriceTable, now: int, *, accept: bool) -> None:
    """Of the models in use, and of all models of the providers in the settings. Raises BadPrices."""
    known = {name for table in (desk.table, new) for name in map(table.known_as, desk.settings.providers)}
    suspects = [change for change in changes(desk.table, new, now) if change.provider in known and change.is_suspicious]
    suspects += [change for change in desk.changes_to(new, now) if change.is_suspicious or _is_gone(change)]
    if not suspects or accept:
        return
    told = dict.fromkeys(_told(change) for change in suspects)
    raise BadPrices(
        "\n".join([f"{counted(len(told), 'change')} that may be a mistake; nothing was taken over:", *list(told)[:20]]),
        hint="look at them with `routewright prices diff FILE`; `--accept` takes them over",
    )


def _is_gone(change: Change) -> bool:
    return change.token_class == WHOLE and change.after_picousd is None


def _told(change: Change) -> str:
    name = "/".join(filter(None, (change.provider, change.model)))
    if _is_gone(change):
        return f"  {one_line(name)} has no price any more"
    tier = f" ({change.tier})" if change.tier else ""
    rise = f"{_money(change.before_picousd)} → {_money(change.after_picousd)}"
    return f"  {one_line(name)} {change.token_class}{tier}: {rise}"


def _write(desk: Desk, new: PriceTable) -> Path:
    """Put the document in its place, whole or not at all; the one before it is kept beside it."""
    path = desk.settings.price_document
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            _replace(_previous_path(desk), path.read_bytes())
        _replace(path, new.document)
    except OSError as error:
        raise BadPrices(f"cannot write {path}: {error.strerror}", hint="check its folder") from error
    return path


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _show(found: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        print_json({"changes": [_as_json(change) for change in found]})
    elif not found:
        say("no price differs")
    else:
        columns = ("model", "tier", "class", "when", "before", "after", "change")
        numbers = ("before", "after", "change")
        print_table([Column(title, title in numbers) for title in columns], list(_rows(found[:MOST_ROWS])))
        if len(found) > MOST_ROWS:
            say(f"and {len(found) - MOST_ROWS:,} more: --json has all")


def _as_json(change: Change) -> dict[str, object]:
    return {**{name: getattr(change, name) for name in Change.__struct_fields__}, "percent": change.percent}


def _rows(found: Iterable[Change]) -> Iterable[tuple[str, ...]]:
    for change in found:
        name = "/".join(filter(None, (change.provider, change.model)))
        rise = change.percent
        percent = "–" if rise is None else f"{rise:+.1f} %"
        if change.token_class == WHOLE:
            percent = "new" if change.before_picousd is None else "gone"
        money = _money(change.before_picousd), _money(change.after_picousd)
        yield one_line(name), change.tier or "standard", change.token_class, condition(change), *money, percent


def _money(picousd: int | None) -> str:
    return "–" if picousd is None else per_million(picousd)
