"""Checks: an answer → what is wrong with it. Pure; what a check is made of is in `routewright.check`.

A check of the text says nothing of an answer that has none because it calls a tool: the conversation goes on. All of
them look at the first of several answers (`n`).
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import msgspec

from routewright.call import Call, Tool, ToolCall
from routewright.check import Check, CheckKind
from routewright.decision.languages import LANGUAGES, language_of
from routewright.decision.schemas import Fits, SchemaRefused, library, read_schema
from routewright.patterns import Search, read_pattern
from routewright.reply import Answer

MOST_COMPILED = 256
"""Schemas that are kept ready, and patterns; beyond it the one unused for longest is compiled anew when needed."""
LISTED = ", ".join(LANGUAGES)
REFUSAL_CHARS = 200
"""A refusal says so at once."""
LONGEST_REFUSAL = 1_200
"""Characters; a longer answer says more than no."""

K = TypeVar("K")
V = TypeVar("V")

Examine: TypeAlias = Callable[[Answer, Call], str]
"""Why an answer to a call does not do, in words; empty if it does."""
PlugIns: TypeAlias = Mapping[str, Examine]

_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
_NO = (
    r"i(?:['’]m| am) (?:sorry|unable|not able|afraid)",
    r"i (?:can(?:['’]t|not)|won['’]t|must decline|do not feel comfortable)",
    r"sorry, (?:but )?i",
    r"as an ai",
    r"es tut mir leid",
    r"kann ich (?:ihnen |dir )?(?:leider )?nicht",
    r"ich kann (?:dir |ihnen )?(?:dabei |damit |das )?(?:leider )?nicht",
    r"je (?:suis désolée?|ne peux pas)",
    r"lo siento",
    r"no puedo (?:ayudar|proporcionar|cumplir)",
    r"mi dispiace",
    r"non posso (?:aiutar|fornire)",
    r"desculpe",
    r"não posso (?:ajudar|fornecer)",
    r"het spijt me",
)
_NO_AT_ONCE = ("抱歉", "对不起", "很抱歉", "申し訳", "죄송", "извините", "к сожалению, я не могу")
_REFUSAL = re.compile(rf"\b(?:{'|'.join(_NO)})|^(?:{'|'.join(_NO_AT_ONCE)})", re.IGNORECASE)


class Checker:
    """Makes checks ready for a call; schemas and patterns are compiled once and kept."""

    def __init__(self, plug_ins: PlugIns | None = None) -> None:
        self._plug_ins = plug_ins or {}
        self._patterns: dict[str, Search] = {}
        self._schemas: dict[tuple[str, bool], Fits] = {}

    def examine(self, check: Check, call: Call, place: str) -> Examine | None:
        """What the check does to an answer; None where the call asks for no such thing.

        Raises ValueError, which starts with `place`, for a schema or pattern that cannot be taken.
        """
        match check.kind:
            case CheckKind.JSON_SCHEMA:
                return partial(_schema, self._fits(check.schema, f"{place}.schema", is_trusted=check.is_trusted))
            case CheckKind.RESPONSE_FORMAT:
                return self._format(call)
            case CheckKind.REGEX:
                return partial(_regex, self._search(check.pattern, f"{place}.pattern"), check.forbidden)
            case CheckKind.LENGTH:
                return partial(_length, check)
            case CheckKind.LANGUAGE:
                if check.language not in LANGUAGES:
                    raise ValueError(f"{place}.language: {check.language!r} is not known; there are {LISTED}")
                return partial(_language, check.language)
            case CheckKind.TOOL_CALL:
                library(place)  # a schema of a tool that cannot be taken is let be, but not for want of what reads it
                return partial(_tool_call, check.tool, self._misfit)
            case CheckKind.PLUG_IN:
                return self._plug_ins[check.plug_in]
            case kind:
                return _PLAIN[kind]

    def _format(self, call: Call) -> Examine | None:
        wanted = call.output_format
        if wanted.kind == "text":
            return None
        if wanted.schema is None:
            return _json
        schema = msgspec.json.encode(wanted.schema).decode()
        return partial(_schema, self._fits(schema, "response_format", is_trusted=False))

    def _misfit(self, tool: Tool, arguments: object) -> str:
        """What is wrong with the arguments, as far as the tool's parameters are understood."""
        schema = msgspec.json.encode(tool.parameters).decode()
        try:
            return self._fits(schema, tool.name, is_trusted=False)(arguments)
        except SchemaRefused:
            return ""

    def _fits(self, schema: str, place: str, *, is_trusted: bool) -> Fits:
        return _kept(self._schemas, (schema, is_trusted), lambda: read_schema(schema, place, is_trusted=is_trusted))

    def _search(self, pattern: str, place: str) -> Search:
        return _kept(self._patterns, pattern, lambda: read_pattern(pattern, place))


