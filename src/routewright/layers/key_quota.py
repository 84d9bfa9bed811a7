"""Key quota: how many requests and tokens a key gets in a minute, and how many of its requests may run at once.

Each limit is a token bucket that holds a minute's worth and refills evenly. A request takes one request, and as many
tokens as it is expected to need; when its answer has ended, the estimate is replaced by what was counted, so a bucket
can be in debt for a while, and nobody gains by asking for less than they use. The state belongs to one process.
"""

from msgspec import Struct

from routewright.call import Call
from routewright.clock import Clock
from routewright.decision.tokens import MESSAGE_TOKENS, message_tokens
from routewright.errors import RateLimited
from routewright.layers.service import Service
from routewright.reply import Reply
from routewright.tenant import Tenant

MINUTE_S = 60.0
USUAL_OUTPUT_TOKENS = 500
"""What is expected of an answer whose length the caller did not bound."""
PAUSE_WHEN_BUSY_S = 1.0
ROUNDING = 1e-6
"""What a bucket may lack by the arithmetic of floats."""
SWEEP_ABOVE = 1_000
"""Keys with a state; beyond it those that have been idle for a minute go: their buckets are full again anyway."""


class Bucket:
    """What is left of a minute's worth. Times are monotonic seconds; the limit may change from call to call."""

    def __init__(self, now: float) -> None:
        self._limit = 0
        self._level = 0.0
        self._at = now

    def level(self, limit: int, now: float) -> float:
        """What is there; below zero when more was used than expected. More of a limit is there at once."""
        refilled = self._level + (limit - self._limit) + (now - self._at) * limit / MINUTE_S
        self._limit, self._level, self._at = limit, min(float(limit), refilled), now
        return self._level

    def wait_s(self, amount: float, limit: int, now: float) -> float:
        """How long until `amount` can be taken; 0 for now. More than a minute's worth waits for a full bucket."""
        missing = min(amount, limit) - self.level(limit, now)
        return missing * MINUTE_S / limit if missing > ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take it, into debt if need be; a negative amount is given back."""
        self._level -= amount


class Allowance(Struct, frozen=True):
    """How one limit of a key stands."""

    limit: int
    remaining: int
    resets_in_s: float
    """Until all of it is there again."""


class Standing(Struct, frozen=True):
    """How the limits per minute of a key stand; None where it has none."""

    requests: Allowance | None
    tokens: Allowance | None


class KeyState:
    """The buckets and the running requests of one key."""

    def __init__(self, now: float) -> None:
        self.running = 0
        self._requests = Bucket(now)
        self._tokens = Bucket(now)
        self._used_at = now

    def admit(self, tenant: Tenant, tokens: int, now: float) -> None:
        """Take what a request needs, all or nothing. Raises RateLimited."""
        self._used_at = now
        if tenant.concurrency is not None and self.running >= tenant.concurrency:
            raise _limited(f"{tenant.concurrency} requests of this key run already", PAUSE_WHEN_BUSY_S)
        requests, per_minute = tenant.requests_per_minute, tenant.tokens_per_minute
        if requests is not None and (wait_s := self._requests.wait_s(1, requests, now)):
            raise _limited(f"this key has {requests:,} requests a minute", wait_s)
        if per_minute is not None and (wait_s := self._tokens.wait_s(tokens, per_minute, now)):
            raise _limited(f"this key has {per_minute:,} tokens a minute, and this may take {tokens:,}", wait_s)
        if requests is not None:
            self._requests.take(1)
        if per_minute is not None:
            self._tokens.take(tokens)
        self.running += 1

    def end(self, tenant: Tenant, correction: int, now: float) -> None:
        """A request that was admitted for this tenant is over; it used `correction` tokens more than it took."""
        self._used_at = now
        self.running -= 1
        if tenant.tokens_per_minute is not None:
            self._tokens.take(correction)

    def standing(self, tenant: Tenant, now: float) -> Standing:
        """How its limits stand."""
        return Standing(
            _allowance(self._requests, tenant.requests_per_minute, now),
            _allowance(self._tokens, tenant.tokens_per_minute, now),
        )

    def is_idle(self, tenant: Tenant, now: float) -> bool:
        """Whether forgetting it makes no difference."""
        if self.running or now - self._used_at < MINUTE_S:
            return False
        limit = tenant.tokens_per_minute
        return limit is None or self._tokens.level(limit, now) >= limit


class KeyQuota:
    """Above decide, so that a refused request costs nothing; below record, so that it is in the ledger."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, tuple[Tenant, KeyState]] = {}
        self._swept_at = clock.monotonic()

    async def __call__(self, call: Call, forward: Service[Call]) -> Reply:
        tenant = call.tenant
        if not _is_limited(tenant):
            return await forward(call)
        state = self._state(tenant)
        tokens = 0 if tenant.tokens_per_minute is None else expected_tokens(call)
        state.admit(tenant, tokens, self._clock.monotonic())
        try:
            reply = await forward(call)
        except BaseException:
            state.end(tenant, -tokens, self._clock.monotonic())
            raise

        def end(closed: Reply) -> None:
            state.end(tenant, _used(closed, tokens) - tokens, self._clock.monotonic())

        return reply.on_close(end)

    def standing(self, tenant: Tenant) -> Standing | None:
        """How the limits of a tenant stand; None if it has none."""
        if not _is_limited(tenant):
            return None
        return self._state(tenant).standing(tenant, self._clock.monotonic())

    def _state(self, tenant: Tenant) -> KeyState:
        known = self._states.get(tenant.key)
        if known is not None and known[0] is tenant:
            return known[1]
        now = self._clock.monotonic()
        if known is None and len(self._states) >= SWEEP_ABOVE and now - self._swept_at >= MINUTE_S:
            self._sweep(now)
        state = known[1] if known is not None else KeyState(now)
        self._states[tenant.key] = (tenant, state)
        return state

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self._states = {
            key: (tenant, state) for key, (tenant, state) in self._states.items() if not state.is_idle(tenant, now)
        }


def expected_tokens(call: Call) -> int:
    """What a request is taken to need, before anything is known of it but its words: input and output."""
    words = sum(map(message_tokens, call.messages)) + MESSAGE_TOKENS
    return words + (call.max_output_tokens or USUAL_OUTPUT_TOKENS) * call.choices


def _is_limited(tenant: Tenant) -> bool:
    return not (tenant.requests_per_minute is tenant.tokens_per_minute is tenant.concurrency is None)


def _used(reply: Reply, tokens: int) -> int:
    """What was counted; where nothing was, the estimate stands."""
    return tokens if reply.usage is None else reply.usage.total


def _allowance(bucket: Bucket, limit: int | None, now: float) -> Allowance | None:
    if limit is None:
        return None
    level = bucket.level(limit, now)
    return Allowance(limit, max(0, int(level)), (limit - level) * MINUTE_S / limit)


def _limited(problem: str, wait_s: float) -> RateLimited:
    return RateLimited(problem, retry_after_s=wait_s, hint="come back after the time in retry-after")
