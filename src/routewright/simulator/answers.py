"""What a simulated model answers: prose, JSON or tool calls that fit what was asked, and make no other sense.

An answer depends on the seed, the model, the messages and the form asked for, and on nothing else. So it is the same
streamed or not, and in any order; a limit on its length cuts it and does not change it.
"""

import math
import re
from random import Random

import msgspec
from msgspec import Struct

from routewright.call import OutputFormat, Tool, ToolCall, ToolChoice
from routewright.reply import FinishReason
from routewright.simulator import tokens
from routewright.simulator.chance import generator
from routewright.simulator.schema import instance
from routewright.usage import Usage

_SENTENCES = (
    "Here an answer would make its first point about the {}.",
    "A real model would now explain the {} step by step.",
    "This sentence stands for another thought on the {}.",
    "An example with a {} would follow.",
    "Consider the {}: nothing in this text is about your question.",
    "The {} is a placeholder, as all of this is.",
    "At this place a summary of the {} could stand.",
    "Some words about the {} make the answer as long as it was drawn to be.",
)
_NOUNS = ("lantern", "harbour", "orchard", "compass", "ledger", "bridge", "kettle", "meadow", "archive", "ladder")


class Prefix(Struct, frozen=True):
    """The beginning of a prompt that a provider keeps, and bills at less when it comes again."""

    key: str
    tokens: int
    written: str | None = None
    """Which write the first time is billed as: `5m`, `1h`, or None where writing is free."""


class Ask(Struct, frozen=True, kw_only=True):
    """What a request asks for, whatever wire format it came in."""

    model: str
    digest: str
    """Of all messages: what the answer is drawn from."""
    prompt: str
    """The user's words, when the last turn is theirs."""
    input_tokens: int
    """All of them, the prefix included."""
    prefix: Prefix | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice("auto")
    may_call_in_parallel: bool = True
    output_format: OutputFormat = OutputFormat()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    thinks: bool = False
    """Thoughts are asked for; only OpenAI's Responses show them here."""
    is_streamed: bool = False
    wants_usage: bool = False
    service_tier: str = "default"
    """Which one it is served in: the one asked for, since here there is always room."""

    def input_usage(self, *, is_prefix_known: bool) -> Usage:
        """The tokens sent, by how they are billed."""
        if self.prefix is None:
            return Usage(input=self.input_tokens)
        fresh, kept = self.input_tokens - self.prefix.tokens, self.prefix.tokens
        if is_prefix_known:
            return Usage(input=fresh, cache_read=kept)
        match self.prefix.written:
            case "5m":
                return Usage(input=fresh, cache_write=kept)
            case "1h":
                return Usage(input=fresh, cache_write_1h=kept)
            case _:
                return Usage(input=self.input_tokens)


class Choice(Struct, frozen=True, kw_only=True):
    """One of the answers to a request: words or tool calls."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason = "stop"
    stop_sequence: str | None = None
    tokens: int


class Completion(Struct, frozen=True, kw_only=True):
    """All that goes into the answer to a request."""

    id: str
    model: str
    created_s: int
    """UTC, in seconds since 1970."""
    choices: tuple[Choice, ...]
    usage: Usage
    ask: Ask | None = None
    """What it answers."""
    service_tier: str = "default"


def choose(ask: Ask, seed: int, index: int) -> Choice:
    """Answer number `index` to what is asked. Raises SchemaError."""
    chance = generator(seed, "answer", ask.model, ask.digest, index)
    wanted = _tools_wanted(ask)
    if wanted:
        calls = [_call(tool, chance) for tool in wanted]
        return _cut_calls(calls, ask.max_tokens)
    return _cut_text(_text(ask, seed, chance), ask)


def _tools_wanted(ask: Ask) -> list[Tool]:
    """The tools to call: those that must be called, or that the user names. Real models guess better."""
    choice = ask.tool_choice
    if choice.mode == "none" or not ask.tools:
        return []
    if choice.name is not None:
        return [tool for tool in ask.tools if tool.name == choice.name]
    named = [tool for tool in ask.tools if _mentions(ask.prompt, tool.name)]
    if not named and choice.mode == "required":
        named = list(ask.tools[:1])
    return named if ask.may_call_in_parallel else named[:1]


def _mentions(prompt: str, name: str) -> bool:
    spoken = re.escape(name).replace("_", "[ _]")
    return re.search(rf"\b{spoken}\b", prompt, re.IGNORECASE) is not None


def _call(tool: Tool, chance: Random) -> ToolCall:
    arguments = instance({"type": "object", **tool.parameters}, chance)
    return ToolCall(f"sim{chance.getrandbits(64):016x}", tool.name, msgspec.json.encode(arguments).decode())


def _text(ask: Ask, seed: int, chance: Random) -> str:
    form = ask.output_format
    if form.kind == "json_schema":
        return msgspec.json.encode(instance(form.schema or {"type": "object"}, chance)).decode()
    length = _length(ask, generator(seed, "length", ask.digest))  # the same for every model, so that costs compare
    prose = _prose(ask.model, length, chance)
    if form.kind == "json_object":
        return msgspec.json.encode({"simulated": True, "answer": prose}).decode()
    return prose


def _length(ask: Ask, chance: Random) -> int:
    """How many tokens to answer with: lognormal, and longer for a longer question."""
    median = 60 + min(tokens.count(ask.prompt), 600) // 2
    return min(max(round(chance.lognormvariate(math.log(median), 0.6)), 20), 2000)


def _prose(model: str, length: int, chance: Random) -> str:
    sentences = [f"[simulated {model}]"]
    written = tokens.count(sentences[0])
    while written < length:
        sentences.append(chance.choice(_SENTENCES).format(chance.choice(_NOUNS)))
        written += tokens.count(sentences[-1])
    return " ".join(sentences)


def _cut_text(text: str, ask: Ask) -> Choice:
    """End at the first stop sequence or the last token allowed, whichever comes first."""
    ends = [(text.find(stop), stop) for stop in ask.stop if stop and stop in text]
    end, stop = min(ends, default=(len(text), None))
    pieces = tokens.split(text[:end])
    if ask.max_tokens is not None and len(pieces) > ask.max_tokens:
        return Choice(text="".join(pieces[: ask.max_tokens]), finish="length", tokens=ask.max_tokens)
    return Choice(text=text[:end], stop_sequence=stop, tokens=len(pieces))


def _cut_calls(calls: list[ToolCall], max_tokens: int | None) -> Choice:
    """End at the last token allowed, in the midst of a call if need be; a name counts as one token."""
    kept: list[ToolCall] = []
    spent = 0
    for call in calls:
        if spent == max_tokens:
            return Choice(tool_calls=tuple(kept), finish="length", tokens=spent)
        pieces = tokens.split(call.arguments)
        if max_tokens is not None and spent + 1 + len(pieces) > max_tokens:
            some = "".join(pieces[: max_tokens - spent - 1])
            kept.append(ToolCall(call.id, call.name, some))
            return Choice(tool_calls=tuple(kept), finish="length", tokens=max_tokens)
        kept.append(call)
        spent += 1 + len(pieces)
    return Choice(tool_calls=tuple(kept), finish="tool_calls", tokens=spent)
