"""What becomes of a client when a provider fails, or the gateway is told to stop: tried on any gateway alike.

* Streams that are cut: the provider's connection breaks off in the middle, or its body ends there as if it were whole.
* One of two deployments fails: what share of requests is answered, and how many attempts the provider saw for each.
* Answers that are none: JSON that breaks off, or an error with the status of an answer.
* SIGTERM amid live streams: how many come to their end.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from routewright.bench.processes import BenchFailed, Child
from routewright.bench.programs import Running
from routewright.proofs.contestants import GROUPS, PAIRS, Contestant, Places
from routewright.proofs.hearing import Ending, Heard, Question, ask
from routewright.proofs.mock_upstream import HELD, WORDS

STREAMS_CUT = 20
PAIRED = 40
TOGETHER = 4
MISTAKES = 4
LIVE_STREAMS = 20
PATIENCE_S = 30.0
HANGING, HANGING_PATIENCE_S = 10, 75.0
"""Requests to a deployment that never answers, all at once; longer than each one's defaults that are of that order."""
SINGLE_MISTAKES = {"malformed": "JSON that breaks off", "error-200": "an error with status 200"}


class Found(Struct, frozen=True):
    """One figure of one gateway."""

    what: str
    measured: str


class Faults:
    """One gateway, put through them."""

    def __init__(self, name: str, contestant: Contestant, running: Running, places: Places, bill: Path) -> None:
        self.name = name
        self._contestant = contestant
        self._running = running
        self._places = places
        self._bill = bill

    async def run(self) -> list[Found]:
        """All of them; SIGTERM comes last."""
        found = [await self._cut("cut", "its connection breaks off"), await self._cut("ended", "its body ends")]
        found += await self._pairs()
        found += await self._mistakes()
        return [*found, await self._sigterm()]

    async def _ask(
        self,
        model: str,
        trial: str,
        *,
        is_stream: bool,
        patience_s: float = PATIENCE_S,
        begun: asyncio.Event | None = None,
    ) -> Heard:
        question = Question(
            model=model,
            trial=f"{self.name}:{trial}",
            is_stream=is_stream,
            headers=self._contestant.told(self._places, model),
        )
        return await ask(self._running.child.port, question, patience_s=patience_s, begun=begun)

    def _attempts(self, trial: str) -> int:
        """What the provider has seen of a trial, by its bill."""
        with self._bill.open(encoding="utf-8") as lines:
            return sum(line["trial"].startswith(f"{self.name}:{trial}:") for line in map(json.loads, lines))

    async def _cut(self, fault: str, how: str) -> Found:
        heard = [
            await self._ask(f"{fault}_{number % GROUPS}", f"{fault}:{number}", is_stream=True)
            for number in range(STREAMS_CUT)
        ]
        cut = [each for each in heard if each.text.split() != list(WORDS)]
        endings = Counter(each.ending for each in cut)
        told = endings[Ending.ERROR] + endings[Ending.BROKEN_OFF]
        return Found(
            f"streams of which {how} in the middle: presented as complete; ended without a word; told as broken",
            f"{endings[Ending.COMPLETE]}; {endings[Ending.WITHOUT_A_WORD]}; {told} of {len(cut)}",
        )

    async def _pairs(self) -> list[Found]:
        found = []
        for model, fault in PAIRS.items():
            is_hanging = fault == "hang"
            count, patience_s = (HANGING, HANGING_PATIENCE_S) if is_hanging else (PAIRED, PATIENCE_S)
            for is_stream in (False, True):
                trial = f"{model}-{'stream' if is_stream else 'whole'}"
                gate = asyncio.Semaphore(count if is_hanging else TOGETHER)
                heard = await asyncio.gather(
                    *(self._paired(gate, model, f"{trial}:{number}", is_stream, patience_s) for number in range(count))
                )
                whole = sum(each.ending is Ending.COMPLETE for each in heard)
                attempts = self._attempts(trial)
                kind = "streams" if is_stream else "requests"
                found.append(
                    Found(
                        f"{kind} to two deployments of which one {PAIR_WORDS[fault]}: answered"
                        + (f" within {patience_s:g} s" if is_hanging else "")
                        + f"; attempts that the provider{' that is there' if fault == 'dead' else ''} saw",
                        f"{whole} of {count}; {attempts / count:.2f} each{_others(heard)}",
                    )
                )
        return found

    async def _paired(
        self, gate: asyncio.Semaphore, model: str, trial: str, is_stream: bool, patience_s: float
    ) -> Heard:
        async with gate:
            return await self._ask(model, trial, is_stream=is_stream, patience_s=patience_s)

    async def _mistakes(self) -> list[Found]:
        found = []
        for model, what in SINGLE_MISTAKES.items():
            for is_stream in (False, True):
                heard = [await self._ask(model, f"{model}:{n}", is_stream=is_stream) for n in range(MISTAKES)]
                kind = "a stream's event" if is_stream else "an answer"
                found.append(Found(f"{what} as {kind}: what reaches the client", _told(heard)))
        return found

    async def _sigterm(self) -> Found:
        begun = [asyncio.Event() for _ in range(LIVE_STREAMS)]
        streams = [
            asyncio.create_task(self._ask("held", f"held:{number}", is_stream=True, begun=event))
            for number, event in enumerate(begun)
        ]
        await asyncio.wait([asyncio.create_task(event.wait()) for event in begun], timeout=PATIENCE_S)
        live = [stream for stream in streams if not stream.done()]
        os.kill(self._running.child.pid, signal.SIGTERM)
        heard = await asyncio.gather(*live)
        whole = sum(each.ending is Ending.COMPLETE and each.text.split() == list(HELD) for each in heard)
        false = sum(each.ending is Ending.COMPLETE for each in heard) - whole
        await asyncio.gather(*streams)
        return Found(
            "SIGTERM amid live streams: come whole to their end; presented as complete and are not",
            f"{whole}; {false} of {len(live)}",
        )


PAIR_WORDS = {
    "status-500": "answers 500",
    "status-429": "answers 429 and asks for 30 s",
    "dead": "refuses connections",
    "hang": "never answers",
}


def _others(heard: Sequence[Heard]) -> str:
    """The statuses of what was not answered."""
    statuses = Counter(each.status or "none" for each in heard if each.ending is not Ending.COMPLETE)
    return f" ({', '.join(f'{status}: {count}' for status, count in statuses.items())})" if statuses else ""


def _told(heard: Sequence[Heard]) -> str:
    """Each different thing once."""
    kinds = {
        Ending.ERROR: "an error",
        Ending.COMPLETE: "an answer presented as complete",
        Ending.WITHOUT_A_WORD: "no answer, and no word of it",
        Ending.BROKEN_OFF: "a body that breaks off",
        Ending.NOTHING: "nothing",
    }
    return "; ".join(dict.fromkeys(f"{each.status or 'no status'}, {kinds[each.ending]}" for each in heard))


async def _is_there(child: Child, contestant: Contestant, places: Places) -> None:
    question = Question(model="ok", trial="first", headers=contestant.told(places, "ok"))
    heard = await ask(child.port, question, patience_s=PATIENCE_S)
    if heard.ending is not Ending.COMPLETE:
        raise BenchFailed(f"status {heard.status}: {heard.body[:500]!r}", program=child.name)


def ready(contestant: Contestant, places: Places) -> "partial[None]":
    """Asks once; see `Ready`."""
    return partial(_asked_once, contestant=contestant, places=places)


def _asked_once(child: Child, contestant: Contestant, places: Places) -> None:
    asyncio.run(_is_there(child, contestant, places))
