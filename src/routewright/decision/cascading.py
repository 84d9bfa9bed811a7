"""The cascade, as far as it is decided: which checks an answer must pass, whom to ask next, and what it may all cost.

Cheaper is easy; this is what makes it good as well. An answer that does not pass is mended if that can be done without
asking; else its model is asked again and told why, or a model of a higher tier is asked. For a task whose answers can
be compared, two cheap answers that say the same are about as good as a dear one (`docs/quality.md`); so that only where
they differ the dear model is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, Message, Text
from routewright.catalog.registry import Tier
from routewright.check import BARE, Check, CheckKind
from routewright.decision.agreement import Task, task_of
from routewright.decision.checks import Checker, Examine
from routewright.decision.intent import CLASSIFIED, UPWARDS
from routewright.errors import InvalidCheck
from routewright.reply import Answer
from routewright.route import Candidate, Route, Strategy

ALL = "all"
"""The route that every answer is on."""
USUAL_DISAGREEMENT = 0.4
"""How often two cheap models differ where nobody knows how good they are: on recorded answers 37 to 61 %, by the task
(`docs/quality.md`)."""


class CascadeStep(StrEnum):
    """What is done about an answer that did not pass."""

    REPAIR = "repair"
    """Mend its JSON; nobody is asked."""
    REASK = "reask"
    """Tell its model what is wrong, and ask again."""
    ESCALATE = "escalate"
    """Ask a model of a higher tier."""


class Applied(Struct, frozen=True):
    """A check, and whose answers must pass it."""

    check: Check
    routes: frozenset[str] = frozenset()
    """Tiers and models that are decided on, or names that are asked for; `all` for every one."""
    keys: frozenset[str] = frozenset()
    """Ids of virtual keys."""

    def applies(self, call: Call, route: Route) -> bool:
        """Whether an answer to this call must pass it."""
        named = (ALL, route.tier, route.chosen.model, call.model)
        return call.tenant.key in self.keys or not self.routes.isdisjoint(named)


class CascadePolicy(Struct, frozen=True, kw_only=True):
    """What the operator wants of it."""

    steps: tuple[CascadeStep, ...] = ()
    max_turns: int = 3
    """Answers to one call; two that are compared count as one."""
    buffers_streams: bool = True
    checks: tuple[Applied, ...] = ()
    agreement: tuple[str, ...] = ()
    """Two models, or one that is asked twice; empty to compare nothing."""
    tasks: frozenset[Task] = frozenset(Task)
    tiers: frozenset[Tier] = frozenset((Tier.STANDARD, Tier.COMPLEX))
    """Of what is decided on these, cheap answers are compared."""

    @property
    def is_used(self) -> bool:
        """Whether any request is touched that does not bring checks of its own."""
        return bool(self.checks or self.agreement)


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be done for one call."""

    strategy: Strategy
    examine: tuple[tuple[Check, Examine], ...]
    """The checks, ready, in their order."""
    task: Task | None = None
    """Not None for an agreement."""


