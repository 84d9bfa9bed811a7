"""What it costs to pass a stream on: `python benchmarks/translation.py`.

CPU microseconds (user and system, one core) for each chunk: a provider's bytes in its dialect, decoded, counted, and
written as the client's bytes. The chunks come one by one, as they do from a socket. The best of the rounds is shown.
"""

import time
from collections.abc import Callable

import msgspec

from routewright.call import Attempt, Call, Cause, Routed
from routewright.catalog.registry import Deployment, Model, Tier
from routewright.dialects.known import DOWNSTREAMS, UPSTREAMS
from routewright.reply import Reply, Taker
from routewright.route import Candidate, Route

ROUNDS = 20
CHUNKS = 2_000

Chunks = list[bytes]


def chat(kind: str) -> Chunks:
    """Chunks of a chat completion."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "service_tier": None}

    def chunk(delta: object, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b\n\n" % msgspec.json.encode({**head, "choices": [choice], "usage": None})

    def function(arguments: str, **more: str) -> object:
        return {"tool_calls": [{"index": 0, **more, "function": {"arguments": arguments}}]}

    if kind == "text":
        said: list[object] = [{"content": " word"}] * CHUNKS
    elif kind == "thinking":
        said = [{"reasoning_content": " word"}] * CHUNKS
    else:
        said = [function('{"x": "', id="call_1"), *[function("word ")] * (CHUNKS - 2), function('"}')]
    return [*map(chunk, said), chunk({}, "stop"), b"data: [DONE]\n\n"]


def messages(kind: str) -> Chunks:
    """Events of a message."""

    def event(name: str, **fields: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode({"type": name, **fields}))

    usage = {"input_tokens": 10, "output_tokens": 1}
    block, delta = {
        "text": ({"type": "text", "text": ""}, {"type": "text_delta", "text": " word"}),
        "thinking": ({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": " word"}),
        "tool": (
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": "word "},
        ),
    }[kind]
    return [
        event("message_start", message={"id": "msg_1", "model": "claude", "content": [], "usage": usage}),
        event("content_block_start", index=0, content_block=block),
        *[event("content_block_delta", index=0, delta=delta)] * CHUNKS,
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": CHUNKS}),
        event("message_stop"),
    ]


def responses(kind: str) -> Chunks:
    """Events of a response."""

    def event(name: str, **fields: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode({"type": name, **fields}))

    response = {"id": "resp_1", "model": "gpt-5", "output": []}
    usage = {"input_tokens": 10, "output_tokens": CHUNKS}
    name, item = {
        "text": ("response.output_text.delta", {"type": "message", "content": []}),
        "thinking": ("response.reasoning_summary_text.delta", {"type": "reasoning", "summary": []}),
        "tool": (
            "response.function_call_arguments.delta",
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""},
        ),
    }[kind]
    return [
        event("response.created", response={**response, "status": "in_progress"}),
        event("response.output_item.added", output_index=0, item=item),
        *[event(name, item_id="item_1", output_index=0, delta=" word", logprobs=[])] * CHUNKS,
        event("response.output_item.done", output_index=0, item=item),
        event("response.completed", response={**response, "status": "completed", "usage": usage}),
    ]


def contents(kind: str) -> Chunks:
    """Chunks of Gemini's; its calls come whole, so a tool's chunk is a call."""
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}

    def chunk(part: object, **end: str) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, "index": 0, **end}
        fields = {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini", "responseId": "1"}
        return b"data: %b\r\n\r\n" % msgspec.json.encode(fields)

    part: object = {
        "text": {"text": " word"},
        "thinking": {"text": " word", "thought": True},
        "tool": {"functionCall": {"name": "f", "args": {"x": "word"}}},
    }[kind]
    return [*[chunk(part)] * CHUNKS, chunk({"text": ""}, finishReason="STOP")]


SOURCES: dict[str, Callable[[str], Chunks]] = {
    "openai_chat": chat,
    "openai_responses": responses,
    "anthropic_messages": messages,
    "gemini": contents,
}


def attempt(source: str, target: str) -> Attempt:
    """A streamed call by a client of `target` to a provider of `source`."""
    place = Deployment(id="a/b", provider="a", dialect=source, base_url="https://a.example", upstream_model="b")
    model = Model(
        name="b", tier=Tier.BULK, context_window=100_000, max_output_tokens=8_000, prices=None, deployments=(place,)
    )
    call = Call(id="0199", dialect=target, model="b", messages=(), body={}, stream=True, wants_usage=True)
    candidate = Candidate(
        model="b", tier=Tier.BULK, is_eligible=True, reason="", expected_cost_nanousd=0, deployments=("a/b",)
    )
    route = Route(
        verdict=None,
        tier=Tier.BULK,
        reason="",
        written=(candidate,),
        input_tokens=10,
        output_tokens=CHUNKS,
        catalog="",
        classifier=None,
        policy="",
    )
    routed = Routed(call, route, Cause.FIRST)
    return Attempt(
        id="1", routed=routed, model=model, deployment=place, number=1, cause=Cause.FIRST, is_last_model=True
    )


class Nothing:
    """A reply's source that is at its end."""

    async def relay(self, take: Taker) -> bool:
        """No events."""
        return True

    def abort(self) -> None:
        """Nothing to abort."""


def microseconds(source: str, target: str, kind: str) -> float:
    """For each chunk, in the best round."""
    tried = attempt(source, target)
    chunks = SOURCES[source](kind)

    def run() -> float:
        decoder = UPSTREAMS[source].decoder(tried)
        reply = Reply(tried, Nothing(), ())
        writer = DOWNSTREAMS[target].writer(reply, 1)
        written = 0
        begun = time.process_time_ns()
        for chunk in chunks:
            if events := decoder.feed(chunk):
                reply._note(events)
                written += len(writer.write(events))
        decoder.end()
        written += len(writer.end(reply))
        spent = time.process_time_ns() - begun
        assert written > 5 * CHUNKS
        return spent / len(chunks) / 1000

    return min(run() for _ in range(ROUNDS))


def main() -> None:
    """Print the table."""
    print(f"{'provider':<20}{'client':<20}" + "".join(f"{kind:>10}" for kind in ("text", "thinking", "tool")))
    for source in SOURCES:
        for target in DOWNSTREAMS:
            figures = "".join(f"{microseconds(source, target, kind):>10.1f}" for kind in ("text", "thinking", "tool"))
            print(f"{source:<20}{target:<20}{figures}   µs a chunk")


if __name__ == "__main__":
    main()
