"""Thoughts with their seals in chat messages: `thinking_blocks`, as gateways before this one have called them.

OpenAI's chat has no word for them, but a client that gives its messages back as it got them can bring a thought back to
whoever had it. Our seals are wrapped, so that they are known; a block that is not is taken for Anthropic's.
"""

from collections.abc import Iterator

from routewright.call import JsonObject, Thinking
from routewright.dialects.anthropic_thinking import read_redacted, read_thinking
from routewright.dialects.fields import array, text, wrong
from routewright.dialects.seals import is_wrapped, unwrapped, wrapped

KEY = "thinking_blocks"
_ALOUD = ("reasoning_content", "reasoning")
"""What several providers of this dialect call thoughts without a seal; some want them back, and bill them."""
KEYS = frozenset((KEY, *_ALOUD))


def write_block(thought: Thinking) -> JsonObject:
    """A thought as it goes out to a client; it has a seal."""
    seal = wrapped(thought.seal, thought.dialect)
    if not thought.text:
        return {"type": "redacted_thinking", "data": seal}
    return {"type": "thinking", "thinking": thought.text, "signature": seal}


def read_thoughts(message: JsonObject, at: str) -> list[Thinking]:
    """The thoughts in a client's message: those that are sealed, and what is told beyond them."""
    thoughts = [*_read_blocks(message, at)]
    told = max((words for name in _ALOUD if type(words := message.get(name)) is str), key=len, default="")
    if unsealed := told.removeprefix("".join(thought.text for thought in thoughts)):
        thoughts.append(Thinking(unsealed))
    return thoughts


def _read_blocks(message: JsonObject, at: str) -> Iterator[Thinking]:
    for index, block in enumerate(array(message, KEY, at) or ()):
        place = f"{at}{KEY}[{index}]"
        if type(block) is not dict:
            raise wrong(place, "an object", block)
        words, seal = text(block, "thinking", place + ".") or "", _seal(block, place)
        if is_wrapped(seal):
            yield Thinking(words, *unwrapped(seal, ""))
        else:
            yield read_redacted(seal) if block.get("type") == "redacted_thinking" else read_thinking(words, seal)


def without_wrapped(message: JsonObject) -> JsonObject:
    """The message for a provider of the client's own dialect: without what came from others' by way of us."""
    blocks = message.get(KEY)
    if not blocks:
        return message
    kept = [block for block in blocks if not is_wrapped(_seal(block, ""))]
    return {name: kept if name == KEY else value for name, value in message.items() if name != KEY or kept}


def _seal(block: JsonObject, at: str) -> str:
    return text(block, "signature", at + ".") or text(block, "data", at + ".") or ""
