"""How a session goes, as far as the conversation itself shows it: evidence that its next turn is harder, or easier,
than its words say.

Read are the agent's steps (a tool call and what it gave back) since the user last asked for something new. What failed
and did not succeed since, the same error or the same edit again, and a user who says that it still does not work raise
the weight; a long stretch of reading and editing in which nothing fails lowers it. A weight is in steps: from
`STEP_UP` on, the next tier up is taken; down to `STEP_DOWN`, the next one down. Where models are chosen by how good
each will be, the weight moves their success instead (`weighed`). The weights were set by hand.
"""

import re
from collections import Counter
from collections.abc import Sequence
from enum import Enum, auto
from math import exp

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Message, Text, ToolCall, ToolResult
from routewright.catalog.registry import Tier
from routewright.decision.expectation import Forecast
from routewright.decision.features import typed
from routewright.route import Sign

MOST_MESSAGES = 40
"""So many last messages are looked at."""
RESULT_CHARS = 200
"""Of what a tool gave back so much of the start, and twice as much of the end, where programs say how it went."""
TURN_CHARS = 400
GO_ON_WORDS = 3
"""A turn this short ("go on", "yes, do it") asks for nothing new."""
ROUTINE_STEPS = 6
LONG_ROUTINE_STEPS = 12

STEP_UP, TWO_STEPS_UP, STEP_DOWN = 1.0, 2.5, -1.0
LOG_ODDS_PER_STEP = 0.5
"""By how much the odds of a good answer fall for each step of weight."""

_LADDER = (Tier.BULK, Tier.STANDARD, Tier.COMPLEX)
"""Without `structured`, which is another kind of work and not a harder one; from there it goes up to the top."""


def read_progress(messages: Sequence[Message]) -> tuple[Sign, ...]:
    """The signs in a conversation, each with its weight; none when there is nothing to tell."""
    start, complaints = _look_back(messages)
    steps = _Steps()
    for message in messages[start:]:
        for part in message.parts:
            if isinstance(part, ToolCall):
                steps.begin(part)
            elif isinstance(part, ToolResult):
                steps.end(part)
    return steps.signs(complaints)


def weight_of(signs: Sequence[Sign]) -> float:
    """All of them together; above zero for harder."""
    return sum(sign.weight for sign in signs)


def stepped(tier: Tier, weight: float) -> Tier:
    """The tier of the next turn, by the one that its words ask for."""
    if tier is Tier.STRUCTURED:
        return Tier.COMPLEX if weight >= STEP_UP else tier
    steps = 2 if weight >= TWO_STEPS_UP else 1 if weight >= STEP_UP else -1 if weight <= STEP_DOWN else 0
    return _LADDER[min(max(_LADDER.index(tier) + steps, 0), len(_LADDER) - 1)]


def weighed(forecast: Forecast, weight: float) -> Forecast:
    """What to expect of each model when the work is so much harder than it seemed."""
    factor = exp(-weight * LOG_ODDS_PER_STEP)
    return replace(forecast, success=[_with_odds(success, factor) for success in forecast.success])


def _with_odds(success: float, factor: float) -> float:
    return success * factor / (1 - success + success * factor)


# ---- where it began -------------------------------------------------------------------------------------------------

