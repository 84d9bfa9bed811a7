"""The composition root: the one place that sees settings and builds things, and the stack in its order.

A reload builds a new stack from new settings and swaps it in whole. Requests in flight keep the stack they started on;
what must outlive a reload (circuits, paces, token ratios, sessions, the ledger, connections) belongs to the engine and
serves both.
"""

import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from routewright.cache.places import Place, Places
from routewright.call import Attempt, Call
from routewright.catalog.registry import Registry
from routewright.check import Finding
from routewright.checkers import load_checks
from routewright.classifiers import LEARNED, load_artefact, load_classifier
from routewright.clock import Clock, SystemClock
from routewright.decision.cascading import Planner
from routewright.decision.checks import Checker
from routewright.decision.classifier import Classifier, Forecasting
from routewright.decision.tokens import TokenEstimator
from routewright.dialects.fields import wrong
from routewright.dialects.known import REWRITERS, UPSTREAMS
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import ArtefactError
from routewright.feedback import check_remarks
from routewright.ids import is_uuid7, uuid7
from routewright.layers.afford import Afford, Spending
from routewright.layers.balance import Balance
from routewright.layers.breaker import Breaker, Circuits
from routewright.layers.budget import Budget as BudgetLayer
from routewright.layers.cache import Cache, Rules
from routewright.layers.cascade import Cascade
from routewright.layers.condense import Condense, Summaries
from routewright.layers.credentials import Credentials, Refusals
from routewright.layers.deadline import Deadline, FirstEventDeadline
from routewright.layers.decide import Decide, Decider, SecondOpinion
from routewright.layers.errand import Errands
from routewright.layers.fallback import Fallback
from routewright.layers.hedge import Hedge, Hedging
from routewright.layers.incidents import Incidents, Watch
from routewright.layers.key_quota import KeyQuota, Standing
from routewright.layers.lanes import Lanes
from routewright.layers.pace import Measure, Paces
from routewright.layers.quota import DeploymentQuota
from routewright.layers.record import Record
from routewright.layers.retry import Retry
from routewright.layers.retry_budget import FurtherAttempts, RetryBudget
from routewright.layers.second_opinion import Judge
from routewright.layers.service import Service, Stack
from routewright.layers.sessions import PromptCaches, Sessions
from routewright.layers.shadow import Shadow, Shadowing, Shadows
from routewright.layers.slowness import Waits
from routewright.layers.tally import Tally
from routewright.layers.upstream import Upstream
from routewright.ledger.budgets import Budget, BudgetStanding
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import NANOSECONDS, Experiences, Ledger, OutcomeRecorded, OutcomeSource
from routewright.policies.choice import BASE, Chooser, Flags
from routewright.policies.overlay import Applied
from routewright.policies.plan import Plan, plan_of
from routewright.policies.store import InForce
from routewright.reply import Event, Reply
from routewright.route import Route
from routewright.settings import CacheSettings, ContextSettings, Settings
from routewright.settings.budgets import budgets_of
from routewright.settings.checks import cascade_policy
from routewright.shared.board import Board
from routewright.shared.rounds import Rounds
from routewright.tenant import Tenant
from routewright.transport import Transport

if TYPE_CHECKING:  # they need numpy, which is imported when there is something to decide with it
    from routewright.decision.artefact import Artefact
    from routewright.decision.forecast import Lessons
    from routewright.layers.embedder import Embedder
    from routewright.layers.neighbours import Memory
    from routewright.onnx_model import OnnxModel
    from routewright.telemetry.exporter import Exporter
    from routewright.telemetry.tracer import Tracer

log = logging.getLogger(__name__)


class _Way(Struct, frozen=True):
    """How calls are decided and answered under one policy."""

    decider: Decider
    service: Service[Call]
    checked: Service[Call]
    """The same for calls that bring checks of their own: where the settings name none, others do without."""
    cascade: Cascade


class _Snapshot(Struct, frozen=True):
    """What belongs together and changes together."""

    settings: Settings
    registry: Registry
    plan: Plan
    base: _Way
    ways: Mapping[str, _Way]
    """Of all policies that can be used now, by name."""
    chooser: Chooser | None
    """None where the base is all there is."""


