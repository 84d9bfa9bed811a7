"""What every client must be able to do with every provider: the rows of the matrix.

A row is a wish and an answer, or a play of several requests; and what of it cannot be carried where, by name.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from matrix.desk import PROVIDERS, Case
from matrix.faces.face import Heard
from matrix.meaning import (
    File,
    Function,
    Given,
    Line,
    Outcome,
    Picture,
    Said,
    Spent,
    Thought,
    Use,
    Wish,
    Words,
)
from matrix.provider import Play

HI = Words("user", "Good morning")
ASK = Wish(lines=(HI,))
PNG = Picture("data:image/png;base64,iVBORw0KGgo=")
PDF = File("data:application/pdf;base64,JVBERi0xLjQ=")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER, TIME = Function("get_weather", CITY), Function("get_time", CITY)
PARIS = Use("call_1", "get_weather", {"city": "Paris", "note": "“naïve” 👩‍🚀\n"})
TOKYO = Use("call_2", "get_time", {"city": "東京"})
THOUGHTS = (Thought("Paris comes first.", "c2VhbCBvbmU="), Thought("Then Tokyo.", "c2VhbCB0d28="))

CARRIED, ABSENT = "✓", "–"


class Scenario(Struct, frozen=True, kw_only=True):
    """A row."""

    title: str
    wish: Wish = ASK
    said: Said = Said(pieces=("Good", " morning"))
    plays: Callable[[Case], None] | None = None
    """More than one question and one answer."""
    needs: frozenset[str] = frozenset()
    """What a face may lack a word for."""
    refused: Mapping[str, Mapping[str, str]] = {}
    """Provider's dialect → client's → the field that is named."""
    dropped: Mapping[str, str] = {}
    """Provider's dialect → what is left out, and said so."""

    def expected(self, face: str, upstream: str, lacks: frozenset[str]) -> str:
        """The cell: carried, absent from the client's dialect, or what is refused or left out."""
        if self.needs & lacks:
            return ABSENT
        if field := self.refused.get(upstream, {}).get(face):
            return f"refused: `{field}`"
        is_own = face == upstream
        return f"without `{self.dropped[upstream]}`" if upstream in self.dropped and not is_own else CARRIED

    def run(self, case: Case) -> None:
        """Play it. Raises AssertionError when it is not as expected."""
        if self.needs & case.face.lacks:
            return
        if field := self.refused.get(case.upstream, {}).get(case.face.name):
            _is_refused(case, self, field)
        elif self.plays is not None:
            self.plays(case)
        else:
            _is_carried(case, self)


# ---- one question, one answer ---------------------------------------------------------------------------------------


def _is_carried(case: Case, row: Scenario) -> None:
    for slice_bytes in (0, 1) if case.stream and not row.said.text.isascii() else (0,):
        heard = case.ask(row.wish, Play(said=row.said, slice_bytes=slice_bytes))
        expected = "" if case.upstream == case.face.name else row.dropped.get(case.upstream, "")
        assert heard.headers.get("x-routewright-dropped", "") == expected
        understands(case, row.wish if not expected else replace(row.wish, is_marked=False))
        hears(case, heard, row.said)


def _is_refused(case: Case, row: Scenario, field: str) -> None:
    """By name and before anything is sent; where its client allows it, it is left out, and that is told."""
    error = case.refusal(row.wish, "BadRequestError")
    assert f"{field!r} cannot be carried to {case.upstream}" in str(error)
    case.check_books(error.response.headers["x-routewright-request-id"], outcome="no_eligible_model")
    heard = case.ask(row.wish, headers={"x-routewright-drop": field})
    assert field in heard.headers["x-routewright-dropped"].split(", ")
    assert heard.said.text == "Good morning"
    plain = Wish(lines=row.wish.lines)
    without = {name: getattr(plain, name) for name in ("has_hosted_tool", "is_parallel", "stop", "wants_logprobs")}
    understands(case, replace(row.wish, **without))


def understands(case: Case, wish: Wish) -> None:
    """The provider has understood exactly this."""
    assert case.asked.wish == wish


