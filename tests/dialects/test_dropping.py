"""What may be left out is, by name and only where it must be; everything else is refused as before."""

import json
from typing import Any

import pytest

from builders import attempt, deployment, model
from routewright.call import Call, Options
from routewright.dialects.dropping import carried
from routewright.dialects.known import DOWNSTREAMS, UPSTREAMS

HI = {"role": "user", "content": "Hi"}
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}}
SEARCH = {"type": "web_search"}
SOUND = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}


def asked(dialect: str, *drop: str, **fields: Any) -> Call:
    said = {"input": [HI]} if dialect == "openai_responses" else {"messages": [HI]}
    body = {"model": "any", "max_tokens": 20, **said, **fields}
    if dialect == "openai_responses":
        del body["max_tokens"]
    return DOWNSTREAMS[dialect].read(json.dumps(body).encode(), request_id="1", options=Options(drop=drop))


@pytest.mark.parametrize(
    ("call", "upstream", "dropped"),
    [
        (asked("openai_responses", "tools", tools=[SEARCH, FUNCTION]), "openai_chat", ("tools",)),
        (asked("openai_responses", "tools", tools=[SEARCH]), "openai_responses", ()),
        (asked("openai_responses", "tools", "include", tools=[FUNCTION]), "openai_chat", ()),
        (asked("openai_chat", "n", "stop", n=2, stop=["x"]), "openai_responses", ("n", "stop")),
        (asked("openai_chat", "n", "stop", n=2, stop=["x"]), "anthropic_messages", ("n",)),
        (asked("openai_chat", "temperature", temperature=1.5), "anthropic_messages", ("temperature",)),
        (asked("openai_chat", "logit_bias", logit_bias={"7": 1}), "anthropic_messages", ("logit_bias",)),
        (
            asked("openai_chat", "response_format", response_format={"type": "json_object"}),
            "anthropic_messages",
            ("response_format",),
        ),
        (asked("openai_chat", "reasoning_effort", reasoning_effort="odd"), "anthropic_messages", ("reasoning_effort",)),
        (
            asked("openai_chat", "input_audio", messages=[{"role": "user", "content": [SOUND]}, HI]),
            "anthropic_messages",
            ("input_audio",),
        ),
        (
            asked("openai_responses", "web_search_call", input=[{"type": "web_search_call", "id": "ws_1"}, HI]),
            "openai_chat",
            ("web_search_call",),
        ),
    ],
)
def test_what_may_be_left_out_is_where_it_must_be(call: Call, upstream: str, dropped: tuple[str, ...]) -> None:
    rest, told = carried(call, UPSTREAMS[upstream])
    assert told == dropped
    assert UPSTREAMS[upstream].cannot_carry(rest) is None
    assert (rest == call) == (not dropped)
    place = deployment(dialect=upstream)
    sent = json.loads(UPSTREAMS[upstream].write_request(attempt(rest, model("any", place))).body)
    assert not any(name in sent for name in dropped if name not in ("tools", "temperature"))
    assert "web_search" not in json.dumps(sent) or not dropped


def test_what_was_not_named_is_refused_still() -> None:
    call = asked("openai_responses", "include", tools=[SEARCH])
    assert carried(call, UPSTREAMS["openai_chat"]) == (call, ())
    assert UPSTREAMS["openai_chat"].cannot_carry(call) == "tools"


def test_a_part_in_two_messages_is_left_out_of_both() -> None:
    spoken = {"role": "user", "content": [SOUND, {"type": "text", "text": "Listen"}]}
    rest, dropped = carried(
        asked("openai_chat", "input_audio", messages=[spoken, spoken]), UPSTREAMS["anthropic_messages"]
    )
    assert dropped == ("input_audio",)
    assert [message.text for message in rest.messages] == ["Listen", "Listen"]


def test_a_conversation_of_nothing_else_is_refused_still() -> None:
    call = asked("openai_chat", "input_audio", messages=[{"role": "user", "content": [SOUND]}])
    assert carried(call, UPSTREAMS["anthropic_messages"]) == (call, ())
