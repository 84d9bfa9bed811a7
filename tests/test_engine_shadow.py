"""Shadows through the whole engine: scripted models answer and judge, and the books are those of SQLite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from builders import message
from routewright.call import Call, Cause, JsonObject, Options, Priority
from routewright.dialects.wire import WireRequest
from routewright.errors import SettingsError
from routewright.gateway.metrics import Metrics
from routewright.ids import uuid7
from routewright.ledger.ledger import ComparisonRecorded, Settled
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import ScriptedResponse

SETTINGS = """
[shadow]
models = ["cheap"]
share = 1
{more}
[providers.acme]
base_url = "simulator:"
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
price = {{ input = "5", output = "25" }}
[models.cheap]
tier = "bulk"
deployments = ["acme/cheap"]
context_window = 100_000
price = {{ input = "0.1", output = "0.4" }}
[models.referee]
tier = "standard"
deployments = ["acme/referee"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""
JUDGED = 'judge = "referee"'
Script = Callable[[str, JsonObject], str]


class Cast(Simulator):
    """Each model says what the script has for it; an empty word is an overloaded provider."""

    def __init__(self, script: Script) -> None:
        super().__init__(time_scale=0)
        self.script = script
        self.finish = "stop"
        self.asked: list[JsonObject] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:  # type: ignore[override]
        """As scripted."""
        body = msgspec.json.decode(request.body)
        self.asked.append(body)
        says = self.script(body["model"], body)
        choice = {"index": 0, "message": {"role": "assistant", "content": says}, "finish_reason": self.finish}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        answer = {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        return ScriptedResponse(200 if says else 503, [msgspec.json.encode(answer)])


@asynccontextmanager
async def playing(folder: Path, script: Script, more: str = "") -> AsyncIterator[tuple[Runtime, Cast]]:
    (folder / "routewright.toml").write_text(SETTINGS.format(more=more))
    cast = Cast(script)
    runtime = Runtime.open(SettingsSource(environ={"HOME": str(folder)}, cwd=folder), simulator=cast)
    try:
        yield runtime, cast
    finally:
        await runtime.close()


async def ask(runtime: Runtime, text: str = "Say something", **changes: object) -> Answer:
    call = Call(id=uuid7(1, Random()), dialect="library", model="strong", messages=(message(text),), body={})
    answer = await (await runtime.engine.ask(msgspec.structs.replace(call, **changes))).read()
    await runtime.engine.shadows.finish()
    await runtime.flush()
    return answer


def compared(runtime: Runtime) -> list[ComparisonRecorded]:
    return list(runtime.store.comparisons(0, 2**62))


def prefers(better: str) -> Script:
    """The referee finds one of the answers better wherever it stands."""

    def script(model: str, body: JsonObject) -> str:
        if model != "referee":
            return f"said by {model}"
        prompt = body["messages"][1]["content"]
        return "first" if prompt.index("<first>") < prompt.index(better) < prompt.index("<second>") else "second"

    return script


@pytest.mark.parametrize(("better", "result", "score"), [("by cheap", "win", 1.0), ("by strong", "loss", 0.0)])
async def test_a_blind_judge_that_is_asked_in_both_orders_decides(
    tmp_path: Path, better: str, result: str, score: float
) -> None:
    async with playing(tmp_path, prefers(better), JUDGED) as (runtime, cast):
        answer = await ask(runtime)
        assert answer.text == "said by strong"
        [comparison] = compared(runtime)
        assert (comparison.result, comparison.decided_by, comparison.judge) == (result, "judge", "referee")
        assert (comparison.cost_nanousd, comparison.shadow_cost_nanousd) == (750_000, 14_000)
        assert comparison.judge_cost_nanousd == 2 * 120_000
        orders = [body["messages"][1]["content"] for body in cast.asked if body["model"] == "referee"]
        assert {prompt.index("by cheap") < prompt.index("by strong") for prompt in orders} == {True, False}
        assert not any(name in prompt.replace("said by", "") for prompt in orders for name in ("acme", "referee"))
        [outcome] = runtime.store.outcomes(0)
        assert (outcome.model, outcome.source, outcome.score) == ("cheap", "judge", score)


@pytest.mark.parametrize("word", ["first", "tie", "second."])
async def test_a_judge_that_goes_by_the_place_finds_no_difference(tmp_path: Path, word: str) -> None:
    async with playing(tmp_path, lambda model, _: word if model == "referee" else model, JUDGED) as (runtime, _):
        await ask(runtime)
        assert [each.result for each in compared(runtime)] == ["tie"]


async def test_the_same_answer_is_a_tie_and_needs_no_judge(tmp_path: Path) -> None:
    def script(model: str, body: JsonObject) -> str:
        return {"strong": "The answer is **B**.", "cheap": "B) Paris"}[model]

    async with playing(tmp_path, script, JUDGED) as (runtime, cast):
        await ask(runtime, "Which is the capital?\nA) Rome\nB) Paris")
        [comparison] = compared(runtime)
        assert (comparison.result, comparison.decided_by, comparison.is_same) == ("tie", "agreement", True)
        assert [body["model"] for body in cast.asked] == ["strong", "cheap"]


@pytest.mark.parametrize(("strong", "cheap", "result"), [("no", "[1]", "win"), ("[1]", "no", "loss")])
async def test_who_passes_the_checks_wins_and_needs_no_judge(
    tmp_path: Path, strong: str, cheap: str, result: str
) -> None:
    more = f'{JUDGED}\n[checks.form]\nkind = "json"\nroutes = ["all"]\n[cascade]\nsteps = []'
    async with playing(tmp_path, lambda model, _: {"strong": strong, "cheap": cheap}[model], more) as (runtime, _):
        await ask(runtime)
        assert [(each.result, each.decided_by) for each in compared(runtime)] == [(result, "checks")]
        told = {(row.model, row.source, row.check): row.score for row in runtime.store.outcomes(0)}
        assert told["cheap", "check", "form"] == (result == "win")
        assert told["strong", "check", "form"] == (result == "loss")
        assert told["cheap", "shadow", ""] == (result == "win")


@pytest.mark.parametrize("word", ["", "Both are good."])
async def test_what_a_judge_has_no_word_for_stays_undecided(tmp_path: Path, word: str) -> None:
    async with playing(tmp_path, lambda model, _: word if model == "referee" else model, JUDGED) as (runtime, _):
        await ask(runtime)
        assert [(each.result, each.decided_by) for each in compared(runtime)] == [("different", "")]
        assert runtime.store.outcomes(0) == []


async def test_a_shadow_that_fails_is_never_the_clients(tmp_path: Path) -> None:
    async with playing(tmp_path, lambda model, _: "" if model == "cheap" else model, JUDGED) as (runtime, cast):
        assert (await ask(runtime)).text == "strong"
        [comparison] = compared(runtime)
        assert (comparison.result, comparison.decided_by) == ("failed", "all_attempts_failed")
        assert [body["model"] for body in cast.asked] == ["strong", "cheap"], "a shadow is tried once"


async def test_a_shadow_is_an_attempt_of_the_request_and_no_part_of_what_the_request_cost(tmp_path: Path) -> None:
    async with playing(tmp_path, prefers("by cheap"), JUDGED) as (runtime, _):
        answer = await ask(runtime)
        found = runtime.store.request(answer.request_id)
        assert found is not None
        assert found.request is not None
        closes = [attempt.close for attempt in found.attempts]
        assert [close.cause for close in closes if close] == [
            Cause.FIRST,
            Cause.SHADOW,
            Cause.COMPARISON,
            Cause.COMPARISON,
        ]
        assert found.request.cost_nanousd == answer.receipt.cost_nanousd == 750_000
        assert runtime.store.totals().cost_nanousd == 750_000 + 14_000 + 240_000
        assert runtime.store.totals().requests == 1


async def test_m07_copies_are_nobodys_and_go_last(tmp_path: Path) -> None:
    seen: list[Call] = []
    async with playing(tmp_path, prefers("by cheap"), JUDGED) as (runtime, _):
        hold = runtime.engine._ledger.hold

        def noting(attempt: object, tokens: int) -> object:
            seen.append(attempt.call)  # type: ignore[attr-defined]
            return hold(attempt, tokens)  # type: ignore[arg-type]

        runtime.engine._ledger.hold = noting  # type: ignore[method-assign, assignment]
        await ask(runtime, options=Options(tags=("mine",), user="me"))
    assert [(call.priority, call.tags, call.options.user) for call in seen] == [
        (Priority.LIVE, ("mine",), "me"),
        *[(Priority.SHADOW, (), None)] * 3,
    ]


async def test_m07_no_copy_exceeds_the_budget_of_shadows_which_pays_for_the_judge_too(tmp_path: Path) -> None:
    more = f'{JUDGED}\ndaily_usd = "0.02"'  # enough for some 70 copies at 14,000 nano-USD and 240,000 for the judge
    async with playing(tmp_path, prefers("by cheap"), more) as (runtime, _):
        for _ in range(100):
            assert (await ask(runtime, max_output_tokens=100)).text == "said by strong"
        spent = sum(
            attempt.close.cost_nanousd or 0
            for each in {comparison.request_id for comparison in compared(runtime)}
            for attempt in (runtime.store.request(each) or pytest.fail("it is recorded")).attempts
            if isinstance(attempt.close, Settled) and attempt.close.cause in (Cause.SHADOW, Cause.COMPARISON)
        )
        assert 10_000_000 < spent <= 20_000_000
        results = [each.result for each in compared(runtime)]
        assert (results[0], results[-1]) == ("win", "different"), "in the end there is no money for the judge"


async def test_m07_a_copy_that_the_budget_has_no_room_for_says_nothing_of_the_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(tmp_path, prefers("by cheap"), 'daily_usd = "0.00001"') as (runtime, cast):
        await ask(runtime)
        await ask(runtime)
        assert [body["model"] for body in cast.asked] == ["strong", "strong"]
        assert (compared(runtime), runtime.engine.shadows.counts["unsent"]) == ([], 2)
    assert [record.levelname for record in caplog.records if "not sent to other models" in record.message] == [
        "WARNING"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"options": Options(shadow=False)},
        {"options": Options(no_log=True)},
        {"choices": 2},
        {"model": "cheap"},
    ],
    ids=["off", "no log", "several answers", "the model itself"],
)
async def test_what_must_not_be_shadowed_is_not(tmp_path: Path, changes: dict[str, object]) -> None:
    async with playing(tmp_path, lambda model, _: model) as (runtime, cast):
        await ask(runtime, **changes)  # type: ignore[arg-type]
        assert len(cast.asked) == 1
        assert compared(runtime) == []


