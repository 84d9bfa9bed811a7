"""Thoughts as Anthropic's blocks: `thinking` with its signature, and `redacted_thinking`, which is nothing but a seal.

A client of this dialect gives thoughts back as it got them, and cannot say whose they were. So the thoughts of another
provider go out under a signature that names their dialect: they are known again when they come back, and no provider is
given one that is not its own.
"""

from routewright.call import JsonObject, Thinking

DIALECT = "anthropic_messages"

_REDACTED = "redacted:"
"""Before the seal of a thought that the provider hides; signatures are base64, and have no colon."""
_FOREIGN = "routewright:"


def write_thinking(thought: Thinking) -> JsonObject:
    """The block that gives a thought back to its provider, or out to a client."""
    if thought.dialect != DIALECT:
        signature = foreign_signature(thought.seal, thought.dialect)
        if not thought.text:
            return {"type": "redacted_thinking", "data": signature}
        return {"type": "thinking", "thinking": thought.text, "signature": signature}
    if thought.seal.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": thought.seal.removeprefix(_REDACTED)}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.seal}


def read_thinking(text: str, signature: str) -> Thinking:
    """The thought in a `thinking` block."""
    if not signature.startswith(_FOREIGN):
        return Thinking(text, signature, DIALECT)
    dialect, _, seal = signature.removeprefix(_FOREIGN).partition(":")
    return Thinking(text, seal, dialect)


def read_redacted(data: str) -> Thinking:
    """The thought in a `redacted_thinking` block."""
    return read_thinking("", data) if data.startswith(_FOREIGN) else Thinking("", redacted_seal(data), DIALECT)


def redacted_seal(data: str) -> str:
    """`Thinking.seal` of a thought that the provider hides."""
    return _REDACTED + data


def foreign_signature(seal: str, dialect: str) -> str:
    """The signature under which another provider's thought goes out; the seal may be empty."""
    return f"{_FOREIGN}{dialect}:{seal}"


def is_foreign(block: JsonObject) -> bool:
    """Whether a client's block is a thought that another dialect's provider had."""
    signature = block.get("signature" if block.get("type") == "thinking" else "data")
    return isinstance(signature, str) and signature.startswith(_FOREIGN)