STILL_BROKEN = re.compile(
    r"\b(?:still|again)\b.{0,40}\b(?:fail|not|n't|broken|error|wrong|crash|bug|same)"
    r"|\b(?:does|did|is)(?:n't| not) (?:work|fix|help|compile|pass)|\bsame (?:error|problem|issue|bug)\b|\bnot fixed\b"
    r"|(?:immer noch|weiterhin|wieder).{0,30}(?:nicht|fehler|kaputt)|(?:funktioniert|geht|klappt) (?:\w+ ){0,2}nicht"
    r"|(?:marche|fonctionne) (?:toujours |encore )?pas|toujours (?:la même|une) erreur"
    r"|sigue (?:sin|fallando|dando)|no funciona|mismo error|(?:não|nao) (?:funciona|funcionou)|mesmo erro"
    r"|non funziona|stesso errore"
    r"|не работает|не помогло|та же ошибка|(?:всё|все) (?:ещё|еще)"
    r"|(?:还是|仍然|依然).{0,8}(?:不|错|失败|报)|没有?(?:修好|解决)"
    r"|まだ.{0,8}(?:動|直|エラー|失敗)|動(?:かない|きません)|여전히|아직도? 안",
    re.IGNORECASE,
)
"""How people say that it still does not work."""
_COMPLAINING = (
    "still", "again", "t work", "t fix", "t help", "t compile", "t pass", "same ", "immer noch", "weiterhin", "wieder",
    "nicht", " pas", "toujours", "sigue", "funcion", "mismo", "mesmo", "funziona", "stesso", "не работает",
    "не помогло", "та же", "ещё", "еще", "还是", "仍然", "依然", "没", "まだ", "動", "여전히", "아직",
    "ı", "ſ", "\u0307",
)  # fmt: skip
"""Of which one is in what the pattern finds, and which are found in a fiftieth of the time; the last three are other
forms of letters in them."""


def _look_back(messages: Sequence[Message]) -> tuple[int, int]:
    """Where the steps of what is worked at now begin, and how many turns say that it still does not work."""
    complaints, first = 0, max(0, len(messages) - MOST_MESSAGES)
    for at in range(len(messages) - 1, first - 1, -1):
        text = _turn(messages[at])
        if not text or len(text.split(None, GO_ON_WORDS)) <= GO_ON_WORDS:
            continue
        if not (complains(text) and any(message.role == "assistant" for message in messages[:at])):
            return at, complaints
        complaints += 1
    return first, complaints


def complains(text: str) -> bool:
    """Whether it says that something still does not work."""
    return any(map(text.lower().__contains__, _COMPLAINING)) and STILL_BROKEN.search(text) is not None


def _turn(message: Message) -> str:
    """The start of what the user typed; empty for what only hands over results, or what a program put there."""
    if message.role != "user" or any(isinstance(part, ToolResult) for part in message.parts):
        return ""
    return typed([part.text for part in message.parts if isinstance(part, Text)])[:TURN_CHARS]


# ---- the steps ------------------------------------------------------------------------------------------------------


class _Kind(Enum):
    RUN = auto()
    READ = auto()
    EDIT = auto()


_RUNS = re.compile(r"bash|shell|exec|run|command|terminal|test", re.IGNORECASE)
_READS = re.compile(r"read|view|grep|glob|search|find|list|fetch|open|^get|^ls$|^cat$", re.IGNORECASE)
_PLACE = re.compile(r'"(?:file_path|path|file|filename|notebook_path)"\s*:\s*"([^"]*)"')
_CHANGE_FOLDER = re.compile(r"\bcd \S+\s*(?:&&|;)")
_PROGRAM = re.compile(r"(?<![\w./-])(?:[\w.-]*/)*([A-Za-z_][\w.+-]*)")
_NOT_PROGRAMS = frozenset(
    ("command", "cmd", "script", "bash", "sh", "zsh", "-lc", "lc", "c", "sudo", "env", "timeout", "time", "input")
)

_FAILING_LINE = re.compile(
    r"(?:E {2,}(?=\S)|[\w.]*(?:Error|Exception): |(?:error|fatal|panic)(?:\[\w+\])?: )(?P<told>.*)"
    r"|[\w.]*(?:Error|Exception)\b|Traceback \(most|npm ERR!|FAIL(?:ED)?\b|--- FAIL"
)
_FAILING_WORDS = ("command not found", "No such file or directory", "Permission denied", "Segmentation fault")
_EXIT = re.compile(r"\b[Ee]xit(?:ed with)? (?:code|status):? ?[1-9]")
_COUNT = re.compile(r"\b[1-9]\d* (?:failed|errors?)\b")
_REFUSED = re.compile(r"\s*(?:<tool_use_error>|[Ee]rror\b|[Ff]ailed\b|fatal:)")
_VARIES = re.compile(r"0x[0-9a-f]+|\d+")


