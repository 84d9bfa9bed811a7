"""Circuit breaker: stops calling a deployment that is failing, and lets one call at a time find out whether it is back.

What a call meets is told to the deployment's `circuit`, which decides. Only the deployment's own failures count: never
the caller's mistake, never a client that left, nothing that was met while our own event loop stood still.
"""

from asyncio import CancelledError
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from random import Random
from types import MappingProxyType

from routewright.call import Attempt
from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.errors import CircuitOpen, CoolingDown, IdleTimeout, ProviderError, ProviderOverloaded
from routewright.layers.circuit import FIRST_REST_S, Circuit, Origin, Pass, State
from routewright.layers.hearsay import NobodyElse, Turns
from routewright.layers.lag import Lag
from routewright.layers.service import Service
from routewright.layers.slowness import FEWEST, Wait, Waits
from routewright.reply import Ending, Reply
from routewright.secret import Secret

NOBODY: Mapping[str, str] = MappingProxyType({})


class Circuits:
    """One circuit per deployment and credential, kept over reloads: with a new key a deployment starts anew."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._circuits: dict[tuple[str, Secret | None], Circuit] = {}
        self._asked_for: dict[str, tuple[Deployment, Circuit]] = {}
        """By the deployment's id, as it was asked for last: keys are dear to compare."""
        self._uncalm: dict[tuple[str, Secret | None], None] = {}
        """Those that were not calm when they were last looked at, in the order in which that began."""

    def of(self, deployment: Deployment) -> Circuit:
        """The circuit of a deployment."""
        known = self._asked_for.get(deployment.id)
        if known is not None and known[0] is deployment:
            return known[1]
        key = deployment.id, deployment.key
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = Circuit(self._random, lambda: self._uncalm.setdefault(key))
        self._asked_for[deployment.id] = deployment, circuit
        return circuit

    def resting(self, now: float) -> Mapping[str, str]:
        """Deployment → why it is not called now; for the decision, which puts such a model last."""
        if not self._uncalm:
            return NOBODY
        known = ((key, self._circuits.get(key)) for key in self._uncalm)  # who is forgotten may still be told of a call
        uncalm = [(key, circuit) for key, circuit in known if circuit is not None and not circuit.is_calm(now)]
        self._uncalm = {key: None for key, _ in uncalm}
        return dict(self._resting([(name, circuit) for (name, _), circuit in uncalm], now))

    def _resting(self, circuits: Iterable[tuple[str, Circuit]], now: float) -> Iterator[tuple[str, str]]:
        for name, circuit in circuits:
            rest_s = circuit.rests_for_s(now)
            if rest_s > 0:
                yield name, f"circuit open for {rest_s:.1f} s: {circuit.why}"
            elif (pause_s := circuit.cools_for_s(now)) > 0:
                yield name, f"cooling down for {pause_s:.1f} s at the provider's wish"

    def ailing(self, now: float) -> frozenset[str]:
        """The deployments that do not take every call now."""
        circuits = self._circuits.items()
        return frozenset(
            name for (name, _), each in circuits if each.state is not State.CLOSED or each.cools_for_s(now) > 0
        )

    def all(self) -> Iterable[tuple[tuple[str, Secret | None], Circuit]]:
        """Every circuit, with its deployment's id and key."""
        return self._circuits.items()

    def keep_only(self, deployments: Iterable[Deployment]) -> None:
        """Forget deployments and credentials that the settings no longer name."""
        named = {(each.id, each.key) for each in deployments}
        self._circuits = {key: circuit for key, circuit in self._circuits.items() if key in named}
        self._uncalm = {key: None for key in self._uncalm if key in named}
        self._asked_for = {}


