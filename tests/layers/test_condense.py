from collections.abc import Sequence

import msgspec
import pytest

from builders import Below, attempt, call, message, model, registry, reply, route
from routewright.call import Call, Cause, JsonObject, Options, Routed
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.decision.context import ContextPolicy, ContextStep, OldTurns
from routewright.decision.tokens import message_tokens
from routewright.dialects.known import REWRITERS
from routewright.dialects.openai_chat import OpenAIChat
from routewright.errors import ProviderFailed, RoutewrightError
from routewright.layers.condense import Condense, Summaries
from routewright.layers.errand import Errands
from routewright.reply import Event, Reply
from routewright.route import Route
from routewright.testing import FakeClock
from routewright.usage import InputParts

DEAR = model("dear", prices=PriceSchedule((Price(input=5_000_000, output=25_000_000),)))
CHEAP = model("cheap", prices=PriceSchedule((Price(input=10_000, output=20_000),)))
UNPRICED = model("unpriced", prices=None)
TURNS: list[JsonObject] = [
    {"role": "system", "content": "You are terse.", "name": "chief"},
    *(
        {"role": role, "content": f"{role} {number}: " + "about the contract and its many terms " * 30}
        for number in range(6)
        for role in ("user", "assistant")
    ),
    {"role": "user", "content": "So?"},
]


class House:
    """Condense over a scripted service, with a conversation of about 4,000 tokens."""

    def __init__(self, *steps: ContextStep, below: Below | None = None, summarised_by: str = "cheap") -> None:
        self.below = below or Below()
        self.asked = read(TURNS)
        self._summarised_by = summarised_by
        self.warm = 0
        clock = FakeClock()
        self.layer = Condense(
            ContextPolicy(threshold_tokens=500, steps=steps, keep_turns=2, summary_tokens=50),
            registry=registry(DEAR, CHEAP, UNPRICED),
            rewriters=REWRITERS,
            errands=Errands(self._decide, clock),
            summaries=Summaries(2),
            summary_limit_s=20.0,
            clock=clock,
            warmth=self,
        )

    def warm_messages(self, call: Call, model: str) -> int:
        """As told."""
        return self.warm

    async def ask(self, asked: Call | None = None, by: str = "dear") -> Routed:
        """What reaches the service below for the request itself."""
        given = asked or self.asked
        models = {"dear": DEAR, "cheap": CHEAP, "unpriced": UNPRICED}
        parts = InputParts(system=60, history=tokens(given), user=40)
        estimated = route(models[by], input_tokens=parts.total, input_parts=parts)
        await self.layer(Routed(given, estimated), self.below)
        (sent,) = [each for each in self.below.requests[-1:] if not each.cause.is_errand]
        assert isinstance(sent, Routed)
        return sent

    @property
    def causes(self) -> list[Cause]:
        """Why each call below was made."""
        return [request.cause for request in self.below.requests]

    def _decide(self, asked: Call) -> Route:
        chosen = {"cheap": CHEAP, "unpriced": UNPRICED}[self._summarised_by]
        return route(chosen, input_tokens=tokens(asked))


def read(messages: Sequence[JsonObject]) -> Call:
    body = {"model": "auto", "messages": messages}
    return OpenAIChat().read(msgspec.json.encode(body), request_id="request-1", options=Options())


def tokens(asked: Call) -> int:
    return sum(map(message_tokens, asked.messages))


def summarising(text: str = "They talk about a contract.") -> Below:
    async def answer(routed: Routed) -> Reply:
        if routed.cause is Cause.SUMMARY:
            to = attempt(routed.call, routed=routed, cause=routed.cause)
            return Reply(to, reply()._source, (Event(text=text, finish="stop"),))
        return reply(attempt(routed.call, routed=routed))

    return Below(make=answer)


async def test_short_input_is_sent_as_it_came() -> None:
    house = House(*ContextStep)
    sent = await house.ask(call("Hi"))
    assert (sent.call, sent.route.context) == (call("Hi"), ())


async def test_the_shorter_conversation_reaches_body_and_messages_alike() -> None:
    house = House(ContextStep.TRIM_HISTORY)
    sent = await house.ask()
    assert sent.call.body["messages"] == [TURNS[0], *TURNS[-3:]]
    assert [each.text for each in sent.call.messages] == [each["content"] for each in sent.call.body["messages"]]
    assert sent.call.body["model"] == "auto"
    assert house.asked.body["messages"] == TURNS, "the call as it came is not changed"


async def test_the_route_says_what_was_done_and_counts_what_is_sent() -> None:
    sent = await House(ContextStep.TRIM_HISTORY).ask()
    saved = tokens(House().asked) - tokens(sent.call)
    assert sent.route.context == (f"left out 5 old turns: -{saved:,} tokens",)
    assert sent.route.input_tokens == tokens(sent.call) + 100
    assert sent.route.input_parts == InputParts(system=60, history=tokens(sent.call), user=40)


