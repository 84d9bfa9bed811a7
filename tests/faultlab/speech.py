"""What the lab's provider says: one answer in every dialect, streamed and whole, with usage of its own.

The answer repeats the request's nonce and then says the same words each time, a token each. Nothing here knows
routewright.
"""

import json
from typing import Any

from msgspec import Struct

OPENAI, ANTHROPIC = "openai_chat", "anthropic_messages"
RESPONSES, GEMINI = "openai_responses", "gemini"
DIALECTS = (OPENAI, ANTHROPIC)
ALL_DIALECTS = (*DIALECTS, RESPONSES, GEMINI)
WORDS = ("says", "the", "provider,", "“naïvely”", "and", "goes", "on", "until", "all", "is", "said")


class Speech(Struct, frozen=True, kw_only=True):
    """An answer that a provider has ready."""

    dialect: str
    model: str
    nonce: str
    sent: int
    """Tokens of the request."""

    @property
    def words(self) -> tuple[str, ...]:
        """Each is a token."""
        return (self.nonce, *WORDS)

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(self.words)

    def usage(self, generated: int | None = None) -> dict[str, Any]:
        """The counts, as the dialect reports them."""
        generated = len(self.words) if generated is None else generated
        if self.dialect in (ANTHROPIC, RESPONSES):
            return {"input_tokens": self.sent, "output_tokens": generated}
        if self.dialect == GEMINI:
            return {"promptTokenCount": self.sent, "candidatesTokenCount": generated}
        counts = {"prompt_tokens": self.sent, "completion_tokens": generated}
        return {**counts, "total_tokens": self.sent + generated}

    def whole(self, **changes: Any) -> bytes:
        """The body of an answer that is not streamed; `changes` replace its fields, None removes one."""
        bodies = {OPENAI: self._completion, ANTHROPIC: self._message, RESPONSES: self._response, GEMINI: self._content}
        body = bodies[self.dialect]()
        return encoded({name: value for name, value in (body | changes).items() if value is not None})

    def frames(self, *usages: Any, **changes: Any) -> list[bytes]:
        """The events of a stream, end mark last; every one of `usages` is reported, after the finish.

        Without any, the true one is. `changes` are added to every OpenAI chunk, and to Anthropic's first message.
        """
        said = usages or (self.usage(),)
        if self.dialect == ANTHROPIC:
            return self._message_events(said, changes)
        if self.dialect == RESPONSES:
            return self._response_events()
        if self.dialect == GEMINI:
            return self._content_chunks()
        return self._chunks(said, changes)

    # ---- OpenAI

    def _completion(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self._base(), "object": "chat.completion", "choices": [choice], "usage": self.usage()}

    def _chunks(self, usages: tuple[Any, ...], changes: dict[str, Any]) -> list[bytes]:
        base = {**self._base(), "object": "chat.completion.chunk", **changes}
        pieces = [word if number == 0 else f" {word}" for number, word in enumerate(self.words)]
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
        bodies = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        bodies.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        bodies += [{**base, "choices": [], "usage": usage} for usage in usages]
        return [*(data(body) for body in bodies), b"data: [DONE]\n\n"]

    def _base(self) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.nonce}", "created": 0, "model": self.model}

    # ---- Anthropic

    def _message(self) -> dict[str, Any]:
        base = {"id": f"msg_{self.nonce}", "type": "message", "role": "assistant", "model": self.model}
        content = [{"type": "text", "text": self.text}]
        return {**base, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": self.usage()}

    def _message_events(self, usages: tuple[Any, ...], changes: dict[str, Any]) -> list[bytes]:
        started = {**self._message(), "content": [], "stop_reason": None, "usage": self.usage(1), **changes}
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        pieces = [word if number == 0 else f" {word}" for number, word in enumerate(self.words)]
        bodies: list[dict[str, Any]] = [
            {"type": "message_start", "message": started},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
        ]
        deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
        bodies += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
        bodies.append({"type": "content_block_stop", "index": 0})
        bodies += [{"type": "message_delta", "delta": ended, "usage": usage} for usage in usages]
        bodies.append({"type": "message_stop"})
        return [b"event: %b\n%b" % (str(body["type"]).encode(), data(body)) for body in bodies]

    # ---- Responses

    def _response(self) -> dict[str, Any]:
        base = {"id": f"resp_{self.nonce}", "object": "response", "created_at": 0, "model": self.model}
        content = [{"type": "output_text", "text": self.text, "annotations": []}]
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
        told = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**base, **told, "status": "completed", "output": [item], "usage": self.usage()}

    def _response_events(self) -> list[bytes]:
        whole = self._response()
        [item] = whole["output"]
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        pieces = [word if number == 0 else f" {word}" for number, word in enumerate(self.words)]
        part = {"type": "output_text", "text": "", "annotations": []}
        bodies: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
            {"type": "response.content_part.added", **at, "part": part},
            *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in pieces),
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        numbered = ({**body, "sequence_number": number} for number, body in enumerate(bodies))
        return [b"event: %b\n%b" % (str(body["type"]).encode(), data(body)) for body in numbered]

    # ---- Gemini

    def _content(self, text: str | None = None, finish: str | None = "STOP") -> dict[str, Any]:
        parts = [{"text": self.text if text is None else text}]
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, "finishReason": finish}
        counts = self.usage(None if finish else 1)
        return {
            "candidates": [candidate],
            "usageMetadata": counts,
            "modelVersion": self.model,
            "responseId": self.nonce,
        }

    def _content_chunks(self) -> list[bytes]:
        pieces = [word if number == 0 else f" {word}" for number, word in enumerate(self.words)]
        return [*(data(self._content(piece, None)) for piece in pieces), data(self._content(""))]


def data(body: Any) -> bytes:
    """An event with this body."""
    return b"data: %b\n\n" % encoded(body)


def encoded(body: Any) -> bytes:
    """JSON in UTF-8, with characters of more than one byte in it."""
    return json.dumps(body, ensure_ascii=False).encode()


def error(dialect: str, message: str, kind: str) -> dict[str, Any]:
    """How a dialect reports a failure."""
    if dialect == ANTHROPIC:
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "code": None}}
