"""`routewright serve`: the gateway, and what to do with it."""

import asyncio
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

import click

from routewright.catalog.registry import Registry
from routewright.cli import logs
from routewright.cli.failures import AddressUnavailable
from routewright.cli.opening import source_of
from routewright.cli.options import settings_options, simulate_option
from routewright.cli.screen import say
from routewright.gateway.workers import Worker, supervise
from routewright.runtime import SIMULATOR_SCHEME, Runtime
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.settings_source import SettingsSource
from routewright.stores import ledger_file
from routewright.text import counted

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from another that wants it: while the ledger is written, or a page of the
dashboard made, answers wait for that. Python's own 5 ms are a whole answer of a fast provider."""
CLOSING_S = 60.0
"""What closing may take, once nobody is answered any more."""
_NO_NAME = (socket.EAI_NONAME, socket.EAI_AGAIN)
"""What looking up a host ends with; `socket.create_server` tells it as a plain OSError."""
_REASONS = {errno.EADDRINUSE: "is in use", errno.EADDRNOTAVAIL: "is not an address of this machine"}


@click.command("serve", short_help="Serve the OpenAI API, routed, on this machine.")
@click.option("--host", metavar="HOST", help="Where to listen; any but a loopback address needs a key to be there.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="8484 if not set; 0 takes a free one.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes that share the port, and all else; 1 if not set.",
)
@click.option("--exit-with-parent", is_flag=True, help="End when the process that started this one has ended.")
@simulate_option
@settings_options
def command(
    host: str | None,
    port: int | None,
    workers: int | None,
    exit_with_parent: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Serve the OpenAI API, routed, on this machine.

    Runs until Ctrl-C or SIGTERM; streams that are open then may finish, for server.drain_seconds. A changed settings
    file is taken over while it runs.
    """
    parent = os.getppid() if exit_with_parent else None
    logs.configure(level=logging.INFO, no_color="NO_COLOR" in os.environ)
    named = {"server.host": host, "server.port": port, "server.workers": workers}
    given = {key: value for key, value in named.items() if value is not None}
    source = source_of(config, {**flags, **given}, simulate=simulate)
    settings, registry = source.load()
    worker = None
    if settings.server.workers > 1:
        worker = _worker(settings, registry, parent)
        parent = worker.supervisor
        logs.configure(level=logging.INFO, no_color="NO_COLOR" in os.environ, worker=worker.number)
    with ClosingLimit(CLOSING_S, _leave) as closing:
        run(_serve(source, parent, worker, closing))


class ClosingLimit:
    """The last resort: a database that stands still without an error keeps threads waiting that nothing else ends.

    Nothing is lost: what the database has not taken is in the journal, as after a kill, and comes at the next start.
    """

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self.timer = threading.Timer(seconds, end)
        self.timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        """From now on; who has left the block by then was in time."""
        self.timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.timer.cancel()


def _leave() -> None:
    log.error("closing takes longer than %d s: ended without; the ledger's journal keeps what is left", CLOSING_S)
    os._exit(1)


def _worker(settings: Settings, registry: Registry, parent: int | None) -> Worker:
    """Returns in each worker, and nowhere else."""
    import routewright.gateway.server  # noqa: F401 before there are several, so that they share it

    def announce(address: str) -> None:
        say(f"routewright serving on {address} by {settings.server.workers} workers")
        for line in introduction(address, settings, registry, needs_key=settings.server_key is not None):
            say(line)

    server = settings.server
    try:
        return supervise(
            server.workers,
            server.host,
            server.port,
            drain_s=server.linger_seconds + server.drain_seconds,
            announce=announce,
            parent=parent,
        )
    except OSError as error:
        raise _refused(settings, error) from error


async def _serve(source: SettingsSource, parent: int | None, worker: Worker | None, closing: ClosingLimit) -> None:
    from routewright.gateway.server import serve

    runtime = Runtime.open(source, is_worker=worker is not None)
    settings, registry = runtime.engine.settings, runtime.engine.registry
    is_serving = False

    def announce(address: str) -> None:
        nonlocal is_serving
        is_serving = True
        if worker is not None:
            worker.tell_ready()
            return
        say(f"routewright serving on {address}")
        for line in introduction(address, settings, registry, needs_key=runtime.needs_key):
            say(line)

    try:
        await serve(runtime, announce, parent=parent, worker=worker, on_closing=closing.begin)
    except OSError as error:
        if is_serving:
            raise
        raise _refused(settings, error) from error
    finally:
        await runtime.close()


def introduction(address: str, settings: Settings, registry: Registry, *, needs_key: bool) -> list[str]:
    """What is served, where its accounts are, and three lines to copy."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}'
    key = ' -H "authorization: Bearer $ROUTEWRIGHT_KEY"' if needs_key else ""
    return [
        f"  {_served(registry)}",
        f"  ledger: {ledger_file(settings) or settings.ledger.database_url}",
        "",
        f"  export OPENAI_BASE_URL={address}/v1",
        f"  curl {address}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'",
        "  routewright report",
        "",
    ]


def _served(registry: Registry) -> str:
    callable_models = [model for model in registry.models.values() if model.deployments]
    models = counted(len(callable_models), "model")
    if all(place.base_url == SIMULATOR_SCHEME for place in registry.deployments.values()):
        return f"{models}, simulated: every answer is made up, no provider is called and nothing is spent"
    providers = dict.fromkeys(place.provider for model in callable_models for place in model.deployments)
    return f"{models} from {', '.join(providers)}"


def _refused(settings: Settings, error: OSError) -> AddressUnavailable:
    host, port = settings.server.host, settings.server.port
    if error.errno in _NO_NAME:
        return AddressUnavailable(f"{host} is not the name of an address", hint="use --host 127.0.0.1")
    reason = _REASONS.get(error.errno or 0, f"cannot be listened on: {os.strerror(error.errno or 0)}")
    another = port + 1 if 1024 <= port < 65535 else 8484
    hint = (
        "use --host 127.0.0.1"
        if error.errno == errno.EADDRNOTAVAIL
        else f"use another port: routewright serve --port {another}"
    )
    return AddressUnavailable(f"{host}:{port} {reason}", hint=hint)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run it by uvloop, or without where that is not installed; threads beside the loop give way to it soon."""
    sys.setswitchinterval(SWITCH_S)
    start: Callable[[Coroutine[Any, Any, None]], None]
    try:
        from uvloop import run as start
    except ImportError:
        start = asyncio.run
    start(main)