def hears(case: Case, heard: Heard, said: Said) -> None:
    """The client has heard exactly this, as far as both sides have words for it."""
    told = heard.said
    if said.finish == "refusal":
        assert told.finish == "refusal"
        if case.upstream != "gemini":
            assert said.refusal in (told.refusal, told.text)
    else:
        assert (told.text, told.finish, told.refusal) == (said.text, said.finish, said.refusal)
    assert _thought(told.thoughts) == _thought(said.thoughts)
    if case.speaker.has_seals:
        assert all(thought.seal for thought in told.thoughts)
    assert told.uses == said.uses
    assert told.logprobs == said.logprobs
    assert told.spent == said.spent
    if case.upstream == case.face.name == "anthropic_messages":
        assert told.stopped_by == said.stopped_by


def _thought(thoughts: tuple[Thought, ...]) -> str:
    return "".join(thought.text for thought in thoughts)


# ---- plays ----------------------------------------------------------------------------------------------------------


def tool_results(case: Case) -> None:
    """The calls that were heard go back with their results, which the provider can tell apart."""
    _with_results(case, lambda use: Outcome(use.id, f"it is fine in {use.arguments['city']}"))


def tool_pictures(case: Case) -> None:
    """A result with a picture, which is shown beside it where the dialect has none within."""
    outcome = Outcome("", "a picture", pictures=(PNG,))
    _with_results(case, lambda use: replace(outcome, id=use.id), uses=(PARIS,))


def tool_errors(case: Case) -> None:
    """A tool that failed."""
    _with_results(case, lambda use: Outcome(use.id, "no such city", is_error=True))


def _with_results(case: Case, outcome: Callable[[Use], Outcome], uses: tuple[Use, ...] = (PARIS, TOKYO)) -> None:
    wish = Wish(lines=(HI,), functions=(WEATHER, TIME))
    heard = case.ask(wish, Play(said=Said(uses=uses, finish="tools")))
    outcomes = tuple(map(outcome, heard.said.uses))
    case.ask(replace(wish, lines=(HI, Given(heard.native), *outcomes)))
    assert _flat(case.asked.wish.lines) == _flat((HI, *uses, *outcomes))


def _flat(lines: tuple[Line, ...]) -> list[Line]:
    """Pictures of results as if they stood beside them."""
    flat: list[Line] = []
    for line in lines:
        if isinstance(line, Outcome):
            flat += [replace(line, pictures=()), *line.pictures]
        else:
            flat.append(line)
    return flat


def thinking_twice(case: Case) -> None:
    """Thoughts with their seals go back to whoever thought them, in the next turn."""
    wish = Wish(lines=(HI,), functions=(WEATHER,), effort="high")
    said = Said(thoughts=THOUGHTS, uses=(PARIS,), finish="tools")
    heard = case.ask(wish, Play(said=said))
    understands(case, wish)
    hears(case, heard, said)
    outcome = Outcome(PARIS.id, "rain")
    again = case.ask(replace(wish, lines=(HI, Given(heard.native), outcome)))
    thoughts = THOUGHTS if case.speaker.has_seals else ()
    assert case.asked.wish.lines == (HI, *thoughts, PARIS, outcome)
    assert again.said.text == "Good morning"


def moving(case: Case) -> None:
    """A conversation goes to every other provider and back: calls have their results, and each its own seals."""
    stations = [case.upstream, *(name for name in PROVIDERS if name != case.upstream), case.upstream]
    lines: tuple[Line, ...] = (HI,)
    for number, station in enumerate(stations):
        use = replace(PARIS, id=f"call_{number}")
        seal = f"{station} {number}"
        said = Said(thoughts=(Thought("Hm.", seal),), pieces=("One moment.",), uses=(use,), finish="tools")
        wish = Wish(lines=lines, functions=(WEATHER,))
        heard = case.ask(wish, Play(said=said), model=station)
        lines = (*lines, Given(heard.native), Outcome(heard.said.uses[0].id, f"answer {number}"))
    case.ask(Wish(lines=lines, functions=(WEATHER,)))
    understood = case.asked.wish.lines
    uses = [line.id for line in understood if isinstance(line, Use)]
    outcomes = [line.id for line in understood if isinstance(line, Outcome)]
    assert len(set(uses)) == len(stations)
    assert uses == outcomes
    seals = [line.seal for line in understood if isinstance(line, Thought)]
    last = len(stations) - 1
    assert seals == ([f"{case.upstream} 0", f"{case.upstream} {last}"] if case.speaker.has_seals else [])