async def test_the_share_is_kept(tmp_path: Path) -> None:
    async with playing(tmp_path, lambda model, _: model) as (runtime, _):
        runtime.engine._assembly._random.seed(7)
        (tmp_path / "routewright.toml").write_text(SETTINGS.replace("share = 1", "share = 0.25").format(more=""))
        runtime.reload()
        for _ in range(200):
            await ask(runtime)
        assert 35 <= len(compared(runtime)) <= 65


async def test_content_is_kept_with_a_comparison_only_where_it_may_be(tmp_path: Path) -> None:
    for log_content, kept in ((False, ""), (True, "cheap")):
        folder = tmp_path / kept
        folder.mkdir(exist_ok=True)
        async with playing(folder, lambda model, _: model) as (runtime, _):
            if log_content:
                with (folder / "routewright.toml").open("a") as file:
                    file.write("[ledger]\nlog_content = true\n")
                runtime.reload()
            await ask(runtime)
            assert [each.shadow_answer for each in compared(runtime)] == [kept]


@pytest.mark.parametrize(("own", "most"), [(None, 8_192), (100, 100), (8_000, 8_000)])
async def test_a_copy_may_be_a_few_times_as_long_as_the_answer_and_is_not_blamed_for_that(
    tmp_path: Path, own: int | None, most: int
) -> None:
    async with playing(tmp_path, lambda model, _: model) as (runtime, cast):
        cast.finish = "length"
        await ask(runtime, max_output_tokens=own)
        assert [body.get("max_tokens") for body in cast.asked] == [own, most]
        [comparison] = compared(runtime)
        cut = ("failed", "too_long")
        assert (comparison.result, comparison.decided_by) == (("different", "") if own == most else cut)


