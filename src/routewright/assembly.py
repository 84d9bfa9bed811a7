"""How a stack is built, in its order, of settings and of what outlives them: circuits, paces, token ratios, sessions.

What outlives a reload serves the stack before and the stack after it alike.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct

from routewright.cache.places import Place, Places
from routewright.call import Attempt, Call
from routewright.catalog.registry import Registry
from routewright.checkers import load_checks
from routewright.classifiers import LEARNED, load_artefact, load_classifier
from routewright.clock import Clock
from routewright.decision.cascading import Planner
from routewright.decision.checks import Checker
from routewright.decision.classifier import Classifier, Forecasting
from routewright.decision.tokens import TokenEstimator
from routewright.dialects.known import REWRITERS, UPSTREAMS
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import ArtefactError
from routewright.ids import uuid7
from routewright.layers.afford import Afford, Spending
from routewright.layers.balance import Balance
from routewright.layers.breaker import Breaker, Circuits
from routewright.layers.budget import Budget
from routewright.layers.cache import Cache, Rules
from routewright.layers.cascade import Cascade
from routewright.layers.condense import Condense, Summaries
from routewright.layers.credentials import Credentials, Refusals
from routewright.layers.deadline import Deadline, FirstEventDeadline
from routewright.layers.decide import Decide, Decider
from routewright.layers.errand import Errands
from routewright.layers.fallback import Fallback
from routewright.layers.hedge import Hedge, Hedging
from routewright.layers.incidents import Incidents, Watch
from routewright.layers.key_quota import KeyQuota
from routewright.layers.lanes import Lanes
from routewright.layers.pace import Measure, Paces
from routewright.layers.quota import DeploymentQuota
from routewright.layers.record import Record
from routewright.layers.retry import Retry
from routewright.layers.retry_budget import FurtherAttempts, RetryBudget
from routewright.layers.service import Service, Stack
from routewright.layers.sessions import PromptCaches, Sessions
from routewright.layers.shadow import Shadow, Shadowing, Shadows
from routewright.layers.slowness import Waits
from routewright.layers.tally import Tally
from routewright.layers.upstream import Upstream
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import NANOSECONDS, Experiences, Ledger
from routewright.policies.choice import Chooser, Flags
from routewright.policies.overlay import Applied
from routewright.policies.plan import Plan
from routewright.second_opinions import SecondOpinions
from routewright.settings import CacheSettings, ContextSettings, Settings
from routewright.settings.checks import cascade_policy
from routewright.shared.rounds import Rounds
from routewright.transport import Transport

if TYPE_CHECKING:  # they are imported when there is something to decide with them
    from routewright.decision.artefact import Artefact
    from routewright.decision.forecast import Lessons
    from routewright.telemetry.exporter import Exporter
    from routewright.telemetry.tracer import Tracer

log = logging.getLogger(__name__)


class Way(Struct, frozen=True):
    """How calls are decided and answered under one policy."""

    decider: Decider
    service: Service[Call]
    checked: Service[Call]
    """The same for calls that bring checks of their own: where the settings name none, others do without."""
    cascade: Cascade


class Assembly:
    """What outlives a reload, and builds what does not."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        transport: Transport,
        clock: Clock,
        random: Random,
        classifier: Classifier | None,
        experiences: Experiences | None,
        keeper: Keeper | None,
        answers: Places,
        workers: int,
        withdrawn: Callable[[], Mapping[str, str]],
    ) -> None:
        """As for `Engine`; `withdrawn` tells the models that are not chosen by themselves now, each with the reason."""
        self._ledger = ledger
        self._transport = transport
        self._clock = clock
        self._random = random
        self._classifier = classifier
        self._keeper = keeper
        self._answers = answers
        self._withdrawn = withdrawn
        self.circuits = Circuits(random)
        self.waits = Waits()
        self.paces = Paces()
        self.deployment_quota = DeploymentQuota(clock, workers)
        self.key_quota = KeyQuota(clock)
        self.lanes = Lanes(clock)
        self.incidents = Incidents(clock)
        self.tally = Tally()
        self.shadows = Shadows(self.tally.attempt)
        self.rounds: Rounds | None = None
        """What is shared with other gateways; None where there are none."""
        self._retry_budget = RetryBudget()
        self._refusals = Refusals()
        self._estimator = TokenEstimator()
        self._sessions = Sessions()
        self._second_opinions = SecondOpinions(ledger, clock, random, experiences=experiences, attempts=self._attempts)
        self._artefact: tuple[Path | None, Artefact] | None = None
        self.artefact_error: str | None = None
        """Why the heuristic stands in for the learned classifier; None while it need not."""
        self.lessons: Lessons | None = None
        """What the ledger has taught so far."""
        self._exporter: Exporter | None = None
        self._flags: tuple[str, Flags] | None = None

    @property
    def artefact(self) -> "Artefact | None":
        """The trained part of the decision; None when another classifier is in force, or stands in."""
        return None if self._artefact is None or self.artefact_error else self._artefact[1]

    def mint_id(self) -> str:
        """A new id, for a request or an outcome."""
        return uuid7(self._clock.time_ns(), self._random)

    def keep_only(self, registry: Registry) -> None:
        """Forget what was learned of deployments that are not in this catalog."""
        self.circuits.keep_only(registry.deployments.values())
        self.waits.keep_only(registry.deployments)
        self.paces.keep_only(registry.deployments.values())
        self.deployment_quota.keep_only(registry.deployments.values())

    async def end_traces(self) -> None:
        """Send what is left of spans, as far as that takes no time to speak of."""
        if self._exporter is not None:
            await self._exporter.close()

    def close(self) -> None:
        """Let go of what belongs to no one else: the provider of flags."""
        if self._flags is not None:
            self._flags[1].close()

    def ways(self, plan: Plan) -> Mapping[str, Way]:
        """Of all policies that can be used now, by name.

        Raises SettingsError if one names a classifier, a check or a model file that cannot be loaded.
        """
        used = (plan.base, *(each.applied for each in plan.policies.values() if each.applied is not None))
        self._second_opinions.keep_only({applied.registry.version for applied in used})
        ways = {plan.base.policy.name: self._way_by(plan.base)}
        if not plan.is_off:
            others = {name: each.applied for name, each in plan.policies.items() if name not in ways}
            ways |= {name: self._way_by(applied) for name, applied in others.items() if applied is not None}
        return ways

    def chooser(self, plan: Plan, settings: Settings) -> Chooser | None:
        """None where there is nothing to choose from, so that a call without other policies pays nothing for them."""
        flags = self._flags_by(settings.flags.provider)
        if not plan.is_off and len(plan.policies) == 1 and flags is None:
            return None
        return Chooser(plan.rollout, is_off=plan.is_off, flags=flags, fallbacks=self.tally.policy_fallbacks)

    def _flags_by(self, provider: str | None) -> Flags | None:
        """It is kept as long as the settings name the same: it may have connections and caches."""
        before, self._flags = self._flags, None if provider is None else self._flags_of(provider)
        if before is not None and before != self._flags:
            before[1].close()
        return None if self._flags is None else self._flags[1]

    def _flags_of(self, provider: str) -> tuple[str, Flags]:
        if self._flags is not None and self._flags[0] == provider:
            return self._flags
        from routewright.policies.openfeature import OpenFeatureFlags

        return provider, OpenFeatureFlags.load(provider, self._clock)

    def _way_by(self, policy: Applied) -> Way:
        settings, registry = policy.settings, policy.registry
        caches = self._caches(settings, registry)
        decider = Decider(
            registry=registry,
            policy=policy.policy,
            classifier=self._classifier or load_classifier(settings.policy.classifier),
            forecasting=self._forecasting(settings, registry),
            random=self._random,
            dialects=UPSTREAMS,
            circuits=self.circuits,
            estimator=self._estimator,
            clock=self._clock,
            caches=caches,
            withdrawn=self._withdrawn,
        )
        planner = Planner(cascade_policy(settings.checks, settings.cascade), self._checker(settings))
        cascade = Cascade(planner, rewriters=REWRITERS, ledger=self._ledger, clock=self._clock, mint_id=self.mint_id)
        service, checked = self._stack(settings, registry, decider, caches, cascade)
        return Way(decider, service, checked, cascade)

    def _checker(self, settings: Settings) -> Checker:
        """Raises SettingsError for a plug-in that cannot be loaded."""
        plug_ins = {check.plug_in: f"checks.{name}.plug_in" for name, check in settings.checks.items()}
        return Checker(load_checks((name, setting) for name, setting in plug_ins.items() if name is not None))

    def _caches(self, settings: Settings, registry: Registry) -> PromptCaches | None:
        lifetime_s = settings.policy.prompt_cache_seconds
        return PromptCaches(self._sessions, registry, self._clock, lifetime_s=lifetime_s) if lifetime_s else None

    def _forecasting(self, settings: Settings, registry: Registry) -> Forecasting | None:
        """The learned classifier, if it is the one to use and its artefact is whole."""
        self.artefact_error = None
        path = settings.policy.artefact
        if self._classifier is not None or settings.policy.classifier != LEARNED:
            self._artefact = None
            return None
        from routewright.decision.forecast import Lessons
        from routewright.decision.learned import LearnedClassifier

        try:
            if self._artefact is None or self._artefact[0] != path:
                self._artefact = path, load_artefact(path)
        except ArtefactError as error:
            self.artefact_error = error.message
            log.error("requests are classified by the heuristic: %s", error.message)
            return None
        artefact, lessons = self._artefact[1], self.lessons
        if lessons is None or lessons.artefact != artefact.version:
            lessons = Lessons.none(artefact)
        return LearnedClassifier(artefact, lessons, registry.models.values())

    def _stack(
        self,
        settings: Settings,
        registry: Registry,
        decider: Decider,
        caches: PromptCaches | None,
        cascade: Cascade,
    ) -> tuple[Service[Call], Service[Call]]:
        """The stack, and the same for calls that bring checks of their own."""
        policy, clock = settings.policy, self._clock
        record = Record(
            self._ledger,
            registry,
            clock,
            tally=self.tally,
            logs_requests=settings.server.log_requests,
            logs_content=settings.ledger.log_content,
        )
        above = (
            # outermost but for the trace, so that refusals and time-outs are in the ledger too
            self._traced(settings, record)
            # one deadline over the decision, every attempt and every pause
            .then(Deadline(policy.deadline_ms / 1000, clock))
            # a key's own limits; above decide, so that a refused request costs nothing
            .then(self.key_quota)
        )
        if settings.cache.is_used:
            # above decide, so that a hit pays for no second opinion; below key quota, so that it counts
            above = above.then(self._cache(settings, registry, decider))
        # a route is needed to know who may be tried; nothing below sees a call without one
        decided = above.then(Decide(decider, self._second_opinions.of(settings, registry, decider)))
        if settings.shadow.models and settings.shadow.share:
            # below decide, as its question is the request's own; above all that is done for an answer's sake
            decided = decided.then(
                Shadow(
                    _shadowing(settings),
                    self.shadows,
                    decider.decide,
                    cascade.findings,
                    self._ledger,
                    clock,
                    self._random,
                )
            )
        if settings.context.enabled:
            # below decide, as what a token costs depends on the model; above fallback, so that all models get the same
            decided = decided.then(self._condense(settings.context, registry, decider, caches))
        if self._keeper is not None:
            # below condense, as what is shorter costs less; above fallback, as it chooses among the models to try
            decided = decided.then(Afford(self._keeper, _spending(settings), registry, clock))
        # the next model
        walk = Stack.outermost(Fallback(registry, clock, self._random)).over(
            self._attempts(settings, UPSTREAMS, caches)
        )
        # below decide and afford, as it goes on with other models of the route; above fallback, as each of its turns
        # is a walk of its own
        checked = decided.then(cascade).over(walk)
        return (checked if cascade.planner.policy.is_used else decided.over(walk)), checked

    def _attempts(
        self, settings: Settings, dialects: Mapping[str, Dialect], caches: PromptCaches | None = None
    ) -> Service[Attempt]:
        """The part of the stack that tries one model."""
        policy, clock = settings.policy, self._clock
        leaf = Upstream(
            self._transport,
            dialects,
            clock,
            connect_timeout_s=policy.connect_timeout_ms / 1000,
            idle_timeout_s=policy.idle_timeout_ms / 1000,
            max_reply_bytes=policy.max_reply_bytes,
        )
        tries = (
            # where to begin; above retry, which goes round from there
            Stack.outermost(Balance(self.paces, self.deployment_quota, self.circuits, clock, self._random, caches))
            # the same model again; below fallback, so that each model has its own tries
            .then(Retry(policy.max_retry_attempts, clock, self._random))
        )
        if policy.hedge_after_ms is not None:
            # below retry, so that both attempts are one try; above breaker, which judges each by itself
            hedging = Hedging(policy.hedge_after_ms / 1000, int(policy.hedge_max_usd * 10**9))
            tries = tries.then(Hedge(hedging, clock, self._random))
        measured = (
            # a key that was refused is not offered again; above breaker, as nothing is learned about health
            tries.then(Credentials(self._refusals, clock))
            # below retry, so that every try counts; above budget and quota, so that a refusal consumes nothing
            .then(Breaker(self.circuits, self.waits, clock, self.rounds))
            # what an operator must hear of, and keys that are refused; below retry, so that every try is seen
            .then(Watch(self.incidents, self._refusals, clock))
            # not every failure is tried again; below all that refuses for other reasons, so that this takes nothing
            .then(FurtherAttempts(self._retry_budget, self.circuits, clock))
            # every try has its own hold before a byte is sent
            .then(Budget(self._ledger, clock, self._keeper, patience_s=_spending(settings).patience_s))
            # a batch's own places; above quota, or those that wait here would keep others out there
            .then(self.lanes)
            # the deployment's own limits; a place is held as long as the answer lasts
            .then(self.deployment_quota)
            # what is too late is not sent; below quota, as how long it waited here says nothing of the provider
            .then(Measure(self.paces, clock))
        )
        if (tracer := self._tracer(settings)) is not None:
            from routewright.layers.trace import TraceAttempt

            # below all that refuses, so that a span is something sent; above the limit, which the span names
            measured = measured.then(TraceAttempt(tracer))
        return (
            # innermost, so that our own queueing is not blamed on the provider
            measured.then(
                FirstEventDeadline(
                    policy.fallback_timeout_ms / 1000, policy.response_timeout_ms / 1000, self.waits, clock
                )
            ).over(leaf)
        )

    def _traced(self, settings: Settings, record: Record) -> Stack[Call, Call]:
        """Record, and above it the trace, so that the log names it; without a collector nothing of it is there."""
        tracer = self._tracer(settings)
        if tracer is None:
            return Stack.outermost(record)
        from routewright.layers.trace import TraceCall

        return Stack.outermost(TraceCall(tracer)).then(record)

    def _tracer(self, settings: Settings) -> "Tracer | None":
        telemetry = settings.telemetry
        if telemetry.endpoint is None:
            return None
        from routewright.telemetry.exporter import Exporter, Target
        from routewright.telemetry.tracer import Tracer

        if self._exporter is None:
            self._exporter = Exporter(self._transport, self.tally.spans)
        self._exporter.target = Target(telemetry.endpoint, settings.telemetry_headers, telemetry.service_name)
        logs_content = telemetry.log_content and settings.ledger.log_content
        return Tracer(self._exporter, self._clock, self._random, share=telemetry.sample, logs_content=logs_content)

    def _cache(self, settings: Settings, registry: Registry, decider: Decider) -> Cache:
        cache = settings.cache
        place = Place(
            store=cache.store,
            folder=settings.ledger.path,
            max_entries=cache.max_entries,
            max_bytes=cache.max_bytes,
        )
        return Cache(
            _rules(cache),
            self._answers.at(place),
            decide=decider.decide,
            registry=registry,
            dialects=UPSTREAMS,
            ledger=self._ledger,
            clock=self._clock,
        )

    def _condense(
        self, context: ContextSettings, registry: Registry, decider: Decider, caches: PromptCaches | None
    ) -> Condense:
        return Condense(
            context.policy,
            registry=registry,
            rewriters=REWRITERS,
            errands=Errands(decider.decide, self._clock),
            summaries=Summaries(context.summaries_kept),
            summary_limit_s=context.summary_timeout_ms / 1000,
            clock=self._clock,
            warmth=caches,
        )


def _rules(cache: CacheSettings) -> Rules:
    return Rules(
        routes=frozenset(cache.routes),
        keys=frozenset(cache.keys),
        is_shared=cache.shared,
        fresh_ns=cache.ttl_s * NANOSECONDS,
        stale_ns=cache.stale_if_error_s * NANOSECONDS,
        max_answer_bytes=cache.max_answer_bytes,
    )


def _shadowing(settings: Settings) -> Shadowing:
    shadow = settings.shadow
    return Shadowing(
        models=shadow.models,
        share=shadow.share,
        judge=shadow.judge,
        limit_s=shadow.timeout_ms / 1000,
        keeps_content=settings.ledger.log_content,
    )


def _spending(settings: Settings) -> Spending:
    spending = settings.spending
    return Spending(
        steps=spending.when_full,
        wait_s=spending.wait_ms / 1000,
        least_output_tokens=spending.least_output_tokens,
    )
