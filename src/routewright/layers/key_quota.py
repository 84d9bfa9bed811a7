"""Key quota: how many requests and tokens a key gets in a minute, and how many of its requests may run at once.

Each limit is a token bucket that holds a minute's worth and refills evenly. A request takes one request, and as many
tokens as it is expected to need; when its answer has ended, the estimate is replaced by what was counted, so a bucket
can be in debt for a while, and nobody gains by asking for less than they use.

Gateways that share a Redis count a minute's requests and tokens together, aside: nobody waits for that. Each goes by
what it heard last, a tenth of a second ago, and by what it took since. So where a full bucket is asked for at several
gateways within that time, each of them may give all of it, once: it is a debt then, which all of them wait for. What
runs at once is counted by each gateway.
"""

from collections.abc import Awaitable, Iterator, Sequence
from itertools import islice
from typing import Literal

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
MOST_TAKES = 250
"""Keys told of in one round; the others have their turn in the next one."""
SWEEP_ABOVE = 1_000
"""Keys with a state; beyond it those that have been idle for a minute go: their buckets are full again anyway."""


class Bucket:
    """What was used of a minute's worth. Times are monotonic seconds; the limit may change from call to call.

    Where gateways count together, what is used is what all are known to have used and what was taken here since. Where
    they cannot, each has a share of the limit, and as large a share of what all had used.
    """

    def __init__(self, now: float, share: float = 1.0) -> None:
        self._share = share
        self._known = 0.0
        self._used = 0.0
        """Never counts more than a minute's worth as unused; more than the limit is a debt."""
        self._at = now

    def level(self, limit: int, now: float) -> float:
        """What is there; below zero when more was used than expected. More of a limit is there at once."""
        refilled = (now - self._at) * limit * self._share / MINUTE_S
        self._known, self._used = max(0.0, self._known - refilled), max(0.0, self._used - refilled)
        self._at = now
        return limit * self._share - self._used

    def wait_s(self, amount: float, limit: int, now: float) -> float:
        """How long until `amount` can be taken; 0 for now. More than a minute's worth waits for a full bucket."""
        full = limit * self._share
        missing = min(amount, full) - self.level(limit, now)
        return missing * MINUTE_S / full if missing > ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take it, into debt if need be; a negative amount is given back."""
        self._used += amount

    def allowance(self, limit: int, now: float) -> "Allowance":
        """How it stands."""
        remaining = max(0, int(self.level(limit, now)))
        return Allowance(limit, remaining, self._used * MINUTE_S / (limit * self._share))

    def taken(self, limit: int, now: float) -> float:
        """What was taken here, beyond what all know of."""
        self.level(limit, now)
        return self._used - self._known

    def heard(self, told: float, used: float) -> None:
        """All have used so much, with what was `told` as taken here; what was taken meanwhile comes on top."""
        taken = self._used - self._known - told
        self._known, self._used = used, used + taken

    def divide(self, share: float) -> None:
        """From now on such a share of the limit is this gateway's."""
        known = self._known * share / self._share
        self._used += known - self._known
        self._known, self._share = known, share


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


class Take(Struct, frozen=True):
    """What was taken of a bucket here, for all to count."""

    key: str
    kind: Literal["requests", "tokens"]
    limit: int
    """A minute's worth."""
    amount: float
    """Negative where more was taken than was used."""


