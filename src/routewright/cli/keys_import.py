"""`routewright keys import FILE`: virtual keys of LiteLLM, made anew here with what they may do and spend."""

from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import TypeVar

import click

from routewright.access.description import read_wish
from routewright.access.keys import VirtualKey
from routewright.cli.failures import BadKeysExport
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.cli.virtual_keys import keyring_of
from routewright.errors import InvalidRequest
from routewright.migration.litellm_keys import KeyPlan, NoKeys, read_keys, read_teams
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line, plain

T = TypeVar("T", bound=Sized)

MOST_BYTES = 64 * 1024 * 1024
_HOW = "docs/migration.md has the two questions to LiteLLM: /key/list?return_full_object=true, and /team/list"


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--teams",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What LiteLLM answers to GET /team/list: names, models and budgets of teams.",
)
@click.option("--check", is_flag=True, help="Say what would become of each, and make none.")
@json_option
@settings_options
def import_keys(
    file: Path, teams: Path | None, check: bool, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]
) -> None:
    """Make keys like those of LiteLLM, and print them: this once, and never again.

    FILE is what LiteLLM answers to GET /key/list?return_full_object=true, or a JSON list of such pages. The old texts
    are not in it, so each key gets a new one for its holder. A key that could do more here than there is left out, with
    the reason. All are made, or none. Budgets of teams are printed as settings.
    """
    known = {} if teams is None else _read(teams, read_teams)
    plans = _read(file, lambda document: read_keys(document, known))
    wishes = [(plan, _wish(plan)) for plan in plans if plan.fields]
    texts: list[str] = []
    if not check and wishes:
        with keyring_of(settings_of(config, flags)) as keyring:
            texts = [issued.text.reveal() for issued in keyring.create_all([wish for _, wish in wishes])]
    made = dict(zip([id(plan) for plan, _ in wishes], texts, strict=bool(texts)))
    sections = "\n".join(filter(None, (team.settings for team in known.values())))
    if as_json:
        print_json({"keys": [{"plan": plan, "key": made.get(id(plan))} for plan in plans], "settings": sections})
        return
    _print(plans, made)
    if sections:
        click.echo(f"\n# for routewright.toml\n{plain(sections)}", nl=False)
    say(f"{len(texts)} keys made, {len(plans) - len(wishes)} left out" + (" (only checked)" if check else ""))


def _read(file: Path, read: Callable[[bytes], T]) -> T:
    with file.open("rb") as source:
        document = source.read(MOST_BYTES + 1)
    try:
        if len(document) > MOST_BYTES:
            raise NoKeys(f"it is over {MOST_BYTES >> 20} MiB")
        found = read(document)
    except NoKeys as error:
        raise BadKeysExport(f"{file} is not what LiteLLM lists: {error}", hint=_HOW) from error
    if not found:
        raise BadKeysExport(f"{file} lists nothing", hint=_HOW)
    return found


def _wish(plan: KeyPlan) -> VirtualKey:
    try:
        return read_wish(plan.fields)
    except InvalidRequest as error:
        raise BadKeysExport(f"the key {one_line(plan.name)!r} cannot be made: {error.message}") from error


def _print(plans: Sequence[KeyPlan], made: Mapping[int, str]) -> None:
    columns = (Column("key there"), Column("key here"), Column("what is not as it was"))
    rows = []
    for plan in plans:
        here = made.get(id(plan), "to be made" if plan.fields else "left out")
        rows.append((one_line(plan.name), here, one_line("; ".join(plan.notes)) or "–"))
    print_table(columns, rows)