class Engine:
    """Decides, calls, survives and accounts: what every face uses, and all that a face uses."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        ledger: Ledger,
        transport: Transport,
        clock: Clock | None = None,
        random: Random | None = None,
        classifier: Classifier | None = None,
        experiences: Experiences | None = None,
        keeper: Keeper | None = None,
        board: Board | None = None,
        answers: Places | None = None,
        workers: int = 1,
    ) -> None:
        """`classifier` goes before what the settings say; without `experiences` no neighbours are asked, without a
        `keeper` no budget limits anything, and without a `board` nothing is shared with other gateways. `answers` is
        where the response cache finds its store. This engine is that of one of so many `workers`.

        Raises SettingsError if the settings name a classifier or a model file that cannot be loaded.
        """
        self._experiences = experiences
        self._keeper = keeper
        self._further_budgets: dict[str, tuple[Budget, ...]] = {}
        """Beside those of the settings, by who brought them."""
        self._ledger = ledger
        self._transport = transport
        self._clock = clock or SystemClock()
        self._random = random or Random()
        self._classifier = classifier
        self._circuits = Circuits(self._random)
        self._waits = Waits()
        self._paces = Paces()
        self._retry_budget = RetryBudget()
        self._refusals = Refusals()
        self._estimator = TokenEstimator()
        self._sessions = Sessions()
        self._deployment_quota = DeploymentQuota(self._clock, workers)
        self._key_quota = KeyQuota(self._clock)
        self.lanes = Lanes(self._clock)
        """What batches may do at a time."""
        self.incidents = Incidents(self._clock)
        """What providers did that only the operator can mend."""
        self.rounds: Rounds | None = None
        """What is shared with other gateways; None where there are none."""
        if board is not None:
            self.rounds = Rounds(
                board, self._circuits, self._key_quota, lambda: self.registry.deployments.values(), self._clock
            )
        self.withdrawn: Mapping[str, str] = {}
        """Models that are not chosen by themselves now, each with the reason; replaced whole, from any thread."""
        self.tally = Tally()
        """What became of requests and attempts since the start."""
        self.shadows = Shadows(self.tally.attempt)
        """Copies of requests that wait or run, aside."""
        self._rebuilding = Lock()  # settings and lessons come from threads; one must not undo the other
        self._artefact: tuple[Path | None, Artefact] | None = None
        self._lessons: Lessons | None = None
        self._memories: dict[tuple[str, int, str], Memory] = {}
        self._local_model: tuple[object, OnnxModel] | None = None
        self._answers = answers or Places()
        self.artefact_error: str | None = None
        """Why the heuristic stands in for the learned classifier; None while it need not."""
        self._exporter: Exporter | None = None
        self._in_force = InForce()
        self._flags: tuple[str, Flags] | None = None
        self._snapshot = self._build(settings, registry)
        self._limit(settings)
        _tell_trouble(self.plan)
        self.settings_error: str | None = None
        """Why newer settings were not taken over; None while those in force are the newest."""

    def close(self) -> None:
        """Let go of what belongs to no one else: the provider of flags."""
        if self._flags is not None:
            self._flags[1].close()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._snapshot.settings

    @property
    def registry(self) -> Registry:
        """The catalog in force."""
        return self._snapshot.registry

    @property
    def artefact(self) -> "Artefact | None":
        """The trained part of the decision; None when another classifier is in force, or stands in."""
        return None if self._artefact is None or self.artefact_error else self._artefact[1]

    def mint_id(self) -> str:
        """A new id, for a request or an outcome."""
        return uuid7(self._clock.time_ns(), self._random)

    def ask(self, call: Call) -> Awaitable[Reply]:
        """Have a call answered; the reply is there when its first event has arrived. Raises RoutewrightError."""
        way, call = self._way(call)
        service = way.checked if call.options.checks else way.service
        return service(self._with_leave(call))

    def route(self, call: Call) -> Route:
        """Decide only, and call nobody; every candidate is written out. Raises CallerError."""
        way, call = self._way(call)
        call = self._with_leave(call)
        return way.cascade.planner.explained(call, way.decider.decide(call)).written_out()

    def examine(self, reply: Reply, events: Iterable[Event]) -> tuple[Finding, ...]:
        """What its checks say of an answer that came by another way than `ask`, whole; it is told to the ledger."""
        way, _ = self._way(reply.attempt.call)
        return way.cascade.examine(reply, events)

    def count_tokens(self, call: Call) -> int:
        """How many input tokens the model that would answer is likely to count; calls nobody. Raises ModelNotFound."""
        way, call = self._way(call)
        return way.decider.count_tokens(self._with_leave(call))

    def _way(self, call: Call) -> tuple[_Way, Call]:
        """The way of a call's policy, and the call with that policy's name.

        A name that the caller made up goes to the base, which refuses it, so that it is recorded.
        """
        snapshot, asked = self._snapshot, call.options.policy
        name = asked if snapshot.chooser is None else snapshot.chooser.choose(call)
        way = snapshot.ways.get(name)
        if name == asked:
            return way or snapshot.base, call
        if way is None and name != BASE:
            self.tally.policy_fallbacks["unusable"] += 1
        options = replace(call.options, policy=BASE if way is None else name)
        return way or snapshot.base, replace(call, options=options)

    def _with_leave(self, call: Call) -> Call:
        """With what the settings allow to be left out, beside what the call itself does."""
        allowed = self._snapshot.settings.policy.drop_unsupported
        if not allowed:
            return call
        return replace(call, options=replace(call.options, drop=(*allowed, *call.options.drop)))

    def observe(
        self,
        request_id: str,
        score: float,
        *,
        model: str = "",
        source: OutcomeSource = "feedback",
        comment: str = "",
        correction: str = "",
    ) -> str:
        """Record how well an answer turned out, from 0 to 1, and return the outcome's id; a newer one may follow.

        `model` is whose answer it was, if not that of the model which answered the request; `correction` what it
        should have been, refused unless content is kept. Whether there was such a request is not asked: it may be
        another process's. Raises InvalidRequest, ModelNotFound, LedgerUnavailable.
        """
        if not is_uuid7(request_id):
            raise wrong("request_id", "the id in the answer's header x-routewright-request-id", request_id)
        if not 0 <= score <= 1:
            raise wrong("score", "a number from 0 to 1", score)
        check_remarks(comment, correction, keeps_content=self.settings.ledger.log_content)
        outcome = OutcomeRecorded(
            outcome_id=self.mint_id(),
            request_id=request_id,
            at_ns=self._clock.time_ns(),
            model=self.registry.resolve(model).name if model else "",
            source=source,
            score=float(score),
            comment=comment,
            correction=correction,
        )
        self._ledger.observe(outcome)
        return outcome.outcome_id

    def adopt(self, settings: Settings, registry: Registry) -> None:
        """Take over new settings and catalog, whole, for every request that starts from now on.

        Raises SettingsError, and changes nothing, if they name a classifier or a model file that cannot be loaded.
        """
        with self._rebuilding:
            self._snapshot = self._build(settings, registry)
            self._limit(settings)
        _tell_trouble(self.plan)
        self._circuits.keep_only(registry.deployments.values())
        self._waits.keep_only(registry.deployments)
        self._paces.keep_only(registry.deployments.values())
        self._deployment_quota.keep_only(registry.deployments.values())
        self.settings_error = None

    def standing(self, tenant: Tenant) -> Standing | None:
        """How the limits per minute of a tenant stand, as far as this process knows; None if it has none."""
        return self._key_quota.standing(tenant)

    def breakers(self) -> Mapping[str, str]:
        """Deployment → `closed`, `open`, `half_open` or `ramping`, of those that can be called."""
        return {name: self._circuits.of(place).state for name, place in self.registry.deployments.items()}

    def health(self) -> Mapping[str, str]:
        """Whether the settings in force are the newest, which providers lack their key, whether the ledger takes what
        is new, whether Redis answers if there should be one, and the catalog's version.

        Nothing that must be kept secret: `degraded` says that requests are refused, the log says more.
        """
        settings = "in force" if self.settings_error is None else "newer ones have a mistake: see the log"
        trouble, keyless = self._ledger.trouble, self.settings.keyless
        health = {
            "status": "degraded" if trouble else "ok",
            "settings": settings,
            "providers": f"without their key, so not called: {', '.join(keyless)}" if keyless else "ok",
            "ledger": f"refuses: {trouble}" if trouble else "ok",
            "catalog": self.registry.version,
        }
        if self.rounds is not None:
            health["redis"] = "ok" if self.rounds.is_together else "not reached: this gateway counts its own share"
        return health

    def budgets(self) -> Sequence[BudgetStanding]:
        """How every budget stands in its window of now, as far as this process knows. In the event loop only."""
        return () if self._keeper is None else self._keeper.balances.standings(self._clock.time_ns())

    def adopt_budgets(self, budgets: Iterable[Budget], owner: str = "keys") -> None:
        """Keep these budgets, beside those of the settings, from now on: what keys, or a job, may spend.

        From any thread. They take the place of what their `owner` gave before; a window that is open stays as it is
        counted, by the name. Their days begin where `spending.time_zone` says.
        """
        with self._rebuilding:
            self._further_budgets.pop(owner, None)
            if further := tuple(budgets):
                self._further_budgets[owner] = further
            self._limit(self.settings)

    def _limit(self, settings: Settings) -> None:
        if self._keeper is not None:
            time_zone = settings.spending.time_zone
            further = (replace(each, time_zone=time_zone) for its in self._further_budgets.values() for each in its)
            self._keeper.balances.adopt((*budgets_of(settings), *further))

    def _build(self, settings: Settings, registry: Registry) -> _Snapshot:
        plan = plan_of(settings, registry, self._in_force)
        used = (plan.base, *(each.applied for each in plan.policies.values() if each.applied is not None))
        catalogs = {applied.registry.version for applied in used}
        self._memories = {key: memory for key, memory in self._memories.items() if key[-1] in catalogs}
        ways = {plan.base.policy.name: self._way_by(plan.base)}
        if not plan.is_off:
            others = {name: each.applied for name, each in plan.policies.items() if name not in ways}
            ways |= {name: self._way_by(applied) for name, applied in others.items() if applied is not None}
        return _Snapshot(settings, registry, plan, ways[plan.base.policy.name], ways, self._chooser(plan, settings))

    def _way_by(self, policy: Applied) -> _Way:
        settings, registry = policy.settings, policy.registry
        caches = self._caches(settings, registry)
        decider = Decider(
            registry=registry,
            policy=policy.policy,
            classifier=self._classifier or load_classifier(settings.policy.classifier),
            forecasting=self._forecasting(settings, registry),
            random=self._random,
            dialects=UPSTREAMS,
            circuits=self._circuits,
            estimator=self._estimator,
            clock=self._clock,
            caches=caches,
            withdrawn=lambda: self.withdrawn,
        )
        planner = Planner(cascade_policy(settings.checks, settings.cascade), self._checker(settings))
        cascade = Cascade(planner, rewriters=REWRITERS, ledger=self._ledger, clock=self._clock, mint_id=self.mint_id)
        service, checked = self._stack(settings, registry, decider, caches, cascade)
        return _Way(decider, service, checked, cascade)

    def _checker(self, settings: Settings) -> Checker:
        """Raises SettingsError for a plug-in that cannot be loaded."""
        plug_ins = {check.plug_in: f"checks.{name}.plug_in" for name, check in settings.checks.items()}
        return Checker(load_checks((name, setting) for name, setting in plug_ins.items() if name is not None))

    def _chooser(self, plan: Plan, settings: Settings) -> Chooser | None:
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

    @property
    def plan(self) -> Plan:
        """The policies in force."""
        return self._snapshot.plan

    def adopt_policies(self, in_force: InForce) -> None:
        """Take over what the ledger says of policies, for every request that starts from now on. From any thread."""
        with self._rebuilding:
            self._in_force = in_force
            self._snapshot = self._build(self.settings, self.registry)
        _tell_trouble(self.plan)

    def _caches(self, settings: Settings, registry: Registry) -> PromptCaches | None:
        lifetime_s = settings.policy.prompt_cache_seconds
        return PromptCaches(self._sessions, registry, self._clock, lifetime_s=lifetime_s) if lifetime_s else None

    def _forecasting(self, settings: Settings, registry: Registry) -> Forecasting | None:
        """The learned classifier, if it is the one to use and its artefact is whole; it has numpy to import."""
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
        artefact, lessons = self._artefact[1], self._lessons
        if lessons is None or lessons.artefact != artefact.version:
            lessons = Lessons.none(artefact)
        return LearnedClassifier(artefact, lessons, registry.models.values())

    @property
    def lessons(self) -> "Lessons | None":
        """What the ledger has taught so far."""
        return self._lessons

    def learn(self, lessons: "Lessons") -> None:
        """Decide by what the ledger taught, for every request that starts from now on. From any thread."""
        with self._rebuilding:
            self._lessons = lessons
            self._snapshot = self._build(self.settings, self.registry)

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
            .then(self._key_quota)
        )
        if settings.cache.is_used:
            # above decide, so that a hit pays for no second opinion; below key quota, so that it counts
            above = above.then(self._cache(settings, registry, decider))
        # a route is needed to know who may be tried; nothing below sees a call without one
        decided = above.then(Decide(decider, self._second_opinion(settings, registry, decider)))
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
            Stack.outermost(Balance(self._paces, self._deployment_quota, self._circuits, clock, self._random, caches))
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
            .then(Breaker(self._circuits, self._waits, clock, self.rounds))
            # what an operator must hear of, and keys that are refused; below retry, so that every try is seen
            .then(Watch(self.incidents, self._refusals, clock))
            # not every failure is tried again; below all that refuses for other reasons, so that this takes nothing
            .then(FurtherAttempts(self._retry_budget, self._circuits, clock))
            # every try has its own hold before a byte is sent
            .then(BudgetLayer(self._ledger, clock, self._keeper, patience_s=_spending(settings).patience_s))
            # a batch's own places; above quota, or those that wait here would keep others out there
            .then(self.lanes)
            # the deployment's own limits; a place is held as long as the answer lasts
            .then(self._deployment_quota)
            # what is too late is not sent; below quota, as how long it waited here says nothing of the provider
            .then(Measure(self._paces, clock))
        )
        if (tracer := self._tracer(settings)) is not None:
            from routewright.layers.trace import TraceAttempt

            # below all that refuses, so that a span is something sent; above the limit, which the span names
            measured = measured.then(TraceAttempt(tracer))
        return (
            # innermost, so that our own queueing is not blamed on the provider
            measured.then(
                FirstEventDeadline(
                    policy.fallback_timeout_ms / 1000, policy.response_timeout_ms / 1000, self._waits, clock
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

    async def end_traces(self) -> None:
        """Send what is left of spans, as far as that takes no time to speak of."""
        if self._exporter is not None:
            await self._exporter.close()

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

    def _second_opinion(self, settings: Settings, registry: Registry, decider: Decider) -> SecondOpinion | None:
        second = settings.second_opinion
        if second.kind == "judge":
            return Judge(
                Errands(decider.decide, self._clock),
                model=second.model,
                max_output_tokens=second.max_output_tokens,
                limit_s=second.timeout_ms / 1000,
            )
        if second.kind == "none" or self._experiences is None:
            return None
        return self._neighbours(settings, registry, self._experiences)

    def _neighbours(self, settings: Settings, registry: Registry, experiences: Experiences) -> SecondOpinion:
        """What was read of the ledger is kept as long as it would be the same again: it may be hundreds of MB."""
        from routewright.layers.neighbours import Memory, Neighbours

        second, embedder = settings.second_opinion, self._embedder(settings)
        key = embedder.name, second.max_entries, registry.version
        if key not in self._memories:
            self._memories = {its: memory for its, memory in self._memories.items() if its[:2] == key[:2]}
            tiers = {name: model.tier for name, model in registry.models.items()}
            memory = Memory(
                experiences, embedder.name, tier_of=tiers.get, max_entries=second.max_entries, clock=self._clock
            )
            self._memories[key] = memory
        return Neighbours(
            embedder,
            self._memories[key],
            self._ledger,
            self._clock,
            k=second.k,
            least_similarity=second.least_similarity,
            limit_s=second.timeout_ms / 1000,
        )

    def _embedder(self, settings: Settings) -> "Embedder":
        from routewright.dialects.vectors import read_vector
        from routewright.layers.embedder import EndpointEmbedder, LocalEmbedder
        from routewright.onnx_model import OnnxModel
        from routewright.settings.embeddings import embedding_model

        second = settings.second_opinion
        if second.embeddings is not None:
            # beside the others, because here the vector itself is read
            dialect = OpenAIEmbeddings(read_vector)
            attempts = self._attempts(settings, {dialect.name: dialect})
            return EndpointEmbedder(embedding_model(settings, second.embeddings), attempts, self._clock, self._random)
        assert second.onnx is not None
        assert second.tokenizer is not None
        key = second.onnx, second.tokenizer
        if self._local_model is None or self._local_model[0] != key:
            self._local_model = key, OnnxModel(second.onnx, second.tokenizer)
        return LocalEmbedder(self._local_model[1])

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


def _tell_trouble(plan: Plan) -> None:
    for policy in plan.policies.values():
        if policy.trouble is not None:
            log.error("%s; the base answers in its place", policy.trouble)
    for name in plan.without_policy:
        log.warning("no policy is called %s: the base answers for its share", name)


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
