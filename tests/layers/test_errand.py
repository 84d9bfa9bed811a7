import asyncio

import pytest

from builders import Below, attempt, call, model, reply, route
from routewright.call import Call, Cause, Options, Routed
from routewright.catalog.registry import Tier
from routewright.errors import AllAttemptsFailed, NoEligibleModel, ProviderFailed, RoutewrightError
from routewright.layers.errand import Errand, Errands
from routewright.reply import Event, Reply
from routewright.route import Route
from routewright.testing import FakeClock

ERRAND = Errand(
    cause=Cause.JUDGE, tier=Tier.BULK, order="Judge.", prompt="How hard?", max_output_tokens=10, limit_s=20.0
)


class House:
    """Errands that are routed to two models, the cheapest first."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.decided: list[Call] = []
        self.errands = Errands(self._decide, self.clock)

    def plan(self, asked: Call | None = None) -> Routed:
        planned = self.errands.plan(ERRAND, asked or call())
        assert isinstance(planned, Routed)
        return planned

    def _decide(self, asked: Call) -> Route:
        self.decided.append(asked)
        return route(model("cheap"), model("dear"))


def test_an_errand_is_a_call_of_its_own_under_the_requests_id() -> None:
    house = House()
    options = Options(tier=Tier.COMPLEX, max_cost_nanousd=5, tags=("team-a",), user="u")
    planned = house.plan(call("Prove it", options=options, temperature=1.0, stream=True, session="s"))
    (asked,) = house.decided
    assert (asked.id, asked.model, asked.options.tier) == ("request-1", "auto", Tier.BULK)
    assert (asked.options.tags, asked.options.user, asked.options.max_cost_nanousd) == (("team-a",), "u", None)
    assert [(each.role, each.text) for each in asked.messages] == [("system", "Judge."), ("user", "How hard?")]
    assert (asked.stream, asked.temperature, asked.session, asked.max_output_tokens) == (False, None, "", 10)
    assert planned.cause is Cause.JUDGE


def test_only_the_cheapest_model_may_do_it() -> None:
    assert [candidate.model for candidate in House().plan().route.candidates] == ["cheap"]


def test_it_may_take_half_of_the_time_that_is_left() -> None:
    assert House().plan(call(deadline_at=10.0)).call.deadline_at == 5.0
    assert House().plan(call()).call.deadline_at == 20.0


def test_that_nobody_can_do_it_is_told_and_not_raised() -> None:
    def refuse(asked: Call) -> Route:
        raise NoEligibleModel("none")

    assert isinstance(Errands(refuse, FakeClock()).plan(ERRAND, call()), NoEligibleModel)


async def test_what_it_brings_back_is_the_text() -> None:
    house = House()
    below = Below(make=lambda request: _answer(request, Event(text=" world \n", finish="stop")))
    assert await house.errands.run(house.plan(), below) == "Hello world"
    assert below.replies[0].outcome == "complete"


async def test_its_failure_is_a_value() -> None:
    house = House()
    failed = AllAttemptsFailed([("acme/cheap", ProviderFailed("500"))])
    assert await house.errands.run(house.plan(), Below(failed)) is failed


async def test_an_empty_answer_is_a_failure() -> None:
    house = House()

    async def silent(routed: Routed) -> Reply:
        return Reply(attempt(), reply()._source, (Event(text=" ", finish="stop"),))

    text = await house.errands.run(house.plan(), silent)
    assert isinstance(text, RoutewrightError)


def test_one_that_takes_too_long_is_given_up() -> None:
    house = House()

    async def endless(routed: Routed) -> Reply:
        await asyncio.sleep(3600)
        raise AssertionError

    text = house.clock.run(house.errands.run(house.plan(), endless))
    assert isinstance(text, RoutewrightError)
    assert text.message == "the judge was not there within 20.0 s"
    assert house.clock.monotonic() == pytest.approx(20.0)


async def _answer(routed: Routed, *events: Event) -> Reply:
    return reply(attempt(routed.call, routed=routed), events)
