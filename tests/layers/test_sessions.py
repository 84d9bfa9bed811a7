"""What is remembered of conversations, for how long, and what is made of a provider's report."""

from typing import Any

import pytest

from builders import attempt, call, deployment, message, model, registry, reply, route
from routewright.call import Attempt, Call, Routed
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Model
from routewright.layers.sessions import PromptCaches, Sessions
from routewright.reply import Event, Reply
from routewright.testing import FakeClock
from routewright.usage import Usage

DISCOUNTED = PriceSchedule((Price(input=1_000_000, output=2_000_000, cache_read=100_000),))
SWIFT = model(prices=DISCOUNTED)
TWO_PLACES = model("wide", deployment("acme/wide"), deployment("other/wide"))
SYSTEM = message("You are terse. " * 400, "system")
FIRST = call(messages=(SYSTEM, message("Hi")), session="s")
SECOND = call(messages=(SYSTEM, message("Hi"), message("Hello!", "assistant"), message("And?")), session="s")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def caches(clock: FakeClock, sessions: Sessions) -> PromptCaches:
    return PromptCaches(sessions, registry(SWIFT, TWO_PLACES), clock, lifetime_s=300)


async def answered(caches: PromptCaches, asked: Call, usage: Usage | None, at: Model = SWIFT, **changes: Any) -> None:
    """The call was decided about, and answered."""
    conversation = caches.follow(asked, 2_000)
    assert conversation is not None
    tried = attempt(asked, at, **changes)
    answer = reply(tried, (Event(finish="stop", usage=usage),)).on_close(lambda end: caches.learn(conversation, end))
    while await answer.next():
        pass


def warm(caches: PromptCaches, asked: Call = SECOND, resting: Any = ()) -> dict[str, int]:
    return dict(caches.warm_tokens(caches.follow(asked, 2_000), dict.fromkeys(resting, "rests")))


async def test_a_second_turn_is_warm_where_the_first_was_answered(caches: PromptCaches) -> None:
    assert warm(caches) == {}
    await answered(caches, FIRST, Usage(input=2_000))
    assert warm(caches) == {"swift": 1_440}  # 1,920 in steps of 128, three quarters believed
    assert caches.warm_messages(SECOND, "swift") == 2
    assert caches.warm_messages(SECOND, "wide") == 0


async def test_other_sessions_are_cold(caches: PromptCaches) -> None:
    await answered(caches, FIRST, Usage(input=2_000))
    assert warm(caches, call(messages=SECOND.messages, session="t")) == {}


async def test_a_cache_grows_cold(caches: PromptCaches, clock: FakeClock) -> None:
    await answered(caches, FIRST, Usage(input=2_000))
    clock.advance(300)
    assert warm(caches)
    clock.advance(1)
    assert warm(caches) == {}


@pytest.mark.parametrize(
    ("asked", "tokens"), [(call(messages=(SYSTEM, message("Hi")), session="s"), 1_023), (call(), 50_000)]
)
def test_short_input_and_a_lone_turn_are_not_followed(caches: PromptCaches, asked: Call, tokens: int) -> None:
    assert caches.follow(asked, tokens) is None
    assert caches.warm_tokens(None, {}) == {}


async def test_without_a_report_nothing_is_taken_for_warm(caches: PromptCaches) -> None:
    await answered(caches, FIRST, None)
    assert warm(caches) == {}


async def test_a_reply_that_was_given_up_teaches_nothing(caches: PromptCaches) -> None:
    conversation = caches.follow(FIRST, 2_000)
    assert conversation is not None
    given_up: Reply = reply(attempt(FIRST, SWIFT)).on_close(lambda end: caches.learn(conversation, end))
    given_up.close()
    assert warm(caches) == {}


async def test_anthropic_has_only_what_it_reports(caches: PromptCaches) -> None:
    place = deployment("acme/swift", dialect="anthropic_messages")
    await answered(caches, FIRST, Usage(input=2_000), deployment=place)
    assert warm(caches) == {}
    await answered(caches, FIRST, Usage(input=500, cache_write=1_500), deployment=place)
    assert warm(caches) == {"swift": 1_056}  # 1,408, three quarters believed


async def test_a_model_that_reads_less_than_it_should_is_believed_less(
    caches: PromptCaches, sessions: Sessions
) -> None:
    await answered(caches, FIRST, Usage(input=2_000))
    for _ in range(10):
        await answered(caches, FIRST, Usage(input=2_000))
    assert sessions.believed_share("swift") < 0.25
    assert sessions.believed_share("wide") == 0.75
    assert warm(caches)["swift"] < 500
    assert caches.warm_messages(SECOND, "swift") == 0


async def test_a_model_that_reads_all_of_it_is_believed_more(caches: PromptCaches, sessions: Sessions) -> None:
    for _ in range(10):
        await answered(caches, FIRST, Usage(input=80, cache_read=1_920))
    assert sessions.believed_share("swift") > 0.9


async def test_only_a_deployment_that_can_be_called_counts(caches: PromptCaches) -> None:
    await answered(caches, FIRST, Usage(input=2_000), TWO_PLACES)
    assert warm(caches) == {"wide": 1_440}
    assert warm(caches, resting=["acme/wide"]) == {}
    assert warm(caches, resting=["acme/wide", "other/wide"]) == {}
    assert warm(caches, resting=["other/wide"]) == {"wide": 1_440}


async def test_a_conversation_is_warm_where_it_was_last_answered(caches: PromptCaches) -> None:
    assert caches.warm_place(SECOND, "wide") is None
    await answered(caches, FIRST, Usage(input=2_000), TWO_PLACES)
    assert caches.warm_place(SECOND, "wide") == "acme/wide"
    assert caches.warm_place(SECOND, "swift") is None


async def test_what_was_sent_counts_and_not_what_was_asked(caches: PromptCaches) -> None:
    shortened = call(messages=(SYSTEM, message("H")), session="s")
    conversation = caches.follow(FIRST, 2_000)
    assert conversation is not None
    tried: Attempt = attempt(shortened, SWIFT, routed=Routed(shortened, route(SWIFT)))
    answer = reply(tried, (Event(usage=Usage(input=2_000)),)).on_close(lambda end: caches.learn(conversation, end))
    while await answer.next():
        pass
    assert caches.warm_messages(SECOND, "swift") == 1


async def test_a_cache_that_saves_nothing_keeps_no_message_from_being_shortened(caches: PromptCaches) -> None:
    await answered(caches, FIRST, Usage(input=2_000), TWO_PLACES)
    assert caches.warm_messages(SECOND, "wide") == 0


async def test_the_session_silent_for_longest_is_forgotten(clock: FakeClock) -> None:
    caches = PromptCaches(Sessions(limit=2), registry(SWIFT), clock, lifetime_s=300)
    for session in ("a", "b", "a", "c"):
        await answered(caches, call(messages=FIRST.messages, session=session), Usage(input=2_000))
    assert [bool(warm(caches, call(messages=SECOND.messages, session=session))) for session in "abc"] == [
        True,
        False,
        True,
    ]


async def test_of_a_session_only_so_many_deployments_are_remembered(caches: PromptCaches, sessions: Sessions) -> None:
    for number in range(20):
        await answered(caches, FIRST, Usage(input=2_000), model(f"m{number}"))
    assert [sent.model for sent in sessions.sent("s")] == [f"m{number}" for number in range(12, 20)]
    assert warm(caches) == {}  # none of them is in the catalog
    assert len(sessions) == 1
