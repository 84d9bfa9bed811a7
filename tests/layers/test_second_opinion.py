from builders import Below, attempt, call, message, model, reply, route
from routewright.call import Call, Cause, Options, Routed
from routewright.catalog.registry import Tier
from routewright.errors import NoEligibleModel, ProviderOverloaded
from routewright.layers.errand import Errands
from routewright.layers.second_opinion import Judge
from routewright.reply import Event, Reply
from routewright.route import Route, Verdict
from routewright.testing import FakeClock

FIRST = Verdict(tier=Tier.STANDARD, confidence=0.55, reason="first", signals=("word:a",), classifier="heuristic@1")


class House:
    """A judge, and the route that errands get."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.decided: list[Call] = []
        self._refuses = refuses
        self.judge = Judge(Errands(self._decide, FakeClock()), model="auto:cheap", max_output_tokens=8, limit_s=1.5)

    def _decide(self, asked: Call) -> Route:
        self.decided.append(asked)
        if self._refuses:
            raise NoEligibleModel("none")
        return route(model("cheap"), model("dear"))


async def answering(routed: Routed) -> Reply:
    """`Hello` and `complex 9` would be no opinion, so the beginning is empty."""
    return Reply(attempt(routed.call, routed=routed), reply()._source, (Event(text="complex 9", finish="stop"),))


async def test_the_cheapest_model_is_asked_as_an_errand_with_nothing_of_the_requests_own_wishes() -> None:
    house, below = House(), Below(make=answering)
    asked = call("Prove it", options=Options(tier=None, max_cost_nanousd=1, user="u"), temperature=2.0)
    second = await house.judge(asked, FIRST, below)
    assert (second.tier, second.classifier) == (Tier.COMPLEX, "heuristic@1+judge")
    [planned] = below.requests
    assert isinstance(planned, Routed)
    assert planned.cause is Cause.JUDGE
    assert [candidate.model for candidate in planned.route.candidates] == ["cheap"]
    [errand] = house.decided
    assert (errand.model, errand.max_output_tokens, errand.temperature) == ("auto:cheap", 8, None)
    assert (errand.options.user, errand.options.max_cost_nanousd) == ("u", None)
    assert below.replies[0].outcome == "complete"


async def test_without_words_of_a_user_nobody_is_asked() -> None:
    house, below = House(), Below()
    second = await house.judge(call(messages=(message("Be kind", "system"),)), FIRST, below)
    assert second.signals == ("word:a", "judge:nothing to judge")
    assert below.requests == []


async def test_that_nobody_can_judge_is_told() -> None:
    second = await House(refuses=True).judge(call(), FIRST, Below())
    assert second.signals[-1] == "judge:no_eligible_model"
    assert second.tier is FIRST.tier


async def test_a_failure_is_told_by_its_code() -> None:
    second = await House().judge(call(), FIRST, Below(ProviderOverloaded("429")))
    assert second.signals[-1] == f"judge:{ProviderOverloaded.code}"
    assert (second.confidence, second.classifier) == (FIRST.confidence, FIRST.classifier)
