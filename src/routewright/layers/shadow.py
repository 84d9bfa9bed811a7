"""Shadow: a share of what is asked is also asked of other models, aside, to see how they would do.

Nobody's answer waits for it, and none depends on it: a copy begins when the answer has ended, goes last where calls
wait for one another, is paid out of a budget of its own, and what befalls it is counted and told to no client.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from random import Random
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Cause, Options, Priority, Routed
from routewright.check import Finding
from routewright.clock import Clock
from routewright.decision.pairwise import PAIR_ORDER, Preference, pair_prompt, read_preference, settled
from routewright.decision.sameness import said, says_the_same
from routewright.errors import CallerError, DeadlineExceeded, RoutewrightError
from routewright.ids import uuid7
from routewright.layers.errand import Errand, Errands
from routewright.layers.service import Service
from routewright.ledger.ledger import ComparisonRecorded, ComparisonResult, Ledger, OutcomeRecorded, OutcomeSource
from routewright.reply import NOT_CHARGED, Answer, AttemptReport, Draft, Ending, Reply
from routewright.route import Route
from routewright.tenant import NOBODY

log = logging.getLogger(__name__)

MOST_WAITING = 100
"""Copies that wait for their turn; beyond it none are made."""
LONGEST_BYTES = 256 * 1024
"""Of an answer; with a longer one nothing is compared."""
KEPT_CHARS = 20_000
"""Of an answer that is kept with its comparison, where content is kept."""
JUDGE_TOKENS = 2_048
"""For one word; most of it is for models that think before they say it."""
LEAST_TOKENS, TIMES_AS_LONG = 8_192, 4
"""How long a copy's answer may be, at least, or beside the one that was given, whichever is more: without a bound the
dearest that a copy can cost is that of the model's longest answer, and few fit into a day's money."""
EVEN = 0.5
_OPINIONS: Mapping[str, float] = {"win": 1.0, "tie": 1.0, "loss": 0.0}
"""How well a shadow answered: at least as well as the model that was chosen, or worse."""
MOST_AT_ONCE = 4
"""Copies that run; each asks one model after the other."""

Examine: TypeAlias = Callable[[Call, Route, Answer], tuple[Finding, ...]]
"""What the checks of a call say of an answer to it."""
Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Shadowing(Struct, frozen=True, kw_only=True):
    """What is to be shadowed, and how."""

    models: tuple[str, ...]
    """Who is asked beside: names as in `Call.model`."""
    share: float
    """Of the requests, 0 to 1."""
    judge: str | None = None
    """Who says which of two answers is better, as in `Call.model`; None for nobody."""
    limit_s: float = 120.0
    """The longest that a copy, and a judge's word, may take."""
    keeps_content: bool = False


