"""Cascade: an answer that does not pass its checks is mended, asked for again, or made by a stronger model.

Each answer is a *turn*: a walk of its own through the layers below, with its own attempts, holds and ledger rows under
the request's id, and its `Cause`. It is held back until it is whole, so nothing of an answer that did not do has gone
to the client, and what no turn could make better is the best there was: the last answer, with what is wrong with it.
What is found is told to the ledger as outcomes, a name and a score each and no content. Time is one deadline for all,
and what is left of it may cut the last turn short, never the answer that is there.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Cause, Message, Routed
from routewright.check import AGREEMENT, OF_JSON, Check, Finding
from routewright.clock import Clock
from routewright.decision.agreement import Task, agree
from routewright.decision.cascading import CascadeStep, Plan, Planner, above, asked_again, only
from routewright.decision.repair import repaired_json
from routewright.decision.tokens import message_tokens
from routewright.dialects.wire import Rewriter
from routewright.errors import (
    AllAttemptsFailed,
    DeadlineExceeded,
    LedgerUnavailable,
    ProviderError,
    RoutewrightError,
)
from routewright.layers.budget import LEAST_TIME_LEFT_S
from routewright.layers.service import Service
from routewright.ledger.ledger import Ledger, OutcomeRecorded
from routewright.reply import NOT_CHARGED, Answer, Draft, Ended, Ending, Event, Reply
from routewright.route import Route

log = logging.getLogger(__name__)


class Turn(Struct, frozen=True, kw_only=True):
    """One whole answer, and what is wrong with it."""

    reply: Reply
    """Closed."""
    events: tuple[Event, ...]
    answer: Answer
    findings: tuple[Finding, ...] = ()
    is_repaired: bool = False

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What it did not pass."""
        return tuple(finding for finding in self.findings if not finding.is_ok)

    @property
    def model(self) -> str:
        """Whose answer it is."""
        return self.reply.attempt.model.name


class Cascade:
    """Below decide, as it goes from one candidate of the route to another; below afford, which has a say in who they
    are; above fallback, as each turn is a walk of its own."""

    def __init__(
        self,
        planner: Planner,
        *,
        rewriters: Mapping[str, Rewriter],
        ledger: Ledger,
        clock: Clock,
        mint_id: Callable[[], str],
    ) -> None:
        """`rewriters` say how a question goes on in its client's dialect; `mint_id` gives outcomes their ids."""
        self.planner = planner
        self._rewriters = rewriters
        self._ledger = ledger
        self._clock = clock
        self._mint_id = mint_id

    async def __call__(self, routed: Routed, forward: Service[Routed]) -> Reply:
        plan = None if routed.cause.is_errand else self.planner.plan(routed.call, routed.route)
        if plan is None:
            return await forward(routed)
        routed = replace(routed, route=replace(routed.route, strategy=plan.strategy))
        if plan.strategy.streams == "record":
            return self._recorded(plan, await forward(routed))
        return await _Walk(self, routed, plan, forward).reply()

    def _recorded(self, plan: Plan, reply: Reply) -> Reply:
        """The reply as it comes; it is checked when it has ended, and its attempt has been settled."""
        draft = Draft()

        def examine(closed: Reply) -> None:
            if closed.ending is Ending.COMPLETE:
                closed.findings = findings_of(plan, draft.answer(closed, NOT_CHARGED), closed.attempt.call)
                self.tell(closed, closed.findings)

        reply.overhear(draft.hear)
        return reply.on_close(examine)

    def examine(self, reply: Reply, events: Iterable[Event]) -> tuple[Finding, ...]:
        """What its checks say of a whole answer; the ledger is told. Raises InvalidCheck."""
        call, draft = reply.attempt.call, Draft()
        plan = self.planner.plan(call, reply.route)
        if plan is None:
            return ()
        draft.hear(events)
        findings = findings_of(plan, draft.answer(reply, NOT_CHARGED), call)
        self.tell(reply, findings)
        return findings

    def findings(self, call: Call, route: Route, answer: Answer) -> tuple[Finding, ...]:
        """What the call's checks say of a whole answer, whoever gave it. Raises InvalidCheck."""
        plan = self.planner.plan(call, route)
        return () if plan is None else findings_of(plan, answer, call)

    # -- what a walk needs

    @property
    def steps(self) -> Sequence[CascadeStep]:
        """What is done about an answer that did not pass, in this order."""
        return self.planner.policy.steps

    @property
    def max_turns(self) -> int:
        """Answers to one call."""
        return self.planner.policy.max_turns

    @property
    def agreement(self) -> Sequence[str]:
        """Whose answers are compared."""
        return self.planner.policy.agreement

    def left_s(self, call: Call) -> float:
        """How much time a further turn has."""
        return call.deadline_at - LEAST_TIME_LEFT_S - self._clock.monotonic()

    def continued(self, call: Call, further: Sequence[Message]) -> Call | None:
        """The call with more messages; None where its dialect cannot say so."""
        messages = (*call.messages, *further)
        if not call.body:
            return replace(call, messages=messages)
        rewriter = self._rewriters.get(call.dialect)
        if rewriter is None:
            return None
        return rewriter.with_messages(call, messages, (*range(len(call.messages)), *(None for _ in further)))

    def tell(self, reply: Reply, findings: Sequence[Finding]) -> None:
        """Have the ledger know what was found. That it cannot take it now is no reason to withhold an answer."""
        for finding in findings:
            outcome = OutcomeRecorded(
                outcome_id=self._mint_id(),
                request_id=reply.attempt.call.id,
                at_ns=self._clock.time_ns(),
                model=reply.attempt.model.name,
                source="check",
                score=float(finding.is_ok),
                check=finding.check,
            )
            try:
                self._ledger.observe(outcome)
            except LedgerUnavailable as error:
                log.warning("what a check found is not in the ledger: %s", error.message)


