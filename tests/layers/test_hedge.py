import asyncio
from random import Random

import pytest

from builders import attempt, call, deployment, model, reply
from routewright.call import Attempt, Cause
from routewright.errors import ProviderFailed, RetriesSpent, RoutewrightError
from routewright.layers.budget import Budget
from routewright.layers.hedge import Hedge, Hedging
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.ledger import Settled
from routewright.reply import Reply
from routewright.testing import FakeClock, MemoryLog

TWO_PLACES = model("swift", deployment("first/swift"), deployment("second/swift"))
STREAMED = attempt(call(stream=True), TWO_PLACES)


class Providers:
    """Each attempt takes its time, by its number; then it answers, or meets its error."""

    def __init__(self, *takes: float | tuple[float, RoutewrightError]) -> None:
        self.clock = FakeClock()
        self.hedge = Hedge(Hedging(after_s=1.0, max_nanousd=1_000), self.clock, Random(1))
        self.asked: list[Attempt] = []
        self.replies: list[Reply] = []
        self.cancelled: list[Cause] = []
        self._takes = takes

    async def __call__(self, request: Attempt) -> Reply:
        """What comes of one attempt."""
        self.asked.append(request)
        takes = self._takes[len(self.asked) - 1]
        seconds, error = takes if isinstance(takes, tuple) else (takes, None)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(request.cause)
            raise
        if error is not None:
            raise error
        self.replies.append(reply(request))
        return self.replies[-1]

    def ask(self, request: Attempt = STREAMED) -> Reply:
        """Until the first event."""

        async def story() -> Reply:
            answer = await self.hedge(request, self)
            assert len(asyncio.all_tasks()) == 1, "nothing is left running"
            return answer

        return self.clock.run(story())


def test_who_answers_in_time_is_asked_once() -> None:
    providers = Providers(0.9)
    providers.ask()
    assert len(providers.asked) == 1


def test_a_slow_one_is_joined_by_another_and_the_loser_cancelled() -> None:
    providers = Providers(10.0, 0.5)
    answer = providers.ask()
    assert answer.attempt.cause is Cause.HEDGE
    assert (answer.attempt.deployment.id, answer.attempt.number) == ("second/swift", 2)
    assert answer.attempt.id != STREAMED.id
    assert providers.clock.monotonic() == pytest.approx(1.5)
    assert providers.cancelled == [Cause.FIRST]


def test_the_first_may_still_win() -> None:
    providers = Providers(1.2, 5.0)
    assert providers.ask().attempt.cause is Cause.FIRST
    assert providers.cancelled == [Cause.HEDGE]


def test_when_both_answer_in_one_moment_one_is_closed() -> None:
    providers = Providers(1.5, 0.5)
    answer = providers.ask()
    (other,) = (each for each in providers.replies if each is not answer)
    assert other.outcome == "abandoned"
    assert answer.ending is None


async def test_what_the_one_that_is_closed_cost_is_written_while_the_other_runs_on() -> None:
    log, clock, goes_on = MemoryLog(), FakeClock(), asyncio.Event()
    ledger = JournaledLedger(log, boot="boot-1", clock=clock)
    ledger.open(STREAMED.call.id)
    budget = Budget(ledger, clock)

    async def upstream(request: Attempt) -> Reply:
        if request.cause is Cause.FIRST:
            await goes_on.wait()
        goes_on.set()
        return reply(request)

    hedge = Hedge(Hedging(after_s=0.0, max_nanousd=1_000), clock, Random(1))
    answer = await hedge(STREAMED, lambda request: budget(request, upstream))
    (settled,) = (event for event in log.events if isinstance(event, Settled))
    assert (settled.outcome, answer.ending) == ("abandoned", None)
    assert settled.attempt_id != answer.attempt.id


@pytest.mark.parametrize("error", [ProviderFailed("500"), RetriesSpent("no more")])
def test_a_hedge_that_fails_leaves_the_first_to_answer(error: RoutewrightError) -> None:
    assert Providers(2.0, (0.1, error)).ask().attempt.cause is Cause.FIRST


def test_a_first_that_fails_leaves_the_hedge_to_answer() -> None:
    assert Providers((1.5, ProviderFailed("500")), 3.0).ask().attempt.cause is Cause.HEDGE


def test_when_both_fail_it_is_what_the_first_met() -> None:
    with pytest.raises(ProviderFailed, match="first"):
        Providers((2.0, ProviderFailed("first")), (0.1, ProviderFailed("second"))).ask()


def test_a_failure_before_the_hedge_is_retrys() -> None:
    providers = Providers((0.5, ProviderFailed("500")))
    with pytest.raises(ProviderFailed):
        providers.ask()
    assert len(providers.asked) == 1


@pytest.mark.parametrize(
    "request_",
    [
        attempt(call(stream=False), TWO_PLACES),
        attempt(call(stream=True), TWO_PLACES, cause=Cause.RETRY),
        attempt(call(stream=True), TWO_PLACES, cause=Cause.SUMMARY),
    ],
)
def test_what_is_whole_or_is_itself_a_further_attempt_is_not_hedged(request_: Attempt) -> None:
    providers = Providers(10.0)
    providers.ask(request_)
    assert len(providers.asked) == 1


def test_what_is_dear_is_not_hedged() -> None:
    providers = Providers(10.0)
    providers.hedge = Hedge(Hedging(after_s=1.0, max_nanousd=999), providers.clock, Random(1))
    providers.ask()
    assert len(providers.asked) == 1


def test_a_client_that_leaves_takes_both_along() -> None:
    providers = Providers(10.0, 10.0)

    async def story() -> None:
        asked = asyncio.ensure_future(providers.hedge(STREAMED, providers))
        await asyncio.sleep(2)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert sorted(providers.cancelled) == [Cause.FIRST, Cause.HEDGE]

    providers.clock.run(story())
