"""What the decision knows of a request: the words its author wrote, and its shape.

Words decide what kind of work is asked for, so the wrong words must not be read. A prompt is mostly *context*: system
prompt, tool results, earlier turns, and what the author pasted (code, logs, documents, mails). A request to translate
an article about distributed systems is not a request to design one. So everything is measured, and only the *task
text* is read: the last user turn without what was pasted into it, and of a long one only its start and its end, where
people put what they want.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from routewright.call import (
    Call,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from routewright.decision.census import (
    MOST_PLAIN_COMMAS,
    PASTED_START,
    WORD_MARKS,
    count_words,
    may_hold_pasted,
)
from routewright.decision.tokens import (
    ASCII_AND_CONTINUATIONS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REPLY_TOKENS,
    estimate_tokens,
)
from routewright.usage import NO_INPUT, InputParts

SCAN_CHARS = 8_192
"""Of longer text only this much from its start and from its end is searched for pasted context."""
EDGE_CHARS = 1_024
"""Of a longer turn only this much from its start and from its end is kept as `text`."""
TASK_CHARS = 2_048
"""Of a longer task only this much from its start and from its end is read."""
SHORT_TASK_WORDS = 5
"""A turn this short may be "yes, go on": then the user turn before it is kept too."""

_ASIDE, _ASIDE_END = "<system-reminder>", "</system-reminder>"
_MOST_TURNS_BACK = 8
_SHORTEST_DATA = 40


class Script(StrEnum):
    """How the task is written; decides which words are looked for."""

    LATIN = "latin"
    CYRILLIC = "cyrillic"
    ARABIC = "arabic"
    DEVANAGARI = "devanagari"
    HAN = "han"
    """Chinese and Japanese."""
    HANGUL = "hangul"


class Features(Struct, frozen=True, kw_only=True):
    """All that a classifier may look at. Sizes are in characters."""

    text: str = ""
    """The last user turn as it was written, pasted context included; with the turn before when it is very short. Of a
    long one its start and its end."""
    task: str
    """What the user wrote in the last turn, without what was pasted; of a long one its start and its end."""
    word_count: int
    earlier_task: str = ""
    """The same of the user turn before, when the last one is too short to stand alone."""
    task_chars: int
    """What the user wrote in the last turn, without what was pasted."""
    has_code: bool
    """Code was pasted into the last user turn."""
    has_data: bool
    """JSON, logs, tables or documents were."""

    system_chars: int
    history_chars: int
    """Everything said before the last user turn."""
    user_chars: int
    """The last user turn, with what was pasted."""
    tool_result_chars: int
    tool_definition_chars: int
    turns: int
    """Messages by users."""
    images: int
    opaque_parts: int

    output_format: OutputFormat
    tools: int
    only_tool: str | None
    """The name of the tool, when there is exactly one."""
    forced_tool: str | None
    """The name of the tool that must be used; `*` when any must."""
    is_agent_step: bool
    """The last message brings what a tool gave back."""
    reasoning_effort: str | None
    max_output_tokens: int | None
    choices: int
    is_streamed: bool
    input_tokens: int
    """Pre-flight estimate."""
    input_parts: InputParts = NO_INPUT
    """What that consists of."""

    # What is in the task is found anew each time: not every classifier looks.

    @property
    def script(self) -> Script:
        """What most of the task is written in."""
        return _script_of(self.task)

    @property
    def question_marks(self) -> int:
        """In the task."""
        return self.task.count("?") + self.task.count("？") + self.task.count("؟")

    @property
    def list_items(self) -> int:
        """Lines of the task that start like a list's."""
        return len(_LIST_ITEM.findall(self.task)) if "\n" in self.task else 0

    @property
    def formulas(self) -> int:
        """Marks of mathematical notation in the task."""
        return _count_formulas(self.task)

    @property
    def words(self) -> tuple[str, ...]:
        """Of the task, in order, lower-case, without punctuation."""
        return _words_of(self.task)

    @property
    def earlier_words(self) -> tuple[str, ...]:
        """The same of the earlier task."""
        return _words_of(self.earlier_task)


