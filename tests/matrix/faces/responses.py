"""`openai`, responses."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import ModuleType
from typing import Any

import openai

from matrix.faces.face import Heard
from matrix.meaning import File, Given, Line, Outcome, Picture, Said, Spent, Thought, Use, Wish, Words
from matrix.provider import STRANGE


class Responses:
    """A `Face`."""

    name = "openai_responses"
    sdk: ModuleType = openai
    classes: Mapping[str, str] = {"402": "APIStatusError", "cut": "APIError", "413": "APIStatusError"}
    lacks = frozenset({"stop", "is_marked", "error"})

    def __init__(self, url: str, key: str = "unused") -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def ask(
        self, wish: Wish, *, model: str, stream: bool, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Heard:
        """Ask, and read to the end."""
        body: dict[str, Any] = {**body_of(wish), "model": model, "extra_body": more, "extra_headers": headers or {}}
        create: Any = self._client.responses.with_raw_response.create
        if not stream:
            raw = create(**body)
            return _heard(raw.parse(), raw.headers)
        raw = create(**body, stream=True)
        events = list(raw.parse())
        heard = _heard(events[-1].response, raw.headers)
        grown = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert grown == heard.said.text, "the pieces are not what the last event says"
        known = [event for event in events if event.type != STRANGE]
        assert [event.sequence_number for event in known] == list(range(len(known)))
        return heard

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def body_of(wish: Wish) -> dict[str, Any]:
    """The fields of a request that say this; which model, and whether to stream, are not among them."""
    body: dict[str, Any] = {"input": list(_items(wish)), "max_output_tokens": wish.max_tokens}
    include = []
    if wish.functions:
        body["tools"] = [
            {"type": "function", "name": each.name, "parameters": each.parameters, "strict": False}
            for each in wish.functions
        ]
    if wish.has_hosted_tool:
        body["tools"] = [*body.get("tools", ()), {"type": "web_search"}]
    if wish.choice:
        is_mode = wish.choice in ("none", "required")
        body["tool_choice"] = wish.choice if is_mode else {"type": "function", "name": wish.choice}
    if not wish.is_parallel:
        body["parallel_tool_calls"] = False
    if wish.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": wish.schema}}
    if wish.effort:
        body["reasoning"] = {"effort": wish.effort, "summary": "auto"}
        include.append("reasoning.encrypted_content")
    if wish.wants_logprobs:
        include.append("message.output_text.logprobs")
    return {**body, "include": include} if include else body


def _items(wish: Wish) -> Iterator[Any]:
    for role, lines in groupby(wish.lines, _role):
        group = list(lines)
        if role == "given":
            for line in group:
                yield from line.native if isinstance(line, Given) else ()
            continue
        for result in (line for line in group if isinstance(line, Outcome)):
            shown = [_part(picture) for picture in result.pictures]
            output: Any = [{"type": "input_text", "text": result.text}, *shown] if shown else result.text
            yield {"type": "function_call_output", "call_id": result.id, "output": output}
        if others := [_part(line, role) for line in group if not isinstance(line, Outcome | Use)]:
            yield {"role": role, "content": others}
        for use in (line for line in group if isinstance(line, Use)):
            arguments = json.dumps(use.arguments)
            yield {"type": "function_call", "call_id": use.id, "name": use.name, "arguments": arguments}


def _role(line: Line) -> str:
    if isinstance(line, Given):
        return "given"
    return line.role if isinstance(line, Words) else "assistant" if isinstance(line, Use) else "user"


def _part(line: Line, role: str = "user") -> dict[str, Any]:
    match line:
        case Words(_, text):
            return {"type": "output_text" if role == "assistant" else "input_text", "text": text}
        case Picture(url):
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case File(url):
            return {"type": "input_file", "filename": "paper.pdf", "file_data": url}
    raise AssertionError(line)


def _heard(response: Any, headers: Mapping[str, str]) -> Heard:
    thoughts, uses, parts = [], [], []
    for item in response.output:
        match item.type:
            case "reasoning":
                thoughts.append(Thought("".join(part.text for part in item.summary), item.encrypted_content or ""))
            case "function_call":
                uses.append(Use(item.call_id, item.name, json.loads(item.arguments)))
            case "message":
                parts += item.content
    refusal = "".join(part.refusal for part in parts if part.type == "refusal")
    logprobs = [entry for part in parts if part.type == "output_text" for entry in part.logprobs or ()]
    usage = response.usage
    cached = usage.input_tokens_details.cached_tokens
    said = Said(
        pieces=(response.output_text,),
        thoughts=tuple(thoughts),
        uses=tuple(uses),
        finish=_finish(response, refusal, has_uses=bool(uses)),
        refusal=refusal,
        logprobs=tuple((entry.token, entry.logprob) for entry in logprobs),
        spent=Spent(fresh=usage.input_tokens - cached, cached=cached, output=usage.output_tokens),
    )
    cost = (usage.model_extra or {}).get("cost", headers.get("x-routewright-cost-usd"))
    native = [item.model_dump(exclude_none=True) for item in response.output]
    return Heard(said=said, native=native, headers=headers, cost_usd=cost and str(cost))


def _finish(response: Any, refusal: str, *, has_uses: bool) -> str:
    if response.status == "incomplete":
        return {"max_output_tokens": "length", "content_filter": "refusal"}[response.incomplete_details.reason]
    assert response.status == "completed"
    return "refusal" if refusal else "tools" if has_uses else "stop"