class Planner:
    """Makes the plan of a call; the same policy and checks make the same plan."""

    def __init__(self, policy: CascadePolicy, checker: Checker) -> None:
        self.policy = policy
        self._checker = checker
        self._named: Mapping[str, Check] = {applied.check.name: applied.check for applied in policy.checks}

    def explained(self, call: Call, route: Route) -> Route:
        """The route with its strategy. Raises InvalidCheck."""
        plan = self.plan(call, route)
        return route if plan is None else replace(route, strategy=plan.strategy)

    def plan(self, call: Call, route: Route) -> Plan | None:
        """None where the answer is passed on as it comes. Raises InvalidCheck."""
        examine = tuple(self._examine(call, route))
        is_recorded = call.stream and not self.policy.buffers_streams
        task = None if is_recorded else self._task(call, route)
        if task is not None and (strategy := self._agreement(route, task, examine)) is not None:
            return Plan(strategy=strategy, examine=examine, task=task)
        if not examine:
            return None
        return Plan(strategy=self._checks(call, route, examine), examine=examine)

    # -- which checks

    def _examine(self, call: Call, route: Route) -> Iterable[tuple[Check, Examine]]:
        asked = {check.name: (f"routewright.checks[{at}]", check) for at, check in enumerate(self._asked(call))}
        settled = {each.check.name: each.check for each in self.policy.checks if each.applies(call, route)}
        for name, check in settled.items():
            if name not in asked:
                yield from self._ready(check, call, f"checks.{name}", is_asked=False)
        for place, check in asked.values():
            yield from self._ready(check, call, place, is_asked=True)

    def _asked(self, call: Call) -> Iterable[Check]:
        for at, wanted in enumerate(call.options.checks):
            if isinstance(wanted, Check):
                yield wanted
            elif wanted in self._named:
                yield self._named[wanted]
            elif wanted in tuple(BARE):
                yield Check(name=wanted, kind=CheckKind(wanted))
            else:
                known = ", ".join(dict.fromkeys((*self._named, *sorted(BARE))))
                place = f"routewright.checks[{at}]"
                raise InvalidCheck(f"{place}: there is no check {wanted!r}", param=place, hint=f"there are {known}")

    def _ready(self, check: Check, call: Call, place: str, *, is_asked: bool) -> Iterable[tuple[Check, Examine]]:
        try:
            examine = self._checker.examine(check, call, place)
        except ValueError as error:
            if not is_asked:  # a form of the client's own that is not understood: what is not asked cannot fail
                return
            raise InvalidCheck(str(error), param=place) from error
        if examine is not None:
            yield check, examine

    # -- what it may cost

    def _task(self, call: Call, route: Route) -> Task | None:
        """In which form cheap answers to this call are compared; None where they are not."""
        policy, wish = self.policy, call.options.agreement
        if not policy.agreement or wish == "off" or route.tier not in policy.tiers or call.model not in CLASSIFIED:
            return None
        task = Task(wish) if wish else task_of(call)
        return task if task in policy.tasks else None

    def _agreement(self, route: Route, task: Task, examine: Sequence[tuple[Check, Examine]]) -> Strategy | None:
        """None where not all can be asked, or the strong model alone would cost no more."""
        pair, strong = _pair(route, self.policy.agreement), above(route, self.policy.agreement)
        if pair is None or strong is None:
            return None
        known = [candidate.success for candidate in pair if candidate.success is not None]
        # as if they erred apart from each other, which they do not: they rather agree more often
        escalation = 1 - known[0] * known[1] if len(known) == len(pair) else USUAL_DISAGREEMENT
        cost, alone = _expected(pair, [(escalation, strong.chosen)]), strong.chosen.expected_cost_nanousd
        if cost is not None and alone is not None and cost >= alone:
            return None
        return Strategy(
            kind="agreement",
            checks=tuple(check.name for check, _ in examine),
            asked=tuple(candidate.model for candidate in pair),
            then=strong.chosen.model,
            task=task,
            escalation=round(escalation, 4),
            expected_cost_nanousd=cost,
        )

    def _checks(self, call: Call, route: Route, examine: Sequence[tuple[Check, Examine]]) -> Strategy:
        is_recorded, chosen = call.stream and not self.policy.buffers_streams, route.chosen
        further = [] if is_recorded else list(self._further(route))
        then = next((each.model for each in further if each is not chosen), "")
        shares: list[float] | None = None
        if not further or chosen.success is not None:
            # an answer that is not good need not fail its checks: this is rather too much
            failing = 1 - (chosen.success or 0.0)
            shares = [failing ** (at + 1) for at in range(len(further))]
        asking = None if shares is None else list(zip(shares, further, strict=True))
        return Strategy(
            kind="checks",
            checks=tuple(check.name for check, _ in examine),
            asked=(chosen.model,),
            then=then,
            streams="record" if is_recorded else "buffer",
            escalation=None if asking is None else round(max((p for p, c in asking if c.model == then), default=0), 4),
            expected_cost_nanousd=None if asking is None else _expected((chosen,), asking),
        )

    def _further(self, route: Route) -> Iterable[Candidate]:
        """Who is asked after the first choice, if each answer fails, in turn."""
        higher = above(route, (route.chosen.model,))
        asking = [step for step in self.policy.steps if step is not CascadeStep.REPAIR][: self.policy.max_turns - 1]
        for step in asking:
            if step is CascadeStep.REASK:
                yield route.chosen
            elif higher is not None:
                yield higher.chosen


def _expected(asked: Sequence[Candidate], then: Sequence[tuple[float, Candidate]]) -> int | None:
    costs = [(1.0, candidate.expected_cost_nanousd) for candidate in asked]
    costs += [(share, candidate.expected_cost_nanousd) for share, candidate in then]
    return None if any(cost is None for _, cost in costs) else round(sum(share * (cost or 0) for share, cost in costs))


# ---- whom to ask ----------------------------------------------------------------------------------------------------


def _able(route: Route) -> Sequence[Candidate]:
    """Who could answer, whether or not it is their turn."""
    return [candidate for candidate in route.candidates if candidate.deployments]


def _pair(route: Route, agreement: Sequence[str]) -> tuple[Candidate, Candidate] | None:
    """The two that are asked first, which may be one; None if not both can be."""
    able = {candidate.model: candidate for candidate in _able(route)}
    found = [able[name] for name in agreement if name in able]
    return (found[0], found[-1]) if len(found) == len(agreement) else None


def above(route: Route, models: Sequence[str]) -> Route | None:
    """Who is asked when the answers of these did not do: those of the tier above, then those of still higher ones,
    of each the first choices and the cheapest first; None if there is nobody."""
    highest = max((UPWARDS.index(each.tier) for each in _able(route) if each.model in models), default=0)
    higher = [candidate for candidate in _able(route) if UPWARDS.index(candidate.tier) > highest]
    higher.sort(key=lambda each: (UPWARDS.index(each.tier), not each.is_eligible, each.expected_cost_nanousd or 0))
    return _with_turn(route, higher, "asked when an answer of a lower tier did not do") if higher else None


def only(route: Route, model: str) -> Route:
    """The route with one model to be tried."""
    return _with_turn(route, [each for each in _able(route) if each.model == model], "its turn")


def _with_turn(route: Route, models: Sequence[Candidate], reason: str) -> Route:
    """Those models are tried, in this order; the others stay in the route, and are not."""
    tried = {
        each.model: each if each.is_eligible else replace(each, is_eligible=True, reason=reason) for each in models
    }
    others = [
        replace(each, is_eligible=False, reason="not its turn") if each.is_eligible else each
        for each in route.candidates
        if each.model not in tried
    ]
    return route.with_candidates((*tried.values(), *others))


# ---- what to say ----------------------------------------------------------------------------------------------------


def asked_again(call: Call, answer: Answer, reasons: Sequence[str]) -> tuple[Message, ...]:
    """What is added to the conversation: the answer, and what is wrong with it.

    An answer that calls tools is left out, as no result of theirs would follow it.
    """
    told = f"This answer does not do: {'; '.join(reasons)}. Answer again, with the corrected answer and nothing else."
    correction = Message("user", (Text(told),))
    if answer.tool_calls or not answer.text.strip():
        return (correction,)
    return Message("assistant", (Text(answer.text),)), correction
