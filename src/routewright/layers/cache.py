"""Cache: a request that was answered before gets that answer again, where the settings allow it.

An answer is kept as the provider's own bytes and read again by the decoder that read it first, so the client gets the
same events. It is kept only if it is whole, came to its own end, passed its checks as it came, and if no budget made it
a lesser one. It is given out only if the decision of now would let the same model answer at the same place: so who may
not use a model does not get its answers either, and settings that change hold for what was kept before. A request that
brings checks of its own is neither answered from here nor kept.
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from routewright.cache.answers import FORMAT, Answers, Kept, decode_kept, encode_kept
from routewright.cache.key import key_of
from routewright.call import Attempt, Call, Cause, Routed
from routewright.catalog.registry import Model, Registry
from routewright.clock import Clock
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import AllAttemptsFailed, ProviderError
from routewright.layers.service import Service
from routewright.ledger.ledger import NANOSECONDS, Ledger
from routewright.reply import Cached, Ended, Ending, Event, FinishReason, Reply
from routewright.route import Route
from routewright.tenant import Tenant

ALL = "all"
"""The route that every answer is on."""
MISS = Cached("miss")
_WHOLE: frozenset[FinishReason] = frozenset({"stop", "tool_calls"})
_SLOW_DOWN = 429


class Rules(Struct, frozen=True, kw_only=True):
    """Whose answers are kept, and for how long."""

    routes: frozenset[str]
    """Tiers and models whose answers are kept, whoever asks; `all` for every one."""
    keys: frozenset[str]
    """Ids of virtual keys whose answers are kept, whoever gives them."""
    is_shared: bool
    """Tenants get one another's answers."""
    fresh_ns: int
    """How long an answer is given out; …"""
    stale_ns: int
    """… and how much longer it stands in when everything else has failed."""
    max_answer_bytes: int

    def may_hold_for(self, call: Call) -> bool:
        """Whether its answer might be kept, as far as that is known before there is one."""
        options = call.options
        wants_it = options.cache and not options.no_log and not options.checks and bool(call.body)
        return wants_it and (bool(self.routes) or call.tenant.key in self.keys)

    def hold_for(self, tenant: Tenant, model: Model) -> bool:
        """Whether this model's answers to this tenant are kept."""
        return tenant.key in self.keys or not self.routes.isdisjoint((ALL, model.tier, model.name))


class Cache:
    """Above decide, so that no second opinion is paid for a hit; below record and key quota, so that it counts."""

    def __init__(
        self,
        rules: Rules,
        answers: Answers,
        *,
        decide: Callable[[Call], Route],
        registry: Registry,
        dialects: Mapping[str, Dialect],
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        """`decide` calls nobody; raises CallerError."""
        self._rules = rules
        self._answers = answers
        self._decide = decide
        self._registry = registry
        self._dialects = dialects
        self._ledger = ledger
        self._clock = clock

    async def __call__(self, call: Call, forward: Service[Call]) -> Reply:
        if not self._rules.may_hold_for(call):
            return await forward(call)
        key = key_of(call, is_shared=self._rules.is_shared)
        kept = await self._find(key)
        if kept is not None and self._age_ns(kept) < self._rules.fresh_ns:
            reply = self._again(kept, call, is_stale=False)
            if reply is not None:
                return reply
        try:
            reply = await forward(call)
        except AllAttemptsFailed as error:
            stale = self._again(kept, call, is_stale=True) if kept and self._is_outage(error, call) else None
            if stale is None:
                raise
            return stale
        if self._rules.hold_for(call.tenant, reply.attempt.model):
            reply.cached = MISS
            recording = Recording(self._rules.max_answer_bytes)
            reply.overhear(recording.hear)
            reply.on_close(partial(self._keep, key, recording))
        return reply

    async def _find(self, key: bytes) -> Kept | None:
        found = await self._answers.find(key, self._clock.time_ns())
        return None if found is None else decode_kept(found)

    def _age_ns(self, kept: Kept) -> int:
        return max(0, self._clock.time_ns() - kept.at_ns)

    def _is_outage(self, error: AllAttemptsFailed, call: Call) -> bool:
        """The providers' trouble, and neither the caller's nor a matter of money or time."""
        status = error.http_status
        return (status >= 500 or status == _SLOW_DOWN) and self._clock.monotonic() < call.deadline_at

    def _again(self, kept: Kept, call: Call, *, is_stale: bool) -> Reply | None:
        """The answer that was kept; None if its model would not be asked now, or it cannot be read.

        Raises CallerError."""
        age_ns = self._age_ns(kept)
        if age_ns >= self._rules.fresh_ns + self._rules.stale_ns:
            return None
        attempt = self._attempt(kept, self._decide(call), call)
        if attempt is None or not self._rules.hold_for(call.tenant, attempt.model):
            return None
        decoder = self._dialects[attempt.deployment.dialect].decoder(attempt)
        try:  # a stream was whole when it was kept, but for its end mark
            events = decoder.feed(kept.body) or decoder.end()
        except ProviderError:
            return None
        reply = Reply(attempt, Ended(), events)
        reply.cached = Cached("stale" if is_stale else "hit", age_ns // NANOSECONDS, kept.cost_nanousd)
        return reply

    def _attempt(self, kept: Kept, route: Route, call: Call) -> Attempt | None:
        """The attempt that gave the answer, as if it were one of this call; None if it could not be one."""
        for candidate in route.eligible:
            if candidate.model == kept.model and kept.deployment in candidate.deployments:
                return Attempt(
                    id=call.id,
                    routed=Routed(call, route.made_without_chance(kept.model)),
                    model=self._registry.models[kept.model],
                    deployment=self._registry.deployments[kept.deployment],
                    number=0,
                    cause=Cause.FIRST,
                    is_last_model=True,
                )
        return None

    def _keep(self, key: bytes, recording: "Recording", reply: Reply) -> None:
        is_counted = reply.usage is not None and not reply.is_usage_partial  # else nobody could say what a hit saves
        is_good = all(finding.is_ok for finding in reply.findings) and not reply.is_rewritten
        if reply.ending is not Ending.COMPLETE or reply.route.spending or not is_counted or not is_good:
            return
        body = recording.whole(reply.attempt.call.choices)
        if body is None:
            return
        reports, now_ns = self._ledger.account(reply.attempt.call.id).reports, self._clock.time_ns()
        kept = Kept(
            version=FORMAT,
            at_ns=now_ns,
            model=reply.attempt.model.name,
            deployment=reply.attempt.deployment.id,
            cost_nanousd=reports[-1].cost_nanousd if reports else None,
            body=body,
        )
        until_ns = now_ns + self._rules.fresh_ns + self._rules.stale_ns
        self._answers.keep(key, encode_kept(kept), until_ns=until_ns, now_ns=now_ns)


class Recording:
    """An answer's bytes, as they pass; none of them once they are too many."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._pieces: list[bytes] = []
        self._finishes: dict[int, FinishReason] = {}

    def hear(self, events: tuple[Event, ...]) -> None:
        """Take note of what passed."""
        for event in events:
            self._room -= len(event.raw)
            if self._room < 0:
                self._pieces.clear()
                return
            self._pieces.append(event.raw)
            if event.finish is not None:
                self._finishes[event.choice] = event.finish

    def whole(self, choices: int) -> bytes | None:
        """All of it; None if it was too much, or one of the choices did not come to an end of its own."""
        if self._room < 0 or len(self._finishes) != choices or not _WHOLE.issuperset(self._finishes.values()):
            return None
        return b"".join(self._pieces)
