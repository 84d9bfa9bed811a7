"""What Gemini says goes out to a client of another dialect, comes back in the next turn, and is what Gemini said."""

from typing import Any

import msgspec
import pytest

from builders import ListSource, attempt, call, deployment, model
from routewright.call import Options
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.gemini import Gemini
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.sse import Splitter
from routewright.dialects.wire import Downstream
from routewright.reply import Draft, Event, Receipt, Reply

PARTS: list[dict[str, Any]] = [
    {"text": "I think", "thought": True},
    {"text": "Let me see."},
    {"functionCall": {"id": "a1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "S+1/="},
    {"functionCall": {"id": "b2", "name": "g", "args": {}}},
]
BACK = [part for part in PARTS if "thought" not in part]
"""Summaries of thoughts need not come back; what is signed must."""


def answered(dialect: Downstream, *, stream: bool) -> tuple[Reply, list[Event]]:
    """Gemini's answer to a client of this dialect."""
    at = model("gemini-3.8-flash", deployment("gemini/gemini-3.8-flash", dialect="gemini"))
    tried = attempt(call(dialect=dialect.name, stream=stream), at)
    pieces = [[part] for part in PARTS] if stream else [PARTS]
    candidates: list[dict[str, Any]] = [{"content": {"parts": piece}} for piece in pieces]
    candidates[-1]["finishReason"] = "STOP"
    decoder = Gemini().decoder(tried)
    bodies = [msgspec.json.encode({"candidates": [candidate]}) for candidate in candidates]
    data = b"".join(b"data: %b\n\n" % body for body in bodies) if stream else bodies[0]
    events = [*decoder.feed(data), *decoder.end()]
    reply = Reply(tried, ListSource(), tuple(events))
    reply.receipt = Receipt(cost_nanousd=1, is_estimated=False, attempts=())
    return reply, events


def whole(dialect: Downstream) -> Any:
    """The body that the client gets."""
    reply, events = answered(dialect, stream=False)
    draft = Draft()
    for event in events:
        draft.add(event)
    return msgspec.json.decode(dialect.write_answer(reply, draft.answer(reply), 1))


def streamed(dialect: Downstream) -> list[Any]:
    """The JSON of the events that the client gets."""
    reply, events = answered(dialect, stream=True)
    writer = dialect.writer(reply, 1)
    data = b"".join(writer.write((event,)) for event in events) + writer.end(reply)
    return [msgspec.json.decode(frame.data) for frame in Splitter().feed(data) if frame.data != b"[DONE]"]


def chat_message(chunks: list[Any]) -> dict[str, Any]:
    """The message that a chat client puts together from a stream."""
    said: dict[str, Any] = {"role": "assistant", "content": "", "thinking_blocks": [], "tool_calls": []}
    for delta in (chunk["choices"][0]["delta"] for chunk in chunks):
        said["content"] += delta.get("content") or ""
        said["thinking_blocks"] += delta.get("thinking_blocks", [])
        said["tool_calls"] += delta.get("tool_calls", [])
    return said


def content_blocks(events: list[Any]) -> list[dict[str, Any]]:
    """The blocks that a client of Anthropic's puts together from a stream."""
    blocks: list[dict[str, Any]] = []
    arguments = ""
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            arguments = ""
        elif event["type"] == "content_block_delta":
            for name, words in event["delta"].items():
                if name == "partial_json":
                    arguments += words
                elif name != "type":
                    blocks[-1][name] = blocks[-1].get(name, "") + words
        elif event["type"] == "content_block_stop" and arguments:
            blocks[-1]["input"] = msgspec.json.decode(arguments)
    return blocks


def model_turn(dialect: Downstream, body: dict[str, Any]) -> Any:
    """The model's turn as Gemini gets it back in the client's next request."""
    asked = dialect.read(msgspec.json.encode({"model": "auto", **body}), request_id="r", options=Options())
    assert Gemini().cannot_carry(asked) is None
    at = model("gemini-3.8-flash", deployment("gemini/gemini-3.8-flash", dialect="gemini"))
    written = msgspec.json.decode(Gemini().write_request(attempt(asked, at)).body)
    results = [part["functionResponse"] for part in written["contents"][2]["parts"]]
    assert [(result["id"], result["name"]) for result in results] == [("a1", "f"), ("b2", "g")]
    return written["contents"][1]["parts"]


def chat_body(said: dict[str, Any]) -> dict[str, Any]:
    """A chat client's next request."""
    results = [{"role": "tool", "tool_call_id": name, "content": "done"} for name in ("a1", "b2")]
    return {"messages": [{"role": "user", "content": "Hi"}, said, *results]}


@pytest.mark.parametrize("stream", [True, False])
def test_calls_come_back_from_a_chat_client_with_their_signature(stream: bool) -> None:
    dialect = OpenAIChat()
    said = chat_message(streamed(dialect)) if stream else whole(dialect)["choices"][0]["message"]
    assert model_turn(dialect, chat_body(said)) == BACK


@pytest.mark.parametrize("stream", [True, False])
def test_calls_come_back_from_a_client_of_messages_with_their_signature(stream: bool) -> None:
    dialect = AnthropicMessages()
    blocks = content_blocks(streamed(dialect)) if stream else whole(dialect)["content"]
    results = [{"type": "tool_result", "tool_use_id": name, "content": "done"} for name in ("a1", "b2")]
    turns = [("user", "Hi"), ("assistant", blocks), ("user", results)]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert model_turn(dialect, {"messages": messages, "max_tokens": 9}) == BACK


@pytest.mark.parametrize("stream", [True, False])
def test_calls_come_back_from_a_client_of_responses_with_their_signature(stream: bool) -> None:
    dialect = OpenAIResponses()
    items = streamed(dialect)[-1]["response"]["output"] if stream else whole(dialect)["output"]
    results = [{"type": "function_call_output", "call_id": name, "output": "done"} for name in ("a1", "b2")]
    asked = {"input": [{"role": "user", "content": "Hi"}, *items, *results], "store": False}
    assert model_turn(dialect, asked) == BACK


def test_a_client_that_forgets_signatures_is_still_answered() -> None:
    dialect = OpenAIChat()
    said = whole(dialect)["choices"][0]["message"]
    del said["thinking_blocks"]
    [_, first, second] = model_turn(dialect, chat_body(said))
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
