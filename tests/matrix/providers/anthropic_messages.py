"""`POST /v1/messages` at Anthropic."""

from collections.abc import Iterator, Mapping
from typing import Any

from matrix.meaning import File, Function, Line, Outcome, Picture, Said, Thought, Use, Wish, Words
from matrix.providers.wire import encoded, frame, halves

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}
_KINDS = {400: "invalid_request_error", 429: "rate_limit_error"}
_EMPTY: Mapping[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
_CHOICES = {"none": "none", "any": "required", "auto": ""}


class AnthropicMessages:
    """A `Speaker`."""

    model = "claude-opus-4-7"
    path = "/v1/messages"
    has_seals = True

    def understood(self, body: Mapping[str, Any]) -> Wish:
        """What a request means."""
        choice = body.get("tool_choice", {"type": "auto"})
        config = body.get("output_config", {})
        return Wish(
            lines=(
                *(Words("system", block["text"]) for block in _blocks(body.get("system", []))),
                *(
                    line
                    for turn in body["messages"]
                    for block in _blocks(turn["content"])
                    for line in _lines(turn["role"], block)
                ),
            ),
            functions=tuple(
                Function(tool["name"], tool["input_schema"]) for tool in body.get("tools", ()) if "type" not in tool
            ),
            has_hosted_tool=any("type" in tool for tool in body.get("tools", ())),
            choice=choice["name"] if choice["type"] == "tool" else _CHOICES[choice["type"]],
            is_parallel=not choice.get("disable_parallel_tool_use", False),
            schema=config.get("format", {}).get("schema"),
            effort=config.get("effort", ""),
            stop="".join(body.get("stop_sequences", ())),
            max_tokens=body["max_tokens"],
            is_marked="cache_control" in encoded(body),
        )

    def whole(self, said: Said) -> bytes:
        """A message."""
        return encoded({**_message(said), "content": _content(said), "usage": _usage(said)}).encode()

    def frames(self, said: Said) -> Iterator[bytes]:
        """Named events."""
        for event in _events(said):
            yield frame(event, event["type"])

    def error(self, status: int, message: str) -> bytes:
        """The body of an answer with this status."""
        kind = _KINDS.get(status, "api_error")
        return encoded({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_lab"}).encode()


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _lines(role: str, block: Mapping[str, Any]) -> Iterator[Line]:
    match block["type"]:
        case "text":
            yield Words(role, block["text"])
        case "image":
            yield Picture(_url(block))
        case "document":
            yield File(_url(block))
        case "thinking":
            yield Thought(block["thinking"], block["signature"])
        case "tool_use":
            yield Use(block["id"], block["name"], block["input"])
        case "tool_result":
            parts = _blocks(block["content"])
            text = "\n".join(part["text"] for part in parts if part["type"] == "text")
            pictures = tuple(Picture(_url(part)) for part in parts if part["type"] == "image")
            yield Outcome(block["tool_use_id"], text, block.get("is_error", False), pictures)


def _url(block: Mapping[str, Any]) -> str:
    return f"data:{block['source']['media_type']};base64,{block['source']['data']}"


def _message(said: Said) -> dict[str, Any]:
    finish = "stop_sequence" if said.stopped_by else _FINISH[said.finish]
    return {
        "id": "msg_lab",
        "type": "message",
        "role": "assistant",
        "model": AnthropicMessages.model,
        "stop_reason": finish,
        "stop_sequence": said.stopped_by or None,
    }


def _content(said: Said) -> list[dict[str, Any]]:
    text = said.text or said.refusal
    return [
        *({"type": "thinking", "thinking": thought.text, "signature": thought.seal} for thought in said.thoughts),
        *([{"type": "text", "text": text}] if text else []),
        *({"type": "tool_use", "id": use.id, "name": use.name, "input": use.arguments} for use in said.uses),
    ]


def _usage(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.spent.fresh,
        "cache_read_input_tokens": said.spent.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": said.spent.output,
    }


def _events(said: Said) -> Iterator[dict[str, Any]]:
    ended = _message(said)
    begun = {**ended, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**begun, "usage": {**_usage(said), "output_tokens": 1}}}
    yield {"type": "ping"}
    for index, block in enumerate(_content(said)):
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **_EMPTY[block["type"]]}}
        for delta in _deltas(block, said):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": ended["stop_reason"], "stop_sequence": ended["stop_sequence"]}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": said.spent.output}}
    yield {"type": "message_stop"}


def _deltas(block: Mapping[str, Any], said: Said) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for piece in said.pieces or (said.refusal,):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            if block["thinking"]:
                yield {"type": "thinking_delta", "thinking": block["thinking"]}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case _:
            for half in halves(encoded(block["input"])):
                yield {"type": "input_json_delta", "partial_json": half}
