"""The cascade over a fake walk: who is asked, in which order, and what comes of it."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from builders import TEN_AND_TWENTY, ListSource, attempt, call, model, route
from routewright.call import Attempt, Call, Cause, Options, OutputFormat, Routed
from routewright.catalog.registry import Model, Tier
from routewright.check import Check, CheckKind, Finding
from routewright.decision.cascading import ALL, Applied, CascadePolicy, CascadeStep, Planner
from routewright.decision.checks import Checker
from routewright.dialects.known import REWRITERS
from routewright.dialects.openai_chat import OpenAIChat
from routewright.errors import (
    AllAttemptsFailed,
    HoldRefused,
    InvalidCheck,
    LedgerUnavailable,
    ProviderFailed,
    StreamCut,
)
from routewright.layers.cascade import Cascade
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.ledger import OutcomeRecorded
from routewright.reply import NOT_CHARGED, Answer, Draft, Event, Reply
from routewright.route import Route
from routewright.testing import FakeClock, MemoryLog

SMALL = model("small", tier=Tier.BULK)
OTHER = model("other", tier=Tier.BULK)
LARGE = model("large", tier=Tier.COMPLEX)
MODELS = {each.name: each for each in (SMALL, OTHER, LARGE)}
SCHEMA = Check(name="shape", kind=CheckKind.JSON_SCHEMA, schema='{"type":"object","required":["a"]}', is_trusted=True)
SHORT = Check(name="short", kind=CheckKind.LENGTH, most_chars=10)
EVERY = tuple(CascadeStep)
WRONG, RIGHT, FENCED = '{"b": 1}', '{"a": 1}', '```json\n{"a": 1}\n```'

COSTS = {"small": 100, "other": 200, "large": 10_000}
Said = str | Exception | float


class House:
    """A cascade above a walk in which each model says what it was told to, in its turn; a float is a pause before."""

    def __init__(
        self, says: Mapping[str, Sequence[Said]], *checks: Check, steps: Sequence[CascadeStep] = EVERY, **policy: object
    ) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog()
        applied = tuple(Applied(check, routes=frozenset((ALL,))) for check in checks)
        settled = msgspec.structs.replace(CascadePolicy(steps=tuple(steps), checks=applied), **policy)
        self.walked: list[Routed] = []
        self._says = {name: list(said) for name, said in says.items()}
        self._ids = iter(range(1_000))
        self.cascade = Cascade(
            Planner(settled, Checker()),
            rewriters=REWRITERS,
            ledger=JournaledLedger(self.log, boot="boot", clock=self.clock),
            clock=self.clock,
            mint_id=lambda: f"outcome-{next(self._ids)}",
        )

    def ask(self, *models: Model, asked: Call | None = None) -> tuple[Reply, Answer]:
        """The delivered reply, read."""
        return self.clock.run(self._ask(asked or call(), way(*(models or (SMALL, LARGE)))))

    async def _ask(self, asked: Call, decided: Route) -> tuple[Reply, Answer]:
        reply = await self.cascade(Routed(asked, decided), self._walk)
        draft = Draft()
        async for event in reply:
            draft.add(event)
        return reply, draft.answer(reply, NOT_CHARGED)

    async def _walk(self, routed: Routed) -> Reply:
        self.walked.append(routed)
        chosen = MODELS[routed.route.eligible[0].model]
        said = self._says[chosen.name].pop(0)
        if isinstance(said, float):
            await asyncio.sleep(said)
            said = self._says[chosen.name].pop(0)
        if isinstance(said, StreamCut):
            return Reply(_attempt(routed, chosen), ListSource(said), (Event(text="begun"),))
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, str)
        end = Event(finish="stop", usage=TEN_AND_TWENTY)
        return Reply(_attempt(routed, chosen), ListSource((end,)), (Event(text=said, raw=said.encode()),))

    @property
    def causes(self) -> list[tuple[str, Cause]]:
        """Who was asked, and why."""
        return [(routed.route.chosen.model, routed.cause) for routed in self.walked]

    @property
    def outcomes(self) -> list[tuple[str, str, float]]:
        """What the ledger was told: model, check, score."""
        return [(each.model, each.check, each.score) for each in self.log.events if isinstance(each, OutcomeRecorded)]


def way(*models: Model, success: float | None = None, **changes: object) -> Route:
    """A route over these models, which cost what their tiers do."""
    plain = route(*models)
    candidates = tuple(
        msgspec.structs.replace(each, expected_cost_nanousd=COSTS[each.model], success=success)
        for each in plain.candidates
    )
    return msgspec.structs.replace(plain, written=candidates, **changes)


def _attempt(routed: Routed, at: Model) -> Attempt:
    return attempt(routed.call, at, routed=routed, number=routed.attempts_before + 1, cause=routed.cause)


def failed() -> AllAttemptsFailed:
    return AllAttemptsFailed([("acme/x", ProviderFailed("500"))])


# ---- checks ---------------------------------------------------------------------------------------------------------


def test_an_answer_that_passes_is_delivered_as_it_came() -> None:
    house = House({"small": [RIGHT]}, SCHEMA)
    reply, answer = house.ask()
    assert (answer.text, house.causes) == (RIGHT, [("small", Cause.FIRST)])
    assert reply.findings == (Finding("shape", True),)
    assert house.outcomes == [("small", "shape", 1.0)]
    assert reply.speaks("openai_chat")
    assert reply.route.cascade == ()


def test_without_any_check_the_reply_itself_goes_on() -> None:
    house = House({"small": ["as it is"]})
    reply, _ = house.ask()
    assert reply.route.strategy is None
    assert not house.walked[0].is_turn


def test_json_in_a_fence_is_repaired_and_nobody_is_asked() -> None:
    house = House({"small": [FENCED]}, SCHEMA)
    reply, answer = house.ask()
    assert (answer.text, len(house.walked)) == (RIGHT, 1)
    assert not reply.speaks("openai_chat"), "its bytes are those of what was not said"
    assert reply.route.cascade == ("small's JSON was repaired",)
    assert house.outcomes == [("small", "shape", 1.0)]


def test_a_model_is_told_what_was_wrong_and_asked_again() -> None:
    house = House({"small": [WRONG, RIGHT]}, SCHEMA)
    reply, answer = house.ask()
    assert (answer.text, house.causes) == (RIGHT, [("small", Cause.FIRST), ("small", Cause.REASK)])
    said, told = house.walked[1].call.messages[-2:]
    assert (said.role, said.text) == ("assistant", WRONG)
    assert '"a" is a required property' in told.text
    assert house.walked[1].attempts_before == 1
    assert reply.route.cascade == ("small failed shape; reask: small",)
    assert house.outcomes == [("small", "shape", 0.0), ("small", "shape", 1.0)]


def test_the_question_goes_on_in_its_own_dialect() -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Give JSON"}], "user": "u1"}
    asked = OpenAIChat().read(msgspec.json.encode(body), request_id="r1", options=Options())
    house = House({"small": [WRONG, RIGHT]}, SCHEMA)
    house.ask(asked=asked)
    sent = house.walked[1].call.body
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["user"] == "u1"


def test_what_fails_again_is_escalated_to_the_next_tier() -> None:
    house = House({"small": [WRONG, WRONG], "large": [RIGHT]}, SCHEMA)
    reply, answer = house.ask(SMALL, OTHER, LARGE)
    assert [cause for _, cause in house.causes] == [Cause.FIRST, Cause.REASK, Cause.ESCALATION]
    assert (answer.text, answer.model) == (RIGHT, "large")
    assert [each.model for each in house.walked[2].route.eligible] == ["large"], "and not the other one of its tier"
    assert [each.model for each in reply.route.eligible] == ["small", "other", "large"]
    assert reply.attempt.number == 3


def test_steps_are_taken_in_the_order_that_was_set() -> None:
    house = House({"small": [FENCED], "large": [RIGHT]}, SCHEMA, steps=[CascadeStep.ESCALATE, CascadeStep.REPAIR])
    _, answer = house.ask()
    assert (answer.model, len(house.walked)) == ("large", 2)


def test_no_more_turns_are_made_than_are_allowed() -> None:
    house = House({"small": [WRONG, WRONG]}, SCHEMA, max_turns=2)
    reply, answer = house.ask()
    assert (answer.text, len(house.walked)) == (WRONG, 2)
    assert [finding.is_ok for finding in reply.findings] == [False]


def test_where_nobody_is_stronger_the_last_answer_is_delivered_with_its_finding() -> None:
    house = House({"small": [WRONG]}, SCHEMA, steps=[CascadeStep.ESCALATE])
    reply, answer = house.ask(SMALL, OTHER)
    assert (answer.text, len(house.walked)) == (WRONG, 1)
    assert reply.findings[0].reason.startswith("it does not fit the JSON Schema")


@pytest.mark.parametrize("error", [failed(), HoldRefused("no room", details={})], ids=["failed", "no budget"])
def test_a_further_turn_that_cannot_be_made_leaves_the_answer_that_is_there(error: Exception) -> None:
    house = House({"small": [WRONG], "large": [error]}, SCHEMA, steps=[CascadeStep.ESCALATE])
    reply, answer = house.ask()
    assert answer.text == WRONG
    assert reply.route.cascade[0].startswith("small failed shape; escalation: ")
    assert house.outcomes == [("small", "shape", 0.0)]


def test_the_deadline_cuts_a_further_turn_and_never_the_answer() -> None:
    house = House({"small": [WRONG], "large": [60.0, RIGHT]}, SCHEMA, steps=[CascadeStep.ESCALATE])
    reply, answer = house.ask(asked=call(deadline_at=10.0))
    assert answer.text == WRONG
    assert house.clock.monotonic() < 10.0
    assert reply.route.cascade == ("small failed shape; escalation: deadline_exceeded",)


def test_what_the_first_turn_meets_is_raised() -> None:
    house = House({"small": [failed()]}, SCHEMA)
    with pytest.raises(AllAttemptsFailed):
        house.ask()


def test_u08_an_answer_that_breaks_off_while_it_is_held_back_is_a_failure() -> None:
    house = House({"small": [StreamCut("cut")]}, SCHEMA)
    with pytest.raises(AllAttemptsFailed, match="cut"):
        house.ask(asked=call(stream=True))


def test_a_stream_is_held_back_until_it_is_checked() -> None:
    house = House({"small": [WRONG], "large": [RIGHT]}, SCHEMA, steps=[CascadeStep.ESCALATE])
    reply, answer = house.ask(asked=call(stream=True))
    assert answer.text == RIGHT
    assert reply.route.strategy is not None
    assert reply.route.strategy.streams == "buffer"


def test_a_stream_that_is_only_recorded_goes_on_as_it_comes() -> None:
    house = House({"small": [WRONG]}, SCHEMA, buffers_streams=False)
    reply, answer = house.ask(asked=call(stream=True))
    assert (answer.text, len(house.walked)) == (WRONG, 1)
    assert reply.route.strategy is not None
    assert reply.route.strategy.streams == "record"
    assert [finding.is_ok for finding in reply.findings] == [False]
    assert house.outcomes == [("small", "shape", 0.0)]
    assert not house.walked[0].is_turn


def test_errands_are_not_checked() -> None:
    house = House({"small": ["summary"]}, SCHEMA)
    asked = Routed(call(), route(SMALL), Cause.SUMMARY)
    house.clock.run(house.cascade(asked, house._walk))
    assert house.outcomes == []


def test_a_finding_that_the_ledger_cannot_take_withholds_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House({"small": [RIGHT]}, SCHEMA)

    def full(*payloads: bytes, closing: bool = False) -> int:
        raise LedgerUnavailable("the journal is full")

    monkeypatch.setattr(house.log, "append", full)
    assert house.ask()[1].text == RIGHT


# ---- a request's own ------------------------------------------------------------------------------------------------


def test_a_request_brings_checks_of_its_own() -> None:
    house = House({"small": ["far too long a text"], "large": ["short"]}, steps=[CascadeStep.ESCALATE])
    _, answer = house.ask(asked=call(options=Options(checks=(SHORT,))))
    assert answer.text == "short"


def test_the_requests_own_response_format_is_checked_where_it_is_named() -> None:
    wanted = OutputFormat(kind="json_schema", schema={"type": "object", "required": ["a"]})
    house = House({"small": [WRONG], "large": [RIGHT]}, steps=[CascadeStep.ESCALATE])
    asked = call(options=Options(checks=("response_format",)), output_format=wanted)
    reply, answer = house.ask(asked=asked)
    assert answer.text == RIGHT
    assert reply.findings == (Finding("response_format", True),)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("no_such", "there is no check 'no_such'"),
        (Check(name="x", kind=CheckKind.JSON_SCHEMA, schema='{"type": "nope"}'), r"routewright.checks\[0\].schema"),
        (Check(name="x", kind=CheckKind.REGEX, pattern="(?=a)"), r"routewright.checks\[0\].pattern"),
        (Check(name="x", kind=CheckKind.LANGUAGE, language="xx"), r"routewright.checks\[0\].language"),
    ],
)
def test_a_check_that_cannot_be_made_is_refused_before_anybody_is_asked(check: Check | str, told: str) -> None:
    house = House({})
    with pytest.raises(InvalidCheck, match=told) as refused:
        house.ask(asked=call(options=Options(checks=(check,))))
    assert (refused.value.http_status, refused.value.param) == (400, "routewright.checks[0]")
    assert not house.walked


def test_a_clients_schema_that_is_not_understood_is_no_reason_to_refuse_it_where_the_operator_asks() -> None:
    form = Check(name="form", kind=CheckKind.RESPONSE_FORMAT)
    wanted = OutputFormat(kind="json_schema", schema={"pattern": "(?=a)"})
    house = House({"small": ["anything"]}, form)
    assert house.ask(asked=call(output_format=wanted))[1].text == "anything"


def test_checks_are_for_the_tiers_models_and_keys_that_they_name() -> None:
    tier = Applied(SHORT, routes=frozenset(("complex",)))
    planner = Planner(CascadePolicy(checks=(tier,)), Checker())
    assert planner.plan(call(), route(SMALL, tier=Tier.BULK)) is None
    assert planner.plan(call(), route(LARGE, tier=Tier.COMPLEX)) is not None
    key = Planner(CascadePolicy(checks=(Applied(SHORT, keys=frozenset(("key-1",))),)), Checker())
    assert key.plan(call(), route(SMALL)) is None
    ours = call(tenant=msgspec.structs.replace(call().tenant, key="key-1"))
    assert key.plan(ours, route(SMALL)) is not None


# ---- agreement ------------------------------------------------------------------------------------------------------

QUESTION = call("Which one?\nA. red\nB. green\nC. blue")
PAIR = ("small", "other")


def test_two_cheap_answers_that_agree_are_the_answer() -> None:
    house = House({"small": ["B"], "other": ["The answer is (B)."]}, agreement=PAIR)
    reply, answer = house.ask(SMALL, OTHER, LARGE, asked=QUESTION)
    assert (answer.text, answer.model) == ("B", "small")
    assert sorted(house.causes) == [("other", Cause.AGREEMENT), ("small", Cause.FIRST)]
    assert reply.findings == (Finding("agreement", True),)
    assert sorted(house.outcomes) == [("other", "agreement", 1.0), ("small", "agreement", 1.0)]
    assert reply.route.cascade == ("small and other agree",)


def test_only_disagreement_asks_the_strong_model() -> None:
    house = House({"small": ["A"], "other": ["B"], "large": ["B"]}, agreement=PAIR)
    reply, answer = house.ask(SMALL, OTHER, LARGE, asked=QUESTION)
    assert (answer.text, answer.model, len(house.walked)) == ("B", "large", 3)
    assert house.causes[-1] == ("large", Cause.ESCALATION)
    assert sorted(house.outcomes) == [("other", "agreement", 1.0), ("small", "agreement", 0.0)]
    assert reply.route.cascade == ("small and other do not agree; escalation: large",)


def test_one_model_can_be_asked_twice() -> None:
    house = House({"small": ["A", "A"]}, agreement=("small",))
    _, answer = house.ask(SMALL, LARGE, asked=QUESTION)
    assert (answer.text, len(house.walked)) == ("A", 2)


def test_a_cheap_model_that_fails_agrees_with_nobody() -> None:
    house = House({"small": [failed()], "other": ["B"], "large": ["C"]}, agreement=PAIR)
    _, answer = house.ask(SMALL, OTHER, LARGE, asked=QUESTION)
    assert answer.text == "C"


def test_where_the_strong_model_cannot_be_asked_a_cheap_answer_is_better_than_none() -> None:
    house = House({"small": ["A"], "other": ["B"], "large": [failed()]}, agreement=PAIR)
    reply, answer = house.ask(SMALL, OTHER, LARGE, asked=QUESTION)
    assert answer.text == "A"
    assert reply.route.cascade == ("small and other do not agree; escalation: all_attempts_failed",)
    alone = House({"small": [failed()], "other": [failed()], "large": [failed()]}, agreement=PAIR)
    with pytest.raises(AllAttemptsFailed):
        alone.ask(SMALL, OTHER, LARGE, asked=QUESTION)


def test_an_answer_that_agrees_must_pass_its_checks_as_well() -> None:
    house = House({"small": ["B " * 9], "other": ["B"], "large": ["B"]}, SHORT, agreement=PAIR, steps=EVERY[2:])
    _, answer = house.ask(SMALL, OTHER, LARGE, asked=QUESTION)
    assert (answer.model, answer.text) == ("large", "B")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (call("Write a poem about rivers."), "nothing to compare"),
        (call(QUESTION.messages[0].text, model="small"), "a model was asked for"),
        (call(QUESTION.messages[0].text, options=Options(agreement="off")), "it was not wanted"),
    ],
)
def test_cheap_answers_are_not_compared_where(asked: Call, why: str) -> None:
    house = House({"small": ["B"]}, agreement=PAIR)
    house.ask(SMALL, OTHER, LARGE, asked=asked)
    assert len(house.walked) == 1, why


def test_the_route_says_what_agreement_is_expected_to_cost() -> None:
    planner = Planner(CascadePolicy(agreement=PAIR), Checker())
    strategy = planner.explained(QUESTION, way(SMALL, OTHER, LARGE, success=0.8)).strategy
    assert strategy is not None
    assert (strategy.asked, strategy.then, strategy.task) == (PAIR, "large", "choice")
    assert strategy.escalation == pytest.approx(0.36)
    assert strategy.expected_cost_nanousd == 300 + 3_600


def test_where_the_strong_model_alone_costs_no_more_it_is_asked_alone() -> None:
    planner = Planner(CascadePolicy(agreement=PAIR), Checker())
    assert planner.plan(QUESTION, way(SMALL, OTHER, LARGE, success=0.1)) is None, "they would hardly ever agree"


def test_a_model_that_would_not_be_tried_is_asked_if_it_could_be() -> None:
    decided = way(SMALL, OTHER, LARGE)
    waiting = [
        msgspec.structs.replace(each, is_eligible=each.model == "large", reason="another tier")
        for each in reversed(decided.candidates)
    ]
    decided = msgspec.structs.replace(decided, written=tuple(waiting), tier=Tier.COMPLEX)
    plan = Planner(CascadePolicy(agreement=PAIR), Checker()).plan(QUESTION, decided)
    assert plan is not None
    assert plan.strategy.asked == PAIR
    removed = [msgspec.structs.replace(each, deployments=()) for each in waiting if each.model == "small"]
    decided = msgspec.structs.replace(decided, written=(*waiting[:2], *removed))
    assert Planner(CascadePolicy(agreement=PAIR), Checker()).plan(QUESTION, decided) is None


def test_the_route_says_what_checks_are_expected_to_cost_at_most() -> None:
    planner = Planner(CascadePolicy(checks=(Applied(SHORT, routes=frozenset((ALL,))),), steps=EVERY), Checker())
    strategy = planner.explained(call(), way(SMALL, LARGE, success=0.9)).strategy
    assert strategy is not None
    assert (strategy.checks, strategy.then) == (("short",), "large")
    assert strategy.escalation == pytest.approx(0.01)
    assert strategy.expected_cost_nanousd == 100 + 10 + 100
    unknown = planner.explained(call(), way(SMALL, LARGE)).strategy
    assert unknown is not None
    assert unknown.expected_cost_nanousd is None