def extract(call: Call) -> Features:
    """Look at a call once and take down what a decision may depend on."""
    walk = _Walk(call.messages)
    definitions = msgspec.json.encode(call.tools) if call.tools else b""
    schema = b"" if call.output_format.schema is None else msgspec.json.encode(call.output_format.schema)
    turns = walk.turns
    last_chars = len(turns[-1]) if turns else 0
    task, earlier = _read_turns(turns)
    described = estimate_tokens(definitions.decode()) if definitions else 0
    if schema:
        described += estimate_tokens(schema.decode())
    parts = walk.parts(described)
    return Features(
        text=_read_text(turns, has_earlier=bool(earlier.words)),
        task=task.text,
        word_count=task.words,
        earlier_task=earlier.text if earlier.words else "",
        task_chars=task.chars,
        has_code=task.has_code,
        has_data=task.has_data,
        system_chars=walk.system_chars,
        history_chars=walk.said_chars - last_chars,
        user_chars=last_chars,
        tool_result_chars=walk.tool_result_chars,
        tool_definition_chars=len(definitions),
        turns=len(turns),
        images=walk.images,
        opaque_parts=walk.opaque_parts,
        output_format=call.output_format,
        tools=len(call.tools),
        only_tool=call.tools[0].name if len(call.tools) == 1 else None,
        forced_tool=_forced_tool(call.tool_choice),
        is_agent_step=walk.ends_with_tool_result,
        reasoning_effort=call.reasoning_effort,
        max_output_tokens=call.max_output_tokens,
        choices=call.choices,
        is_streamed=call.stream,
        input_tokens=parts.total,
        input_parts=parts,
    )


def extract_text(text: str) -> Features:
    """The same of a text alone: the only turn of a request that asks for nothing else."""
    message = Message("user", (Text(text),))
    return extract(Call(id="", dialect="", model="auto", messages=(message,), body={}))


def typed(texts: Sequence[str]) -> str:
    """Of the texts of a user's message those that the user typed.

    Claude Code adds some of its own, each in a part by itself, also to messages that only bring what tools gave back.
    """
    if len(texts) == 1 and not texts[0].startswith(_ASIDE):  # as most do
        return texts[0]
    said = [text for text in texts if not (text.startswith(_ASIDE) and text.rstrip().endswith(_ASIDE_END))]
    return said[0] if len(said) == 1 else "\n".join(said)


def _forced_tool(choice: ToolChoice | None) -> str | None:
    return (choice.name or "*") if choice is not None and choice.mode == "required" else None


class _Walk:
    """One walk over the messages: what they hold, how much of it, and what the user wrote in each turn."""

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.system_chars = self.said_chars = self.tool_result_chars = self.images = self.opaque_parts = 0
        self.tokens = REPLY_TOKENS + MESSAGE_TOKENS * len(messages)
        self.turns: list[str] = []
        self.ends_with_tool_result = False
        self._system_tokens = self._user_tokens = self._result_tokens = 0
        for message in messages:
            self._visit(message)

    def parts(self, tools: int) -> InputParts:
        """The tokens by what they are spent on, beside `tools` for definitions."""
        system, user = self._system_tokens, self._user_tokens + REPLY_TOKENS
        return InputParts(system, self.tokens - system - user, tools, user)

    def _visit(self, message: Message) -> None:
        role, parts = message.role, message.parts
        self.ends_with_tool_result = role == "tool"
        before, results_before = self.tokens, self._result_tokens
        if len(parts) == 1 and type(only := parts[0]) is Text:  # as most are
            text = only.text
            texts = [text]
        else:
            texts = self._visit_parts(parts)
            text = texts[0] if len(texts) == 1 else "\n".join(texts)
        if text:
            self.tokens += estimate_tokens(text)
        said = self.tokens - before
        if role == "system":
            self.system_chars += len(text)
            self._system_tokens += MESSAGE_TOKENS + said
        elif role == "tool":
            self.tool_result_chars += len(text)
        else:
            self.said_chars += len(text)
            if role == "user":
                self._take_turn(texts, text, said - (self._result_tokens - results_before))

    def _take_turn(self, texts: Sequence[str], text: str, tokens: int) -> None:
        """What only hands over results of tools is not the user's; "ok" is, though estimated at no token."""
        if tokens or text:
            self._user_tokens = MESSAGE_TOKENS + tokens
        if text and (said := typed(texts)):
            self.turns.append(said)

    def _visit_parts(self, parts: Sequence[Part]) -> list[str]:
        """The texts among several parts."""
        texts: list[str] = []
        for part in parts:
            if isinstance(part, Text):
                texts.append(part.text)
            else:
                self._visit_other(part)
        return texts

    def _visit_other(self, part: Part) -> None:
        match part:
            case ToolResult(text=text, images=images):
                self.ends_with_tool_result = True
                self.images += len(images)
                self.tokens += IMAGE_TOKENS * len(images)
                self.tool_result_chars += len(text)
                tokens = estimate_tokens(text)
                self.tokens += tokens
                self._result_tokens += tokens
            case ToolCall(name=name, arguments=arguments):
                self.said_chars += len(arguments)
                self.tokens += MESSAGE_TOKENS + estimate_tokens(name) + estimate_tokens(arguments)
            case Image():
                self.images += 1
                self.tokens += IMAGE_TOKENS
            case Thinking(text=text):
                self.tokens += estimate_tokens(text)
            case Document() | Opaque():
                self.opaque_parts += 1
                self.tokens += IMAGE_TOKENS


