"""Decide: the one layer that turns a call into a routed call, and learns how long inputs really are.

The decision itself is `decision.selection.select`, a plain function; `Decider` hands it what it may know of the
world: the time, which deployments rest, how far token estimates were off, and what is warm in which provider's cache.
"""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Routed
from routewright.catalog.pricing import BATCH
from routewright.catalog.registry import Registry
from routewright.clock import Clock
from routewright.decision.background import background_work
from routewright.decision.classifier import Classifier, Forecasting
from routewright.decision.eligibility import NOTHING_WARM
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features, extract
from routewright.decision.intent import Policy, asks_for_quality, needs_forecast, needs_verdict
from routewright.decision.permission import check_permission, is_restricted
from routewright.decision.progress import read_progress, weighed, weight_of
from routewright.decision.selection import select
from routewright.decision.tokens import TokenEstimator
from routewright.dialects.dropping import carried
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import ContextTooLong, NoEligibleModel, PolicyNotFound, UnpricedModel
from routewright.layers.breaker import Circuits
from routewright.layers.service import Service
from routewright.layers.sessions import Conversation, PromptCaches
from routewright.reply import Ending, Reply
from routewright.route import Route, Sign, Verdict


class Considered(Struct, frozen=True):
    """A call, what was seen of it, and what kind of work it is taken for."""

    call: Call
    features: Features
    verdict: Verdict | None
    """None when the route does not depend on it."""
    forecast: Forecast | None
    """None when the route does not depend on it, or nobody knows what to expect."""
    conversation: Conversation | None = None
    """None when nothing of the call can be in a provider's cache."""
    session: tuple[Sign, ...] = ()
    """What the conversation shows of how it goes; already weighed into `forecast`."""