class _Call(Struct, frozen=True):
    """A tool call as far as it matters how it went."""

    kind: _Kind
    subject: str
    """What has to succeed for an earlier failure to be over: the program, or the tool and its file."""


class _Steps:
    """What went wrong and is not mended yet, and for how long nothing went wrong."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._open: dict[str, list[str]] = {}
        """Errors of each subject since it last succeeded."""
        self._edits: Counter[str] = Counter()
        self._routine = 0

    def begin(self, call: ToolCall) -> None:
        """A tool is called."""
        begun = self._calls[call.id] = _seen(call)
        if begun.kind is _Kind.EDIT:
            self._edits[f"{call.name} {call.arguments}"] += 1

    def end(self, result: ToolResult) -> None:
        """It gave something back. Of a call before the first that is looked at, nothing is known."""
        call = self._calls.get(result.call_id)
        if call is None:
            return
        error = _error(result, call.kind)
        if error:
            self._open.setdefault(call.subject, []).append(error)
            self._routine = 0
        elif self._open.pop(call.subject, None):
            self._edits.clear()  # what was tried led somewhere
        elif call.kind is not _Kind.RUN:
            self._routine += 1

    def signs(self, complaints: int) -> tuple[Sign, ...]:
        """What all of it tells."""
        errors = Counter(error for errors in self._open.values() for error in errors)
        failures = errors.total()
        same_errors, same_edits = failures - len(errors), self._edits.total() - len(self._edits)
        signs = []
        if failures > 1:
            signs.append(Sign(f"{failures} tool results failed", min((failures - 1) / 2, 1.5)))
        if same_errors:
            signs.append(Sign(f"the same error {same_errors + 1} times", min(same_errors / 2, 1.0)))
        if same_edits:
            signs.append(Sign(f"the same edit {same_edits + 1} times", min(float(same_edits), 1.5)))
        if complaints:
            signs.append(Sign("the user says that it still does not work", min((1 + complaints) / 2, 1.5)))
        if not signs and not failures and self._routine >= ROUTINE_STEPS:
            weight = -1.0 if self._routine >= LONG_ROUTINE_STEPS else -0.5
            signs.append(Sign(f"{self._routine} steps of routine", weight))
        return tuple(signs)


def _seen(call: ToolCall) -> _Call:
    start = call.arguments[:RESULT_CHARS]
    if _RUNS.search(call.name):
        words = _PROGRAM.findall(_CHANGE_FOLDER.sub("", start))
        return _Call(_Kind.RUN, next((word for word in words if word not in _NOT_PROGRAMS), call.name))
    place = _PLACE.search(start)
    kind = _Kind.READ if _READS.search(call.name) else _Kind.EDIT
    return _Call(kind, f"{call.name} {place[1] if place else start}")


def _error(result: ToolResult, kind: _Kind) -> str:
    """What an error has in common with its like; empty for none.

    What was read may be full of other people's errors, so only what programs printed is searched for them.
    """
    text = result.text
    if len(text) > 3 * RESULT_CHARS:
        text = f"{text[:RESULT_CHARS]}\n{text[-2 * RESULT_CHARS :]}"
    refused = (text.strip() or "?") if result.is_error or _REFUSED.match(text) else ""
    error = (_failure(text) if kind is _Kind.RUN else "") or refused
    return _VARIES.sub("0", error.partition("\n")[0])


def _failure(text: str) -> str:
    """How a program says that it failed: the last line that tells of an error, else the first that shows one.

    Line by line, and the rest by plain words first: a pattern tried at every character would cost ten times as much.
    """
    told = shown = ""
    for line in text.split("\n"):
        if match := _FAILING_LINE.match(line):
            told = match["told"] or told
            shown = shown or line
    if told or shown:
        return told or shown
    found = (_EXIT.search(text) if "xit" in text else None) or (
        _COUNT.search(text) if " failed" in text or " error" in text else None
    )
    return found[0] if found else next(filter(text.__contains__, _FAILING_WORDS), "")