class Breaker:
    """Refuses at once while a deployment rests, and tells its circuit how every call ended."""

    def __init__(self, circuits: Circuits, waits: Waits, clock: Clock, turns: Turns | None = None) -> None:
        self._circuits = circuits
        self._waits = waits
        self._clock = clock
        self._turns = turns or NobodyElse()
        self._lag = Lag(clock)

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        circuit, started_at = self._circuits.of(attempt.deployment), self._clock.monotonic()
        state = circuit.state
        passed = circuit.admit(started_at) or self._admit_only(attempt, circuit, started_at)
        if circuit.state is not state:
            self._forget_waits(attempt)
        self._lag.begin()
        try:
            if passed.is_probe and not await self._turns.take(attempt.deployment):
                passed = self._leave_turn(attempt, circuit, passed)
            reply = await forward(attempt)
        except BaseException as error:
            state = circuit.state
            self._lag.end()
            if isinstance(error, CancelledError) and self._has_become_slow(attempt, passed, started_at, Wait.BEGINNING):
                circuit.failed(passed, self._clock.monotonic(), Origin.SLOW, is_lasting=True)
            else:
                self._judge(circuit, passed, error, started_at)
            if circuit.state is not state:
                self._forget_waits(attempt)
            raise
        state = circuit.state
        if self._is_slow(attempt, circuit, passed, started_at, Wait.BEGINNING, reply.first_wait_s):
            circuit.failed(passed, self._clock.monotonic(), Origin.SLOW, is_lasting=True)
        else:
            circuit.answered(passed, self._clock.monotonic())
        if circuit.state is not state:
            self._forget_waits(attempt)
        return reply.on_close(partial(self._close, circuit, passed, started_at))

    def _forget_waits(self, attempt: Attempt) -> None:
        """What a circuit was told has moved it, so what its place was waited for is forgotten: a place that rests, or
        takes few calls yet, is not as slow, or as fast, as one that takes all."""
        self._waits.forget(attempt.deployment.id, self._clock.monotonic())

    def _admit_only(self, attempt: Attempt, circuit: Circuit, now: float) -> Pass:
        """Leave for a call that has no other place to go. Raises CircuitOpen or CoolingDown."""
        is_only = self._is_nobody_awake(attempt, now)
        passed = circuit.admit(now, is_only=True) if is_only else None
        if passed is not None:
            return passed
        name, pause_s = attempt.deployment.id, circuit.cools_for_s(now)
        if pause_s > 0:
            raise CoolingDown(f"{name} asked for a pause, of which {pause_s:.1f} s are left", retry_after_s=pause_s)
        rest_s = circuit.rests_for_s(now, is_only=is_only) or FIRST_REST_S
        raise CircuitOpen(f"{name} is resting, as {circuit.why}", retry_after_s=rest_s)

    def _leave_turn(self, attempt: Attempt, circuit: Circuit, passed: Pass) -> Pass:
        """Another gateway probes just now: leave to pass without, if there is. Raises CircuitOpen or CoolingDown."""
        now = self._clock.monotonic()
        circuit.is_anothers_turn(passed, now)
        return self._admit_only(attempt, circuit, now)

    def _is_nobody_awake(self, attempt: Attempt, now: float) -> bool:
        ailing = self._circuits.ailing(now)
        places = (name for model in attempt.routed.route.eligible for name in model.deployments)
        return all(name in ailing or name == attempt.deployment.id for name in places)

    def _is_slow(
        self, attempt: Attempt, circuit: Circuit, passed: Pass, started_at: float, wait: Wait, wait_s: float
    ) -> bool:
        """Whether its place has become so with this wait. What comes whole is made in that time, so its wait says
        nothing."""
        if not attempt.routed.call.stream or not circuit.is_current(passed):
            return False
        self._waits.note(attempt.deployment.id, wait, self._clock.monotonic(), wait_s)
        return self._has_become_slow(attempt, passed, started_at, wait)

    def _has_become_slow(self, attempt: Attempt, passed: Pass, started_at: float, wait: Wait) -> bool:
        """Whether its place is far slower now than the model's other places that take calls."""
        places = attempt.model.deployments
        if len(places) == 1 or not attempt.routed.call.stream:
            return False
        now, name = self._clock.monotonic(), attempt.deployment.id
        if self._lag.stood_still(started_at, now):
            return False
        siblings = [place.id for place in places if self._circuits.of(place).state is State.CLOSED and place.id != name]
        if 2 * len(siblings) < len(places):  # with fewer than half of them, those left would be slow next
            return False
        is_slow = self._waits.are_long(name, wait, siblings, now, fewest=1 if passed.is_probe else FEWEST)
        if is_slow:
            self._waits.forget(name, now)
        return is_slow

    def _close(self, circuit: Circuit, passed: Pass, started_at: float, reply: Reply) -> None:
        state, attempt = circuit.state, reply.attempt
        self._lag.end()
        if reply.ending is not Ending.COMPLETE:
            self._judge(circuit, passed, reply.error, started_at)
        elif self._is_slow(attempt, circuit, passed, started_at, Wait.SILENCE, reply.longest_pause_s):
            circuit.failed(passed, self._clock.monotonic(), Origin.SLOW, is_lasting=True, fell_silent=True)
        else:
            circuit.succeeded(passed, self._clock.monotonic(), is_stream=attempt.routed.call.stream)
        if circuit.state is not state:
            self._forget_waits(attempt)

    def _judge(self, circuit: Circuit, passed: Pass, error: BaseException | None, started_at: float) -> None:
        """Tell the circuit what a failure says; nothing, if it is not the provider's, or the client just left."""
        now = self._clock.monotonic()
        if not isinstance(error, ProviderError) or error.is_unsent:
            circuit.gave_no_verdict(passed)
        elif isinstance(error, ProviderOverloaded):
            circuit.cooled(passed, now, error.retry_after_s or 0.0)
        elif not error.is_sick or self._lag.stood_still(started_at, now):
            circuit.gave_no_verdict(passed)
        else:
            origin = Origin.LOCAL if error.is_local else Origin.PROVIDER
            fell_silent = isinstance(error, IdleTimeout)
            circuit.failed(passed, now, origin, is_lasting=error.is_lasting, fell_silent=fell_silent)
