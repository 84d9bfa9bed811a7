"""Thoughts as Anthropic's blocks: `thinking` with its signature, and `redacted_thinking`, which is nothing but a seal.

A client gives thoughts back as it got them, and cannot say whose they were. So those of another dialect's provider go
out under a wrapped seal (`seals`), even an empty one: no provider of this dialect is given what is not its own.
"""

from routewright.call import JsonObject, Thinking
from routewright.dialects.seals import unwrapped, wrapped

DIALECT = "anthropic_messages"

_REDACTED = "redacted:"
"""Before the seal of a thought that the provider hides; signatures are base64, and have no colon."""


def write_thinking(thought: Thinking) -> JsonObject:
    """The block that gives a thought back to its provider, or out to a client."""
    if thought.dialect != DIALECT:
        signature = wrapped(thought.seal, thought.dialect)
        if not thought.text:
            return {"type": "redacted_thinking", "data": signature}
        return {"type": "thinking", "thinking": thought.text, "signature": signature}
    if thought.seal.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": thought.seal.removeprefix(_REDACTED)}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.seal}


def read_thinking(text: str, signature: str) -> Thinking:
    """The thought in a `thinking` block."""
    return Thinking(text, *unwrapped(signature, DIALECT))


def read_redacted(data: str) -> Thinking:
    """The thought in a `redacted_thinking` block."""
    seal, dialect = unwrapped(data, DIALECT)
    return Thinking("", redacted_seal(seal) if dialect == DIALECT else seal, dialect)


def redacted_seal(data: str) -> str:
    """`Thinking.seal` of a thought that the provider hides."""
    return _REDACTED + data


def is_foreign(block: JsonObject) -> bool:
    """Whether a client's block is a thought that another dialect's provider had."""
    signature = block.get("signature" if block.get("type") == "thinking" else "data")
    return isinstance(signature, str) and unwrapped(signature, DIALECT)[1] != DIALECT