def cut(case: Case) -> None:
    """An answer that breaks off is an error, whatever came before it."""
    said = Said(pieces=tuple(f"word{number} " for number in range(50)))
    play = Play(said=said, is_cut=True)
    error = case.refusal(ASK, "cut" if case.stream else "InternalServerError", play, model=case.failing("cut"))
    assert "broke off" in str(error)


def limited(case: Case) -> None:
    """429: another model answers."""
    _falls_back(case, "limited", 429)


def broken(case: Case) -> None:
    """500: another model answers."""
    _falls_back(case, "broken", 500)


def _falls_back(case: Case, fault: str, status: int) -> None:
    heard = case.ask(ASK, Play(status=status), Play(), model=case.failing(fault))
    assert heard.said.text == "Good morning"
    assert (heard.headers["x-routewright-model"], heard.headers["x-routewright-attempts"]) == (case.upstream, "2")


def nobody_answers(case: Case) -> None:
    """Nobody is left: the SDK has its class for it."""
    error = case.refusal(ASK, "RateLimitError", Play(status=429), model=case.failing("alone"))
    case.check_books(error.response.headers["x-routewright-request-id"], outcome=code_of(error))


def out_of_budget(case: Case) -> None:
    """Money is 402, before anything is sent."""
    error = case.refusal(ASK, "402", headers={"x-routewright-tags": "broke"})
    assert (error.status_code, code_of(error)) == (402, "budget_exceeded")
    case.check_books(error.response.headers["x-routewright-request-id"], outcome="budget_exceeded")


def too_long(case: Case) -> None:
    """No window is large enough."""
    wish = Wish(lines=(Words("user", "many words " * 100),), max_tokens=10)
    error = case.refusal(wish, "BadRequestError", model=f"tiny-{case.upstream}")
    assert code_of(error) == "context_too_long"


def unlogged(case: Case) -> None:
    """Where prompts may be kept, this one is not."""
    for no_log in ("0", "1"):
        words = f"words {uuid4().hex}"
        wish = Wish(lines=(Words("system", words), HI))
        case.ask(wish, headers={"x-routewright-no-log": no_log})
        kept = case.desk.rows("SELECT 1 FROM requests WHERE system_preview LIKE ?", f"%{words}%")
        assert bool(kept) == (no_log == "0")


def repeated(case: Case) -> None:
    """A request that is sent again under its key is made once."""
    headers = {"Idempotency-Key": uuid4().hex}
    first = case.ask(ASK, headers=headers)
    seen = len(case.desk.provider.asked)
    second = case.face.ask(ASK, model=case.upstream, stream=case.stream, headers=headers)
    assert len(case.desk.provider.asked) == seen
    assert second.headers["x-routewright-replayed"] == "1"
    assert second.said == first.said


def strange_event(case: Case) -> None:
    """An event of a kind that is new to everybody disturbs nothing."""
    said = Said(pieces=("Good", " morning"))
    hears(case, case.ask(ASK, Play(said=said, is_strange=True)), said)


def in_session(case: Case) -> None:
    """What belongs together stays where it is warm."""
    headers = {"x-session-id": uuid4().hex}
    wish = Wish(lines=(Words("system", "long " * 3_000), HI))
    places = set()
    for _ in range(4):
        case.ask(
            wish,
            Play(said=Said(pieces=("Hi",), spent=Spent(fresh=10, cached=2_000))),
            model=f"two-{case.upstream}",
            headers=headers,
        )
        places.add(case.asked.target)
    assert len(places) == 1


def code_of(error: Any) -> str:
    """What an error says for machines."""
    body = error.body
    return str(body.get("error", body)["code"])


# ---- the rows -------------------------------------------------------------------------------------------------------

CHAT, ITEMS, CLAUDE, GEMINI = "openai_chat", "openai_responses", "anthropic_messages", "gemini"