class Decider:
    """One snapshot's way to decide; calls nobody."""

    def __init__(
        self,
        *,
        registry: Registry,
        policy: Policy,
        classifier: Classifier,
        dialects: Mapping[str, Dialect],
        circuits: Circuits,
        estimator: TokenEstimator,
        clock: Clock,
        random: Random,
        forecasting: Forecasting | None = None,
        caches: PromptCaches | None = None,
        withdrawn: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`forecasting` goes before `classifier`: it knows more. Without `caches`, all input counts as fresh.
        `withdrawn` says which models are not chosen by themselves now, and why."""
        self._caches = caches
        self._withdrawn = withdrawn
        self._forecasting = forecasting
        self._random = random
        self._registry = registry
        self._policy = policy
        self._classifier = classifier
        self._dialects = dialects
        self._circuits = circuits
        self._estimator = estimator
        self._clock = clock

    def decide(self, call: Call) -> Route:
        """Which models may answer, in order, and why. Raises ModelNotFound, ContextTooLong, NoEligibleModel."""
        return self.select(self.consider(call))

    def consider(self, call: Call) -> Considered:
        """Look at a call, and classify it if its route depends on that.

        Raises ModelNotFound if it is not allowed, PolicyNotFound if it is for another policy than this one.
        """
        if call.options.policy and call.options.policy != self._policy.name:
            raise PolicyNotFound(
                f"no policy {call.options.policy[:64]!r} can be used here",
                param="policy",
                hint="`routewright policies list` has those that can",
            )
        if is_restricted(call.tenant):  # here already, so that no second opinion is asked for what will be refused
            check_permission(call, self._registry)
        features = extract(call)
        verdict, forecast = None, None
        if self._forecasting is not None and needs_forecast(call):
            verdict, forecast = self._forecasting.consider(features)
        elif needs_verdict(call):
            verdict = self._classifier.classify(features)
        session: tuple[Sign, ...] = ()
        if self._policy.session_evidence and len(call.messages) > 2 and needs_forecast(call):
            session = read_progress(call.messages)
            if session and forecast is not None:
                forecast = weighed(forecast, weight_of(session))
        conversation = None if self._caches is None else self._caches.follow(call, features.input_tokens)
        return Considered(call, features, verdict if needs_verdict(call) else None, forecast, conversation, session)

    def is_unclear(self, considered: Considered) -> bool:
        """Whether the verdict decides about the route, and would not be followed as it is."""
        verdict = considered.verdict
        if (
            verdict is None
            or background_work(considered.call)
            or (considered.forecast is not None and asks_for_quality(considered.call, self._policy))
        ):
            return False
        return verdict.confidence < self._policy.confidence_threshold

    def select(self, considered: Considered) -> Route:
        """The route of a call for which the last word about its kind of work is spoken. Raises as `decide` does."""
        resting = self._circuits.resting(self._clock.monotonic())
        caches, conversation = self._caches, considered.conversation
        return select(
            considered.call,
            considered.features,
            considered.verdict,
            registry=self._registry,
            policy=self._policy,
            now_s=self._clock.time_ns() // 1_000_000_000,
            token_ratios=self._estimator.ratios,
            resting=resting,
            cannot_carry=self._cannot_carry,
            dropped_fields=self._dropped_fields,
            forecast=considered.forecast,
            warm=NOTHING_WARM if caches is None else caches.warm_tokens(conversation, resting),
            chance=self._chance(considered.call),
            session=considered.session,
            withdrawn=self._withdrawn(),
        )

    def _chance(self, call: Call) -> float | None:
        """None for what is sent in a batch: it is decided several times on its way, and must come out the same."""
        return self._random.random() if self._policy.exploration and call.service_tier != BATCH else None

    def _cannot_carry(self, dialect: str, call: Call) -> str | None:
        upstream = self._dialects[dialect]
        return upstream.cannot_carry(carried(call, upstream)[0])

    def _dropped_fields(self, dialect: str, call: Call) -> tuple[str, ...]:
        upstream = self._dialects[dialect]
        rest, dropped = carried(call, upstream)
        return (*dropped, *upstream.dropped_fields(rest))

    def count_tokens(self, call: Call) -> int:
        """The estimate of the input, as the first choice's provider counts; the bare one where nobody may answer.

        Raises ModelNotFound.
        """
        considered = self.consider(call)
        tokens = considered.features.input_tokens
        try:
            model = self.select(considered).chosen.model
        except (ContextTooLong, NoEligibleModel, UnpricedModel):
            return tokens
        return round(tokens * self._estimator.ratio(model))

    def learn(self, considered: Considered, reply: Reply) -> None:
        """Compare the estimate of the input with what the provider counted, and remember what it has in its cache."""
        if self._caches is not None and considered.conversation is not None:
            self._caches.learn(considered.conversation, reply)
        if reply.ending is Ending.COMPLETE and reply.usage is not None:
            self._estimator.observe(reply.attempt.model.name, reply.route.input_tokens, reply.usage.input_total)


class SecondOpinion(Protocol):
    """Whoever can say more of a request that the classifier is unsure about."""

    async def __call__(self, call: Call, first: Verdict, forward: Service[Routed], /) -> Verdict:
        """A better verdict, or the first one with a signal that says why there is none. Raises nothing of its own.

        `forward` takes own small calls, under the request's id.
        """
        ...


class Decide:
    """Above everything that needs a route, below everything that must also see what could not be routed.

    A request is routed once, with the final verdict; a second opinion is only asked for where it can change something.
    """

    def __init__(self, decider: Decider, second_opinion: SecondOpinion | None = None) -> None:
        self._decider = decider
        self._second_opinion = second_opinion

    async def __call__(self, call: Call, forward: Service[Routed]) -> Reply:
        considered = self._decider.consider(call)
        first = considered.verdict
        if self._second_opinion is not None and first is not None and self._decider.is_unclear(considered):
            considered = replace(considered, verdict=await self._second_opinion(call, first, forward))
        reply = await forward(Routed(call, self._decider.select(considered)))
        return reply.on_close(partial(self._decider.learn, considered))
