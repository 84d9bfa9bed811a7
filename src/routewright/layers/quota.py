"""Quota: how many calls may be in flight at a deployment, and which of those that wait goes next.

The limit is that of the settings, and less where the provider shows that it is too much: a 429 cuts it to 70 % of what
was in flight. It comes back in three seconds, fast at first and slowly near what was too much, and then feels its way
on with every answer that ends well (S. Ha and others, "CUBIC: A New TCP-Friendly High-Speed TCP Variant", 2008): to add
one at a time, as TCP once did, takes minutes after an outage. What the headers of an answer leave is not exceeded.

So a burst waits here for its turn instead of collecting refusals. Live calls go before those of a batch, and these
before shadows; among equals the tenants take turns, so that nobody waits for all that another has piled up. Who has
waited for long stands back behind its tenant's others, the newest of these first: in order of arrival, each would have
its turn when its client is about to give up, and all that is sent would be in vain, also long after what filled the
queue is over (B. Maurer, "Fail at Scale", 2015). Waiting ends with the deadline. Beyond the waiting room the last in
this order is refused at once, so that another model can take it: of who has most, the call that has waited for too
long, or else the newest.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from math import inf

from routewright.call import Attempt
from routewright.catalog.registry import Deployment
from routewright.clock import Clock
from routewright.errors import DeploymentBusy, ProviderOverloaded
from routewright.layers.service import Service
from routewright.layers.turns import Turns, Waiter
from routewright.reply import Allowance, Ending, Reply

WAITING_ROOM = 1000
"""How many calls may wait for one deployment; one whose turn is earlier takes the place of the last."""
CUT = 0.7
CUT_EVERY_S = 1.0
"""The refusals of one burst are one sign, not many."""
BACK_IN_S = 3.0
"""After a cut, the limit is by then what it was."""
BELOW = 0.95
"""What was too much at a place that answers is taken to be this much too much."""
GROWTH_SEEN_S = 0.25
"""How often those that wait see whether the limit has grown, where no call leaves."""
PATIENCE_S = 1.0
"""How long a call waits for what the headers leave, where another place could take it."""
UNSENT = "given up while it waited for its turn: nothing was sent"
"""A note on the cancellation of such a call, for the layer that would else have to take it for a costly one."""


class Limit:
    """How much one deployment takes. `now` is in monotonic seconds, and never goes back."""

    def __init__(self, most: int | None) -> None:
        """`most` is the limit of the settings."""
        self._most = inf if most is None else float(most)
        self._aim = self._most
        """What is grown to."""
        self._cut_at = -inf
        self._back_at = -inf
        """From when on the limit is what is aimed at."""
        self._cut_to = inf
        self._judged_at = -inf
        """When a refusal last said how much is too much."""
        self._answers = False
        """A call that was started since then has ended well."""
        self._calls_left = inf
        self._next_at = 0.0
        self._next_every_s = 0.0
        self._resets_at = 0.0

    def size(self, now: float) -> float:
        """How many calls may be in flight."""
        if now >= self._back_at:
            return self._aim
        return self._aim - (self._aim - self._cut_to) * (1 - (now - self._cut_at) / BACK_IN_S) ** 3

    def adopt(self, most: int | None) -> None:
        """The settings have changed; what was learned is kept, within them."""
        was_full, self._most = self._aim >= self._most, inf if most is None else most
        self._aim = self._most if was_full else min(self._aim, self._most)
        self._cut_to = min(self._cut_to, self._aim)

    def admits(self, now: float, in_flight: int) -> bool:
        """Whether one more call may go."""
        most = self._aim if now >= self._back_at else self.size(now)
        return in_flight + 1 <= most and (now >= self._resets_at or now >= self.opens_at(now))

    def opens_at(self, now: float) -> float:
        """When the headers leave room for one more call; in the past as a rule."""
        return 0.0 if now >= self._resets_at or self._calls_left > 0 else self._next_at

    def started(self, now: float) -> None:
        """One more call goes."""
        if now >= self._resets_at:
            return
        if self._calls_left > 0:
            self._calls_left -= 1
        else:
            self._next_at += self._next_every_s

    def told(self, now: float, allowance: Allowance, in_flight: int = 0) -> None:
        """An answer says what is left; of the `in_flight` other calls it may not count a single one yet."""
        was_pacing = self._calls_left <= 0 and now < self._resets_at
        self._calls_left = max(0, allowance.calls - in_flight)
        self._next_every_s = allowance.next_in_s
        if was_pacing and self._calls_left <= 0:  # the pace goes on: were it set anew, each answer would delay the next
            self._next_at = max(self._next_at, now - allowance.next_in_s)
        else:
            self._next_at = now + allowance.next_in_s
        self._resets_at = now + allowance.resets_in_s

    def overloaded(self, now: float, in_flight: int) -> None:
        """A call met a 429, `in_flight` with itself."""
        if now - self._cut_at < CUT_EVERY_S:
            return
        size = min(self.size(now), in_flight)
        if self._aim >= self._most:
            self._judge(now, min(self._most, in_flight))
        elif self._answers:  # else it refuses everything, which says nothing of how much it takes when it does not
            self._judge(now, max(1.0, self._aim * CUT, min(self._aim, in_flight * BELOW)))
        self._cut_at, self._back_at, self._cut_to = now, now + BACK_IN_S, max(1.0, size * CUT)

    def _judge(self, now: float, aim: float) -> None:
        self._aim, self._judged_at, self._answers = aim, now, False

    def went_well(self, now: float, started_at: float) -> None:
        """A call has ended well. The longer no other was too much, the larger is the step."""
        if started_at >= self._judged_at:
            self._answers = True
        if self._aim < self._most and now > self._back_at:
            self._aim = min(self._most, self._aim + max(1.0, now - self._back_at) / self._aim)


class Slots:
    """The places of one deployment: given to the most urgent, and among these to one tenant after the other."""

    def __init__(self, most: int | None, clock: Clock) -> None:
        self.limit = Limit(most)
        self._clock = clock
        self._in_flight = 0
        self._waiting = Turns()
        self._alarm: asyncio.TimerHandle | None = None

    def take(self, now: float) -> bool:
        """A place for one that need not wait; False where it must."""
        if self._waiting or not self.limit.admits(now, self._in_flight):
            return False
        self._start(now)
        return True

    async def wait(self, attempt: Attempt, now: float) -> None:
        """Wait for a place. Raises DeploymentBusy when the waiting room is full, or the place would come too late."""
        self._check_patience(attempt, now)
        call, turn = attempt.routed.call, asyncio.get_running_loop().create_future()
        waiter = Waiter(call.priority, call.tenant.key, now, turn)
        self._waiting.add(waiter)
        self._check_room(attempt, now)
        self._set_alarm(now)
        try:
            await turn
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            was_waiting = self._waiting.remove(waiter)
            if not (was_waiting or turn.cancelled() or turn.exception()):  # it had its turn, and is gone
                self.leave()
            raise

    def ahead(self, now: float) -> float:
        """How many calls the next one shares this place with. What waits for long already does not go before it.

        Where the limit is exceeded, as many more as the limit is too small: there they wait for one another.
        """
        calls = self._in_flight + self._waiting.fresh(now) + 1
        return calls * max(1.0, calls / self.limit.size(now)) - 1

    def leave(self) -> None:
        """A call has left."""
        self._in_flight -= 1
        if self._waiting:
            self._advance()

    def overloaded(self) -> None:
        """A call met a 429."""
        self.limit.overloaded(self._clock.monotonic(), self._in_flight)

    def close(self, started_at: float, reply: Reply) -> None:
        """A call that was started then has ended."""
        if reply.ending is Ending.COMPLETE:
            self.limit.went_well(self._clock.monotonic(), started_at)
        self.leave()

    def told(self, allowance: Allowance) -> None:
        """An answer says what is left."""
        self.limit.told(self._clock.monotonic(), allowance, self._in_flight - 1)

    def _start(self, now: float) -> None:
        self._in_flight += 1
        self.limit.started(now)

    def _advance(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self.limit.admits(now, self._in_flight):
            waiter = self._waiting.pop_next(now)
            if not waiter.turn.done():  # else it was cancelled, and does not know yet
                self._start(now)
                waiter.turn.set_result(None)
        self._set_alarm(now)

    def _set_alarm(self, now: float) -> None:
        """Look again when time alone makes room."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._waiting:
            return
        pause_s = self.limit.opens_at(now) - now
        if pause_s <= 0:
            pause_s = GROWTH_SEEN_S
        self._alarm = asyncio.get_running_loop().call_later(pause_s, self._advance)

    def _check_patience(self, attempt: Attempt, now: float) -> None:
        pause_s = self.limit.opens_at(now) - now
        has_others = bool(attempt.others) or not attempt.is_last_model
        if now + pause_s >= attempt.routed.call.deadline_at or (has_others and pause_s > PATIENCE_S):
            name = attempt.deployment.id
            raise DeploymentBusy(f"{name} takes no more calls for {pause_s:.1f} s, it says", retry_after_s=pause_s)

    def _check_room(self, attempt: Attempt, now: float) -> None:
        """Refuse one if there are too many: of who has the last turn, the call that would go last."""
        if len(self._waiting) <= WAITING_ROOM:
            return
        refused = self._waiting.pop_last(now)
        if not refused.turn.done():
            message = f"{attempt.deployment.id}: {WAITING_ROOM} calls wait for their turn already"
            refused.turn.set_exception(DeploymentBusy(f"{message}, and others come first"))