# ---- the task text ----------------------------------------------------------------------------------------------

_FENCE = "```"
_DATA_FENCES = ("json", "csv", "tsv", "xml", "yaml", "toml", "log", "text", "txt", "\n{", "\n[")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_QUOTATIONS = {
    '"': re.compile(r"\"[^\"\n]{24,}\""),
    "“": re.compile(r"“[^”\n]{24,}”"),
    "«": re.compile(r"«[^»\n]{24,}»"),
    "„": re.compile(r"„[^“”\n]{24,}[“”]"),
    "「": re.compile(r"「[^」\n]{12,}」"),
}
"""By the mark that opens each."""
_OPENING_TAG = re.compile(r"<([A-Za-z][\w.:-]*)(?:\s[^<>]*)?>")
_ASKING_TAGS = frozenset(
    ("task", "instruction", "instructions", "question", "query", "request", "prompt", "user_query", "user_request")
)
_MOST_LINES = 400
_MOST_FENCES = 32
_MOST_BLOCKS = 64
_CODE_LINE = re.compile(
    r"(?:def|class|import|from|const|let|var|return|func|fn|public|private|static|async|if|for|while|@|#include)\b"
)
_LOG_LINE = re.compile(
    r"\[?(?:\d{2,4}[-/:.]\d\d|(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)\b[ :\]])"
    r"|Traceback |Caused by: |  File \"|\s+at [\w.$<>]+\("
)
_PASTED_START = re.compile(PASTED_START.pattern.decode())
"""The same of a text that is not ASCII, whose digits may be of any script."""
_DATA_STARTS = ">{}]|"
_LOG_STARTS = string.digits + "[TDIWEFC "
_NESTED_ITEM = re.compile(r"\s+(?:[-*•]|\d{1,2}[.)]) ")
_LIST_ITEM = re.compile(r"\n\s*(?:[-*•]|\d{1,2}[.)]) ")

_WORD_BYTES = bytes(
    mark if mark == 0x20 else byte for byte, mark in zip(bytes(range(256)).lower(), WORD_MARKS, strict=True)
)
"""For `bytes.translate`: ASCII punctuation to blanks, capitals to small letters, everything else as it is."""
_TYPOGRAPHIC = "“”„’«»…–—¿¡।،؟。、，！？：「」（）" + "".join(
    mark for mark in map(chr, range(0x80, 0x3001)) if mark.isspace()
)
"""What stands between words, beside ASCII."""


class _Task(Struct, frozen=True):
    """What a turn asks for, once what was pasted is taken out."""

    text: str
    """Bounded."""
    words: int
    """How many."""
    chars: int
    """Unbounded."""
    has_code: bool = False
    has_data: bool = False