class _Walk:
    """One call's way through its turns."""

    def __init__(self, cascade: Cascade, routed: Routed, plan: Plan, forward: Service[Routed]) -> None:
        self._cascade = cascade
        self._routed = replace(routed, is_turn=True)
        self._plan = plan
        self._forward = forward
        self._told: list[str] = []
        """What was done, for the route."""
        self._attempts = 0
        self._tokens = 0
        """Of all turns that were answered."""
        self._turns = 1

    async def reply(self) -> Reply:
        """The best answer that was made. Raises what the first turn does, if it made none."""
        turn = await self._first() if self._plan.task is None else await self._agreed(self._plan.task)
        is_repairing = False
        for step in self._cascade.steps:
            if not turn.failed:
                break
            if step is CascadeStep.REPAIR:
                is_repairing = True
            elif self._turns < self._cascade.max_turns:
                turn = await self._asked_again(turn) if step is CascadeStep.REASK else await self._escalated(turn)
            if is_repairing:
                turn = self._repaired(turn)
        self._tell(turn)
        return self._delivered(turn)

    # -- turns

    async def _first(self) -> Turn:
        return self._examined(await self._turn(self._routed))

    async def _agreed(self, task: Task) -> Turn:
        """The first of two answers that say the same; else the answer of a stronger model."""
        route, names = self._routed.route, self._plan.strategy.asked
        first, second = (
            replace(self._routed, route=only(route, name), cause=cause, attempts_before=number)
            for number, (name, cause) in enumerate(zip(names, (Cause.FIRST, Cause.AGREEMENT), strict=True))
        )
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._tried(each)) for each in (first, second)]
        answers = [task.result() for task in asking]
        one, other = answers
        if one is not None and other is not None and agree(one.answer.text, other.answer.text, task):
            self._told.append(f"{' and '.join(names)} agree")
            self._compare(answers, [True, True])
            return self._examined(replace(one, findings=(Finding(AGREEMENT, True),)))
        stronger = above(route, self._cascade.agreement)
        assert stronger is not None, "there is no plan to compare without one"
        what = f"{' and '.join(names)} do not agree"
        turn = await self._further(self._following(stronger, Cause.ESCALATION), what, is_only=not (one or other))
        if turn is None:
            made = one or other
            assert made is not None, "without any answer the last failure is raised"
            return self._examined(made)
        self._compare(answers, [each and agree(each.answer.text, turn.answer.text, task) for each in answers])
        return self._examined(turn)

    def _compare(self, answers: Sequence[Turn | None], verdicts: Sequence[object]) -> None:
        """Tell who said what was taken for right."""
        for turn, is_right in zip(answers, verdicts, strict=True):
            if turn is not None:
                self._cascade.tell(turn.reply, (Finding(AGREEMENT, bool(is_right)),))

    async def _asked_again(self, turn: Turn) -> Turn:
        reasons = [finding.reason for finding in turn.failed]
        further = asked_again(turn.reply.attempt.call, turn.answer, reasons)
        call = self._cascade.continued(self._routed.call, further)
        if call is None:
            return turn
        route = only(self._routed.route, turn.model)
        route = replace(route, input_tokens=route.input_tokens + sum(map(message_tokens, further)))
        return await self._instead(turn, replace(self._following(route, Cause.REASK), call=call))

    async def _escalated(self, turn: Turn) -> Turn:
        route = above(self._routed.route, (turn.model,))
        return turn if route is None else await self._instead(turn, self._following(route, Cause.ESCALATION))

    async def _instead(self, turn: Turn, routed: Routed) -> Turn:
        """The answer of another turn; the one there is if there comes none in time."""
        what = f"{turn.model} failed {', '.join(finding.check for finding in turn.failed)}"
        another = await self._further(routed, what)
        if another is None:
            return turn
        self._tell(turn)
        return self._examined(another)

    async def _further(self, routed: Routed, what: str, *, is_only: bool = False) -> Turn | None:
        """Another answer, because of `what`; None if there comes none in time. Raises why not where there `is_only`
        this one to be had."""
        self._turns += 1
        try:
            async with asyncio.timeout(None if is_only else self._cascade.left_s(routed.call)):
                another = await self._turn(routed)
        except (RoutewrightError, TimeoutError) as error:
            if is_only:
                raise
            code = error.code if isinstance(error, RoutewrightError) else DeadlineExceeded.code
            self._told.append(f"{what}; {routed.cause}: {code}")
            return None
        self._told.append(f"{what}; {routed.cause}: {another.model}")
        return another

    def _following(self, route: Route, cause: Cause) -> Routed:
        return replace(self._routed, route=route, cause=cause, attempts_before=self._attempts)

    async def _tried(self, routed: Routed) -> Turn | None:
        with suppress(RoutewrightError):
            return await self._turn(routed)
        return None

    async def _turn(self, routed: Routed) -> Turn:
        """One whole answer. Raises AllAttemptsFailed, DeadlineExceeded, …"""
        try:
            reply = await self._forward(routed)
        except AllAttemptsFailed as error:
            self._attempts += sum(not failure.is_unsent for _, failure in error.failures)
            raise
        self._attempts = max(self._attempts, reply.attempt.number)
        draft, events = Draft(), []
        try:
            async for event in reply:
                draft.add(event)
                events.append(event)
        except ProviderError as error:  # it broke off, and nobody has seen anything of it
            raise AllAttemptsFailed([(reply.attempt.deployment.id, error)]) from error
        finally:
            reply.close()
        self._tokens += 0 if reply.usage is None else reply.usage.total
        return Turn(reply=reply, events=tuple(events), answer=draft.answer(reply, NOT_CHARGED))

    # -- what is said of them

    def _examined(self, turn: Turn) -> Turn:
        found = findings_of(self._plan, turn.answer, turn.reply.attempt.call)
        return replace(turn, findings=(*turn.findings, *found))

    def _repaired(self, turn: Turn) -> Turn:
        """The turn with its JSON mended, if that makes it pass."""
        kinds = {check.name: check.kind for check, _ in self._plan.examine}
        if turn.answer.tool_calls or not any(kinds.get(finding.check) in OF_JSON for finding in turn.failed):
            return turn
        text = repaired_json(turn.answer.text)
        if text is None or turn.reply.attempt.call.choices > 1:
            return turn
        mended = self._examined(replace(turn, answer=replace(turn.answer, text=text), findings=(), is_repaired=True))
        if mended.failed:
            return turn
        self._told.append(f"{turn.model}'s JSON was repaired")
        return replace(mended, events=_rewritten(turn.events, text))

    def _tell(self, turn: Turn) -> None:
        self._cascade.tell(turn.reply, [finding for finding in turn.findings if finding.check != AGREEMENT])

    def _delivered(self, turn: Turn) -> Reply:
        """The turn's answer as the reply to the whole call."""
        attempt, before = turn.reply.attempt, turn.reply
        tokens = attempt.routed.route.input_tokens
        route = replace(self._routed.route, input_tokens=tokens, cascade=tuple(self._told))
        routed = replace(attempt.routed, route=route, cause=self._routed.cause)
        reply = Reply(replace(attempt, routed=routed, number=max(attempt.number, self._attempts)), Ended(), turn.events)
        reply.budget_remaining_nanousd = before.budget_remaining_nanousd
        reply.first_wait_s, reply.allowance = before.first_wait_s, before.allowance
        reply.tokens_before = self._tokens - (0 if before.usage is None else before.usage.total)
        reply.findings, reply.is_rewritten = turn.findings, turn.is_repaired
        return reply


def findings_of(plan: Plan, answer: Answer, call: Call) -> tuple[Finding, ...]:
    """What each check says of an answer."""
    return tuple(_finding(check, examine(answer, call)) for check, examine in plan.examine)


def _finding(check: Check, reason: str) -> Finding:
    return Finding(check.name, not reason, reason)


def _rewritten(events: Sequence[Event], text: str) -> tuple[Event, ...]:
    """The same events with another text, where theirs began, and without bytes to pass on."""
    first = next(at for at, event in enumerate(events) if event.text)
    return tuple(
        replace(event, raw=b"", text=text if at == first else "", logprobs=None) for at, event in enumerate(events)
    )