class KeyState:
    """The buckets and the running requests of one key."""

    def __init__(self, now: float, share: float) -> None:
        self.running = 0
        self._requests = Bucket(now, share)
        self._tokens = Bucket(now, share)
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
        requests, tokens = tenant.requests_per_minute, tenant.tokens_per_minute
        return Standing(
            None if requests is None else self._requests.allowance(requests, now),
            None if tokens is None else self._tokens.allowance(tokens, now),
        )

    def takes(self, tenant: Tenant, now: float) -> Iterator[Take]:
        """What others do not know of yet."""
        if (requests := tenant.requests_per_minute) is not None:
            yield Take(tenant.key, "requests", requests, self._requests.taken(requests, now))
        if (tokens := tenant.tokens_per_minute) is not None:
            yield Take(tenant.key, "tokens", tokens, self._tokens.taken(tokens, now))

    def heard(self, take: Take, used: float) -> None:
        """All have used so much of a bucket, this take included."""
        bucket = self._requests if take.kind == "requests" else self._tokens
        bucket.heard(take.amount, used)

    def divide(self, tenant: Tenant, share: float, now: float) -> None:
        """From now on such a share of the limits is this gateway's."""
        self.standing(tenant, now)  # what refilled until now did so at the old share
        self._requests.divide(share)
        self._tokens.divide(share)

    def is_idle(self, tenant: Tenant, now: float) -> bool:
        """Whether forgetting it makes no difference."""
        if self.running or now - self._used_at < MINUTE_S:
            return False
        limit = tenant.tokens_per_minute
        return limit is None or self._tokens.allowance(limit, now).resets_in_s <= 0


class KeyQuota:
    """Above decide, so that a refused request costs nothing; below record, so that it is in the ledger."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, tuple[Tenant, KeyState]] = {}
        self._share = 1.0
        self._touched: dict[str, None] = {}
        """Keys that were used since all were told of them, in that order."""
        self._swept_at = clock.monotonic()

    def __call__(self, call: Call, forward: Service[Call]) -> Awaitable[Reply]:
        return self._limited(call, forward) if _is_limited(call.tenant) else forward(call)

    async def _limited(self, call: Call, forward: Service[Call]) -> Reply:
        tenant = call.tenant
        state = self._state(tenant)
        tokens = 0 if tenant.tokens_per_minute is None else expected_tokens(call)
        self._touched[tenant.key] = None
        state.admit(tenant, tokens, self._clock.monotonic())
        try:
            reply = await forward(call)
        except BaseException:
            self._touched[tenant.key] = None
            state.end(tenant, -tokens, self._clock.monotonic())
            raise

        def end(closed: Reply) -> None:
            self._touched[tenant.key] = None
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
        state = known[1] if known is not None else KeyState(now, self._share)
        self._states[tenant.key] = (tenant, state)
        return state

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self._states = {
            key: (tenant, state) for key, (tenant, state) in self._states.items() if not state.is_idle(tenant, now)
        }
        self._touched = {key: None for key in self._touched if key in self._states}

    def takes(self) -> Sequence[Take]:
        """What was taken since others were told; `heard` or `untold` must follow."""
        now = self._clock.monotonic()
        keys = list(islice(self._touched, MOST_TAKES))
        for key in keys:
            del self._touched[key]
        states = [self._states[key] for key in keys if key in self._states]
        return [take for tenant, state in states for take in state.takes(tenant, now)]

    def untold(self, takes: Sequence[Take]) -> None:
        """Nobody heard of these."""
        self._touched.update((take.key, None) for take in takes)

    def heard(self, takes: Sequence[Take], used: Sequence[float]) -> None:
        """How much all have used of each bucket, these takes included."""
        for take, amount in zip(takes, used, strict=True):
            if (known := self._states.get(take.key)) is not None:
                known[1].heard(take, amount)

    def divide(self, gateways: int) -> None:
        """From now on each of so many counts its own share of the limits; 1 for all of them."""
        share = 1 / gateways
        if share == self._share:
            return
        self._share, now = share, self._clock.monotonic()
        for tenant, state in self._states.values():
            state.divide(tenant, share, now)


def expected_tokens(call: Call) -> int:
    """What a request is taken to need, before anything is known of it but its words: input and output."""
    words = sum(map(message_tokens, call.messages)) + MESSAGE_TOKENS
    return words + (call.max_output_tokens or USUAL_OUTPUT_TOKENS) * call.choices


def _is_limited(tenant: Tenant) -> bool:
    return not (tenant.requests_per_minute is tenant.tokens_per_minute is tenant.concurrency is None)


def _used(reply: Reply, tokens: int) -> int:
    """What was counted; where nothing was, the estimate stands."""
    return reply.tokens_before + (tokens if reply.usage is None else reply.usage.total)


def _limited(problem: str, wait_s: float) -> RateLimited:
    return RateLimited(problem, retry_after_s=wait_s, hint="come back after the time in retry-after")
