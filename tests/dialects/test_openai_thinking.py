"""A thought's way through a chat client: out with its seal, and back to whoever had it, and to nobody else."""

import msgspec
import pytest

from builders import attempt, call, deployment, model
from builders import reply as built_reply
from routewright.call import Call, JsonObject, Options, Thinking
from routewright.decision.tokens import upper_bound_tokens
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.anthropic_stream import read_message
from routewright.dialects.anthropic_writing import write_body
from routewright.dialects.openai_answer import TranslatingWriter, write_completion
from routewright.dialects.openai_request import read_call
from routewright.dialects.openai_writing import write_body as write_chat
from routewright.dialects.sse import Splitter
from routewright.errors import InvalidRequest
from routewright.reply import Draft, Event, Receipt

THOUGHTS: list[JsonObject] = [
    {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
    {"type": "thinking", "thinking": "", "signature": "EqQC"},
    {"type": "redacted_thinking", "data": "EqQD"},
]
CLAUDE = model("claude", deployment("anthropic/claude-sonnet-5", dialect="anthropic_messages"))


def asked_with(message: JsonObject) -> Call:
    turns = [{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "And?"}]
    return read_call(msgspec.json.encode({"model": "auto", "messages": turns}), "request-1", Options())


def test_a_thought_of_anthropics_comes_back_to_it_and_goes_nowhere_else() -> None:
    said = msgspec.json.encode({"type": "message", "content": [*THOUGHTS, {"type": "text", "text": "Hello"}]})
    reply = built_reply(attempt(call(), CLAUDE))
    reply.receipt = Receipt(cost_nanousd=0, is_estimated=False, attempts=())
    draft = Draft()
    for event in read_message(said):
        draft.add(event)
    message = msgspec.json.decode(write_completion(reply, draft.answer(reply), 1))["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    asked = asked_with(message)
    body = msgspec.json.decode(write_body(attempt(asked, CLAUDE)))
    assert body["messages"][1]["content"] == [*THOUGHTS, {"type": "text", "text": "Hello"}]
    assert b"thinking_blocks" not in write_chat(asked, "gpt-5", "openai")


def test_a_streamed_thought_is_sealed_at_its_end() -> None:
    writer = TranslatingWriter(built_reply(attempt(call(), CLAUDE)), 1)
    events = (Event(reasoning="h"), Event(reasoning="m"), Event(seal="EqQB"), Event(text="Hello"))
    deltas = [
        msgspec.json.decode(frame.data)["choices"][0]["delta"]
        for event in events
        for frame in Splitter().feed(writer.write((event,)))
    ]
    sealed = {"index": 0, "type": "thinking", "thinking": "hm", "signature": "rw1.anthropic_messages.EqQB"}
    assert [delta.get("thinking_blocks") for delta in deltas] == [None, None, [sealed], None]
    asked = asked_with({"role": "assistant", "content": "Hello", "thinking_blocks": [sealed]})
    assert asked.messages[1].parts[0] == Thinking("hm", "EqQB", "anthropic_messages")


def test_each_thought_of_a_stream_has_its_place() -> None:
    writer = TranslatingWriter(built_reply(attempt(call(), CLAUDE)), 1)
    stream = writer.write((Event(reasoning="a"), Event(seal="one"), Event(seal="two")))
    blocks = [msgspec.json.decode(frame.data)["choices"][0]["delta"] for frame in Splitter().feed(stream)]
    assert [block["thinking_blocks"][0]["index"] for block in blocks[1:]] == [0, 1]


def test_blocks_of_other_gateways_are_anthropics_and_pass_on_in_chat() -> None:
    asked = asked_with({"role": "assistant", "content": "Hello", "thinking_blocks": THOUGHTS})
    assert msgspec.json.decode(write_chat(asked, "gpt-5", "openai"))["messages"][1]["thinking_blocks"] == THOUGHTS
    body = msgspec.json.decode(write_body(attempt(asked, CLAUDE)))
    assert body["messages"][1]["content"][:3] == THOUGHTS


@pytest.mark.parametrize("blocks", ["hm", ["hm"], [{"type": "thinking", "thinking": 5}]])
def test_a_mistake_in_them_is_named(blocks: object) -> None:
    with pytest.raises(InvalidRequest, match="thinking_blocks"):
        asked_with({"role": "assistant", "content": "Hello", "thinking_blocks": blocks})


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_without_a_seal_go_back_as_they_came_and_are_counted(name: str) -> None:
    """A provider that wants them back bills them, so what is held for the attempt must be for them too."""
    told = {"role": "assistant", "content": "Hello", name: "hm " * 10_000}
    asked = asked_with(told)
    assert msgspec.json.decode(write_chat(asked, "deepseek-v3", "deepseek"))["messages"][1] == told
    assert upper_bound_tokens(asked) > 30_000
    assert AnthropicMessages().dropped_fields(asked) == ("thinking",)
    assert b"hm" not in write_body(attempt(asked, CLAUDE))


def test_what_is_sealed_is_not_counted_twice() -> None:
    block = {"type": "thinking", "thinking": "hm", "signature": "rw1.anthropic_messages.EqQB"}
    message = {"role": "assistant", "content": "Hello", "thinking_blocks": [block]}
    thoughts = asked_with({**message, "reasoning_content": "hm"}).messages[1].parts[:-1]
    assert thoughts == (Thinking("hm", "EqQB", "anthropic_messages"),)
    thoughts = asked_with({**message, "reasoning_content": "hm, and aloud"}).messages[1].parts[:-1]
    assert thoughts == (Thinking("hm", "EqQB", "anthropic_messages"), Thinking(", and aloud"))
