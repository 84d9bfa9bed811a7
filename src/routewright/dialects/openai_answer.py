"""Our replies in OpenAI's chat form: whole completions, chunk streams and error bodies.

A reply that came from a provider of this dialect is passed on as the bytes that came. Only usage is ours to decide: a
chunk that carries nothing else is kept from clients that did not ask for it; others get it at the end, with its cost.
"""

from typing import Any

import msgspec
from msgspec import Raw

from routewright.call import JsonObject, Thinking
from routewright.dialects.bill import told_cost, told_usage
from routewright.dialects.openai_thinking import KEY as THINKING_BLOCKS
from routewright.dialects.openai_thinking import write_block
from routewright.dialects.openai_writing import DIALECT
from routewright.dialects.refusals import details_of, words_of
from routewright.dialects.sse import frame, payload
from routewright.errors import RoutewrightError
from routewright.reply import Answer, Event, Receipt, Reply, ToolCallDelta
from routewright.usage import Usage

_DONE = frame(b"[DONE]")

# What OpenAI says with each status; SDKs choose their exception by the status, people read the type.
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


# ---- errors -----------------------------------------------------------------------------------------------------


def write_error(error: RoutewrightError) -> bytes:
    """The error body."""
    return msgspec.json.encode({"error": {"message": words_of(error), "type": _type(error), **details_of(error)}})


def _type(error: RoutewrightError) -> str:
    return _TYPES.get(error.http_status, "invalid_request_error" if error.http_status < 500 else "api_error")


# ---- usage and cost -----------------------------------------------------------------------------------------------