class Shadows:
    """The copies of a process that wait or run: some at a time, and the others in their order."""

    def __init__(self, note: Callable[[AttemptReport], None] = lambda report: None) -> None:
        """`note` hears of every attempt that was made for them."""
        self.note = note
        self.counts: Counter[str] = Counter()
        """What became of them: results of comparisons, and `dropped`."""
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def begin(self, work: Work) -> None:
        """Have it done when its turn comes; dropped when too many wait, or the process ends."""
        if len(self._tasks) >= MOST_WAITING or self._is_stopped:
            self.counts["dropped"] += 1
            return
        task = asyncio.get_running_loop().create_task(self._in_turn(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, work: Work) -> None:
        async with self._turns:
            try:
                await work()
            except RoutewrightError as error:
                self.counts["dropped"] += 1
                log.warning("a comparison is not recorded: %s", error.message)

    def note_unsent(self, answer: Answer | RoutewrightError) -> None:
        """A copy was not sent; the first time, the log says why."""
        self.counts["unsent"] += 1
        if self.counts["unsent"] == 1 and isinstance(answer, RoutewrightError):
            log.warning("copies of requests are not sent to other models: %s", answer.message)

    async def stop(self) -> None:
        """Give up what waits and what runs; what was sent is settled."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Wait for all of them."""
        await asyncio.gather(*self._tasks)


class _Seen(Struct, kw_only=True):
    """How one model did with a request that another one answered."""

    model: str
    answer: Answer | RoutewrightError
    total_ms: int
    cost_nanousd: int | None
    result: ComparisonResult = "different"
    decided_by: str = ""
    judge: str = ""
    judge_cost_nanousd: int | None = None
    findings: tuple[Finding, ...] = ()


class Shadow:
    """Below decide, as a copy is told how its request was routed; above all that escalates, as a copy never does."""

    def __init__(
        self,
        shadowing: Shadowing,
        shadows: Shadows,
        decide: Callable[[Call], Route],
        examine: Examine,
        ledger: Ledger,
        clock: Clock,
        random: Random,
    ) -> None:
        """`decide` is the decision that requests get; raises CallerError."""
        self._examine = examine
        self._shadowing = shadowing
        self._shadows = shadows
        self._decide = decide
        self._errands = Errands(decide, clock)
        self._ledger = ledger
        self._clock = clock
        self._random = random

    async def __call__(self, routed: Routed, forward: Service[Routed]) -> Reply:
        if not self._is_chosen(routed):
            return await forward(routed)
        begun_at = self._clock.monotonic()
        reply = await forward(routed)
        draft = Draft()
        reply.overhear(draft.hear)

        def closed(reply: Reply) -> None:
            if reply.ending is Ending.COMPLETE and reply.text_bytes <= LONGEST_BYTES:
                took_s = self._clock.monotonic() - begun_at
                # a task of its own: it begins when the request has its row and receipt, which come last of all
                self._shadows.begin(lambda: self._compare(draft.answer(reply), took_s, routed, forward))

        return reply.on_close(closed)

    def _is_chosen(self, routed: Routed) -> bool:
        call = routed.call
        may = call.options.shadow and not call.options.no_log and call.choices == 1
        return may and self._random.random() < self._shadowing.share

    async def _compare(self, given: Answer, took_s: float, routed: Routed, forward: Service[Routed]) -> None:
        """Ask each of the models, and write down how it did. Raises LedgerUnavailable."""
        call = routed.call
        for model in self._shadowing.models:
            try:
                copy = self._copied(call, model, given)
            except CallerError:
                self._shadows.counts["unable"] += 1
                continue
            if copy.route.chosen.model != given.model:
                self._ledger.open(call.id)
                try:
                    seen = await self._seen(copy, given, routed, forward)
                    if self._ledger.account(call.id).reports:
                        self._write(given, took_s, seen)
                    else:  # its budget is spent, or its places rest: that says nothing of the model
                        self._shadows.note_unsent(seen.answer)
                finally:
                    for report in self._ledger.account(call.id).reports:
                        self._shadows.note(report)
                    self._ledger.close(call.id)

    def _copied(self, call: Call, model: str, given: Answer) -> Routed:
        """The same question to one model, as nobody's: no key pays for it or is limited by it. Raises CallerError."""
        most = max(LEAST_TOKENS, TIMES_AS_LONG * given.usage.output_total)
        copy = replace(
            call,
            model=model,
            max_output_tokens=min(most, call.max_output_tokens or most),
            options=Options(),
            tenant=NOBODY,
            priority=Priority.SHADOW,
            max_retries=0,
            deadline_at=self._clock.monotonic() + self._shadowing.limit_s,
        )
        route = self._decide(copy)
        return Routed(copy, route.with_candidates((route.chosen,)), Cause.SHADOW)

    async def _seen(self, copy: Routed, given: Answer, routed: Routed, forward: Service[Routed]) -> _Seen:
        begun_at = self._clock.monotonic()
        answer = await self._asked(copy, forward)
        seen = _Seen(
            model=copy.route.chosen.model,
            answer=answer,
            total_ms=round((self._clock.monotonic() - begun_at) * 1000),
            cost_nanousd=self._spent(copy.call.id, Cause.SHADOW),
        )
        if isinstance(answer, RoutewrightError):
            seen.result, seen.decided_by = "failed", answer.code
            return seen
        if answer.finish == "length" and copy.call.max_output_tokens != routed.call.max_output_tokens:
            seen.result, seen.decided_by = "failed", "too_long"  # we cut it, so there is nothing to hold against it
            return seen
        seen.findings = self._examine(routed.call, routed.route, answer)
        does = all(finding.is_ok for finding in seen.findings)
        given_does = all(finding.is_ok for finding in self._examine(routed.call, routed.route, given))
        if says_the_same(copy.call, given, answer):
            seen.result, seen.decided_by = "tie", "agreement"
        elif does is not given_does:
            seen.result, seen.decided_by = "win" if does else "loss", "checks"
        elif self._shadowing.judge is not None:
            await self._have_judged(seen, copy.call, (said(given), said(answer)), forward)
        return seen

    async def _asked(self, copy: Routed, forward: Service[Routed]) -> Answer | RoutewrightError:
        """What that one model answers, or why it does not."""
        limit_s = self._shadowing.limit_s
        try:
            async with asyncio.timeout(limit_s):
                return await _read(await forward(copy))
        except TimeoutError:
            return DeadlineExceeded(f"no answer within {limit_s:g} s")
        except RoutewrightError as error:
            return error

    async def _have_judged(self, seen: _Seen, call: Call, both: tuple[str, str], forward: Service[Routed]) -> None:
        """Ask the judge in both orders, in which one first by chance: it counts when it can be read both times."""
        given, shadow = both
        words: list[Preference] = []
        shadow_is_first = self._random.random() < EVEN
        for is_first in (shadow_is_first, not shadow_is_first):
            prompt = pair_prompt(call, *((shadow, given) if is_first else (given, shadow)))
            word = None if prompt is None else await self._judges_word(seen, call, prompt, forward)
            preference = None if word is None else read_preference(word, shadow_is_first=is_first)
            if preference is None:
                break
            words.append(preference)
        else:
            seen.result, seen.decided_by = settled(*words), "judge"
        seen.judge_cost_nanousd = self._spent(call.id, Cause.COMPARISON)

    async def _judges_word(self, seen: _Seen, call: Call, prompt: str, forward: Service[Routed]) -> str | None:
        """What the judge says, if it says anything; notes who it is."""
        errand = Errand(
            cause=Cause.COMPARISON,
            model=self._shadowing.judge or "",
            order=PAIR_ORDER,
            prompt=prompt,
            max_output_tokens=JUDGE_TOKENS,
            limit_s=self._shadowing.limit_s,
        )
        fresh = replace(call, deadline_at=self._clock.monotonic() + 2 * self._shadowing.limit_s)
        planned = self._errands.plan(errand, fresh)
        if isinstance(planned, RoutewrightError):
            return None
        seen.judge = planned.route.chosen.model
        word = await self._errands.run(planned, forward)
        return None if isinstance(word, RoutewrightError) else word

    def _write(self, given: Answer, took_s: float, seen: _Seen) -> None:
        """Raises LedgerUnavailable."""
        self._shadows.counts[seen.result] += 1
        self._ledger.compare(
            ComparisonRecorded(
                comparison_id=self._mint(),
                request_id=given.request_id,
                at_ns=self._clock.time_ns(),
                model=given.model,
                shadow=seen.model,
                result=seen.result,
                decided_by=seen.decided_by,
                judge=seen.judge,
                is_same=seen.decided_by == "agreement",
                cost_nanousd=_total(given.receipt.attempts),
                shadow_cost_nanousd=seen.cost_nanousd,
                judge_cost_nanousd=seen.judge_cost_nanousd,
                total_ms=round(took_s * 1000),
                shadow_ms=seen.total_ms,
                answer=self._kept(given),
                shadow_answer=self._kept(seen.answer),
            )
        )
        for finding in seen.findings:
            self._observe(given, seen, "check", float(finding.is_ok), finding.check)
        if seen.result in _OPINIONS:
            source: OutcomeSource = "judge" if seen.decided_by == "judge" else "shadow"
            self._observe(given, seen, source, _OPINIONS[seen.result])

    def _observe(self, given: Answer, seen: _Seen, source: OutcomeSource, score: float, check: str = "") -> None:
        self._ledger.observe(
            OutcomeRecorded(
                outcome_id=self._mint(),
                request_id=given.request_id,
                at_ns=self._clock.time_ns(),
                model=seen.model,
                source=source,
                score=score,
                check=check,
            )
        )

    def _spent(self, request_id: str, cause: Cause) -> int | None:
        """By what was asked for that cause; None when some of it has no price."""
        return _total([each for each in self._ledger.account(request_id).reports if each.cause == cause])

    def _kept(self, answer: Answer | RoutewrightError) -> str:
        if not self._shadowing.keeps_content or isinstance(answer, RoutewrightError):
            return ""
        return said(answer)[:KEPT_CHARS]

    def _mint(self) -> str:
        return uuid7(self._clock.time_ns(), self._random)


async def _read(reply: Reply) -> Answer:
    """The whole answer. Raises ProviderError, DeadlineExceeded."""
    draft = Draft()
    try:
        while events := await reply.next():
            draft.hear(events)
    finally:
        reply.close()
    return draft.answer(reply, NOT_CHARGED)


def _total(attempts: Iterable[AttemptReport]) -> int | None:
    costs = [attempt.cost_nanousd for attempt in attempts]
    return None if None in costs else sum(cost or 0 for cost in costs)
