"""What a provider still has in its cache of a conversation: which leading messages it was sent before, word for word.

Providers bill the start of a prompt at less when they worked on the same start a short while ago. So a conversation is
cheaper where it was answered last, and to change the model has a price: the whole input anew. Here is all of it that
is arithmetic; `layers.sessions` remembers and looks at the clock.

A conversation is compared by *marks*, one for each leading part of it: tools, answer schema and all messages up to one.
Marks are Python's own hashes: they cost almost nothing, and mean something within one process only. Text is hashed
whole while it is among the first `WHOLE_CHARS` of its conversation; after that, of a longer text its length, start and
end. So the cost is bounded; and deep in a long conversation a change in the middle of a text, which leaves its length
as it was, is not seen. The price of that mistake is a cost expected too low, never money: what is held for a request
does not count on any cache.
"""

from array import array
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from typing import ClassVar

import msgspec
from msgspec import Struct

from routewright.call import CacheMark, Call, Document, Image, Part, Text, Thinking, ToolCall, ToolResult, utf8_length
from routewright.decision.tokens import IMAGE_TOKENS
from routewright.usage import Usage

WHOLE_CHARS = 65_536
EDGE_CHARS = 256
MARKS_KEPT = 64
"""Of a longer conversation the last ones; if it was changed before them, it counts as cold."""

FEWEST_TOKENS = 1_024
"""No provider keeps less. OpenAI: 1,024, then in steps of 128; Gemini: from 1,024; Claude: 1,024 to 4,096 by model."""
STEP_TOKENS = 128

CACHES_UNASKED = frozenset({"gemini", "openai_chat", "openai_responses"})
"""Dialects whose providers keep every prompt of their own accord (OpenAI, DeepSeek, Gemini, xAI).

Anthropic keeps only what the request marks with `cache_control`; there, what the answer's usage reports as read or
written is in the cache and nothing else.
"""

_OPENING_MESSAGES = 8
_OPENING_CHARS = 1_024
_HASHED_BYTES = 2_000
"""At a time: from 2,048 on `hashlib` lets other threads run meanwhile, and to get its turn back costs ten times the
hash."""
_IMAGE_CHARS = 4 * IMAGE_TOKENS


# ---- which conversation -------------------------------------------------------------------------------------------


def session_of(call: Call) -> str:
    """What the client calls the conversation, else a hash of how it opened: its system prompt and first user turn.

    Empty for a lone user turn. Conversations that open alike share a session; as prefixes are compared word for word,
    each then finds warm what it has in common with the one before.
    """
    if call.session:
        return call.session
    if len(call.messages) < 2:
        return ""
    return opening_of(call)


def opening_of(call: Call) -> str:
    """A hash of how a conversation opened, its system prompt and first user turn: the same for all its turns."""
    opening = ""
    for message in call.messages[:_OPENING_MESSAGES]:
        text = edges = message.text
        if len(text) > 2 * _OPENING_CHARS:
            edges = text[:_OPENING_CHARS] + text[-_OPENING_CHARS:]
        opening += f"{message.role} {len(text)} {utf8_length(edges)} {edges}"
        if message.role == "user":
            break
    said = opening.encode(errors="surrogatepass")
    digest = blake2b(digest_size=16, person=b"opening")
    for at in range(0, len(said), _HASHED_BYTES):
        digest.update(said[at : at + _HASHED_BYTES])
    return digest.hexdigest()


# ---- what was said ------------------------------------------------------------------------------------------------


class Trace(Struct, frozen=True):
    """A conversation by its marks; they end before the first part that only the client's own dialect can read."""

    marks: "array[int]"
    """Of the first `skipped + 1` messages, the first `skipped + 2`, …"""
    chars: "array[int]"
    """How long each of these is, tools and schema included."""
    total_chars: int
    """How long the whole is."""
    skipped: int = 0
    """How many first marks are left out."""

    @property
    def tail(self) -> "Trace":
        """What is kept of it: at most `MARKS_KEPT` marks."""
        surplus = len(self.marks) - MARKS_KEPT
        if surplus <= 0:
            return self
        return Trace(self.marks[surplus:], self.chars[surplus:], self.total_chars, self.skipped + surplus)


def trace_of(call: Call) -> Trace:
    """The marks of a call."""
    tools = call.body.get("tools") or call.tools  # the client's own may be of kinds that we have no form for
    preamble = msgspec.json.encode((tools, call.output_format.schema))
    mark, reader = hash(preamble), _Reader(len(preamble))
    marks, chars = array("q"), array("q")
    for message in call.messages:
        parts = message.parts
        looks = reader.look(parts[0]) if len(parts) == 1 else reader.look_at(parts)
        if reader.is_comparable:
            mark = hash((mark, message.role, looks))
            marks.append(mark)
            chars.append(reader.chars)
    return Trace(marks, chars, reader.chars)