def _write_usage(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _usage_of(reply: Reply, receipt: Receipt | None) -> JsonObject:
    usage, is_estimated = told_usage(reply, receipt)
    return _write_usage(usage) | told_cost(receipt, is_estimated=is_estimated)


# ---- a whole answer -----------------------------------------------------------------------------------------------


def write_completion(reply: Reply, answer: Answer, created_s: int) -> bytes:
    """The `chat.completion` for an answer that came in another dialect."""
    message: JsonObject = {
        "role": "assistant",
        "content": answer.text or (None if answer.tool_calls or answer.refusal else ""),
        "refusal": answer.refusal or None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if blocks := [write_block(thought) for thought in answer.thinking if thought.seal]:
        message[THINKING_BLOCKS] = blocks
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _write_logprobs(*answer.logprobs),
        "finish_reason": answer.finish or "stop",
    }
    head = _head(reply, "chat.completion", created_s)
    return msgspec.json.encode({**head, "choices": [choice], "usage": _usage_of(reply, reply.receipt)})


def _write_logprobs(*lists: Raw) -> JsonObject | None:
    if not lists:
        return None
    entries = [entry for each in lists for entry in msgspec.json.decode(each, type=list[Raw])]
    return {"content": entries, "refusal": None}


def _head(reply: Reply, kind: str, created_s: int) -> JsonObject:
    return {
        "id": f"chatcmpl-{reply.attempt.call.id.replace('-', '')}",
        "object": kind,
        "created": created_s,
        "model": reply.served_model or reply.attempt.model.name,
    }


# ---- streams ------------------------------------------------------------------------------------------------------


class PassingWriter:
    """Passes on a stream of this dialect, byte for byte but for the usage chunk and the end."""

    def __init__(self, reply: Reply, created_s: int) -> None:
        self._wants_usage = reply.attempt.call.wants_usage
        self._created_s = created_s
        self._kept = b""
        self._has_sent_usage = False

    def write(self, events: tuple[Event, ...]) -> bytes:
        """The events' own bytes."""
        if len(events) == 1 and events[0].usage is None and not events[0].is_usage_only:
            return events[0].raw
        passed = []
        for event in events:
            if event.is_usage_only:
                self._kept = event.raw if event.usage is not None else self._kept
            else:
                passed.append(event.raw)
                self._has_sent_usage |= event.usage is not None
        return b"".join(passed)

    def end(self, reply: Reply) -> bytes:
        """The usage chunk, for a client that asked and has not got it, and `[DONE]`."""
        if not self._wants_usage or (self._has_sent_usage and not self._kept):
            return _DONE
        return _usage_chunk(reply, self._created_s, self._kept) + _DONE

    def fail(self, error: RoutewrightError) -> bytes:
        """The error event."""
        return frame(write_error(error))


class TranslatingWriter:
    """Writes a stream that came in another dialect as chunks."""

    def __init__(self, reply: Reply, created_s: int) -> None:
        self._reply = reply
        self._created_s = created_s
        self._begun: set[int] = set()
        self._thought: list[str] = []
        """What was reasoned since the last seal."""
        self._thoughts = 0
        """How many have their seal."""

    def write(self, events: tuple[Event, ...]) -> bytes:
        """A chunk for each event with something in it; the first of every choice carries the role."""
        return b"".join(self._chunk(event, delta) for event in events if (delta := self._delta(event)) is not None)

    def end(self, reply: Reply) -> bytes:
        """The usage chunk, for a client that asked, and `[DONE]`."""
        if not reply.attempt.call.wants_usage:
            return _DONE
        return _usage_chunk(reply, self._created_s) + _DONE

    def fail(self, error: RoutewrightError) -> bytes:
        """The error event."""
        return frame(write_error(error))

    def _delta(self, event: Event) -> JsonObject | None:
        delta: JsonObject = {}
        if event.text:
            delta["content"] = event.text
        if event.reasoning:
            delta["reasoning_content"] = event.reasoning
            self._thought.append(event.reasoning)
        if event.seal:
            thought = Thinking("".join(self._thought), event.seal, self._reply.attempt.deployment.dialect)
            delta[THINKING_BLOCKS] = [{"index": self._thoughts, **write_block(thought)}]  # SDKs join lists by it
            self._thoughts += 1
            self._thought.clear()
        if event.refusal:
            delta["refusal"] = event.refusal
        if event.tool_calls:
            delta["tool_calls"] = [_tool_call(call) for call in event.tool_calls]
        if event.choice not in self._begun:
            self._begun.add(event.choice)
            return {"role": "assistant", "content": "", **delta}
        return delta if delta or event.finish else None

    def _chunk(self, event: Event, delta: JsonObject) -> bytes:
        logprobs = None if event.logprobs is None else _write_logprobs(event.logprobs)
        choice = {"index": event.choice, "delta": delta, "logprobs": logprobs, "finish_reason": event.finish}
        return _frame_chunk(self._reply, self._created_s, choices=[choice])


def _tool_call(delta: ToolCallDelta) -> JsonObject:
    written: JsonObject = {"index": delta.index, "function": {"arguments": delta.arguments}}
    if delta.id:
        written |= {"id": delta.id, "type": "function"}
    if delta.name:
        written["function"]["name"] = delta.name
    return written


def _usage_chunk(reply: Reply, created_s: int, kept: bytes = b"") -> bytes:
    """The provider's own usage chunk with the cost added, or ours if it sent none that could be read."""
    if kept:
        chunk: JsonObject = msgspec.json.decode(payload(kept))
        chunk["usage"] |= told_cost(reply.receipt)
        return frame(msgspec.json.encode(chunk))
    return _frame_chunk(reply, created_s, choices=[], usage=_usage_of(reply, reply.receipt))


def _frame_chunk(reply: Reply, created_s: int, **members: Any) -> bytes:
    return frame(msgspec.json.encode({**_head(reply, "chat.completion.chunk", created_s), **members}))


def stream_writer(reply: Reply, created_s: int) -> PassingWriter | TranslatingWriter:
    """The writer for a reply: by the dialect it came in."""
    return PassingWriter(reply, created_s) if reply.speaks(DIALECT) else TranslatingWriter(reply, created_s)
