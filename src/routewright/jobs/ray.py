"""A batch asked by actors on a Ray cluster: who asks, and what becomes of the questions of an actor that dies.

The process that has the job stays what it is: it reads the input, writes the output and tells the store (`runner`).
Only asking is elsewhere. Each actor has an engine of its own (`ray_actor`), and they share what gateways share: the
ledger, the escrow of its budgets, and Redis. An actor that dies takes with it what it was asking; that is asked again
by another one, and its holds are settled as those of any process that died.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import structs

from routewright.call import Call
from routewright.errors import BadInput, ClusterUnusable, RoutewrightError
from routewright.jobs.answering import RunEnded
from routewright.jobs.job import Job
from routewright.jobs.ray_actor import Answerer, Common, Posting, machine
from routewright.jobs.runner import Take
from routewright.reply import Receipt
from routewright.runtime import Runtime

log = logging.getLogger(__name__)

ACTORS = 2
PATIENCE_S = 60.0
"""How long a batch waits for its first actor, or for another one when none is left."""
CLOSE_S = 15.0
MOST_DEATHS = 3
"""Of actors, while one question was asked: then it has failed. Or before they could begin: then the run ends."""
PAUSE_S = 1.0
_SPARE = 8
"""Calls that an actor takes beside its questions: to settle, to close."""
_OBJECTS_BYTES = 128 * 1024 * 1024


def load_ray() -> Any:
    """The package. Raises BadInput where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise BadInput("--engine ray needs Ray", hint='pip install "routewright[ray]"') from error
    return ray