_NO_TASK = _Task("", 0, 0)


def _read_turns(turns: list[str]) -> tuple[_Task, _Task]:
    """The task of the last turn that has words of its own, and that of the one before when it is very short."""
    pasted = _NO_TASK
    for at in range(len(turns) - 1, max(len(turns) - 1 - _MOST_TURNS_BACK, -1), -1):
        task = _read_task(turns[at])
        if task.words:
            task = _with_pasted(task, pasted)
            is_short = task.words <= SHORT_TASK_WORDS and at > 0
            return task, _read_task(turns[at - 1]) if is_short else _NO_TASK
        pasted = _with_pasted(task, pasted)
    if not turns:
        return pasted, _NO_TASK
    text = _bounded(turns[-1], TASK_CHARS)  # all of it looks pasted: better to read that than nothing
    return _Task(text, _count_words(text), len(turns[-1]), pasted.has_code, pasted.has_data), _NO_TASK


def _read_text(turns: list[str], *, has_earlier: bool) -> str:
    if not turns:
        return ""
    text = _bounded(turns[-1], EDGE_CHARS)
    return f"{_bounded(turns[-2], EDGE_CHARS)}\n{text}" if has_earlier and len(turns) > 1 else text


def _with_pasted(task: _Task, later: _Task) -> _Task:
    """A turn that only pastes belongs to the request before it."""
    has_code, has_data = task.has_code or later.has_code, task.has_data or later.has_data
    if has_code == task.has_code and has_data == task.has_data:
        return task
    return _Task(task.text, task.words, task.chars, has_code, has_data)


def _read_task(turn: str) -> _Task:
    text, has_code, has_data = turn, False, False
    if len(text) > 2 * SCAN_CHARS:
        text = f"{text[:SCAN_CHARS]}\n{text[-SCAN_CHARS:]}"
    unread = len(turn) - len(text)
    if "`" in text:
        text, has_code, has_data = _without_fences(text)
        text = _INLINE_CODE.sub(" ", text)
    if "<" in text:
        text, found = _without_blocks(text)
        has_data |= found
    if "{" in text and ('{"' in text or "[{" in text):  # one character is found ten times as fast as two
        text, found = _without_json(text)
        has_data |= found
    chars = len(text) + unread
    text = _bounded(text, 2 * TASK_CHARS)
    if "\n" in text and _may_hold_pasted_lines(text):
        text, code_found, data_found = _without_pasted_lines(text)
        has_code |= code_found
        has_data |= data_found
    for mark in filter(text.__contains__, _QUOTATIONS):
        text = _QUOTATIONS[mark].sub(" ", text)
    text = _bounded(text, TASK_CHARS)
    return _Task(text, _count_words(text), chars, has_code, has_data)


def _bounded(text: str, limit: int) -> str:
    return text if len(text) <= 2 * limit else f"{text[:limit]}\n{text[-limit:]}"


def _without_fences(text: str) -> tuple[str, bool, bool]:
    pieces = text.split(_FENCE, _MOST_FENCES)
    fenced = pieces[1::2]
    data = sum(piece.startswith(_DATA_FENCES) for piece in fenced)
    return " ".join(pieces[0::2]), data < len(fenced), data > 0


def _without_blocks(text: str) -> tuple[str, bool]:
    """Take out `<name>…</name>`, but leave what stands in a block that is named like a request."""
    kept: list[str] = []
    unclosed: set[str] = set()
    position = 0
    is_found = False
    for _ in range(_MOST_BLOCKS):
        tag = _OPENING_TAG.search(text, position)
        if tag is None:
            break
        kept.append(text[position : tag.start()])
        position, name = tag.end(), tag[1]
        if name in unclosed or name.lower() in _ASKING_TAGS:
            continue
        end = text.find(f"</{name}>", position)
        if end < 0:
            unclosed.add(name)
        else:
            position = end + len(name) + 3
            is_found = True
    kept.append(text[position:])
    return "\n".join(kept), is_found


