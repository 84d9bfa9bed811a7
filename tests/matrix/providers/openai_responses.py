"""`POST /responses` at a provider."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from matrix.meaning import File, Function, Line, Outcome, Picture, Said, Thought, Use, Wish, Words
from matrix.providers.openai_chat import OpenAIChat
from matrix.providers.wire import FAILED, encoded, frame, halves

_EMPTY: Mapping[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
}


class OpenAIResponses:
    """A `Speaker`."""

    model = "gpt-5.5"
    path = "/responses"
    has_seals = True

    def understood(self, body: Mapping[str, Any]) -> Wish:
        """What a request means."""
        form = body.get("text", {}).get("format", {})
        choice = body.get("tool_choice", "")
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        instructions = (Words("system", body["instructions"]),) if body.get("instructions") else ()
        return Wish(
            lines=(*instructions, *(line for item in items for line in _lines(item))),
            functions=tuple(
                Function(tool["name"], tool["parameters"])
                for tool in body.get("tools", ())
                if tool["type"] == "function"
            ),
            has_hosted_tool=any(tool["type"] != "function" for tool in body.get("tools", ())),
            choice=choice.removeprefix("auto") if isinstance(choice, str) else choice["name"],
            is_parallel=body.get("parallel_tool_calls", True),
            schema=form.get("schema"),
            effort=body.get("reasoning", {}).get("effort", ""),
            max_tokens=body.get("max_output_tokens", 0),
            wants_logprobs="message.output_text.logprobs" in body.get("include", ()),
        )

    def whole(self, said: Said) -> bytes:
        """A response."""
        return encoded(_response(said)).encode()

    def frames(self, said: Said) -> Iterator[bytes]:
        """Semantic events."""
        for number, event in enumerate(_events(said)):
            yield frame({**event, "sequence_number": number}, event["type"])

    def error(self, status: int, message: str) -> bytes:
        """As in the other of OpenAI's dialects."""
        return OpenAIChat().error(status, message)


def _lines(item: Mapping[str, Any]) -> Iterator[Line]:
    match item.get("type", "message"):
        case "function_call":
            yield Use(item["call_id"], item["name"], json.loads(item["arguments"]))
        case "function_call_output":
            output = item["output"]
            parts = [{"type": "input_text", "text": output}] if isinstance(output, str) else output
            text = "\n".join(part["text"] for part in parts if part["type"] == "input_text")
            pictures = tuple(Picture(part["image_url"]) for part in parts if part["type"] == "input_image")
            yield Outcome(item["call_id"], text.removeprefix(FAILED), text.startswith(FAILED), pictures)
        case "reasoning":
            yield Thought("".join(part["text"] for part in item["summary"]), item["encrypted_content"])
        case "message":
            content = item["content"]
            for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content:
                yield from _part(item["role"], part)


def _part(role: str, part: Mapping[str, Any]) -> Iterator[Line]:
    match part["type"]:
        case "input_text" | "output_text":
            yield Words(role, part["text"])
        case "input_image":
            yield Picture(part["image_url"])
        case "input_file":
            yield File(part["file_data"])


def _items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {
            "type": "reasoning",
            "id": f"rs_{number}",
            "summary": [{"type": "summary_text", "text": thought.text}] if thought.text else [],
            "encrypted_content": thought.seal,
        }
        for number, thought in enumerate(said.thoughts)
    ]
    content: list[dict[str, Any]] = []
    if said.text:
        content.append({"type": "output_text", "text": said.text, "annotations": [], "logprobs": _logprobs(said)})
    if said.refusal:
        content.append({"type": "refusal", "refusal": said.refusal})
    status = "incomplete" if said.finish == "length" else "completed"
    if content:
        items.append({"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content})
    items += [
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": use.id,
            "name": use.name,
            "arguments": encoded(use.arguments),
            "status": "completed",
        }
        for number, use in enumerate(said.uses)
    ]
    return items


def _response(said: Said) -> dict[str, Any]:
    is_cut = said.finish == "length"
    sent = said.spent.fresh + said.spent.cached
    return {
        "id": "resp_lab",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": OpenAIResponses.model,
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "error": None,
        "output": _items(said),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": said.spent.cached},
            "output_tokens": said.spent.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + said.spent.output,
        },
    }


def _events(said: Said) -> Iterator[dict[str, Any]]:
    whole = _response(said)
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for index, item in enumerate(whole["output"]):
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", **_EMPTY[item["type"]]},
        }
        at = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "reasoning":
                yield from _thinking(item, at)
            case "message":
                yield from _speaking(item, at, said)
            case _:
                for half in halves(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", **at, "delta": half}
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **at, **done}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _thinking(item: Mapping[str, Any], at: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in item["summary"]:
        here = {**at, "summary_index": 0}
        yield {"type": "response.reasoning_summary_part.added", **here, "part": {**part, "text": ""}}
        yield {"type": "response.reasoning_summary_text.delta", **here, "delta": part["text"]}
        yield {"type": "response.reasoning_summary_text.done", **here, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **here, "part": part}


def _speaking(item: Mapping[str, Any], at: Mapping[str, Any], said: Said) -> Iterator[dict[str, Any]]:
    for index, part in enumerate(item["content"]):
        here = {**at, "content_index": index}
        if part["type"] == "refusal":
            yield {"type": "response.content_part.added", **here, "part": {**part, "refusal": ""}}
            yield {"type": "response.refusal.delta", **here, "delta": said.refusal}
            yield {"type": "response.refusal.done", **here, "refusal": said.refusal}
        else:
            yield {"type": "response.content_part.added", **here, "part": {**part, "text": "", "logprobs": []}}
            for number, piece in enumerate(said.pieces):
                logprobs = _logprobs(said) if number == 0 else []
                yield {"type": "response.output_text.delta", **here, "delta": piece, "logprobs": logprobs}
            done = {"text": said.text, "logprobs": part["logprobs"]}
            yield {"type": "response.output_text.done", **here, **done}
        yield {"type": "response.content_part.done", **here, "part": part}


def _logprobs(said: Said) -> list[dict[str, Any]]:
    return [
        {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
        for token, value in said.logprobs
    ]
