"""Circuit breaker: stops calling a deployment that is failing, and lets one probe through after a rest.

A `Circuit` is pure and most of this file; the layer is the thin part. Only the deployment's own failures count: never
the caller's mistake, never a client that left. A 429 is a cooldown that the provider asked for, not an illness.
"""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.errors import CircuitOpen, ProviderError
from routewright.layers.service import Service
from routewright.reply import Ending, Reply

WINDOW_S = 30.0
MINIMUM_CALLS = 10
FAILURE_RATE = 0.5
FAILURES_IN_A_ROW = 5
FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
MAX_SAMPLES = 1000
"""The window's memory; beyond it the oldest call is forgotten early."""


class State(StrEnum):
    """closed → open (resting) → half-open (one probe out) → closed, or open again for twice as long."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Circuit:
    """The health of one deployment. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self._samples: deque[tuple[float, bool]] = deque(maxlen=MAX_SAMPLES)
        self._failed_in_a_row = 0
        self._rest_s = FIRST_REST_S
        self._rests_until = 0.0
        self._cools_until = 0.0

    def rests_for_s(self, now: float) -> float:
        """How long calls are still refused, in seconds; 0 when one may pass."""
        until = self._cools_until
        if self.state is State.OPEN:
            until = max(until, self._rests_until)
        if self.state is State.HALF_OPEN:
            until = max(until, now + self._rest_s)
        return max(0.0, until - now)

    def admits(self, now: float) -> bool:
        """Whether a call may pass; the one that passes an open circuit after its rest is the probe."""
        if self.rests_for_s(now) > 0:
            return False
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN
        return True

    def answered(self) -> None:
        """A call's first event has come: enough for a probe, which need not be waited for to its end."""
        if self.state is State.HALF_OPEN:
            self.state = State.CLOSED
            self._samples.clear()
            self._failed_in_a_row = 0
            self._rest_s = FIRST_REST_S

    def succeeded(self, now: float) -> None:
        """A call went well to its end."""
        self._failed_in_a_row = 0
        self._samples.append((now, True))

    def failed(self, now: float) -> None:
        """A call met the deployment's own failure."""
        self._samples.append((now, False))
        self._failed_in_a_row += 1
        if self.state is State.HALF_OPEN:
            self._open(now, min(self._rest_s * 2, LONGEST_REST_S))
        elif self.state is State.CLOSED and self._is_failing(now):
            self._open(now, self._rest_s)

    def cooled(self, now: float, pause_s: float) -> None:
        """The provider asked for a pause."""
        self._cools_until = max(self._cools_until, now + pause_s)
        self.gave_no_verdict()

    def gave_no_verdict(self) -> None:
        """A call ended without saying anything about health; if it was the probe, the next call is the probe."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN

    def _is_failing(self, now: float) -> bool:
        while self._samples and self._samples[0][0] < now - WINDOW_S:
            self._samples.popleft()
        failures = sum(not went_well for _, went_well in self._samples)
        is_often = len(self._samples) >= MINIMUM_CALLS and failures >= FAILURE_RATE * len(self._samples)
        return is_often or self._failed_in_a_row >= FAILURES_IN_A_ROW

    def _open(self, now: float, rest_s: float) -> None:
        self.state = State.OPEN
        self._rest_s = rest_s
        self._rests_until = now + rest_s


class Circuits:
    """One circuit per deployment, kept over reloads of the settings."""

    def __init__(self) -> None:
        self._circuits: dict[str, Circuit] = {}

    def of(self, deployment_id: str) -> Circuit:
        """The circuit of a deployment."""
        return self._circuits.setdefault(deployment_id, Circuit())

    def resting(self, now: float) -> Mapping[str, str]:
        """Deployment → why it is not called now; for the decision, which puts such a model last."""
        return {
            name: f"circuit open for {rest_s:.1f} s"
            for name, circuit in self._circuits.items()
            if (rest_s := circuit.rests_for_s(now)) > 0
        }

    def keep_only(self, deployment_ids: frozenset[str]) -> None:
        """Forget deployments that the settings no longer name."""
        self._circuits = {name: circuit for name, circuit in self._circuits.items() if name in deployment_ids}


class Breaker:
    """Refuses at once while a deployment rests, and tells its circuit how every call ended."""

    def __init__(self, circuits: Circuits, clock: Clock) -> None:
        self._circuits = circuits
        self._clock = clock

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        circuit = self._circuits.of(attempt.deployment.id)
        now = self._clock.monotonic()
        if not circuit.admits(now):
            raise CircuitOpen(
                f"{attempt.deployment.id} is resting after failures or at its own wish",
                retry_after_s=circuit.rests_for_s(now),
            )
        try:
            reply = await forward(attempt)
        except ProviderError as error:
            self._judge(circuit, error)
            raise
        except BaseException:
            circuit.gave_no_verdict()
            raise
        circuit.answered()
        return reply.on_close(lambda closed: self._close(circuit, closed))

    def _close(self, circuit: Circuit, reply: Reply) -> None:
        if reply.ending is Ending.COMPLETE:
            circuit.succeeded(self._clock.monotonic())
        elif isinstance(reply.error, ProviderError):
            self._judge(circuit, reply.error)
        else:
            circuit.gave_no_verdict()

    def _judge(self, circuit: Circuit, error: ProviderError) -> None:
        now = self._clock.monotonic()
        if error.is_sick:
            circuit.failed(now)
        elif error.retry_after_s is not None:
            circuit.cooled(now, error.retry_after_s)
        else:
            circuit.gave_no_verdict()
