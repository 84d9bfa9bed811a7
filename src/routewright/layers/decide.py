"""Decide: the one layer that turns a call into a routed call, and learns how long inputs really are.

The decision itself is `decision.selection.select`, a plain function; `Decider` hands it what it may know of the
world: the time, which deployments rest, and how far token estimates were off.
"""

from collections.abc import Mapping

from routewright.call import Call, Routed
from routewright.catalog.registry import Registry
from routewright.clock import Clock
from routewright.decision.classifier import Classifier
from routewright.decision.features import extract
from routewright.decision.selection import Policy, needs_verdict, select
from routewright.decision.tokens import TokenEstimator
from routewright.dialects.wire import Upstream as Dialect
from routewright.layers.breaker import Circuits
from routewright.layers.service import Service
from routewright.reply import Ending, Reply
from routewright.route import Route


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
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._classifier = classifier
        self._dialects = dialects
        self._circuits = circuits
        self._estimator = estimator
        self._clock = clock

    def decide(self, call: Call) -> Route:
        """Which models may answer, in order, and why. Raises ModelNotFound, ContextTooLong, NoEligibleModel."""
        features = extract(call)
        return select(
            call,
            features,
            self._classifier.classify(features) if needs_verdict(call) else None,
            registry=self._registry,
            policy=self._policy,
            now_s=self._clock.time_ns() // 1_000_000_000,
            token_ratio=self._estimator.ratio,
            resting=self._circuits.resting(self._clock.monotonic()),
            cannot_carry=lambda dialect, call: self._dialects[dialect].cannot_carry(call),
            dropped_fields=lambda dialect, call: self._dialects[dialect].dropped_fields(call),
        )

    def learn(self, reply: Reply) -> None:
        """Compare the estimate of the input with what the provider counted."""
        if reply.ending is Ending.COMPLETE and reply.usage is not None:
            self._estimator.observe(reply.attempt.model.name, reply.route.input_tokens, reply.usage.input_total)


class Decide:
    """Above everything that needs a route, below everything that must also see what could not be routed."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def __call__(self, call: Call, forward: Service[Routed]) -> Reply:
        reply = await forward(Routed(call, self._decider.decide(call)))
        return reply.on_close(self._decider.learn)
