"""Signatures of Gemini's thoughts, and the places where they stand.

Gemini signs parts of an answer: a thought, a text, a call of a function. Each signature must go back on a part of the
same kind; one that a call has lost is refused. `Thinking` has room for a thought only, so its seal says the place
before the signature: `thought:…`, `text:…`, or `call<n>:…` for the n-th call of the turn, counted from 0.
"""

import re

from msgspec import Struct

DIALECT = "gemini"

THOUGHT = "thought"
TEXT = "text"

_SEAL = re.compile(r"(thought|text|call[0-9]{1,4}):(.+)", re.DOTALL)


class Signature(Struct, frozen=True):
    """A signature, and the place that it belongs to."""

    place: str
    text: str


def call_place(index: int) -> str:
    """The place of a turn's call with this number."""
    return f"call{index}"


def sealed(place: str, signature: str) -> str:
    """`Thinking.seal` of a signature; empty for none."""
    return f"{place}:{signature}" if signature else ""


def read_seal(seal: str) -> Signature | None:
    """The signature in a seal; None for one that is not of this form."""
    match = _SEAL.fullmatch(seal)
    return Signature(match[1], match[2]) if match else None