class _Seat:
    """One actor, and how much it is asked now."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asking = 0


class RayCrew:
    """A `Crew` of actors; entered, it connects to the cluster, or starts one on this machine."""

    def __init__(
        self,
        runtime: Runtime,
        job: Job,
        *,
        actors: int,
        concurrency: int,
        address: str | None = None,
    ) -> None:
        """`concurrency` is of each. Raises BadInput where Ray is not installed."""
        self._ray = load_ray()
        self._runtime = runtime
        self._job = job
        self._actors = actors
        self._each = concurrency
        self._address = address
        self._seats: list[_Seat] = []
        """Of actors that have begun and are not known to be dead."""
        self._filling: set[asyncio.Task[None]] = set()
        self._has_changed = asyncio.Event()
        self._failure: RoutewrightError | None = None
        self._owns_connection = False

    async def __aenter__(self) -> "RayCrew":
        self._connect()
        try:
            for _ in range(self._actors):
                self._fill()
            await self._free()
        except RunEnded as error:
            await self.__aexit__()
            raise error.cause from error
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._filling:
            task.cancel()
        await asyncio.gather(*self._filling, return_exceptions=True)
        await asyncio.gather(*(self._dismiss(seat.actor) for seat in self._seats))
        await asyncio.to_thread(self._runtime.housekeeping.look_at_neighbours)
        if self._owns_connection:
            self._ray.shutdown()

    # -- asking

    async def ask(self, call: Call, take: Take) -> Receipt | None:
        """See `Crew.ask`. When its actor dies before it has answered, another one is asked."""
        for _ in range(MOST_DEATHS):
            seat = await self._free()
            seat.asking += 1
            try:
                answered = await self._told(seat, seat.actor.answer, call, self._left_s(call))
                if isinstance(answered, RoutewrightError):
                    raise answered
                if answered is not None:
                    take(answered)
                    return await self._settled(seat, answered.request_id)
            finally:
                seat.asking -= 1
                self._has_changed.set()
            call = structs.replace(call, id=self._runtime.engine.mint_id())
        raise ClusterUnusable(
            f"{MOST_DEATHS} actors died while they asked this",
            hint="see Ray's logs of them: too little memory, as a rule",
        )

    async def _settled(self, seat: _Seat, request_id: str) -> Receipt | None:
        receipt = await self._told(seat, seat.actor.settle, request_id)
        if isinstance(receipt, RoutewrightError):
            raise receipt
        if receipt is None:  # it died with the hold open: that is settled for it, if its journal is here
            await asyncio.to_thread(self._runtime.housekeeping.look_at_neighbours)
        assert receipt is None or isinstance(receipt, Receipt)
        return receipt

    async def _told(self, seat: _Seat, method: Any, *arguments: object) -> Any:
        """What an actor says; None if it is lost. A mistake of ours in there is raised as it would be here."""
        try:
            return await method.remote(*arguments)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            self._lose(seat, error)
            return None

    def _left_s(self, call: Call) -> float:
        return call.deadline_at - self._runtime.clock.monotonic()

    async def _free(self) -> _Seat:
        """The actor that is asked least, once there is one with room. Raises RunEnded when none can be had."""
        while True:
            if self._failure is not None:
                raise RunEnded(self._failure)
            with_room = [seat for seat in self._seats if seat.asking < self._each]
            if with_room:
                return min(with_room, key=lambda seat: seat.asking)
            self._has_changed.clear()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._has_changed.wait()
            except TimeoutError:
                if not self._seats and self._failure is None:
                    self._failure = ClusterUnusable(
                        f"no actor could be placed within {PATIENCE_S:g} s",
                        hint="each needs a CPU of the cluster: see `ray status`, or say fewer --actors",
                    )

    # -- actors

    def _fill(self) -> None:
        task = asyncio.create_task(self._seat_one())
        self._filling.add(task)
        task.add_done_callback(self._filling.discard)

    async def _seat_one(self) -> None:
        """Have one more actor; one that dies before it has begun is tried again."""
        posting = Posting(
            source=self._runtime.source,
            job=self._job,
            common=Common(catalog=self._runtime.engine.registry.version, machine=machine()),
        )
        refusal: RoutewrightError | None = None
        for _ in range(MOST_DEATHS):
            actor = self._new_actor()
            try:
                refusal = await actor.begin.remote(posting)
            except self._ray.exceptions.RayError as error:
                refusal = ClusterUnusable(f"actors die before they can begin: {_first_line(error)}", hint=_INSTALL)
                self._ray.kill(actor)
                await asyncio.sleep(PAUSE_S)
            except asyncio.CancelledError:
                self._ray.kill(actor)
                raise
            else:
                break
        if refusal is None:
            self._seats.append(_Seat(actor))
        else:
            self._failure = refusal
        self._has_changed.set()

    def _new_actor(self) -> Any:
        options = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": self._each + _SPARE}
        return self._ray.remote(Answerer).options(**options, scheduling_strategy="SPREAD").remote()

    def _lose(self, seat: _Seat, error: Exception) -> None:
        """An actor does not answer: nothing more is asked of it, and another one takes its place."""
        if seat not in self._seats:
            return
        self._seats.remove(seat)
        log.warning("an actor is lost, what it was asking is asked again: %s", _first_line(error))
        self._ray.kill(seat.actor)  # cut off is not dead
        self._fill()

    async def _dismiss(self, actor: Any) -> None:
        with suppress(TimeoutError, self._ray.exceptions.RayError):
            async with asyncio.timeout(CLOSE_S):
                await actor.close.remote()
        self._ray.kill(actor)

    # -- the cluster

    def _connect(self) -> None:
        """Raises ClusterUnusable. A process that is connected already stays so."""
        if self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = self._address or os.environ.get("RAY_ADDRESS") or "local"
        own: dict[str, Any] = {}
        if address == "local":
            own = {"num_cpus": self._actors, "object_store_memory": _OBJECTS_BYTES, "include_dashboard": False}
        handler = _keeping_sigterm()
        try:
            self._ray.init(address=address, log_to_driver=False, configure_logging=False, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterUnusable(
                f"there is no Ray cluster at {address}: {_first_line(error)}",
                hint="start one with `ray start --head`, or leave --ray-address out for one on this machine",
            ) from error
        finally:
            handler()
        self._owns_connection = True


_INSTALL = "all nodes need the same Python with routewright[ray] in it"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _keeping_sigterm() -> Callable[[], object]:
    """Ray takes the signal for itself; what this returns gives it back to whoever had it."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.getsignal(signal.SIGTERM)
    return lambda: signal.signal(signal.SIGTERM, before)
