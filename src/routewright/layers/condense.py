"""Condense: input that is longer than a threshold is shortened, if that saves more than it costs.

What is done is decided in `decision.context`; here are the two things that need the world: which messages a provider
still has in its cache, and the summary, for which a cheap model is asked.
"""

import hashlib
from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from routewright.call import Call, Cause, Routed
from routewright.catalog.registry import Registry, Tier
from routewright.clock import Clock
from routewright.decision.audit import without_history
from routewright.decision.context import (
    SUMMARY_ORDER,
    ContextPolicy,
    ContextStep,
    OldTurns,
    Shortened,
    old_turns,
    shorten,
    summary_deal,
    summary_prompt,
)
from routewright.decision.tokens import message_tokens
from routewright.dialects.wire import Rewriter
from routewright.errors import RoutewrightError
from routewright.layers.errand import Errand, Errands
from routewright.layers.service import Service
from routewright.reply import Reply


class Warmth(Protocol):
    """Who knows what providers have in their caches."""

    def warm_messages(self, call: Call, model: str) -> int:
        """How many of the call's first messages were last sent to this model exactly as they stand in the call, and
        are still in its provider's cache. They are left alone: to change them would cost more than it saves."""
        ...


class Cold:
    """A `Warmth` that knows of nothing: every conversation may be shortened from its beginning."""

    def warm_messages(self, call: Call, model: str) -> int:
        """0."""
        return 0


class Summaries:
    """Summaries made lately, by the content that they stand for; beyond `limit` the one unused for longest goes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: dict[str, str] = {}

    @staticmethod
    def key(old: OldTurns, model: str, tokens: int) -> str:
        """SHA-256 of the old turns, the model that summarises them, and how long it may get."""
        return hashlib.sha256(msgspec.json.encode((old.messages, model, tokens))).hexdigest()

    def get(self, key: str) -> str | None:
        """A summary, if it is there."""
        text = self._texts.pop(key, None)
        if text is not None:
            self._texts[key] = text
        return text

    def put(self, key: str, text: str) -> None:
        """Keep a summary."""
        self._texts[key] = text
        if len(self._texts) > self._limit:
            del self._texts[next(iter(self._texts))]


class Condense:
    """Below decide, because what a token costs depends on who answers; above fallback, for all models alike.

    A conversation in a client's dialect that has no `Rewriter` is sent as it came.
    """

    def __init__(
        self,
        policy: ContextPolicy,
        *,
        registry: Registry,
        rewriters: Mapping[str, Rewriter],
        errands: Errands,
        summaries: Summaries,
        summary_limit_s: float,
        clock: Clock,
        warmth: Warmth | None = None,
    ) -> None:
        self._policy = policy
        self._registry = registry
        self._rewriters = rewriters
        self._errands = errands
        self._summaries = summaries
        self._summary_limit_s = summary_limit_s
        self._clock = clock
        self._warmth = warmth or Cold()

    async def __call__(self, routed: Routed, forward: Service[Routed]) -> Reply:
        call, route = routed.call, routed.route
        is_short = route.input_tokens <= self._policy.threshold_tokens
        if is_short or routed.cause.is_errand or (call.body and call.dialect not in self._rewriters):
            return await forward(routed)
        shortened, told = await self._shorten(routed, forward)
        steps = (*shortened.steps, *told)
        if not steps:
            return await forward(routed)
        saved = sum(map(message_tokens, call.messages)) - shortened.tokens
        parts = without_history(route.input_parts, saved)
        route = replace(route, context=steps, input_tokens=max(0, route.input_tokens - saved), input_parts=parts)
        return await forward(replace(routed, call=self._rewritten(call, shortened), route=route))

    async def _shorten(self, routed: Routed, forward: Service[Routed]) -> tuple[Shortened, tuple[str, ...]]:
        """The conversation, shortened, and why it was not summarised if it should have been."""
        call, policy = routed.call, self._policy
        warm = self._warmth.warm_messages(call, routed.route.chosen.model)
        other = max(0, routed.route.input_tokens - sum(map(message_tokens, call.messages)))
        if ContextStep.SUMMARISE not in policy.steps:
            return shorten(call.messages, policy, keep_prefix=warm, other_tokens=other), ()
        before = policy.steps[: policy.steps.index(ContextStep.SUMMARISE)]
        shortened = shorten(call.messages, replace(policy, steps=before), keep_prefix=warm, other_tokens=other)
        old = old_turns(call.messages, policy, keep_prefix=warm)
        if old is None or shortened.tokens + other <= policy.threshold_tokens:
            return shorten(call.messages, policy, keep_prefix=warm, other_tokens=other), ()
        summary, told = await self._summarise(old, routed, forward)
        return shorten(call.messages, policy, keep_prefix=warm, other_tokens=other, summary=summary), told

    async def _summarise(self, old: OldTurns, routed: Routed, forward: Service[Routed]) -> tuple[str, tuple[str, ...]]:
        """The summary of old turns, or an empty text and why there is none."""
        errand = Errand(
            cause=Cause.SUMMARY,
            tier=Tier.BULK,
            order=SUMMARY_ORDER,
            prompt=summary_prompt(old),
            max_output_tokens=self._policy.summary_tokens,
            limit_s=self._summary_limit_s,
        )
        planned = self._errands.plan(errand, routed.call)
        if isinstance(planned, RoutewrightError):
            return "", (f"not summarised: {planned.code}",)
        key = self._summaries.key(old, planned.route.chosen.model, self._policy.summary_tokens)
        known = self._summaries.get(key)
        if known is not None:
            return known, ("the summary was known",)
        if objection := self._objection(old, routed, planned):
            return "", (f"not summarised: {objection}",)
        text = await self._errands.run(planned, forward)
        if isinstance(text, RoutewrightError):
            return "", (f"not summarised: {text.code}",)
        self._summaries.put(key, text)
        return text, ()

    def _objection(self, old: OldTurns, routed: Routed, planned: Routed) -> str:
        """Why a summary is not worth its money; empty if it is."""
        answering = self._registry.models[routed.route.chosen.model]
        summarising = self._registry.models[planned.route.chosen.model]
        now_s = self._clock.time_ns() // 1_000_000_000
        if answering.prices is None or summarising.prices is None:
            unpriced = answering if answering.prices is None else summarising
            return f"what {unpriced.name} costs is not known"
        deal = summary_deal(
            old,
            self._policy,
            answering=answering.prices.rates_at(now_s, routed.route.input_tokens),
            summarising=summarising.prices.rates_at(now_s, planned.route.input_tokens),
            prompt_tokens=planned.route.input_tokens,
        )
        if deal.pays:
            return ""
        return f"it would save ${deal.saving_nanousd / 1e9:.6f} and cost ${deal.cost_nanousd / 1e9:.6f}"

    def _rewritten(self, call: Call, shortened: Shortened) -> Call:
        if not call.body:
            return replace(call, messages=shortened.messages)
        return self._rewriters[call.dialect].with_messages(call, shortened.messages, shortened.sources)