def _kept(ready: dict[K, V], key: K, make: Callable[[], V]) -> V:
    """What is ready, or is made so."""
    found = ready.pop(key, None) or make()
    ready[key] = found
    if len(ready) > MOST_COMPILED:
        del ready[next(iter(ready))]
    return found


# ---- text -----------------------------------------------------------------------------------------------------------


def _is_aside(answer: Answer) -> bool:
    """There is no text to check: a tool is to be called first."""
    return bool(answer.tool_calls) and not answer.text.strip()


def _parsed(text: str) -> tuple[object, str]:
    """What it is as JSON, and why it is none."""
    try:
        return msgspec.json.decode(text), ""
    except _NOT_JSON as error:
        return None, f"it is not JSON: {error}"


def _json(answer: Answer, call: Call) -> str:
    return "" if _is_aside(answer) else _parsed(answer.text)[1]


def _schema(fits: Fits, answer: Answer, call: Call) -> str:
    if _is_aside(answer):
        return ""
    value, wrong = _parsed(answer.text)
    if wrong:
        return wrong
    misfit = fits(value)
    return f"it does not fit the JSON Schema: {misfit}" if misfit else ""


def _regex(search: Callable[[str], bool], forbidden: bool, answer: Answer, call: Call) -> str:
    if _is_aside(answer) or search(answer.text) is not forbidden:
        return ""
    return "it has what the pattern forbids" if forbidden else "it does not match the pattern"


def _length(check: Check, answer: Answer, call: Call) -> str:
    size = len(answer.text)
    if _is_aside(answer):
        return ""
    if size < check.least_chars:
        return f"it has {size:,} characters and must have {check.least_chars:,}"
    if check.most_chars is not None and size > check.most_chars:
        return f"it has {size:,} characters and may have {check.most_chars:,}"
    return ""


def _language(wanted: str, answer: Answer, call: Call) -> str:
    found = None if _is_aside(answer) else language_of(answer.text)
    return "" if found in (None, wanted) else f"it is written in {found} and must be in {wanted}"


# ---- how it ended ---------------------------------------------------------------------------------------------------


def _truncation(answer: Answer, call: Call) -> str:
    if answer.finish == "length":
        return "it was cut off at the greatest length"
    return "" if answer.finish is not None else "it does not say that it is complete"


def _refusal(answer: Answer, call: Call) -> str:
    if answer.refusal or answer.finish == "content_filter":
        return "it is a refusal"
    text = answer.text.strip()
    says_no = not answer.tool_calls and len(text) <= LONGEST_REFUSAL and _REFUSAL.search(text[:REFUSAL_CHARS])
    return "it is a refusal" if says_no else ""


_PLAIN: Mapping[CheckKind, Examine] = {
    CheckKind.JSON: _json,
    CheckKind.TRUNCATION: _truncation,
    CheckKind.REFUSAL: _refusal,
}


# ---- tools ----------------------------------------------------------------------------------------------------------


def _tool_call(tool: str, misfit: Callable[[Tool, object], str], answer: Answer, call: Call) -> str:
    """The tool that must be called is; and what is called is there, with arguments that fit."""
    choice = call.tool_choice
    required = choice if choice is not None and choice.mode == "required" else None
    wanted = tool or (required.name if required is not None else None)
    called = [each.name for each in answer.tool_calls]
    if wanted and wanted not in called:
        return f"it does not call the tool {wanted}"
    if required is not None and not called:
        return "it calls no tool"
    tools = {each.name: each for each in call.tools}
    return next(filter(None, (_wrong_call(each, tools, misfit) for each in answer.tool_calls)), "")


def _wrong_call(called: ToolCall, tools: Mapping[str, Tool], misfit: Callable[[Tool, object], str]) -> str:
    if called.name not in tools:
        return f"it calls a tool {called.name[:64]!r}, which there is not"
    arguments, wrong = _parsed(called.arguments or "{}")
    wrong = wrong or misfit(tools[called.name], arguments)
    return f"the arguments of {called.name} are wrong: {wrong}" if wrong else ""