SCENARIOS = (
    Scenario(title="plain text"),
    Scenario(title="system prompt", wish=Wish(lines=(Words("system", "Be brief."), HI))),
    Scenario(
        title="several turns",
        wish=Wish(lines=(HI, Words("assistant", "Hello."), Words("user", "And now?"))),
    ),
    Scenario(title="emoji and 東京, cut anywhere", said=Said(pieces=("👩‍🚀 “naï", "ve” 東", "京 𝄞"))),
    Scenario(title="picture", wish=Wish(lines=(Words("user", "What is it?"), PNG))),
    Scenario(title="document", wish=Wish(lines=(Words("user", "Read this."), PDF)), dropped={GEMINI: "filename"}),
    Scenario(
        title="one tool, its arguments in pieces",
        wish=Wish(lines=(HI,), functions=(WEATHER,)),
        said=Said(uses=(PARIS,), finish="tools"),
    ),
    Scenario(
        title="words and parallel tools",
        wish=Wish(lines=(HI,), functions=(WEATHER, TIME)),
        said=Said(pieces=("Let me ", "see."), uses=(PARIS, TOKYO), finish="tools"),
    ),
    Scenario(
        title="one tool at a time",
        wish=Wish(lines=(HI,), functions=(WEATHER,), is_parallel=False),
        refused={GEMINI: dict.fromkeys((CHAT, ITEMS, CLAUDE), "parallel_tool_calls")},
    ),
    Scenario(
        title="tool that must be used",
        wish=Wish(lines=(HI,), functions=(WEATHER,), choice="required"),
        said=Said(uses=(PARIS,), finish="tools"),
    ),
    Scenario(
        title="tool by its name",
        wish=Wish(lines=(HI,), functions=(WEATHER, TIME), choice="get_weather"),
        said=Said(uses=(PARIS,), finish="tools"),
    ),
    Scenario(title="no tool", wish=Wish(lines=(HI,), functions=(WEATHER,), choice="none")),
    Scenario(
        title="hosted or custom tool beside a function",
        wish=Wish(lines=(HI,), functions=(WEATHER,), has_hosted_tool=True),
        refused={
            upstream: {face: "tools" for face in (CHAT, ITEMS, CLAUDE) if face != upstream}
            for upstream in (CHAT, ITEMS, CLAUDE, GEMINI)
        },
    ),
    Scenario(title="tool results", plays=tool_results),
    Scenario(title="tool results with pictures", plays=tool_pictures),
    Scenario(title="tool that failed", plays=tool_errors, needs=frozenset({"error"})),
    Scenario(title="JSON schema", wish=Wish(lines=(HI,), schema=CITY), said=Said(pieces=('{"city":', '"Paris"}'))),
    Scenario(title="effort, and sealed thoughts through two turns", plays=thinking_twice),
    Scenario(title="to every other provider and back", plays=moving),
    Scenario(
        title="stop sequence",
        wish=Wish(lines=(HI,), stop="END"),
        said=Said(pieces=("Good",), stopped_by="END"),
        needs=frozenset({"stop"}),
        refused={ITEMS: {CHAT: "stop", CLAUDE: "stop_sequences"}},
    ),
    Scenario(
        title="as long as allowed",
        wish=Wish(lines=(HI,), max_tokens=20),
        said=Said(pieces=("Good", " morn"), finish="length"),
    ),
    Scenario(title="refusal", said=Said(refusal="I cannot help with that.", finish="refusal")),
    Scenario(title="cached tokens", said=Said(pieces=("Hi",), spent=Spent(fresh=30, cached=1_000, output=7))),
    Scenario(
        title="log-probabilities",
        wish=Wish(lines=(HI,), wants_logprobs=True),
        said=Said(pieces=("Good morning",), logprobs=(("Good", -0.25), (" morning", -1.5))),
        needs=frozenset({"wants_logprobs"}),
        refused={CLAUDE: {CHAT: "logprobs", ITEMS: "include"}},
    ),
    Scenario(
        title="marks for the prompt cache",
        wish=Wish(lines=(Words("system", "Be brief."), HI), is_marked=True),
        needs=frozenset({"is_marked"}),
        dropped=dict.fromkeys((CHAT, ITEMS, GEMINI), "cache_control"),
    ),
    Scenario(title="session header", plays=in_session),
    Scenario(title="idempotency key", plays=repeated),
    Scenario(title="no log", plays=unlogged),
    Scenario(title="event of an unknown kind", plays=strange_event),
    Scenario(title="answer that breaks off", plays=cut),
    Scenario(title="429: another model answers", plays=limited),
    Scenario(title="500: another model answers", plays=broken),
    Scenario(title="429, and nobody else", plays=nobody_answers),
    Scenario(title="budget exceeded", plays=out_of_budget),
    Scenario(title="prompt too long", plays=too_long),
)