async def test_an_answer_that_was_given_up_is_not_compared(tmp_path: Path) -> None:
    async with playing(tmp_path, lambda model, _: model) as (runtime, cast):
        call = Call(id=uuid7(1, Random()), dialect="library", model="strong", messages=(message("Hi"),), body={})
        (await runtime.engine.ask(call)).close()
        await runtime.engine.shadows.finish()
        assert len(cast.asked) == 1


async def test_too_many_copies_are_dropped_and_counted_and_the_end_gives_up_those_that_wait(tmp_path: Path) -> None:
    async with playing(tmp_path, lambda model, _: model) as (runtime, _):
        shadows, never = runtime.engine.shadows, asyncio.Event()

        async def work() -> None:
            await never.wait()

        for _ in range(103):
            shadows.begin(work)
        assert shadows.counts["dropped"] == 3
    await shadows.finish()
    shadows.begin(work)
    assert shadows.counts["dropped"] == 4


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('judge = "refere"', 'shadow.judge: no model is called "refere"'),
        ("timeout_ms = 0", "shadow.timeout_ms"),
        ('daily_usd = "-1"', "shadow.daily_usd"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        async with playing(tmp_path, lambda model, _: model, more):
            pytest.fail("it opened")


async def test_what_shadows_cost_is_counted_for_monitoring_too(tmp_path: Path) -> None:
    async with playing(tmp_path, lambda model, body: "the same") as (runtime, _):
        await ask(runtime)
        tally = runtime.engine.tally
        assert tally.attempts["acme/cheap", "shadow", "complete"] == 1
        assert tally.cost_nanousd["cheap"] == 100 * 100 + 10 * 400
        assert tally.requests.total() == 1, "a copy is nobody's request"
        assert "routewright_shadows_total{" in Metrics(runtime.engine, backlog_bytes=lambda: 0).text()