class _Reader:
    """Looks at texts: at the whole of those that come first, at the edges of longer ones that come later."""

    def __init__(self, chars: int) -> None:
        self.chars = chars
        """How long all is that was looked at, and what came before it."""
        self.is_comparable = True
        """No part so far was one that only the client's dialect can read."""
        self._left = WHOLE_CHARS

    def look_at(self, parts: Sequence[Part]) -> Hashable:
        """What is seen of several parts. A cache mark wanders from turn to turn, and what stands before it stays."""
        looks = [self.look(part) for part in parts if type(part) is not CacheMark]
        return looks[0] if len(looks) == 1 else tuple(looks)

    def look(self, part: Part) -> Hashable:
        """What is seen of a part."""
        if type(part) is Text:  # first, as most are
            return self._read(part.text)
        match part:
            case ToolResult(call_id, text, is_error, images):
                return call_id, is_error, self._read(text), tuple(map(self.look, images))
            case ToolCall(identity, name, arguments):
                self.chars += len(name)
                return identity, name, self._read(arguments)
            case Thinking(text, seal):
                return self._read(text), seal[-EDGE_CHARS:]
            case Image(url, detail) | Document(url, detail):
                self.chars += _IMAGE_CHARS
                return detail, url[:EDGE_CHARS], url[-EDGE_CHARS:], len(url)
        self.is_comparable = False
        self.chars += _IMAGE_CHARS
        return None

    def _read(self, text: str) -> Hashable:
        length = len(text)
        self.chars += length
        if length <= self._left:
            self._left -= length
            return text
        return text if length <= 2 * EDGE_CHARS else (length, text[:EDGE_CHARS], text[-EDGE_CHARS:])


# ---- what is warm -------------------------------------------------------------------------------------------------


class Sent(Struct, frozen=True, kw_only=True):
    """What one deployment was sent last in a conversation."""

    model: str
    deployment: str
    trace: Trace
    tokens: int
    """Of the input, as the provider counts."""
    cached_tokens: int
    """How many of them, from the first on, it should have in its cache."""
    at_s: float
    """Monotonic seconds."""


class Prefix(Struct, frozen=True):
    """The leading part of a call that is in a cache."""

    messages: int = 0
    tokens: int = 0
    """As the provider counts, tools and schema included."""


COLD = Prefix()


def cached_tokens(dialect: str, usage: Usage) -> int:
    """How much of its input a provider has in its cache after it reported this usage."""
    if dialect in CACHES_UNASKED:
        return usage.input_total
    return usage.cache_read + usage.cache_write + usage.cache_write_1h


def warm_prefix(now: Trace, sent: Sent) -> Prefix:
    """How much of a call, seen as `now`, is the same as what was sent: whole messages, their tokens by their length.

    Rounded down to the steps in which caches count; `COLD` below what they keep at all.
    """
    before = sent.trace
    common = _common_messages(now, before)
    if common == 0:
        return COLD
    chars = before.chars[common - 1 - before.skipped]
    tokens = min(sent.tokens * chars // before.total_chars, sent.cached_tokens) // STEP_TOKENS * STEP_TOKENS
    if tokens < FEWEST_TOKENS:
        return COLD
    cached_chars = before.total_chars * sent.cached_tokens // sent.tokens
    covered = bisect_right(before.chars, cached_chars)
    return Prefix(min(common, before.skipped + covered) if covered else 0, tokens)


def _common_messages(now: Trace, before: Trace) -> int:
    longest = min(len(now.marks), before.skipped + len(before.marks))
    for count in range(longest, before.skipped, -1):  # from the end: most conversations only grow
        if now.marks[count - 1] == before.marks[count - 1 - before.skipped]:
            return count
    return 0


class Belief(Struct, frozen=True):
    """How far a model's warm prefixes are really read from the cache: a Beta distribution over the share of tokens.

    Before anything was seen, three quarters are believed: a provider may answer from a machine that has not seen the
    conversation, and not every server that speaks a dialect has a cache. Old observations fade, so that a provider who
    begins to cache is believed after some tens of answers.
    """

    read: float = 3.0
    missed: float = 1.0

    MOST: ClassVar[float] = 50.0

    @property
    def share(self) -> float:
        """Of the tokens expected to be warm, those to count on; 0 to 1."""
        return self.read / (self.read + self.missed)

    def after(self, share: float) -> "Belief":
        """The belief once `share` of what was expected was read; more than all of it is all of it."""
        share = min(max(share, 0.0), 1.0)
        fading = min(1.0, (self.MOST - 1) / (self.read + self.missed))
        return Belief(self.read * fading + share, self.missed * fading + 1 - share)