async def test_what_a_provider_has_in_its_cache_is_left_alone() -> None:
    house = House(*ContextStep)
    house.warm = len(TURNS) - 1
    sent = await house.ask()
    assert (sent.call, sent.route.context, house.causes) == (house.asked, (), [Cause.FIRST])


async def test_a_conversation_of_a_dialect_that_cannot_be_rewritten_is_sent_as_it_came() -> None:
    asked = msgspec.structs.replace(House().asked, dialect="of_tomorrow")
    assert (await House(*ContextStep).ask(asked)).call is asked


async def test_a_call_made_without_a_body_is_shortened_too() -> None:
    asked = msgspec.structs.replace(House().asked, dialect="library", body={})
    sent = await House(ContextStep.TRIM_HISTORY).ask(asked)
    assert len(sent.call.messages) == 4
    assert sent.call.body == {}


async def test_an_errand_is_not_shortened_itself() -> None:
    house = House(*ContextStep)
    errand = Routed(house.asked, route(CHEAP, input_tokens=10_000), Cause.JUDGE)
    await house.layer(errand, house.below)
    assert house.below.requests == [errand]


# ---- summaries --------------------------------------------------------------------------------------------------


async def test_old_turns_are_summarised_by_a_call_of_its_own() -> None:
    house = House(ContextStep.SUMMARISE, below=summarising())
    sent = await house.ask()
    assert house.causes == [Cause.SUMMARY, Cause.FIRST]
    errand = house.below.requests[0].call
    assert "user 0: about the contract" in errand.messages[1].text
    assert "user 5" not in errand.messages[1].text
    _, summary, noted, *rest = sent.call.body["messages"]
    assert summary["content"].endswith("They talk about a contract.")
    assert noted == {"role": "assistant", "content": "Understood."}
    assert rest == TURNS[-3:]
    assert sent.route.context[0].startswith("summarised 5 old turns: -")


async def test_the_same_old_turns_are_summarised_once() -> None:
    house = House(ContextStep.SUMMARISE, below=summarising())
    first = await house.ask()
    second = await house.ask()
    assert house.causes == [Cause.SUMMARY, Cause.FIRST, Cause.FIRST]
    assert first.call == second.call
    assert second.route.context[-1] == "the summary was known"


async def test_a_summary_that_would_cost_more_than_it_saves_is_not_made() -> None:
    house = House(ContextStep.SUMMARISE, below=summarising())
    sent = await house.ask(by="cheap")
    assert house.causes == [Cause.FIRST]
    (step,) = sent.route.context
    assert step.startswith("not summarised: it would save $0.0000")
    assert sent.call.messages == house.asked.messages


@pytest.mark.parametrize(("by", "summarised_by"), [("unpriced", "cheap"), ("dear", "unpriced")])
async def test_without_prices_there_is_no_saying_whether_a_summary_pays(by: str, summarised_by: str) -> None:
    house = House(ContextStep.SUMMARISE, below=summarising(), summarised_by=summarised_by)
    sent = await house.ask(by=by)
    assert house.causes == [Cause.FIRST]
    assert sent.route.context == ("not summarised: what unpriced costs is not known",)


async def test_when_the_summary_fails_the_request_goes_on_and_says_so() -> None:
    house = House(ContextStep.SUMMARISE, below=Below(ProviderFailed("500"), None))
    sent = await house.ask()
    assert sent.call.messages == house.asked.messages
    assert sent.route.context == ("not summarised: upstream_failed",)


async def test_when_the_summary_fails_the_later_steps_are_taken() -> None:
    house = House(ContextStep.SUMMARISE, ContextStep.TRIM_HISTORY, below=Below(ProviderFailed("500"), None))
    sent = await house.ask()
    assert sent.call.body["messages"] == [TURNS[0], *TURNS[-3:]]
    assert sent.route.context[-1] == "not summarised: upstream_failed"


async def test_a_failure_of_the_request_itself_is_raised() -> None:
    with pytest.raises(RoutewrightError):
        await House(ContextStep.TIDY, below=Below(ProviderFailed("500"))).ask()


def test_of_too_many_summaries_the_one_unused_for_longest_is_forgotten() -> None:
    summaries = Summaries(2)
    one, two, three = (Summaries.key(OldTurns((message(text),), 1), "cheap", 50) for text in ("one", "two", "three"))
    summaries.put(one, "1")
    summaries.put(two, "2")
    assert summaries.get(one) == "1"
    summaries.put(three, "3")
    assert (summaries.get(one), summaries.get(two), summaries.get(three)) == ("1", None, "3")
