"""What gateways that know what answers cost make of a crowd, of trouble, and of every shape of usage.

* A crowd: hundreds of requests at once on a budget for ten of them; and some more when all is quiet and it is spent.
* Trouble: clients that leave, a provider that fails, streams that it cuts; the gateway's entries against its bill.
* Shapes: answers that say what they used in every way there is; each entry against the exact sum.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from routewright.bench.programs import Running
from routewright.proofs.hearing import Heard, Question, ask
from routewright.proofs.peer_accounts import (
    BUDGET_FOR,
    CROWD,
    INPUT_NANOUSD,
    LIMIT_NANOUSD,
    MOST_TOKENS,
    OUTPUT_NANOUSD,
    SHAPES,
    TROUBLED,
    Accounts,
    Entry,
)
from routewright.proofs.peer_faults import Found

AT_ONCE, AFTERWARDS = 200, 20
TROUBLED_TIMES = 10
LONG_TOKENS = 5_000
"""Two seconds of the spender at most, so that who leaves does so in the middle."""
STREAM_LEFT_AFTER = 1_000
"""Bytes."""
SHAPED_TIMES = 10
PATIENCE_S = 60.0
QUIET_S, LONGEST_S = 1.0, 10.0


class Money:
    """One gateway, put through them."""

    def __init__(self, name: str, accounts: Accounts, running: Running, folder: Path, bill: Path, shapes: Path) -> None:
        self.name = name
        self._accounts = accounts
        self._port = running.child.port
        self._folder = folder
        self._bill = bill
        self._shapes = shapes

    async def run(self) -> list[Found]:
        """All of them."""
        found = [*await self._crowd(), *await self._trouble()]
        return [*found, await self._costs(is_stream=False), await self._costs(is_stream=True)]

    async def _ask(
        self, model: str, *, is_stream: bool = False, max_tokens: int = MOST_TOKENS, leaves_after: int | None = None
    ) -> Heard:
        question = Question(
            model=model,
            trial=f"{self.name}:{model}",
            is_stream=is_stream,
            max_tokens=max_tokens,
            leaves_after=leaves_after,
        )
        return await ask(self._port, question, patience_s=PATIENCE_S)

    def _billed(self, model: str) -> list[int]:
        """Nano-dollars of each line of the provider's bill."""
        with self._bill.open(encoding="utf-8") as lines:
            return [
                line["input"] * INPUT_NANOUSD + line["output"] * OUTPUT_NANOUSD
                for line in map(json.loads, lines)
                if line["trial"] == f"{self.name}:{model}"
            ]

    async def _are_due(self, count: int, of: Callable[[str], Sequence[object]], model: str) -> None:
        """Wait until there are so many; they are put down some time after the answer."""
        deadline = time.monotonic() + LONGEST_S
        while len(of(model)) < count and time.monotonic() < deadline:  # noqa: ASYNC110 other processes put them down
            await asyncio.sleep(0.05)

    def _entries(self, model: str) -> list[Entry]:
        return self._accounts.entries(self._folder, model)

    # ---- a crowd ----------------------------------------------------------------------------------------------------

    async def _crowd(self) -> list[Found]:
        heard = await asyncio.gather(*(self._ask(CROWD) for _ in range(AT_ONCE)))
        served, spent = sum(each.status == 200 for each in heard), sum(self._billed(CROWD))
        await self._are_due(served, self._entries, CROWD)
        again = [await self._ask(CROWD) for _ in range(AFTERWARDS)]
        refused = sorted({str(each.status) for each in (*heard, *again) if each.status != 200})
        over = max(0, sum(self._billed(CROWD)) - LIMIT_NANOUSD)
        return [
            Found(
                f"a budget of {usd(LIMIT_NANOUSD)}, for about {BUDGET_FOR} of {AT_ONCE} requests at once: answered; "
                "spent",
                f"{served}; {usd(spent)}, {spent / LIMIT_NANOUSD:.1f} times the budget",
            ),
            Found(
                f"the same, {AFTERWARDS} more one after the other: refused; over the budget in the end",
                f"{sum(each.status != 200 for each in again)}, by {', '.join(refused)}; {usd(over)}",
            ),
        ]

    # ---- trouble ----------------------------------------------------------------------------------------------------

    async def _trouble(self) -> list[Found]:
        await asyncio.gather(
            *(self._ask("spender_left", max_tokens=LONG_TOKENS, leaves_after=0) for _ in range(TROUBLED_TIMES)),
            *(self._ask("held_left", is_stream=True, leaves_after=STREAM_LEFT_AFTER) for _ in range(TROUBLED_TIMES)),
        )
        for _ in range(TROUBLED_TIMES):
            await self._ask("status-500_failed")
            await self._ask("cut_0", is_stream=True)
        await self._are_due(TROUBLED_TIMES, self._billed, "spender_left")
        for model in TROUBLED:
            await self._are_due(TROUBLED_TIMES, self._entries, model)
        await asyncio.sleep(QUIET_S)
        found = [self._against_bill(model, what) for model, what in TROUBLED.items()]
        holds = self._accounts.holds(self._folder)
        return [*found, Found("holds left open after all that", "makes none" if holds is None else str(holds))]

    def _against_bill(self, model: str, what: str) -> Found:
        entries, billed = self._entries(model), self._billed(model)
        put_down = sum(entry.nanousd for entry in entries)
        flagged = sum(entry.is_estimated for entry in entries)
        told = f"{usd(sum(billed))}; {usd(put_down)}" + (f", {flagged} flagged as estimates" if flagged else "")
        return Found(f"{what} ({TROUBLED_TIMES}): the provider's bill; the gateway's entries", told)

    # ---- shapes -----------------------------------------------------------------------------------------------------

    async def _costs(self, *, is_stream: bool) -> Found:
        before = {shape: (len(self._entries(shape)), len(self._lines(shape))) for shape in SHAPES}
        for shape in SHAPES:  # one after the other, so that the bill and the entries are in the same order
            for _ in range(SHAPED_TIMES):
                await self._ask(shape, is_stream=is_stream)
        errors: dict[str, list[float]] = {}
        for shape, (entered, lined) in before.items():
            await self._are_due(entered + SHAPED_TIMES, self._entries, shape)
            exact = self._lines(shape)[lined:]
            entries = [entry.nanousd for entry in self._entries(shape)[entered:]]
            errors[shape] = [abs(one - other) for one, other in zip_longest(exact, entries, fillvalue=0)]
        wrong = {shape: sum(each > 1 for each in found) for shape, found in errors.items()}
        which = ", ".join(f"{shape} {count}" for shape, count in wrong.items() if count)
        return Found(
            f"costs of {len(SHAPES) * SHAPED_TIMES} {'streams' if is_stream else 'answers'}, {SHAPED_TIMES} of each "
            "shape of usage: wrong by more than a nano-dollar; sum of errors",
            f"{sum(wrong.values())}{f' ({which})' if which else ''}; {usd(sum(map(sum, errors.values())))}",
        )

    def _lines(self, shape: str) -> list[int]:
        with self._shapes.open(encoding="utf-8") as lines:
            return [line["cost_nanousd"] for line in map(json.loads, lines) if line["shape"] == shape]


def usd(nanousd: float) -> str:
    """Without what is not there."""
    return f"${nanousd / 10**9:.9f}".rstrip("0").rstrip(".")
