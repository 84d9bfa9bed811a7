"""Cached prefixes through the whole engine: the simulator bills a long system prompt at less the second time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from routewright.call import JsonObject, Options
from routewright.dialects.openai_chat import OpenAIChat
from routewright.ids import uuid7
from routewright.reply import Answer
from routewright.route import Route
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

SETTINGS = """
[policy]
classifier = "heuristic"
{more}
[providers.acme]
base_url = "simulator:"
[models.keeper]
tier = "standard"
deployments = ["acme/keeper"]
context_window = 100_000
price = {{ input = "1.0", cache_read = "0.1", output = "2" }}
[models.rival]
tier = "standard"
deployments = ["acme/rival"]
context_window = 100_000
price = {{ input = "{rival}", output = "2" }}
"""
SYSTEM = {"role": "system", "content": "You answer questions about this contract. " + "It has many terms. " * 1_000}
FIRST = [SYSTEM, {"role": "user", "content": "What does it say of notice?"}]
SECOND = [*FIRST, {"role": "assistant", "content": "Thirty days."}, {"role": "user", "content": "And of payment?"}]


@asynccontextmanager
async def opened(folder: Path, *, rival: str, more: str = "") -> AsyncIterator[Runtime]:
    (folder / "routewright.toml").write_text(SETTINGS.format(rival=rival, more=more))
    source = SettingsSource(environ={"HOME": str(folder)}, cwd=folder)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    yield runtime
    await runtime.close()


def body(messages: list[JsonObject], **fields: Any) -> bytes:
    return msgspec.json.encode({"model": "auto", "messages": messages, "max_tokens": 50, **fields})


async def ask(runtime: Runtime, messages: list[JsonObject], **fields: Any) -> Answer:
    call = OpenAIChat().read(body(messages, **fields), request_id=uuid7(1, Random()), options=Options())
    return await (await runtime.engine.ask(call)).read()


def route(runtime: Runtime, messages: list[JsonObject], **fields: Any) -> Route:
    return runtime.engine.route(OpenAIChat().read(body(messages, **fields), request_id="request-1", options=Options()))


def cost(route: Route, model: str) -> int:
    [candidate] = [each for each in route.candidates if each.model == model]
    assert candidate.expected_cost_nanousd is not None
    return candidate.expected_cost_nanousd


async def test_the_second_turn_stays_where_the_first_is_warm(tmp_path: Path) -> None:
    async with opened(tmp_path, rival="0.9") as runtime:
        assert route(runtime, FIRST).chosen.model == "rival"
        await ask(runtime, FIRST, model="keeper")
        second = await ask(runtime, SECOND)
        assert second.model == "keeper"
        assert second.route.chosen.reason.endswith(" tokens warm")
        assert second.usage.cache_read > 1_024


async def test_it_moves_on_when_that_saves_more_than_the_cache(tmp_path: Path) -> None:
    async with opened(tmp_path, rival="0.05") as runtime:
        cold = cost(route(runtime, SECOND), "keeper")
        await ask(runtime, FIRST, model="keeper")
        warm = route(runtime, SECOND)
        assert warm.chosen.model == "rival"
        assert cost(warm, "rival") < cost(warm, "keeper") < cold
        [left] = [each for each in warm.candidates if each.model == "keeper"]
        assert left.reason.endswith(" tokens warm")
        assert "warm" not in warm.chosen.reason


@pytest.mark.parametrize(
    ("more", "then"),
    [
        ("prompt_cache_seconds = 0", SECOND),
        ("", [{**SYSTEM, "content": "Another. " + str(SYSTEM["content"])}, *SECOND[1:]]),
    ],
)
async def test_without_a_warm_beginning_the_decision_is_what_it_was(
    tmp_path: Path, more: str, then: list[JsonObject]
) -> None:
    async with opened(tmp_path, rival="0.9", more=more) as runtime:
        before = route(runtime, then)
        await ask(runtime, FIRST, model="keeper", max_tokens=1)
        after = route(runtime, then)
        assert (after.chosen.model, after.candidates[0].reason) == ("rival", before.candidates[0].reason)
        assert not any("warm" in candidate.reason for candidate in after.candidates)


async def test_a_named_conversation_is_found_by_its_name(tmp_path: Path) -> None:
    changed = [SYSTEM, {"role": "user", "content": "A different beginning."}]
    async with opened(tmp_path, rival="0.9") as runtime:
        await ask(runtime, FIRST, model="keeper", prompt_cache_key="contract")
        assert route(runtime, changed, prompt_cache_key="contract").chosen.model == "keeper"
        assert route(runtime, changed, prompt_cache_key="other").chosen.model == "rival"
        assert route(runtime, changed).chosen.model == "rival"


async def test_what_is_warm_outlives_a_reload(tmp_path: Path) -> None:
    async with opened(tmp_path, rival="0.9") as runtime:
        await ask(runtime, FIRST, model="keeper")
        runtime.reload()
        assert route(runtime, SECOND).chosen.model == "keeper"


async def test_a_provider_that_reads_less_than_expected_loses_its_advantage(tmp_path: Path) -> None:
    async with opened(tmp_path, rival="0.9") as runtime:
        user = [{"role": "user", "content": f"Terms: {'notice, payment, law; ' * 1_000}"}, *SECOND[2:]]
        await ask(runtime, user, model="keeper")
        assert route(runtime, user).chosen.model == "keeper"
        for _ in range(20):  # the simulator keeps system prompts only
            await ask(runtime, user, model="keeper")
        assert route(runtime, user).chosen.model == "rival"


@pytest.mark.parametrize(("more", "is_left_alone"), [("", True), ("prompt_cache_seconds = 0", False)])
async def test_a_warm_beginning_is_not_shortened(tmp_path: Path, more: str, is_left_alone: bool) -> None:
    context = "[context]\nenabled = true\nthreshold_tokens = 5_000\nkeep_turns = 1"
    roomy = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A term.   \n\n\n\n\n" * 500}]
    grown = [*roomy, {"role": "assistant", "content": "Thirty days." * 2_000}, {"role": "user", "content": "Sure?"}]
    async with opened(tmp_path, rival="0.9", more=f"{more}\n{context}") as runtime:
        await ask(runtime, roomy, model="keeper")
        answer = await ask(runtime, grown, model="keeper")
        assert (answer.route.context == ()) is is_left_alone


LADDER = """
[policy]
classifier = "heuristic"
[providers.acme]
base_url = "simulator:"
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
capabilities = ["tools"]
price = { input = "3.0", cache_read = "0.1", output = "9" }
[models.plain]
tier = "standard"
deployments = ["acme/plain"]
context_window = 100_000
capabilities = ["tools"]
price = { input = "PLAIN", output = "2" }
"""
TOOL = {"type": "function", "function": {"name": "Bash", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(("plain", "kept"), [("1.0", True), ("0.05", False)])
async def test_a_stronger_model_keeps_the_session_while_reading_it_anew_would_cost_more(
    tmp_path: Path, plain: str, kept: bool
) -> None:
    (tmp_path / "routewright.toml").write_text(LADDER.replace("PLAIN", plain))
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    fields = {"tools": [TOOL], "prompt_cache_key": "one-session"}
    first = route(runtime, FIRST, **fields)
    assert first.chosen.model == "plain"  # many tools make no turn hard by themselves
    assert first.chosen.cold_cost_nanousd is None
    await ask(runtime, FIRST, model="strong", **fields)
    second = route(runtime, SECOND, **fields)
    assert second.chosen.model == ("strong" if kept else "plain")
    [strong] = [each for each in second.candidates if each.model == "strong"]
    assert strong.cold_cost_nanousd is not None  # both are told: to keep it, and what it would be to come to it cold
    assert strong.expected_cost_nanousd < strong.cold_cost_nanousd / 3  # type: ignore[operator]
    if kept:
        assert strong.expected_cost_nanousd < cost(second, "plain")  # type: ignore[operator]
        assert strong.reason.startswith("cheaper than to read it all anew at plain; ")
    await runtime.close()


FAILING = [
    {"role": "user", "content": "Make the tests pass please"},
    *(
        message
        for number in range(3)
        for message in (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": f"call_{number}",
                        "type": "function",
                        "function": {"name": "Bash", "arguments": '{"command": "pytest -q"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": f"call_{number}", "content": "E   assert 3 == 4\n1 failed in 0.3s"},
        )
    ),
]


@pytest.mark.parametrize(("more", "taken"), [("", "strong"), ("session_evidence = false", "plain")])
async def test_failing_steps_raise_the_tier_unless_that_is_switched_off(tmp_path: Path, more: str, taken: str) -> None:
    settings = LADDER.replace("PLAIN", "1.0").replace("[policy]", f"[policy]\n{more}")
    (tmp_path / "routewright.toml").write_text(settings)
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    decided = route(runtime, FAILING, tools=[TOOL])
    assert (decided.chosen.model, [sign.weight for sign in decided.session]) == (
        taken,
        [1.0, 1.0] if taken == "strong" else [],
    )
    await runtime.close()
