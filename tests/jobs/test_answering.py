"""Asking for a batch, against an engine that does what it is told."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import cast

import pytest

from builders import call
from routewright.call import Call
from routewright.engine import Engine
from routewright.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    CircuitOpen,
    CredentialResting,
    LedgerUnavailable,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    RoutewrightError,
)
from routewright.jobs.answering import Asker, RunEnded, spread
from routewright.layers.lanes import Lane
from routewright.layers.window import Window
from routewright.reply import Event, Reply
from routewright.testing import FakeClock


class Scripted:
    """An engine that fails as told, call after call, and then answers."""

    def __init__(self, *failures: RoutewrightError) -> None:
        self.failures = list(failures)
        self.ids: list[str] = []

    def mint_id(self) -> str:
        return f"again-{len(self.ids)}"

    async def ask(self, asked: Call) -> Reply:
        self.ids.append(asked.id)
        if self.failures:
            raise self.failures.pop(0)
        return cast("Reply", _Answer())


class _Answer:
    def __init__(self) -> None:
        self.is_closed = False

    async def next(self) -> tuple[Event, ...]:
        if self.is_closed:
            return ()
        self.is_closed = True
        return (Event(raw=b"answer"),)

    def close(self) -> None:
        self.is_closed = True


def failed(*errors: ProviderError) -> AllAttemptsFailed:
    return AllAttemptsFailed([("place", error) for error in errors])


def asking(engine: Scripted, clock: FakeClock, *, patience_s: float = 60) -> Callable[[], bytes]:
    """Ask one question to its end; gives what was taken."""

    async def one() -> bytes:
        taken: list[bytes] = []
        asker = Asker(cast("Engine", engine), clock, Random(1), patience_s=patience_s)
        await asker.ask(call(), lambda reply, events: taken.extend(event.raw for event in events))
        return b"".join(taken)

    return lambda: clock.run(one())


def test_what_was_not_sent_is_waited_for_and_asked_under_a_new_id() -> None:
    clock, engine = FakeClock(), Scripted(failed(CircuitOpen("down")), failed(CircuitOpen("down")))
    assert asking(engine, clock)() == b"answer"
    assert len(set(engine.ids)) == 3, "each is a request of its own in the ledger"
    assert 0.5 <= clock.monotonic() < 5


def test_a_429_is_paced_and_no_failure_of_the_question() -> None:
    clock = FakeClock()
    engine = Scripted(failed(ProviderOverloaded("429", retry_after_s=7), CircuitOpen("asked for a pause")))
    assert asking(engine, clock)() == b"answer"
    assert 7 < clock.monotonic() < 8


def test_patience_has_an_end() -> None:
    clock, engine = FakeClock(), Scripted(*[failed(CircuitOpen("down"))] * 1000)
    with pytest.raises(AllAttemptsFailed):
        asking(engine, clock)()
    assert 60 < clock.monotonic() < 90


def test_what_was_sent_and_failed_has_failed() -> None:
    clock, engine = FakeClock(), Scripted(failed(ProviderFailed("500"), CircuitOpen("down")))
    with pytest.raises(AllAttemptsFailed):
        asking(engine, clock)()
    assert len(engine.ids) == 1


@pytest.mark.parametrize(
    "error", [failed(CredentialResting("refused")), LedgerUnavailable("full"), BudgetExceeded("spent", details={})]
)
def test_what_concerns_all_questions_ends_the_run(error: RoutewrightError) -> None:
    with pytest.raises(RunEnded) as caught:
        asking(Scripted(error), FakeClock())()
    assert caught.value.cause is error


def test_a_budget_without_room_is_tried_again_only_when_another_question_has_settled() -> None:
    """One that had no room either is no reason: with waits that overlap, all would be tried for ever."""
    clock, tries = FakeClock(), []
    asker = Asker(cast("Engine", Scripted()), clock, Random(1))

    async def once(call: Call) -> None:
        tries.append(clock.monotonic())
        assert len(tries) < 50, "there is no end to it"
        await asyncio.sleep(len(tries))
        raise BudgetExceeded("spent", details={})

    async def all_of_them() -> list[object]:
        return await asyncio.gather(*(asker.insist(call(), once) for _ in range(5)), return_exceptions=True)

    assert [type(ended) for ended in clock.run(all_of_them())] == [RunEnded] * 5
    assert tries == [0] * 5


def test_a_settlement_may_make_room() -> None:
    clock, asked = FakeClock(), []
    asker = Asker(cast("Engine", Scripted()), clock, Random(1))

    async def once(call: Call) -> str:
        asked.append(call.id)
        if len(asked) == 2:
            raise BudgetExceeded("spent", details={})
        await asyncio.sleep(1)
        return "answer"

    async def both() -> list[str]:
        return [*await asyncio.gather(asker.insist(call(), once), asker.insist(call(), once))]

    assert clock.run(both()) == ["answer", "answer"]
    assert len(asked) == 3


async def test_only_so_many_are_asked_at_a_time() -> None:
    running = most = 0

    async def work(question: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    questions = iter(range(20))
    await spread(questions, work, Lane(Window(3, 3)))
    assert (most, running, list(questions)) == (3, 0, [])
