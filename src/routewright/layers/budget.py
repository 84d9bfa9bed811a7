"""Budget: every attempt holds the dearest it can cost before a byte is sent, and settles what it did cost, once.

What a provider reports is taken as it is. What nobody reported is estimated conservatively and flagged. An answer that
is not streamed may have been generated in full, as nobody sees how far it is and many providers go on without us. Of a
stream that never began, as much may have been as the fastest host makes in that time; of a broken one, a little more
than we saw.
"""

import logging
from math import ceil

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.decision.tokens import upper_bound_tokens
from routewright.errors import HoldRefused, ProviderError
from routewright.layers.quota import UNSENT
from routewright.layers.service import Service
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import Hold, Ledger
from routewright.reply import Ending, Reply
from routewright.usage import Usage

log = logging.getLogger(__name__)

LEAST_TIME_LEFT_S = 0.05
"""So long before the deadline waiting for room ends: what is started later would be thrown away."""
INPUT_MARGIN = 1.25
"""On top of the pre-flight estimate, which is good to 10 % for most texts."""
BYTES_PER_TOKEN = 3
"""Below what tokenizers reach on prose (about 4) and code (3.3), so that the estimate is on the high side. Of bytes
and not of characters, as a Chinese one is about a token, and three bytes."""
TOKENS_IN_FLIGHT = 64
"""Generated, perhaps, but not seen, when a stream broke or its client left."""
FASTEST_TOKENS_PER_S = 3000
"""No more than this is taken to have been generated before a stream began: faster than any public host in 2026."""


class Budget:
    """Below retry, fallback and breaker: each try has its own hold, and a refusal has none."""

    def __init__(self, ledger: Ledger, clock: Clock, keeper: Keeper | None = None, *, patience_s: float = 0.0) -> None:
        """`keeper` knows when a hold that did not fit does; `patience_s` is how long that may take."""
        self._ledger = ledger
        self._clock = clock
        self._keeper = keeper
        self._patience_s = patience_s

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        tokens_ub = upper_bound_tokens(attempt.routed.call)
        try:
            hold = self._ledger.hold(attempt, tokens_ub)
        except HoldRefused as refusal:
            hold = await self._hold_later(attempt, tokens_ub, refusal)
        sent_at = self._clock.monotonic()
        try:
            reply = await forward(attempt)
        except ProviderError as error:
            if error.may_be_billed:
                self._settle_unseen(hold, attempt, error.code, sent_at)
            else:
                hold.release(outcome=error.code)
            raise
        except BaseException as error:  # cancelled: by the deadline, by a faster attempt, or because the client left
            if UNSENT in getattr(error, "__notes__", ()):
                hold.release(outcome="abandoned")
            else:
                self._settle_unseen(hold, attempt, "abandoned", sent_at)
            raise
        first_event_ms = round((self._clock.monotonic() - sent_at) * 1000)
        reply.budget_remaining_nanousd = hold.remaining_nanousd
        reply.on_close(lambda closed: _settle(hold, closed, first_event_ms))
        try:
            await hold.durable()
        except BaseException:
            reply.close()
            raise
        return reply

    async def _hold_later(self, attempt: Attempt, tokens_ub: int, refusal: HoldRefused) -> Hold:
        """Hold when there is room. Raises the last refusal, so that another model can be tried."""
        until = self._patient_until(attempt)
        while self._keeper is not None and await self._has_room(self._keeper, attempt, tokens_ub, until):
            try:
                return self._ledger.hold(attempt, tokens_ub)
            except HoldRefused as again:
                refusal = again
        raise refusal

    def _patient_until(self, attempt: Attempt) -> float:
        patience_s = 0.0 if attempt.cause.is_errand else self._patience_s
        return min(self._clock.monotonic() + patience_s, attempt.call.deadline_at - LEAST_TIME_LEFT_S)

    async def _has_room(self, keeper: Keeper, attempt: Attempt, tokens_ub: int, until: float) -> bool:
        now_ns = self._clock.time_ns()
        demand = keeper.balances.demand(attempt, tokens_ub, now_ns)
        return await keeper.room(demand.charges, demand.amount_nanousd or 0, until=until) is None

    def _settle_unseen(self, hold: Hold, attempt: Attempt, outcome: str, sent_at: float) -> None:
        generated = _most_output(attempt)
        if attempt.call.stream:
            # As for an answer that broke: what comes at once, or from a provider's cache, took no time to make.
            pace = ceil((self._clock.monotonic() - sent_at) * FASTEST_TOKENS_PER_S)
            generated = min(generated, pace + TOKENS_IN_FLIGHT)
        usage = Usage(input=_input_estimate(attempt), output=generated)
        hold.settle(outcome=outcome, served_model="", usage=usage, is_estimated=True, first_event_ms=None)


def _settle(hold: Hold, reply: Reply, first_event_ms: int) -> None:
    is_final = reply.ending is Ending.COMPLETE and reply.usage is not None and not reply.is_usage_partial
    if reply.unpriced:
        log.warning("%s charges for %s, which is not in the ledger", reply.attempt.deployment.id, reply.unpriced)
    hold.settle(
        outcome=reply.outcome,
        served_model=reply.served_model,
        usage=reply.usage if is_final and reply.usage is not None else _partial_usage(reply),
        is_estimated=not is_final or bool(reply.unpriced),
        service_tier=reply.service_tier,
        first_event_ms=first_event_ms,
        ends_request=not (reply.is_spare or reply.attempt.cause.is_errand or reply.attempt.routed.is_turn),
    )
    if reply.budget_remaining_nanousd is not None:
        reply.budget_remaining_nanousd = hold.remaining_nanousd


def _partial_usage(reply: Reply) -> Usage:
    """What the provider reported so far, or our estimate, whichever is more."""
    seen = reply.usage or Usage()
    generated = ceil(reply.text_bytes / BYTES_PER_TOKEN)
    if reply.ending is not Ending.COMPLETE:
        generated += TOKENS_IN_FLIGHT
    generated = min(generated, _most_output(reply.attempt))
    if not seen.input_total:
        seen = seen + Usage(input=_input_estimate(reply.attempt))
    return seen + Usage(output=max(0, generated - seen.output_total))


def _input_estimate(attempt: Attempt) -> int:
    return ceil(attempt.routed.route.input_tokens * INPUT_MARGIN)


def _most_output(attempt: Attempt) -> int:
    return (attempt.call.max_output_tokens or attempt.model.max_output_tokens) * attempt.call.choices
