"""Other messages in a body of Anthropic's: they go back block by block, each by what it was read into."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from routewright.call import Call, JsonObject, Message, Part, Text, ToolResult
from routewright.dialects.anthropic_reading import has_system, read_block
from routewright.dialects.anthropic_writing import write_turns


def with_messages(call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
    """The call with other messages, in its canonical fields and in its body; see `Rewriter`.

    Of a message whose words have changed, only the words are written anew. The system prompt is never another one.
    """
    first = 1 if has_system(call.body) else 0
    written: list[JsonObject] = []
    for message, source in zip(messages, sources, strict=True):
        if source is None:
            written += write_turns((message,))
        elif source >= first:
            fields = call.body["messages"][source - first]
            old = call.messages[source]
            written.append(fields if message == old else {**fields, "content": _with_words(fields["content"], message)})
    return structs.replace(call, messages=tuple(messages), body={**call.body, "messages": written})


def _with_words(content: str | list[JsonObject], message: Message) -> str | list[JsonObject]:
    parts = iter(message.parts)
    if isinstance(content, str):
        return _next_words(parts)
    return _rewritten(content, parts)


def _rewritten(blocks: list[JsonObject], parts: Iterator[Part]) -> list[JsonObject]:
    return [_block_with_words(block, parts) for block in blocks]


def _block_with_words(block: JsonObject, parts: Iterator[Part]) -> JsonObject:
    """The block with the words of the parts that it was read into, which are taken from `parts`."""
    read = read_block(block)
    new = [part for _, part in zip(read, parts, strict=False)]
    if new == read:
        return block
    words = iter(new)
    match block:
        case {"type": "text"}:
            return {**block, "text": _next_words(words)}
        case {"type": "tool_result"}:
            return {**block, "content": _result_with_words(block["content"], _next_words(words))}
        case {"type": "document", "source": {"type": "text"} as source}:
            *_, data = (part.text for part in new if isinstance(part, Text))
            return {**block, "source": {**source, "data": data}}
        case {"type": "document", "source": {"type": "content", "content": content} as source}:
            if block.get("title") or block.get("context"):
                next(words)  # its title and context stay as they are
            within = _next_words(words) if isinstance(content, str) else _rewritten(content, words)
            return {**block, "source": {**source, "content": within}}
        case _:
            return block


def _result_with_words(content: str | list[JsonObject], words: str) -> str | list[JsonObject]:
    """However many blocks the words came in, they were read as one text; what was never words stays."""
    if isinstance(content, str):
        return words
    others = []
    told: JsonObject = {"type": "text", "text": words}
    for block in content:
        if any(isinstance(part, Text) for part in read_block(block)):
            told |= {key: block[key] for key in ("cache_control",) if key in block}
        else:
            others.append(block)
    return [told, *others]


def _next_words(parts: Iterator[Part]) -> str:
    return next(part.text for part in parts if isinstance(part, Text | ToolResult))
