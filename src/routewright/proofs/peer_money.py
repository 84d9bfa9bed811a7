"""What gateways that know what answers cost make of a crowd, of trouble, and of every shape of usage.

* A crowd: hundreds of requests at once on a budget for ten of them; and some more when all is quiet and it is spent.
* Trouble: clients that leave, a provider that fails, streams that it cuts; the gateway's entries against its bill.
* Shapes: answers that say what they used in every way there is; each entry against the exact sum.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from routewright.bench.programs import Running
from routewright.proofs.hearing import Heard, Question, ask
from routewright.proofs.mock_upstream import WORDS
from routewright.proofs.peer_accounts import (
    BUDGET_FOR,
    CROWD,
    INPUT_NANOUSD,
    LIMIT_NANOUSD,
    MOST_TOKENS,
    OUTPUT_NANOUSD,
    SHAPES,
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
QUIET_S, LONGEST_S = 2.0, 15.0


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
        return [*await self._crowd(), *await self._trouble(), *await self._costs()]

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

    async def _quiet_entries(self, model: str) -> list[Entry]:
        """When none has come for a while."""
        deadline = time.monotonic() + LONGEST_S
        seen, since = self._entries(model), time.monotonic()
        while time.monotonic() - since < QUIET_S and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            if len(now := self._entries(model)) != len(seen):
                seen, since = now, time.monotonic()
        return seen

    def _entries(self, model: str) -> list[Entry]:
        return self._accounts.entries(self._folder, model)

    # ---- a crowd ----------------------------------------------------------------------------------------------------

    async def _crowd(self) -> list[Found]:
        heard = await asyncio.gather(*(self._ask(CROWD) for _ in range(AT_ONCE)))
        await self._quiet_entries(CROWD)
        served, spent = sum(each.status == 200 for each in heard), sum(self._billed(CROWD))
        again = [await self._ask(CROWD) for _ in range(AFTERWARDS)]
        refused = sorted({str(each.status) for each in (*heard, *again) if each.status != 200})
        over = max(0, sum(self._billed(CROWD)) - LIMIT_NANOUSD)
        return [
            Found(
                f"a budget of {usd(LIMIT_NANOUSD)}, for about {BUDGET_FOR} of {AT_ONCE} requests at once: answered; spent",
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
        found = [
            await self._against_bill("spender_left", "clients that leave before an answer that the provider completes"),
            await self._against_bill("held_left", "clients that leave in the middle of a stream"),
            await self._against_bill("status-500_failed", "a provider that answers 500"),
            await self._against_bill("cut_0", "streams that the provider cuts"),
        ]
        holds = self._accounts.holds(self._folder)
        return [*found, Found("holds left open after all that", "makes none" if holds is None else str(holds))]

    async def _against_bill(self, model: str, what: str) -> Found:
        entries, billed = await self._quiet_entries(model), self._billed(model)
        put_down = sum(entry.nanousd for entry in entries)
        flagged = sum(entry.is_estimated for entry in entries)
        told = f"{usd(sum(billed))}; {usd(put_down)}" + (f", {flagged} flagged as estimates" if flagged else "")
        return Found(f"{what} ({TROUBLED_TIMES}): the provider's bill; the gateway's entries", told)

    # ---- shapes -----------------------------------------------------------------------------------------------------

    async def _costs(self) -> list[Found]:
        found = []
        for is_stream in (False, True):
            wrong, error, asked = {}, 0.0, 0
            for shape in SHAPES:
                exact, entries = await self._shaped(shape, is_stream=is_stream)
                errors = [abs(one - entry.nanousd) for one, entry in zip(exact, entries, strict=False)]
                errors += [float(one) for one in exact[len(entries) :]]
                asked += len(exact)
                error += sum(errors)
                if off := sum(each > 1 for each in errors):
                    wrong[shape] = off
            which = ", ".join(f"{shape} {count}" for shape, count in wrong.items())
            kind = "streams" if is_stream else "answers"
            found.append(
                Found(
                    f"costs of {asked} {kind}, {SHAPED_TIMES} of each shape of usage: wrong by more than a nano-dollar; sum of errors",
                    f"{sum(wrong.values())}{f' ({which})' if which else ''}; {usd(error)}",
                )
            )
        return found

    async def _shaped(self, shape: str, *, is_stream: bool) -> tuple[Sequence[int], Sequence[Entry]]:
        """One after the other, so that the bill and the entries are in the same order."""
        before, lines = len(self._entries(shape)), len(self._lines(shape))
        for _ in range(SHAPED_TIMES):
            await self._ask(shape, is_stream=is_stream)
        await self._quiet_entries(shape)
        return self._lines(shape)[lines:], self._entries(shape)[before:]

    def _lines(self, shape: str) -> list[int]:
        with self._shapes.open(encoding="utf-8") as lines:
            return [line["cost_nanousd"] for line in map(json.loads, lines) if line["shape"] == shape]


def usd(nanousd: float) -> str:
    """Without what is not there."""
    return f"${nanousd / 10**9:.9f}".rstrip("0").rstrip(".")
