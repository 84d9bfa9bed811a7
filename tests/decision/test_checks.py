"""What each kind of check says of an answer."""

from typing import Any

import pytest
from msgspec.structs import replace

from builders import attempt, call, reply
from routewright.call import Call, OutputFormat, Tool, ToolCall, ToolChoice
from routewright.check import Check, CheckKind
from routewright.decision import checks
from routewright.decision.checks import Checker
from routewright.decision.schemas import read_schema
from routewright.reply import NOT_CHARGED, Answer, Draft

KIND = CheckKind
LOOKUP = Tool("lookup", "", {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}})


def answer(text: str = "", **changes: Any) -> Answer:
    return replace(Draft().answer(reply(attempt()), NOT_CHARGED), **{"text": text, "finish": "stop", **changes})


def said(check: Check, given: Answer, asked: Call | None = None) -> str | None:
    """What is wrong; None where nothing is checked."""
    examine = Checker().examine(check, asked or call(), "here")
    return None if examine is None else examine(given, asked or call())


def kind_of(kind: CheckKind, **parameters: Any) -> Check:
    return Check(name="it", kind=kind, **parameters)


@pytest.mark.parametrize(
    ("check", "good", "bad", "why"),
    [
        (kind_of(KIND.JSON), '{"a": 1}', '{"a": 1', "it is not JSON"),
        (kind_of(KIND.JSON_SCHEMA, schema='{"type": "array"}'), "[1]", "{}", 'at /: the value is not of type "array"'),
        (kind_of(KIND.JSON_SCHEMA, schema='{"type": "array"}'), "[1]", "no", "it is not JSON"),
        (kind_of(KIND.REGEX, pattern=r"\bOK\b"), "all OK", "no", "it does not match the pattern"),
        (kind_of(KIND.REGEX, pattern="password", forbidden=True), "ok", "the password", "what the pattern forbids"),
        (kind_of(KIND.LENGTH, least_chars=3), "abc", "ab", "it has 2 characters and must have 3"),
        (kind_of(KIND.LENGTH, most_chars=3), "abc", "abcd", "it has 4 characters and may have 3"),
        (kind_of(KIND.REFUSAL), "Sorry to hear that. Do this: …", "I'm sorry, but I can't do that.", "a refusal"),
        (kind_of(KIND.REFUSAL), "Gerne.", "Das kann ich leider nicht beantworten.", "a refusal"),
        (
            kind_of(KIND.LANGUAGE, language="de"),
            "Das ist ein Satz, der auf Deutsch ist, und er hat genug Wörter für die Probe.",
            "This is a sentence that is in English, and it has enough of the words for the test.",
            "it is written in en and must be in de",
        ),
    ],
)
def test_a_check_passes_the_good_and_says_what_is_wrong_with_the_bad(
    check: Check, good: str, bad: str, why: str
) -> None:
    assert said(check, answer(good)) == ""
    assert why in (said(check, answer(bad)) or "")


def test_a_reason_quotes_nothing_of_the_value() -> None:
    schema = kind_of(KIND.JSON_SCHEMA, schema='{"properties": {"a": {"type": "integer"}}}')
    assert "secret" not in (said(schema, answer('{"a": "secret"}')) or "")


@pytest.mark.parametrize(("finish", "is_ok"), [("stop", True), ("tool_calls", True), ("length", False), (None, False)])
def test_truncation_is_an_end_that_is_not_its_own(finish: str | None, is_ok: bool) -> None:
    assert (said(kind_of(KIND.TRUNCATION), answer("x", finish=finish)) == "") is is_ok


@pytest.mark.parametrize("changes", [{"refusal": "No."}, {"finish": "content_filter"}])
def test_a_refusal_that_the_provider_names_is_one(changes: dict[str, Any]) -> None:
    assert said(kind_of(KIND.REFUSAL), answer("", **changes)) == "it is a refusal"


def test_a_long_answer_that_is_sorry_is_no_refusal() -> None:
    assert said(kind_of(KIND.REFUSAL), answer("I'm sorry, that was late. " + "Here is what to do. " * 80)) == ""


@pytest.mark.parametrize("text", ["OK", "```python\nprint('the of and to in is that it for was')\n```", "1 2 3"])
def test_of_a_text_whose_language_cannot_be_told_nothing_is_said(text: str) -> None:
    assert said(kind_of(KIND.LANGUAGE, language="de"), answer(text)) == ""


@pytest.mark.parametrize("kind", [KIND.JSON, KIND.LENGTH, KIND.REFUSAL])
def test_an_answer_that_only_calls_a_tool_has_no_text_to_check(kind: CheckKind) -> None:
    calling = answer("", tool_calls=(ToolCall("1", "lookup", "{}"),))
    assert said(kind_of(kind, least_chars=10), calling) == ""


# ---- what the request says ------------------------------------------------------------------------------------------


def test_the_form_that_the_request_asks_for() -> None:
    check, wanted = kind_of(KIND.RESPONSE_FORMAT), OutputFormat(kind="json_schema", schema={"type": "array"})
    assert said(check, answer("anything")) is None
    assert said(check, answer("{"), call(output_format=OutputFormat(kind="json_object")))
    assert said(check, answer("{}"), call(output_format=wanted))
    assert said(check, answer("[]"), call(output_format=wanted)) == ""


@pytest.mark.parametrize(
    ("tool", "choice", "calls", "why"),
    [
        ("", None, [], ""),
        ("", ToolChoice("required"), [], "it calls no tool"),
        ("", ToolChoice("required", "lookup"), [("other", "{}")], "it does not call the tool lookup"),
        ("lookup", None, [], "it does not call the tool lookup"),
        ("", ToolChoice("required"), [("lookup", '{"id": 1}')], ""),
        ("", None, [("made_up", "{}")], "it calls a tool 'made_up', which there is not"),
        ("", None, [("lookup", "{")], "the arguments of lookup are wrong: it is not JSON"),
        ("", None, [("lookup", '{"id": "x"}')], "the arguments of lookup are wrong: at /id: the value is not of type"),
    ],
)
def test_the_tool_that_must_be_called_is_called_with_arguments_that_fit(
    tool: str, choice: ToolChoice | None, calls: list[tuple[str, str]], why: str
) -> None:
    asked = call(tools=(LOOKUP,), tool_choice=choice)
    given = answer("", tool_calls=tuple(ToolCall("1", name, arguments) for name, arguments in calls))
    found = said(kind_of(KIND.TOOL_CALL, tool=tool), given, asked)
    assert found is not None
    assert (why in found) if why else not found


def test_a_schema_is_compiled_once_and_the_bound_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(text: str, place: str, *, is_trusted: bool) -> Any:
        made.append(text)
        return read_schema(text, place, is_trusted=is_trusted)

    monkeypatch.setattr(checks, "read_schema", counted)
    monkeypatch.setattr(checks, "MOST_COMPILED", 2)
    checker = Checker()
    for text in ("{}", "{}", '{"a": 1}', '{"a": 2}', "{}"):
        checker.examine(kind_of(KIND.JSON_SCHEMA, schema=text), call(), "here")
    assert made == ["{}", '{"a": 1}', '{"a": 2}', "{}"]
