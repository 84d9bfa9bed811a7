"""What the generations of Claude know, and a client's body in the words of another one."""

from typing import Any

import msgspec
import pytest

from builders import attempt, deployment, model
from routewright.call import JsonObject, Options
from routewright.dialects.anthropic_generations import (
    effort_of,
    fitted,
    knows_adaptive_thinking,
    knows_effort,
    knows_system_turns,
    refuses_budgets,
    takes_sampling,
)
from routewright.dialects.anthropic_reading import read_call
from routewright.dialects.anthropic_writing import write_body

KNOWN = (takes_sampling, knows_effort, knows_adaptive_thinking, refuses_budgets, knows_system_turns)


@pytest.mark.parametrize(
    ("name", "knows"),
    [
        ("claude-3-7-sonnet-latest", (1, 0, 0, 0, 0)),
        ("claude-sonnet-4-20250514", (1, 0, 0, 0, 0)),
        ("claude-haiku-4-5-20251001", (1, 0, 0, 0, 0)),
        ("claude-opus-4-5-20251101", (1, 1, 0, 0, 0)),
        ("claude-sonnet-4.6", (1, 1, 1, 0, 0)),
        ("anthropic.claude-opus-4-7-v1:0", (0, 1, 1, 1, 0)),
        ("claude-opus-4-8", (0, 1, 1, 1, 1)),
        ("claude-sonnet-5", (0, 1, 1, 1, 1)),
        ("glm-5", (0, 1, 1, 0, 1)),
    ],
)
def test_generations_are_known_by_their_names(name: str, knows: tuple[int, ...]) -> None:
    assert tuple(int(asks(name)) for asks in KNOWN) == knows


def body(**fields: Any) -> JsonObject:
    return {"max_tokens": 32_000, "messages": [{"role": "user", "content": "Hi"}], **fields}


@pytest.mark.parametrize(
    ("effort", "max_tokens", "thinking"),
    [
        ("low", 32_000, {"type": "enabled", "budget_tokens": 4_096}),
        ("medium", 64_000, {"type": "enabled", "budget_tokens": 16_384}),
        ("high", 32_000, {"type": "enabled", "budget_tokens": 16_000}),
        (None, 100_000, {"type": "enabled", "budget_tokens": 32_768}),
        ("high", 1_000, {"type": "disabled"}),
    ],
)
def test_adaptive_thinking_is_a_budget_to_an_older_model(
    effort: str | None, max_tokens: int, thinking: JsonObject
) -> None:
    config = {} if effort is None else {"effort": effort}
    told = fitted(
        body(thinking={"type": "adaptive"}, max_tokens=max_tokens, output_config={**config, "format": {}}),
        "claude-haiku-4-5",
    )
    assert (told["thinking"], told["output_config"]) == (thinking, {"format": {}})


def test_effort_stays_where_it_is_known() -> None:
    told = fitted(body(thinking={"type": "adaptive"}, output_config={"effort": "low"}), "claude-opus-4-5")
    assert (told["thinking"]["type"], told["output_config"]) == ("enabled", {"effort": "low"})


@pytest.mark.parametrize(("config", "effort"), [({}, "medium"), ({"effort": "max"}, "max")])
def test_a_budget_is_adaptive_thinking_to_a_newer_model(config: JsonObject, effort: str) -> None:
    asked = body(thinking={"type": "enabled", "budget_tokens": 16_000, "display": "omitted"}, output_config=config)
    told = fitted(asked, "claude-opus-4-8")
    assert told["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert told["output_config"] == {"effort": effort}


def test_budget_and_effort_are_the_same_wish() -> None:
    for effort in ("low", "medium", "high"):
        thinking, config = {"type": "adaptive"}, {"effort": effort}
        told = fitted(body(thinking=thinking, output_config=config, max_tokens=99_000), "claude-haiku-4-5")
        assert effort_of(told["thinking"]["budget_tokens"]) == effort


def test_what_the_system_says_within_a_conversation_is_said_before_it() -> None:
    marked = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": [marked]},
    ]
    told = fitted(body(messages=turns, system="First."), "claude-opus-4-7")
    assert told["messages"] == turns[:1]
    assert told["system"] == [{"type": "text", "text": "First."}, {"type": "text", "text": "Be brief."}, marked]
    assert fitted(body(messages=turns), "claude-opus-4-8")["messages"] == turns


@pytest.mark.parametrize("name", ["claude-sonnet-4-6", "glm-5"])
def test_what_a_model_takes_is_left_alone(name: str) -> None:
    for thinking in ({"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2_000}, {"type": "disabled"}, None):
        asked = body(thinking=thinking, output_config={"effort": "low"}, temperature=0.5)
        assert fitted(asked, name) == asked


@pytest.mark.parametrize(
    ("named", "is_fitted"), [("claude-auto", True), ("sonnet", True), ("haiku", False), ("claude-haiku-4-5", False)]
)
def test_a_body_for_the_model_that_the_client_named_goes_on_as_it_came(named: str, is_fitted: bool) -> None:
    asked = body(model=named, thinking={"type": "adaptive"})
    call = read_call(msgspec.json.encode(asked), "request-1", Options())
    place = deployment("anthropic/claude-haiku-4-5", dialect="anthropic_messages")
    sent = msgspec.json.decode(write_body(attempt(call, model("haiku", place))))
    assert (sent["thinking"] != {"type": "adaptive"}) is is_fitted