class DeploymentQuota:
    """Below the budget's hold, directly above what is sent: a place is held for as long as the answer lasts."""

    def __init__(self, clock: Clock, workers: int = 1) -> None:
        """Each of so many `workers` keeps to its part of what a deployment takes at once, and to one at least."""
        self._clock = clock
        self._workers = workers
        self._slots: dict[str, Slots] = {}

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        slots, started_at = self._of(attempt.deployment), self._clock.monotonic()
        if not slots.take(started_at):
            await slots.wait(attempt, started_at)
            started_at = self._clock.monotonic()
        try:
            reply = await forward(attempt)
        except BaseException as error:
            if isinstance(error, ProviderOverloaded):
                slots.overloaded()
            slots.leave()
            raise
        if reply.allowance is not None:
            slots.told(reply.allowance)
        return reply.on_close(partial(slots.close, started_at))

    def _of(self, deployment: Deployment) -> Slots:
        slots = self._slots.get(deployment.id)
        if slots is None:
            most = deployment.concurrency
            part = most if most is None else -(-most // self._workers)
            slots = self._slots[deployment.id] = Slots(part, self._clock)
        return slots

    def ahead(self, deployment: Deployment, now: float) -> float:
        """How many calls one that comes now would share a deployment with."""
        slots = self._slots.get(deployment.id)
        return 0.0 if slots is None else slots.ahead(now)

    def keep_only(self, deployments: Iterable[Deployment]) -> None:
        """Forget deployments that the settings no longer name, and take over what they say of the others."""
        most = {each.id: each.concurrency for each in deployments}
        self._slots = {name: slots for name, slots in self._slots.items() if name in most}
        for name, slots in self._slots.items():
            slots.limit.adopt(most[name])
