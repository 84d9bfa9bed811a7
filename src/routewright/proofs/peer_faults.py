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
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from routewright.bench.processes import BenchFailed, Child
from routewright.bench.programs import Ready, Running
from routewright.proofs.contestants import GROUPS, Contestant, Places
from routewright.proofs.hearing import Ending, Heard, Question, ask
from routewright.proofs.mock_upstream import HELD, RETRY_AFTER_S, WORDS

STREAMS_CUT = 20
MISTAKES = 4
LIVE_STREAMS = 20
PATIENCE_S = 30.0
TELLING_S = 2.0
"""What takes longer is told of."""
SINGLE_MISTAKES = {"malformed": "JSON that breaks off", "error-200": "an error with status 200"}


class Pairing(NamedTuple):
    """How two deployments are tried of which one fails."""

    model: str
    what: str
    times: int = 32
    together: int = 8
    patience_s: float = PATIENCE_S


FAILING = (
    Pairing("pair-500", "answers 500"),
    Pairing("pair-429", f"answers 429 and asks for {RETRY_AFTER_S} s"),
    Pairing("pair-refused", "refuses connections"),
)
HANGING = (
    Pairing("pair-hang", "never answers, ten at once", 10, 10, 65.0),
    Pairing("pair-hung", "never answers, one after the other", 6, 1, 10.0),
)


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
        told = endings[Ending.ERROR] + endings[Ending.BROKEN_OFF] + endings[Ending.UNREADABLE]
        return Found(
            f"streams of which {how} in the middle: presented as complete; ended without a word; told as broken",
            f"{endings[Ending.COMPLETE]}; {endings[Ending.WITHOUT_A_WORD]}; {told} of {len(cut)}",
        )

    async def _pairs(self) -> list[Found]:
        """Those that hang at the same time, as they do nothing else."""
        found = [await self._pair(pairing, is_stream=kind) for pairing in FAILING for kind in (False, True)]
        for kind in (False, True):
            found += await asyncio.gather(*(self._pair(pairing, is_stream=kind) for pairing in HANGING))
        return found

    async def _pair(self, pairing: Pairing, *, is_stream: bool) -> Found:
        trial = f"{pairing.model}-{'stream' if is_stream else 'whole'}"
        gate = asyncio.Semaphore(pairing.together)
        answers = await asyncio.gather(
            *(self._paired(gate, pairing, f"{trial}:{number}", is_stream=is_stream) for number in range(pairing.times))
        )
        whole = [took_s for heard, took_s in answers if heard.ending is Ending.COMPLETE]
        statuses = Counter(heard.status for heard, _ in answers if heard.ending is not Ending.COMPLETE)
        others = ", ".join(f"{count} {f'got {status}' if status else 'nothing'}" for status, count in statuses.items())
        late = f", the last after {max(whole):.0f} s" if whole and max(whole) >= TELLING_S else ""
        return Found(
            f"{'streams' if is_stream else 'requests'} to two deployments of which one {pairing.what}: answered "
            f"within {pairing.patience_s:g} s; attempts that arrived for each",
            f"{len(whole)} of {pairing.times}{late}{f' ({others})' if others else ''}; "
            f"{self._attempts(trial) / pairing.times:.2f}",
        )

    async def _paired(
        self, gate: asyncio.Semaphore, pairing: Pairing, trial: str, *, is_stream: bool
    ) -> tuple[Heard, float]:
        """And how many seconds it took."""
        async with gate:
            began = time.monotonic()
            heard = await self._ask(pairing.model, trial, is_stream=is_stream, patience_s=pairing.patience_s)
            return heard, time.monotonic() - began

    async def _mistakes(self) -> list[Found]:
        found = []
        for model, what in SINGLE_MISTAKES.items():
            for is_stream in (False, True):
                heard = [await self._ask(model, f"{model}:{n}", is_stream=is_stream) for n in range(MISTAKES)]
                kind = "a stream's event" if is_stream else "an answer"
                found.append(Found(f"{what} as {kind}: what reaches the client", _told(heard)))
        return found

    async def _sigterm(self) -> Found:
        what = "SIGTERM amid live streams: come whole to their end; presented as complete and are not"
        if not self._contestant.is_its_program:
            return Found(what, "not tried")
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
        return Found(what, f"{whole}; {false} of {len(live)}")


def _told(heard: Sequence[Heard]) -> str:
    """Each different thing once."""
    kinds = {
        Ending.ERROR: "an error",
        Ending.COMPLETE: "an answer presented as complete",
        Ending.WITHOUT_A_WORD: "no answer, and no word of it",
        Ending.BROKEN_OFF: "a body that breaks off",
        Ending.UNREADABLE: "JSON that breaks off, as it came",
        Ending.NOTHING: "nothing",
    }
    return "; ".join(dict.fromkeys(f"{each.status or 'no status'}, {kinds[each.ending]}" for each in heard))


async def _is_there(child: Child, contestant: Contestant, places: Places) -> None:
    question = Question(model="ok", trial="first", headers=contestant.told(places, "ok"))
    heard = await ask(child.port, question, patience_s=PATIENCE_S)
    if heard.ending is not Ending.COMPLETE:
        raise BenchFailed(f"status {heard.status}: {heard.body[:500]!r}", program=child.name)


def ready(contestant: Contestant, places: Places) -> Ready:
    """Asks once; see `Ready`."""
    return partial(_asked_once, contestant=contestant, places=places)


def _asked_once(child: Child, contestant: Contestant, places: Places) -> None:
    asyncio.run(_is_there(child, contestant, places))
