import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from builders import call, deployment, model, registry, route
from routewright.cache.memory import MemoryAnswers
from routewright.call import Attempt, Call, Cause, Options, Routed
from routewright.dialects.decoding import WholeDecoder
from routewright.dialects.known import UPSTREAMS
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    HoldRefused,
    InvalidRequest,
    ModelNotFound,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    RoutewrightError,
    StreamCut,
)
from routewright.layers.budget import Budget
from routewright.layers.cache import Cache, Rules
from routewright.layers.record import Record
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.ledger import RequestRecorded
from routewright.reply import Event, Reply, Taker
from routewright.route import Route
from routewright.tenant import Tenant
from routewright.testing import FakeClock, MemoryLog

SWIFT, DEAR = model(), model("dear")
REGISTRY = registry(SWIFT, DEAR)
SECOND_NS = 10**9
RULES = Rules(
    routes=frozenset({"all"}),
    keys=frozenset(),
    is_shared=False,
    fresh_ns=60 * SECOND_NS,
    stale_ns=600 * SECOND_NS,
    max_answer_bytes=4_000,
)
USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


def completion(text: str = "Hello", finish: str = "stop", usage: object = USAGE, choices: int = 1) -> bytes:
    """A whole answer."""
    said = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": finish} for n in range(choices)
    ]
    return json.dumps({"id": "chatcmpl-1", "model": "swift-1", "choices": said, "usage": usage}).encode()


def chunks(text: str = "Hello you", finish: str = "stop") -> bytes:
    """The same as a stream."""
    deltas: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in text.split()
    ]
    deltas.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    deltas.append({"choices": [], "usage": USAGE})
    return b"".join(b"data: %b\n\n" % json.dumps(delta).encode() for delta in deltas) + b"data: [DONE]\n\n"


