"""What input tokens are spent on: the estimate of a request's parts, held to what the provider counted.

The parts are those that were estimated when the request was decided about (`Features.input_parts`), at no second look
at the text. Providers count otherwise than we estimate, so the parts are scaled to the counted total, the same factor
for all, and rounded so that they add up to it exactly.
"""

import hashlib
from collections.abc import Iterable

from msgspec.structs import replace

from routewright.call import Message, Text
from routewright.usage import InputParts

HASH_DIGITS = 16
"""64 bits of SHA-256: two of a million distinct prompts are taken for one with a probability of 3 in 100 million."""

PREVIEW_CHARS = 200
"""Of a system prompt, what is kept of its beginning, if anything is."""


def scaled(parts: InputParts, total: int) -> InputParts:
    """The parts in the same proportions, adding up to `total` exactly.

    What rounding leaves goes to those that lost most by it. Parts that were estimated at nothing at all are all taken
    for the user's.
    """
    estimated = parts.total
    if estimated == total:
        return parts
    if parts.user == estimated:
        return InputParts(user=total)
    products = [part * total for part in (parts.system, parts.history, parts.tools, parts.user)]
    counts = [product // estimated for product in products]
    if left := total - sum(counts):
        losses = [product % estimated for product in products]
        for _ in range(left):
            at = losses.index(max(losses))
            counts[at] += 1
            losses[at] = -1
    return InputParts(*counts)


def without_history(parts: InputParts, tokens: int) -> InputParts:
    """The parts after so many tokens of history were left out; what is not there cannot be."""
    return replace(parts, history=max(0, parts.history - tokens))


def share_nanousd(cost_nanousd: int, part: int, total: int) -> int:
    """What `part` of `total` tokens cost, of the cost of all, rounded half up; of no tokens, nothing."""
    return (2 * cost_nanousd * part + total) // (2 * total) if total else 0


def system_text(messages: Iterable[Message]) -> str:
    """The system prompt: the words of all system messages, in order; empty without one."""
    return "\n".join(
        part.text
        for message in messages
        if message.role == "system"
        for part in message.parts
        if isinstance(part, Text)
    )


def text_hash(text: str) -> str:
    """What a text is known by when it is not kept: the first 16 hexadecimal digits of its SHA-256; of no text, none."""
    if not text:
        return ""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
