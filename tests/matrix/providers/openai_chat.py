"""`POST /chat/completions` at a provider."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from matrix.meaning import File, Function, Line, Outcome, Picture, Said, Use, Wish, Words
from matrix.providers.wire import FAILED, encoded, frame, halves

_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "refusal": "stop"}
_KINDS = {400: "invalid_request_error", 429: "rate_limit_error"}


class OpenAIChat:
    """A `Speaker`; thoughts are `reasoning_content`, as several providers have it."""

    model = "gpt-5.5"
    path = "/chat/completions"
    has_seals = False

    def understood(self, body: Mapping[str, Any]) -> Wish:
        """What a request means."""
        form = body.get("response_format", {})
        choice: Any = body.get("tool_choice", "")
        return Wish(
            lines=tuple(line for message in body["messages"] for line in _lines(message)),
            functions=tuple(
                Function(tool["function"]["name"], tool["function"]["parameters"])
                for tool in body.get("tools", ())
                if tool["type"] == "function"
            ),
            has_hosted_tool=any(tool["type"] != "function" for tool in body.get("tools", ())),
            choice=choice.removeprefix("auto") if isinstance(choice, str) else choice["function"]["name"],
            is_parallel=body.get("parallel_tool_calls", True),
            schema=form["json_schema"]["schema"] if form else None,
            effort=body.get("reasoning_effort", ""),
            stop="".join(body.get("stop", ())),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or 0,
            wants_logprobs=body.get("logprobs", False),
            is_marked="cache_control" in encoded(body),
        )

    def whole(self, said: Said) -> bytes:
        """A completion."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
        if said.thoughts:
            message["reasoning_content"] = "".join(thought.text for thought in said.thoughts)
        if said.uses:
            message["tool_calls"] = [
                {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": encoded(use.arguments)}}
                for use in said.uses
            ]
        choice = {"index": 0, "message": message, "finish_reason": _FINISH[said.finish], "logprobs": _logprobs(said)}
        return encoded({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _usage(said)}).encode()

    def frames(self, said: Said) -> Iterator[bytes]:
        """Chunks, and the end mark."""
        yield _chunk({"role": "assistant", "content": ""})
        for thought in said.thoughts:
            yield _chunk({"reasoning_content": thought.text})
        for number, piece in enumerate(said.pieces):
            yield _chunk({"content": piece}, logprobs=_logprobs(said) if number == 0 else None)
        if said.refusal:
            yield _chunk({"refusal": said.refusal})
        for index, use in enumerate(said.uses):
            function = {"name": use.name, "arguments": ""}
            yield _chunk({"tool_calls": [{"index": index, "id": use.id, "type": "function", "function": function}]})
        for half in (0, 1):  # the arguments of parallel calls come side by side
            for index, use in enumerate(said.uses):
                arguments = halves(encoded(use.arguments))[half]
                yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
        yield _chunk({}, finish=_FINISH[said.finish])
        yield frame({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _usage(said)})
        yield b"data: [DONE]\n\n"

    def error(self, status: int, message: str) -> bytes:
        """The body of an answer with this status."""
        kind = _KINDS.get(status, "server_error")
        return encoded({"error": {"message": message, "type": kind, "param": None, "code": None}}).encode()


_HEAD = {"id": "chatcmpl-lab", "created": 1_700_000_000, "model": OpenAIChat.model}


def _lines(message: Mapping[str, Any]) -> Iterator[Line]:
    role, content = message["role"], message.get("content")
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if role == "tool":
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        is_error = text.startswith(FAILED)
        pictures = tuple(Picture(part["image_url"]["url"]) for part in parts if part["type"] == "image_url")
        yield Outcome(message["tool_call_id"], text.removeprefix(FAILED), is_error, pictures)
        return
    for part in parts:
        match part["type"]:
            case "text" if part["text"]:
                yield Words("system" if role == "developer" else role, part["text"])
            case "image_url":
                yield Picture(part["image_url"]["url"])
            case "file":
                yield File(part["file"]["file_data"])
    for call in message.get("tool_calls", ()):
        yield Use(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def _chunk(delta: Mapping[str, Any], *, finish: str | None = None, logprobs: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return frame({**_HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None})


def _logprobs(said: Said) -> Any:
    if not said.logprobs:
        return None
    entries = [
        {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
        for token, value in said.logprobs
    ]
    return {"content": entries, "refusal": None}


def _usage(said: Said) -> Mapping[str, Any]:
    sent = said.spent.fresh + said.spent.cached
    return {
        "prompt_tokens": sent,
        "completion_tokens": said.spent.output,
        "total_tokens": sent + said.spent.output,
        "prompt_tokens_details": {"cached_tokens": said.spent.cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