def question(text: str = "Hello?", **changes: Any) -> Call:
    """A client's call, with its body."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **changes.pop("fields", {})}
    return call(text, dialect="openai_chat", body=body, **changes)


class Arriving:
    """A `Source`: a provider's bytes, in two pieces."""

    def __init__(self, body: bytes, attempt: Attempt, error: RoutewrightError | None) -> None:
        self._decoder = UPSTREAMS["openai_chat"].decoder(attempt)
        whole = isinstance(self._decoder, WholeDecoder)
        self._pieces = [body] if whole else [body[: len(body) // 2], body[len(body) // 2 :]]
        self._error = error
        self._has_ended = False

    async def first(self) -> tuple[Event, ...]:
        first: list[Event] = []

        def take(events: tuple[Event, ...]) -> bool:
            first.extend(events)
            return False

        await self.relay(take)
        return tuple(first)

    async def relay(self, take: Taker) -> bool:
        while self._pieces:
            if (events := self._decoder.feed(self._pieces.pop(0))) and not take(events):
                return False
        if self._error is not None:
            raise self._error
        if self._has_ended:
            return True
        self._has_ended = True
        return not (events := self._decoder.end()) or take(events)

    def abort(self) -> None:
        """Nothing to drop."""


class House:
    """Record ▸ cache ▸ (decide) ▸ budget ▸ a provider that says what it is told to."""

    def __init__(self, rules: Rules = RULES, *, answers: MemoryAnswers | None = None) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog()
        self.ledger = JournaledLedger(self.log, boot="boot-1", clock=self.clock)
        self.answers = answers or MemoryAnswers(max_entries=100, max_bytes=100_000)
        self.rules = rules
        self.route: Callable[[Call], Route] = lambda asked: route(SWIFT, DEAR, baseline_model="dear")
        self.chosen = SWIFT
        self.says = completion()
        self.breaks: RoutewrightError | None = None
        self.fails: RoutewrightError | None = None
        self.asked = 0

    async def ask(self, asked: Call) -> Reply:
        """Through the layers."""
        cache = Cache(
            self.rules,
            self.answers,
            decide=lambda call: self.route(call),
            registry=REGISTRY,
            dialects=UPSTREAMS,
            ledger=self.ledger,
            clock=self.clock,
        )
        asked = replace(asked, id=f"request-{len(self.rows)}")

        async def below(given: Call) -> Reply:
            return await cache(given, self._decided)

        return await Record(self.ledger, REGISTRY, self.clock)(asked, below)

    async def read(self, asked: Call | None = None) -> Reply:
        """The reply, read to its end."""
        reply = await self.ask(asked or question())
        await reply.read()
        return reply

    async def _decided(self, given: Call) -> Reply:
        self.asked += 1
        attempt = Attempt(
            id=f"attempt-{self.asked}",
            routed=Routed(given, self.route(given)),
            model=self.chosen,
            deployment=self.chosen.deployments[0],
            number=1,
            cause=Cause.FIRST,
            is_last_model=True,
        )
        try:
            return await Budget(self.ledger, self.clock)(attempt, self._provider)
        except ProviderFailed as error:
            raise AllAttemptsFailed([("acme/swift", error)]) from error

    async def _provider(self, attempt: Attempt) -> Reply:
        if self.fails is not None:
            raise self.fails
        source = Arriving(self.says, attempt, self.breaks)
        return Reply(attempt, source, await source.first())

    @property
    def rows(self) -> list[RequestRecorded]:
        return [event for event in self.log.events if isinstance(event, RequestRecorded)]


async def states(house: House, *calls: Call) -> list[str | None]:
    replies = [await house.read(asked) for asked in calls]
    return [reply.cached.state if reply.cached else None for reply in replies]


async def test_the_same_question_again_is_answered_by_nobody() -> None:
    house = House()
    first, again = await house.ask(question()), None
    told = await first.read()
    house.clock.advance(7)
    again = await house.ask(question())
    assert (await again.read()).text == told.text == "Hello"
    assert house.asked == 1
    assert again.cached is not None
    assert (again.cached.state, again.cached.age_s, again.cached.saved_nanousd) == ("hit", 7, 50_000)
    assert first.cached is not None
    assert first.cached.state == "miss"


async def test_a_hit_is_a_row_that_cost_nothing_and_says_what_it_saved() -> None:
    house = House()
    await house.read()
    await house.read()
    made, kept = house.rows
    assert (made.cache, made.cost_nanousd, made.cache_saved_nanousd) == ("miss", 50_000, None)
    assert (kept.cache, kept.cost_nanousd, kept.cache_saved_nanousd) == ("hit", 0, 50_000)
    assert (kept.outcome, kept.model, kept.attempts, kept.tier) == ("complete", "swift", 0, "standard")
    assert kept.route is not None
    assert (kept.route.first_choice, kept.route.propensity) == ("swift", 1.0)
    assert kept.baseline_cost_nanousd == made.baseline_cost_nanousd == 50_000
    assert (kept.input_parts.total, kept.system_hash) == (0, "")
    assert [type(event).__name__ for event in house.log.events][3:] == ["RequestRecorded"]  # no hold


async def test_a_stream_is_replayed_as_a_stream_with_the_same_events() -> None:
    house = House()
    house.says = chunks()
    asked = question(stream=True)
    first = [event async for event in await house.ask(asked)]
    again = [event async for event in await house.ask(asked)]
    assert again == first
    assert len(again) == 4
    assert house.asked == 1


async def test_a_stream_and_a_whole_answer_are_not_made_from_one_another() -> None:
    house = House()
    await house.read(question())
    house.says = chunks()
    assert await states(house, question(stream=True)) == ["miss"]
    assert house.asked == 2


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_an_answer_without_an_end_of_its_own_is_not_kept(finish: str) -> None:
    house = House()
    house.says = completion(finish=finish)
    assert await states(house, question(), question()) == ["miss", "miss"]


async def test_an_answer_that_asks_for_a_tool_is_kept() -> None:
    house = House()
    house.says = completion(finish="tool_calls")
    assert await states(house, question(), question()) == ["miss", "hit"]


async def test_every_choice_must_have_come_to_its_end() -> None:
    house = House()
    assert await states(house, question(choices=2), question(choices=2)) == ["miss", "miss"]
    house.says = completion(choices=2)
    assert await states(house, question(choices=2), question(choices=2)) == ["miss", "hit"]


async def test_what_breaks_off_or_is_left_is_not_kept() -> None:
    house = House()
    house.says, house.breaks = chunks(), StreamCut("gone")
    with pytest.raises(StreamCut):
        await house.read(question(stream=True))
    house.breaks = None
    (await house.ask(question(stream=True))).close()
    assert await states(house, question(stream=True), question(stream=True)) == ["miss", "hit"]


async def test_what_is_too_long_is_not_kept() -> None:
    house = House()
    house.says = completion("x" * 4_000)
    assert await states(house, question(), question()) == ["miss", "miss"]


async def test_what_nobody_counted_is_not_kept() -> None:
    house = House()
    house.says = completion(usage=None)
    assert await states(house, question(), question()) == ["miss", "miss"]


async def test_what_a_budget_made_less_of_is_not_kept() -> None:
    house = House()
    house.route = lambda asked: route(SWIFT, spending=("shorten: 400 tokens",))
    assert await states(house, question(), question()) == ["miss", "miss"]


async def test_an_answer_is_given_out_for_its_time() -> None:
    house = House()
    await house.read()
    house.clock.advance(59)
    assert await states(house, question()) == ["hit"]
    house.clock.advance(1)
    assert await states(house, question(), question()) == ["miss", "hit"]


@pytest.mark.parametrize("options", [Options(cache=False), Options(no_log=True)])
async def test_who_does_not_want_it_neither_gets_nor_leaves_an_answer(options: Options) -> None:
    house = House()
    assert await states(house, question(options=options), question(), question(options=options)) == [None, "miss", None]
    assert house.asked == 3


@pytest.mark.parametrize(
    ("routes", "keys", "expected"),
    [
        ({"swift"}, set(), "hit"),
        ({"standard"}, set(), "hit"),
        ({"dear", "complex"}, set(), None),
        (set(), {"k1"}, "hit"),
        (set(), {"k2"}, None),
    ],
)
async def test_it_is_used_for_the_routes_and_keys_that_the_settings_name(
    routes: set[str], keys: set[str], expected: str | None
) -> None:
    house = House(replace(RULES, routes=frozenset(routes), keys=frozenset(keys)))
    asked = question(tenant=Tenant(key="k1"))
    assert (await states(house, asked, asked))[1] == expected


async def test_tenants_do_not_share_unless_they_are_told_to() -> None:
    one, other = (question(tenant=Tenant(key=key)) for key in ("k1", "k2"))
    assert await states(House(), one, other, one) == ["miss", "miss", "hit"]
    assert await states(House(replace(RULES, is_shared=True)), one, other) == ["miss", "hit"]


async def test_the_answer_of_a_model_that_may_not_answer_now_is_not_given_out() -> None:
    house = House()
    house.chosen = DEAR
    await house.read()
    house.chosen, house.route = SWIFT, lambda asked: route(SWIFT)
    reply = await house.read()
    assert (reply.cached and reply.cached.state, reply.attempt.model.name) == ("miss", "swift")


async def test_nor_that_of_a_place_that_may_not() -> None:
    house = House()
    await house.read()
    house.route = lambda asked: route(model("swift", deployment("other/swift")))
    assert await states(house, question()) == ["miss"]


async def test_what_may_not_be_asked_is_refused_before_a_kept_answer_is_given_out() -> None:
    house = House()
    await house.read()

    def refuse(asked: Call) -> Route:
        raise ModelNotFound("no such model")

    house.route = refuse
    with pytest.raises(ModelNotFound):
        await house.read()
    assert house.asked == 1


async def test_what_cannot_be_read_any_more_is_a_miss() -> None:
    house = House()
    await house.read()
    ((key, (until_ns, kept)),) = house.answers._entries.items()
    house.answers._entries[key] = until_ns, kept.replace(b'"choices"', b'"chances"')
    assert await states(house, question(), question()) == ["miss", "hit"]
    house.answers._entries[key] = until_ns, b"\x00"
    assert await states(house, question(), question()) == ["miss", "hit"]


# ---- when everything else has failed --------------------------------------------------------------------------------


def outage(*failures: Any) -> AllAttemptsFailed:
    return AllAttemptsFailed([("acme/swift", failure) for failure in failures])


async def test_an_older_answer_stands_in_for_an_outage_and_says_so() -> None:
    house = House()
    await house.read()
    house.clock.advance(600)
    house.fails = ProviderFailed("500")
    reply = await house.ask(question())
    assert (await reply.read()).text == "Hello"
    assert reply.cached is not None
    assert (reply.cached.state, reply.cached.age_s) == ("stale", 600)
    row = house.rows[-1]
    assert (row.outcome, row.cache, row.attempts, row.cost_nanousd) == ("complete", "stale", 1, 0)
    house.fails = None
    assert await states(house, question(), question()) == ["miss", "hit"]


async def test_an_answer_is_too_old_at_some_time() -> None:
    house = House()
    await house.read()
    house.clock.advance(660)
    house.fails = ProviderFailed("500")
    with pytest.raises(AllAttemptsFailed):
        await house.read()


@pytest.mark.parametrize(
    ("error", "is_answered"),
    [
        (outage(ProviderOverloaded("429", provider_status=429)), True),
        (outage(ProviderRejected("400", provider_status=400)), False),
        (outage(HoldRefused("no room", details={})), False),
        (outage(HoldRefused("no room", details={}), ProviderFailed("500")), True),
        (BudgetExceeded("no room", details={}), False),
        (InvalidRequest("bad"), False),
    ],
)
async def test_an_older_answer_stands_in_for_providers_only(error: RoutewrightError, is_answered: bool) -> None:
    house = House()
    await house.read()
    house.clock.advance(100)
    house.fails = error
    if is_answered:
        assert await states(house, question()) == ["stale"]
    else:
        with pytest.raises(type(error)):
            await house.read()


async def test_nor_when_the_time_of_the_request_is_up() -> None:
    house = House()
    await house.read()
    house.clock.advance(100)
    house.fails = outage(ProviderFailed("500"))
    with pytest.raises(AllAttemptsFailed):
        await house.read(question(deadline_at=house.clock.monotonic()))
