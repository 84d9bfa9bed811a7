"""Row M03 where answers are checked: each that is made has its own hold and row, and a budget bounds them all."""

from pathlib import Path

import pytest
from lab import lab, model
from oracles import INPUT_NANOUSD, OUTPUT_NANOUSD

NEVER = """
[checks.never]
kind = "regex"
pattern = "nobody says this"
routes = ["all"]
[cascade]
steps = ["reask", "escalate"]
"""
MODELS = (
    model("cheap", tier="bulk", fallbacks=["dear"]),
    model("dear", tier="complex"),
)


@pytest.mark.parametrize("stream", [False, True])
async def test_m03_every_answer_of_a_cascade_is_billed_and_booked_once(tmp_path: Path, stream: bool) -> None:
    async with lab(tmp_path, *MODELS, settings=NEVER) as it:
        seen = await it.ask("cheap", stream=stream)
        assert (seen.status, seen.headers["x-routewright-checks"]) == (200, "never=failed")
        assert seen.headers["x-routewright-attempts"] == "3"
        assert len((await it.books()).bill) == 3, "the fault was reached"
        rows = await it.audit(most_attempts=3)
        assert [row.model for row in rows if row.kind == "settled"] == ["cheap", "cheap", "dear"]


async def test_m03_an_answer_that_no_budget_has_room_for_is_never_asked_for(tmp_path: Path) -> None:
    # the longest answer and a short question, and not also what the model is told when it is asked again
    one = 4_000 * OUTPUT_NANOUSD + 150 * INPUT_NANOUSD
    budget = f'[budgets.all]\nscope = "total"\nlimit_usd = "{one / 1e9:.9f}"\n[spending]\nwhen_full = ["refuse"]\n'
    again = NEVER.replace('"reask", "escalate"', '"reask"')
    async with lab(tmp_path, *MODELS, settings=again + budget) as it:
        seen = await it.ask("cheap", stream=False)
        assert (seen.status, seen.headers["x-routewright-checks"]) == (200, "never=failed")
        assert seen.headers["x-routewright-cascade"] == "cheap failed never; reask: all_attempts_failed"
        assert len((await it.books()).bill) == 1
        await it.audit()
