"""`routewright ledger recover`: bring home what dead processes left, without starting a gateway."""

from collections.abc import Mapping
from contextlib import closing

import click

from routewright.cli.ledger import EMPTY
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import print_json, say
from routewright.clock import SystemClock
from routewright.ledger.recovery import Recovery
from routewright.settings.sources import ConfigPlace
from routewright.stores import ledger_file, open_store
from routewright.text import counted


@click.command("recover", short_help="Settle what dead processes left open.")
@json_option
@settings_options
def recover(as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Bring the journals of dead processes into the store, and settle the holds they left open at their upper bound.

    A gateway does it when it starts, and every five seconds for others that write to the same folder. This is for an
    installation that is stopped, before a backup or a move.
    """
    settings = settings_of(config, flags)
    path = ledger_file(settings)
    if path is not None and not path.parent.exists():
        say(EMPTY)
        return
    with closing(open_store(settings)) as store:
        recovery = Recovery(settings.ledger.path / "journal", store, SystemClock())
        recovered = recovery.look()
        if path is not None:  # a file is only written to from here; a server by who knows whom
            recovered += recovery.settle_the_forgotten()
    if as_json:
        print_json(recovered)
    else:
        events = counted(recovered.records, "event")
        say(f"{events} brought into the store, {counted(recovered.holds, 'hold')} settled")
