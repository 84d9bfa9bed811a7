"""The gateway as a process: uvicorn around the application, settings followed, streams drained before it ends."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from routewright.gateway.app import Gateway
from routewright.gateway.batches_running import JobRunner
from routewright.gateway.connection import Connection, Entrance, Limits
from routewright.gateway.memory import limit_bytes, watch_memory
from routewright.jobs.watch import Watch
from routewright.runtime import Runtime
from routewright.settings.schema import ServerSettings

log = logging.getLogger(__name__)

IDLE_CONNECTION_S = 75
BACKLOG = 2048
UNSENT_BYTES = 128 * 1024
"""Of an answer, in the socket of a client that does not read; without it the kernel takes megabytes for each."""
AGAIN_AFTER_S = 1.0
LOOK_AT_PARENT_EVERY_S = 0.5
SPARE_FILES = 256
"""Kept for the ledger and everything else when connections are counted by how many files may be open."""
LAST_WORDS_S = 5.0
"""For what is cut off at the end to say so to its clients, and to settle."""
COLLECT_AFTER = (10_000, 20, 50)
"""New values, and collections of the younger ones, after which the collector looks for cycles."""
_ENDS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """One that announces its address, flips readiness at once when told to stop, and returns instead of dying of it."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, watch: Watch, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self.gateway = gateway
        self.watch = watch
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and only then say where."""
        await super().startup(sockets)
        for listener in self.servers:
            host, port = listener.sockets[0].getsockname()[:2]
            self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait as long as it was allowed to; what is not over then is cut off here, while it can still be settled."""
        await super().shutdown(sockets)
        leftover = [task for task in self.server_state.tasks if not task.done()]
        for task in leftover:
            task.cancel()
        if leftover:
            await asyncio.wait(leftover, timeout=LAST_WORDS_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not uvicorn's own, which raises the signal again at the end and so would leave the ledger unflushed."""
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets what runs finish, a second one ends it."""
        self.gateway.is_draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def follow_parent(self, parent: int) -> None:
        """End, as by a second signal, when the process with this id is no longer our parent."""
        while not self.force_exit:
            await asyncio.sleep(LOOK_AT_PARENT_EVERY_S)
            if os.getppid() != parent:
                log.warning("the process that started this gateway has ended, and so does this one")
                self.should_exit = True
                self.handle_exit(signal.SIGTERM, None)


def make_server(runtime: Runtime, announce: Callable[[str], None], limits: Limits) -> Server:
    """A server around the gateway of a runtime; `announce` is given the address once requests are taken."""
    watch = Watch(runtime)
    gateway = Gateway(
        runtime.engine,
        runtime.clock,
        keyring=runtime.keyring,
        directory=runtime.directory,
        jobs=JobRunner(runtime),
        policies=runtime.policies,
        payer_of=runtime.payer_of,
        backlog_bytes=runtime.backlog_bytes,
        budgets=runtime.engine.budgets,
        alerts=lambda: runtime.alerts.raised,
        drift=lambda: watch.standing,
        prices_date=lambda: runtime.prices_date,
    )
    connection: Any = partial(Connection, entrance=Entrance(limits, gateway.write_refusal))
    config = uvicorn.Config(
        gateway,
        http=connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_CONNECTION_S,
        timeout_graceful_shutdown=runtime.engine.settings.server.drain_seconds,
    )
    return Server(config, gateway, watch, announce)


async def serve(runtime: Runtime, announce: Callable[[str], None], *, parent: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the process `parent` has gone; then close the runtime.

    `announce` is given the address once requests are taken. Raises OSError when the address cannot be had,
    SettingsError when others reach it and nobody needs a key.
    """
    settings = runtime.engine.settings.server
    runtime.open_door()
    server = make_server(runtime, announce, limits_of(settings))
    follows: tuple[Callable[[], Awaitable[None]], ...] = (
        partial(watch_memory, server.gateway.workload, limit_bytes(settings.max_memory_mb)),
        runtime.follow_settings,
        runtime.follow_address,
        runtime.follow_ledger,
        runtime.follow_budgets,
        runtime.follow_redis,
        runtime.directory.follow,
        runtime.policies.follow,
        partial(watch_promises, runtime),
        server.gateway.batch_work.follow,
        server.gateway.batch_work.follow_age,
        runtime.housekeeping.follow_neighbours,
        runtime.housekeeping.follow_days,
        server.watch.follow,
        *([] if parent is None else [partial(server.follow_parent, parent)]),
    )
    following = asyncio.gather(*map(follow_steadily, follows))
    _spare_the_collector()
    with until_the_end(server.handle_exit):
        try:
            with listen(settings.host, settings.port) as listener:
                await server.serve([listener])
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            await asyncio.to_thread(server.watch.stop)
            server.gateway.ui.close()
            await runtime.close()


def _spare_the_collector() -> None:
    """What there is when serving begins stays for ever, and hardly a request leaves a cycle: to look for some in all of
    it after every few hundred values took a tenth of a request's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@contextlib.contextmanager
def until_the_end(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have signals to end handled so for the block, and ignored after it: what then is left is the process's own end.

    Nothing is restored, as the default would kill a process that is about to say how it went.
    """
    for number in _ENDS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)


async def watch_promises(runtime: Runtime) -> None:
    """Check what tuned policies were put in force for, and take back what no longer holds, while it is awaited."""
    from routewright.jobs.promise_watch import PromiseWatch  # it needs numpy, which not every gateway has loaded

    await PromiseWatch(runtime.store.database, runtime.clock).follow()


async def follow_steadily(follow: Callable[[], Awaitable[None]]) -> None:
    """Await `follow()`, and begin again after a failure: nobody would notice that revoked keys are let in again."""
    while True:
        try:
            await follow()
        except Exception:  # the outermost edge of a task: a bug in one of them must not end it for good
            log.exception("%s failed, and begins again", getattr(follow, "__qualname__", follow))
        await asyncio.sleep(AGAIN_AFTER_S)


def limits_of(settings: ServerSettings) -> Limits:
    """What the settings allow, and the operating system with them: each connection may need one to a provider too."""
    files = _open_files(2 * settings.max_connections + SPARE_FILES)
    return Limits(
        max_connections=max(1, min(settings.max_connections, (files - SPARE_FILES) // 2)),
        max_connections_per_address=settings.max_connections_per_address,
        max_header_bytes=settings.max_header_bytes,
        header_timeout_s=settings.header_timeout_ms / 1000,
    )


def _open_files(wanted: int) -> int:
    """How many files this process may have open; as many as wanted, if it may raise its limit so far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # some systems have a lower limit than they tell
        return soft
    return raised


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; made here, so that a port in use is an error to tell, not an exit inside the server.

    Its connections send what they are given at once: without that, and without uvloop, which sees to it itself, the
    body of an answer waits 40 ms for the head to be acknowledged.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # before Python 3.12 only on some systems
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener
