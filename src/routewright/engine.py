"""What every face uses: a call is answered by the stack of its policy, and settings change while calls are under way.

A reload builds new stacks from new settings and swaps them in whole. Requests in flight keep the stack they started on;
what must outlive a reload (circuits, paces, token ratios, sessions, the ledger, connections) serves both.
"""

import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from random import Random
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from routewright.assembly import Assembly, Way
from routewright.cache.places import Places
from routewright.call import Call
from routewright.catalog.registry import Registry
from routewright.check import Finding
from routewright.clock import Clock, SystemClock
from routewright.decision.classifier import Classifier
from routewright.dialects.fields import wrong
from routewright.feedback import check_remarks
from routewright.ids import is_uuid7
from routewright.layers.key_quota import Standing
from routewright.ledger.budgets import Budget, BudgetStanding
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import Experiences, Ledger, OutcomeRecorded, OutcomeSource
from routewright.policies.choice import BASE, Chooser
from routewright.policies.plan import Plan, plan_of
from routewright.policies.store import InForce
from routewright.reply import Event, Reply
from routewright.route import Route
from routewright.settings import Settings
from routewright.settings.budgets import budgets_of
from routewright.shared.board import Board
from routewright.shared.rounds import Rounds
from routewright.tenant import Tenant
from routewright.transport import Transport

if TYPE_CHECKING:  # they are imported when there is something to decide with them
    from routewright.decision.artefact import Artefact
    from routewright.decision.forecast import Lessons

log = logging.getLogger(__name__)


class _Snapshot(Struct, frozen=True):
    """What belongs together and changes together."""

    settings: Settings
    registry: Registry
    plan: Plan
    base: Way
    ways: Mapping[str, Way]
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
        self._ledger = ledger
        self._clock = clock or SystemClock()
        self._keeper = keeper
        self._further_budgets: dict[str, tuple[Budget, ...]] = {}
        """Beside those of the settings, by who brought them."""
        self.withdrawn: Mapping[str, str] = {}
        """Models that are not chosen by themselves now, each with the reason; replaced whole, from any thread."""
        assembly = self._assembly = Assembly(
            ledger=ledger,
            transport=transport,
            clock=self._clock,
            random=random or Random(),
            classifier=classifier,
            experiences=experiences,
            keeper=keeper,
            answers=answers or Places(),
            workers=workers,
            withdrawn=lambda: self.withdrawn,
        )
        self.lanes = assembly.lanes
        """What batches may do at a time."""
        self.incidents = assembly.incidents
        """What providers did that only the operator can mend."""
        self.tally = assembly.tally
        """What became of requests and attempts since the start."""
        self.shadows = assembly.shadows
        """Copies of requests that wait or run, aside."""
        if board is not None:
            assembly.rounds = Rounds(
                board, assembly.circuits, assembly.key_quota, lambda: self.registry.deployments.values(), self._clock
            )
        self.rounds = assembly.rounds
        """What is shared with other gateways; None where there are none."""
        self._rebuilding = Lock()  # settings and lessons come from threads; one must not undo the other
        self._in_force = InForce()
        self._snapshot = self._build(settings, registry)
        self._limit(settings)
        _tell_trouble(self.plan)
        self.settings_error: str | None = None
        """Why newer settings were not taken over; None while those in force are the newest."""

    def close(self) -> None:
        """Let go of what belongs to no one else: the provider of flags."""
        self._assembly.close()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._snapshot.settings

    @property
    def registry(self) -> Registry:
        """The catalog in force."""
        return self._snapshot.registry

    @property
    def plan(self) -> Plan:
        """The policies in force."""
        return self._snapshot.plan

    @property
    def artefact(self) -> "Artefact | None":
        """The trained part of the decision; None when another classifier is in force, or stands in."""
        return self._assembly.artefact

    @property
    def artefact_error(self) -> str | None:
        """Why the heuristic stands in for the learned classifier; None while it need not."""
        return self._assembly.artefact_error

    @property
    def lessons(self) -> "Lessons | None":
        """What the ledger has taught so far."""
        return self._assembly.lessons

    def mint_id(self) -> str:
        """A new id, for a request or an outcome."""
        return self._assembly.mint_id()

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

    def _way(self, call: Call) -> tuple[Way, Call]:
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
        self._assembly.keep_only(registry)
        self.settings_error = None

    def adopt_policies(self, in_force: InForce) -> None:
        """Take over what the ledger says of policies, for every request that starts from now on. From any thread."""
        with self._rebuilding:
            self._in_force = in_force
            self._snapshot = self._build(self.settings, self.registry)
        _tell_trouble(self.plan)

    def learn(self, lessons: "Lessons") -> None:
        """Decide by what the ledger taught, for every request that starts from now on. From any thread."""
        with self._rebuilding:
            self._assembly.lessons = lessons
            self._snapshot = self._build(self.settings, self.registry)

    def _build(self, settings: Settings, registry: Registry) -> _Snapshot:
        plan = plan_of(settings, registry, self._in_force)
        ways = self._assembly.ways(plan)
        chooser = self._assembly.chooser(plan, settings)
        return _Snapshot(settings, registry, plan, ways[plan.base.policy.name], ways, chooser)

    def standing(self, tenant: Tenant) -> Standing | None:
        """How the limits per minute of a tenant stand, as far as this process knows; None if it has none."""
        return self._assembly.key_quota.standing(tenant)

    def breakers(self) -> Mapping[str, str]:
        """Deployment → `closed`, `open`, `half_open` or `ramping`, of those that can be called."""
        return {name: self._assembly.circuits.of(place).state for name, place in self.registry.deployments.items()}

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

    async def end_traces(self) -> None:
        """Send what is left of spans, as far as that takes no time to speak of."""
        await self._assembly.end_traces()


def _tell_trouble(plan: Plan) -> None:
    for policy in plan.policies.values():
        if policy.trouble is not None:
            log.error("%s; the base answers in its place", policy.trouble)
    for name in plan.without_policy:
        log.warning("no policy is called %s: the base answers for its share", name)
