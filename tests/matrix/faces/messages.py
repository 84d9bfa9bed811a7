"""`anthropic`, messages."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from types import ModuleType
from typing import Any

import anthropic

from matrix.faces.face import Heard
from matrix.meaning import File, Given, Line, Outcome, Picture, Said, Spent, Thought, Use, Wish, Words

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tools",
    "refusal": "refusal",
}


class Messages:
    """A `Face`."""

    name = "anthropic_messages"
    sdk: ModuleType = anthropic
    classes: Mapping[str, str] = {"402": "PaymentRequiredError", "cut": "APIStatusError", "413": "RequestTooLargeError"}
    lacks = frozenset({"wants_logprobs"})

    def __init__(self, url: str, key: str = "unused") -> None:
        self._client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)

    def ask(
        self, wish: Wish, *, model: str, stream: bool, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Heard:
        """Ask, and read to the end."""
        body: dict[str, Any] = {**body_of(wish), "model": model, "extra_body": more, "extra_headers": headers or {}}
        if not stream:
            raw = self._client.messages.with_raw_response.create(**body)
            return _heard(raw.parse(), raw.headers)
        told: dict[str, Any] = {}
        with self._client.messages.stream(**body) as events:
            for event in events:
                if event.type == "message_delta":
                    told |= event.usage.model_extra or {}
            return _heard(events.get_final_message(), events.response.headers, told)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def body_of(wish: Wish) -> dict[str, Any]:
    """The fields of a request that say this; which model, and whether to stream, are not among them."""
    body: dict[str, Any] = {"messages": list(_turns(wish)), "max_tokens": wish.max_tokens}
    system = [_block(line) for line in wish.lines if _role(line) == "system"]
    if system:
        body["system"] = system
        if wish.is_marked:
            system[-1]["cache_control"] = {"type": "ephemeral"}
    if wish.functions:
        body["tools"] = [{"name": each.name, "input_schema": each.parameters} for each in wish.functions]
    if wish.has_hosted_tool:
        body["tools"] = [*body.get("tools", ()), {"type": "web_search_20250305", "name": "web_search"}]
    if wish.choice:
        named = {"none": {"type": "none"}, "required": {"type": "any"}}
        body["tool_choice"] = named.get(wish.choice, {"type": "tool", "name": wish.choice})
    if not wish.is_parallel:
        body["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    config: dict[str, Any] = {}
    if wish.schema is not None:
        config["format"] = {"type": "json_schema", "schema": wish.schema}
    if wish.effort:
        config["effort"] = wish.effort
        body["thinking"] = {"type": "adaptive"}
    if config:
        body["output_config"] = config
    if wish.stop:
        body["stop_sequences"] = [wish.stop]
    return body


def _turns(wish: Wish) -> Iterator[Any]:
    for role, lines in groupby((line for line in wish.lines if _role(line) != "system"), _role):
        yield {"role": "assistant" if role == "given" else role, "content": _content(list(lines))}


def _content(lines: list[Line]) -> list[Any]:
    return [block for line in lines for block in (line.native if isinstance(line, Given) else [_block(line)])]


def _role(line: Line) -> str:
    if isinstance(line, Given):
        return "given"
    return line.role if isinstance(line, Words) else "assistant" if isinstance(line, Use) else "user"


def _block(line: Line) -> dict[str, Any]:
    match line:
        case Words(_, text):
            return {"type": "text", "text": text}
        case Picture(url):
            return {"type": "image", "source": _source(url)}
        case File(url):
            return {"type": "document", "source": _source(url), "title": "paper.pdf"}
        case Use(call_id, name, arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        case Outcome(call_id, text, is_error, pictures):
            content: Any = [{"type": "text", "text": text}, *map(_block, pictures)] if pictures else text
            block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
            return {**block, "is_error": True} if is_error else block
    raise AssertionError(line)


def _source(url: str) -> dict[str, str]:
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


def _heard(message: Any, headers: Mapping[str, str], told: Mapping[str, Any] | None = None) -> Heard:
    thoughts, uses, texts = [], [], []
    for block in message.content:
        match block.type:
            case "thinking":
                thoughts.append(Thought(block.thinking, block.signature))
            case "redacted_thinking":
                thoughts.append(Thought("", block.data))
            case "tool_use":
                uses.append(Use(block.id, block.name, block.input))
            case "text":
                texts.append(block.text)
    is_refused = message.stop_reason == "refusal"
    usage = message.usage
    said = Said(
        pieces=() if is_refused else tuple(texts),
        thoughts=tuple(thoughts),
        uses=tuple(uses),
        finish=_FINISH[message.stop_reason],
        stopped_by=message.stop_sequence or "",
        refusal="".join(texts) if is_refused else "",
        spent=Spent(fresh=usage.input_tokens, cached=usage.cache_read_input_tokens or 0, output=usage.output_tokens),
    )
    cost = {**(usage.model_extra or {}), **(told or {})}.get("cost", headers.get("x-routewright-cost-usd"))
    native = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]
    return Heard(said=said, native=native, headers=headers, cost_usd=cost and str(cost))