def _without_json(text: str) -> tuple[str, bool]:
    starts = [start for start in (text.find('{"'), text.find("[{")) if start >= 0]
    start, end = min(starts), max(text.rfind("}"), text.rfind("]")) + 1
    if end - start < _SHORTEST_DATA:
        return text, False
    return f"{text[:start]}\n{text[end:]}", True


def _may_hold_pasted_lines(text: str) -> bool:
    if text[0] in _DATA_STARTS or may_hold_pasted(text.encode(errors="surrogatepass")):
        return True
    return not text.isascii() and _PASTED_START.search(text) is not None


def _without_pasted_lines(text: str) -> tuple[str, bool, bool]:
    left: list[str] = []
    has_code = has_data = False
    for line in text.split("\n", _MOST_LINES):
        if not line:
            left.append(line)
        elif _is_data(line):
            has_data = True
        elif (line[-1] in ";{}:)>," or line[0] in " \t") and _is_code(line):
            has_code = True
        else:
            left.append(line)
    return "\n".join(left), has_code, has_data


def _is_data(line: str) -> bool:
    """Quoted mail, JSON, a row of a table, a line of a log."""
    first = line[0]
    if first in _DATA_STARTS:
        return True
    if first in _LOG_STARTS and _LOG_LINE.match(line):
        return True
    if "," in line and ", " not in line and line.count(",") > MOST_PLAIN_COMMAS:
        return True
    return "\t" in line and line.count("\t") > 1


def _is_code(line: str) -> bool:
    if line[-1] in ";{}":
        return True
    if line[0] == "\t" or line[:4] == "    ":
        return _NESTED_ITEM.match(line) is None
    return _CODE_LINE.match(line) is not None


def _words_of(text: str) -> tuple[str, ...]:
    if not text.isascii():
        text = _spaced(text.lower().replace("i\u0307", "i"))  # Turkish İ, lower-case
    return tuple(text.encode(errors="surrogatepass").translate(_WORD_BYTES).decode(errors="surrogatepass").split())


def _count_words(text: str) -> int:
    if not text.isascii():
        text = _spaced(text)
    return count_words(text.encode(errors="surrogatepass"))


def _spaced(text: str) -> str:
    """Blanks for all that is not ASCII and in no word."""
    for mark in _TYPOGRAPHIC:
        text = text.replace(mark, " ")
    return unicodedata.normalize("NFC", text)


# ---- what kind of text it is --------------------------------------------------------------------------------------

_LEAD_BYTES = (
    (Script.CYRILLIC, bytes(range(0xD0, 0xD4))),
    (Script.ARABIC, bytes(range(0xD8, 0xDC))),
    (Script.DEVANAGARI, b"\xe0"),
    (Script.HAN, bytes(range(0xE3, 0xEA))),
    (Script.HANGUL, bytes(range(0xEA, 0xEE))),
)
_LATEX = ("\\frac", "\\sum", "\\int", "\\sqrt", "\\le", "\\ge", "\\cdot", "\\in", "\\mathbb", "\\[", "\\(")
_MATHEMATICAL = "∑∫√∀∃∈∂∇∞≤≥≠≡⇒⊂∪∩"
_INLINE_FORMULA = re.compile(r"\$[^$\s](?:[^$\n]{0,80}[^$\s])?\$")


def _script_of(text: str) -> Script:
    """The script that most of the text is in; a foreign word or name does not make it another."""
    if text.isascii():
        return Script.LATIN
    data = text.encode(errors="surrogatepass").translate(None, ASCII_AND_CONTINUATIONS)
    sizes = [(len(data) - len(data.translate(None, leads)), script) for script, leads in _LEAD_BYTES]
    most, script = max(sizes)
    return script if most * 6 >= len(text) else Script.LATIN


def _count_formulas(text: str) -> int:
    found = text.count("^") if "^" in text else 0
    if "$" in text:
        found += len(_INLINE_FORMULA.findall(text))
    if "\\" in text:
        found += sum(map(text.count, _LATEX))
    if not text.isascii():
        found += sum(text.count(mark) for mark in _MATHEMATICAL if mark in text)  # few are there, which is soon known
    return found
