"""The gateway as a process: uvicorn around the application, settings followed, streams drained before it ends."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from routewright.gateway.app import Gateway
from routewright.gateway.batches_running import JobRunner
from routewright.gateway.connection import Connection
from routewright.gateway.entrance import Entrance, Limits
from routewright.gateway.lingering import let_in
from routewright.gateway.memory import limit_bytes, watch_memory
from routewright.gateway.siblings import Siblings, socket_path
from routewright.gateway.workers import Worker
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
LOOK_FOR_FORCE_EVERY_S = 0.1
SPARE_FILES = 256
"""Kept for the ledger and everything else when connections are counted by how many files may be open."""
LAST_WORDS_S = 5.0
"""For what is cut off at the end to say so to its clients, and to settle."""
COLLECT_AFTER = (10_000, 20, 50)
"""New values, and collections of the younger ones, after which the collector looks for cycles."""
_ENDS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """One that announces its address, flips readiness at once when told to stop, and returns instead of dying of it."""

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        watch: Watch,
        announce: Callable[[str], None],
        entrance: Entrance,
        linger_s: float,
    ) -> None:
        """`linger_s` is for how long requests are still taken after SIGTERM."""
        super().__init__(config)
        self.gateway = gateway
        self.watch = watch
        self._announce = announce
        self._entrance = entrance
        self._linger_s = linger_s
        self.ended_by: tuple[signal.Signals, ...] = _ENDS
        """Which signals, when the second one comes, end what runs at once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and only then say where."""
        await super().startup(sockets)
        for listener in sockets or []:
            if listener.family == socket.AF_UNIX:
                continue
            host, port = listener.getsockname()[:2]
            self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait as long as it was allowed to; what is not over then is cut off here, while it can still be settled."""
        if self._linger_s:
            await self._linger(sockets or [])
        await super().shutdown(sockets)
        leftover = [task for task in self.server_state.tasks if not task.done()]
        for task in leftover:
            task.cancel()
        if leftover:
            await asyncio.wait(leftover, timeout=LAST_WORDS_S)

    async def _linger(self, listeners: list[socket.socket]) -> None:
        """Go on serving, one request per connection, while proxies learn to go elsewhere; then let in who knocked."""
        self._entrance.keeps_alive = False
        ends = time.monotonic() + self._linger_s
        while time.monotonic() < ends and not self.force_exit:  # noqa: ASYNC110 a signal handler ends it
            await asyncio.sleep(LOOK_FOR_FORCE_EVERY_S)
        await let_in(listeners)

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
        if sig == signal.SIGINT:  # of somebody at a terminal, who waits for it
            self._linger_s = 0
        self.gateway.is_draining = True
        self.force_exit = self.force_exit or (self.should_exit and sig in self.ended_by)
        self.should_exit = True

    async def follow_parent(self, parent: int) -> None:
        """End, as by a second signal, when the process with this id is no longer our parent."""
        while not self.force_exit:
            await asyncio.sleep(LOOK_AT_PARENT_EVERY_S)
            if os.getppid() != parent:
                log.warning("the process that started this gateway has ended, and so does this one")
                self.should_exit = True
                self.handle_exit(signal.SIGINT, None)


def make_server(
    runtime: Runtime, announce: Callable[[str], None], limits: Limits, siblings: Siblings | None = None
) -> Server:
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
        siblings=siblings,
        prices_date=lambda: runtime.prices_date,
    )
    entrance = Entrance(limits, gateway.write_refusal)
    connection: Any = partial(Connection, entrance=entrance)
    config = uvicorn.Config(
        gateway,
        http=connection,
        interface="asgi3",  # by which it is left as it is: we speak our own way with it
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_CONNECTION_S,
        timeout_graceful_shutdown=runtime.engine.settings.server.drain_seconds,
    )
    return Server(config, gateway, watch, announce, entrance, runtime.engine.settings.server.linger_seconds)


async def serve(
    runtime: Runtime,
    announce: Callable[[str], None],
    *,
    parent: int | None = None,
    worker: Worker | None = None,
    on_closing: Callable[[], object] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process `parent` has gone; then close the runtime.

    `announce` is given the address once requests are taken, `on_closing` is called when nobody is answered any more; a
    `worker` is one of several processes on its port. Raises OSError when the address cannot be had, SettingsError when
    others reach it and nobody needs a key.
    """
    settings = runtime.engine.settings.server
    runtime.open_door()
    siblings = None if worker is None else _siblings(runtime, worker)
    server = make_server(runtime, announce, limits_of(settings), siblings)
    if worker is not None:  # whoever manages a whole group of processes sends SIGTERM to it, and so to us twice
        server.ended_by = (signal.SIGINT,)
    memory = limit_bytes(settings.max_memory_mb) // (worker.count if worker else 1)
    follows: tuple[Callable[[], Awaitable[None]], ...] = (
        partial(watch_memory, server.gateway.workload, memory),
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
            with contextlib.ExitStack() as listeners:
                await server.serve([listeners.enter_context(each) for each in _listeners(settings, worker)])
        finally:
            on_closing()
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


def _siblings(runtime: Runtime, worker: Worker) -> Siblings:
    engine = runtime.engine
    return Siblings(
        worker,
        max_body_bytes=lambda: engine.settings.server.max_body_bytes,
        counts_keys=engine.rounds is None,
    )


def _listeners(settings: ServerSettings, worker: Worker | None) -> Iterator[socket.socket]:
    """For clients; and of a worker for its siblings."""
    if worker is None:
        yield listen(settings.host, settings.port)
        return
    path = socket_path(worker.folder, worker.number)
    path.unlink(missing_ok=True)  # of the one that died
    within = socket.socket(socket.AF_UNIX)
    within.bind(str(path))
    within.listen(BACKLOG)
    yield within
    yield listen(settings.host, worker.port, is_shared=True)


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
    while not runtime.policies.has_promises:  # noqa: ASYNC110 the follower tells nobody
        await asyncio.sleep(AGAIN_AFTER_S)
    from routewright.jobs.promise_watch import PromiseWatch  # with all that tuning takes, which few gateways need

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


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A listening socket; made here, so that a port in use is an error to tell, not an exit inside the server.

    One that is shared is given some of the connections to its port, as are others of the same user.

    Its connections send what they are given at once: without that, and without uvloop, which sees to it itself, the
    body of an answer waits 40 ms for the head to be acknowledged.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=is_shared)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # before Python 3.12 only on some systems
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener
