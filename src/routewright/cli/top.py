"""`routewright top`: a running gateway, live: requests, spending, latency, breakers, budgets."""

import contextlib
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import click

from routewright.cli.failures import GatewayNotReached
from routewright.cli.opening import settings_of
from routewright.cli.options import Within, json_option, settings_options
from routewright.cli.running import address_of, read_metrics
from routewright.cli.screen import is_terminal, print_json
from routewright.cli.top_reading import Look, Snapshot, snapshot
from routewright.cli.top_screen import lines
from routewright.settings.sources import ConfigPlace

SNAPSHOT_S = 1.0
"""Between the two looks of a single snapshot."""
_QUITS = ("q", "Q", "\x03", "\x04")


@click.command("top", short_help="Watch a running gateway: requests, spending, latency, breakers, budgets.")
@click.option("--url", metavar="URL", help="The gateway to watch, instead of the one that the settings name.")
@click.option("--every", type=Within(0.2, 60), default=2.0, metavar="SECONDS", help="How often to look; 2.")
@click.option("--once", is_flag=True, help="Print one snapshot, of one second, and end.")
@json_option
@settings_options
def command(
    url: str | None, every: float, once: bool, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]
) -> None:
    """Watch a running gateway: requests, spending, latency, breakers, budgets.

    It is read from the gateway's /metrics, so what it says began when that process did. q or Ctrl-C ends it; without a
    terminal, and with --json, it is one snapshot. From another machine it takes a key with the role read in
    $ROUTEWRIGHT_KEY.
    """
    settings = settings_of(config, flags)
    address = (url or address_of(settings.server.host, settings.server.port)).rstrip("/").removesuffix("/v1")
    if once or as_json or not is_terminal():
        now = _once(address)
        if as_json:
            print_json(now)
        else:
            for line in lines(now, shutil.get_terminal_size().columns if is_terminal() else None):
                click.echo(line)
        return
    _watch(address, every)


def _look(address: str) -> Look:
    """Raises GatewayNotReached."""
    key = os.environ.get("ROUTEWRIGHT_KEY", "")
    return Look.read(read_metrics(address, key), time.monotonic())


def _once(address: str) -> Snapshot:
    before = _look(address)
    time.sleep(SNAPSHOT_S)
    return snapshot(address, before, _look(address))


def _watch(address: str, every: float) -> None:
    """On the whole screen, until somebody ends it. Raises GatewayNotReached if there is nothing to begin with."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    before = after = _look(address)
    console = Console(highlight=False, markup=False, emoji=False)
    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as is_over,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        trouble = ""
        while True:
            width, height = console.size
            shown = [*([f"! {trouble}"] if trouble else []), *lines(snapshot(address, before, after), width)]
            shown = [*shown[: height - 1], f"every {every:g} s · q ends"]
            live.update(Text("\n".join(shown), no_wrap=True, overflow="ellipsis"), refresh=True)
            if is_over(every):
                return
            try:
                before, after, trouble = after, _look(address), ""
            except GatewayNotReached as error:
                trouble = error.message


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """For the block: what waits so many seconds, and says whether somebody pressed a key to end meanwhile.

    Where nobody can press any, only time passes.
    """
    if not sys.stdin.isatty():
        yield _pass
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield _pass
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield _has_quit
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pass(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _has_quit(seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0] and os.read(sys.stdin.fileno(), 1).decode("latin-1") in _QUITS:
            return True
    return False
