from typing import Any

import msgspec
import pytest

from routewright.call import Options, Priority
from routewright.errors import BadInput
from routewright.jobs.lines import (
    Asking,
    Malformed,
    Question,
    Template,
    call_of,
    digest_of,
    read_line,
    read_row,
    read_text,
)

BODY = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}


def line(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


def asked(entry: Question | Malformed) -> Question:
    assert isinstance(entry, Question), entry
    return entry


def test_a_request_in_openais_form_is_asked_as_it_is() -> None:
    data = line(custom_id="a", method="POST", url="/v1/chat/completions", body=BODY)
    assert read_line(data, 1, Asking()) == Question("a", "/v1/chat/completions", BODY)


def test_batches_never_stream() -> None:
    data = line(custom_id="a", url="/v1/chat/completions", body={**BODY, "stream": True, "stream_options": {}})
    assert asked(read_line(data, 1, Asking())).body == BODY


def test_responses_and_messages_keep_their_dialect() -> None:
    body = {"model": "auto", "input": "hi"}
    question = asked(read_line(line(custom_id="a", url="/v1/responses", body=body), 1, Asking()))
    call = call_of(question, request_id="r", options=Options(tags=("batch_1",)))
    assert (call.dialect, call.priority, call.tags) == ("openai_responses", Priority.BATCH, ("batch_1",))


def test_a_record_with_a_prompt_becomes_a_chat() -> None:
    question = asked(read_line(line(prompt="hi", max_tokens=5), 7, Asking(system="be terse", max_tokens=9)))
    assert question.custom_id == "item-7"
    assert question.body == {
        "model": "auto",
        "max_tokens": 5,
        "messages": [{"role": "system", "content": "be terse"}, {"role": "user", "content": "hi"}],
    }


def test_options_of_the_run_go_before_what_lines_say() -> None:
    asking = Asking(model="auto:cheap", schema={"title": "An answer", "type": "object"})
    body = asked(read_line(line(custom_id="a", body=BODY), 1, asking)).body
    assert body["model"] == "auto:cheap"
    assert body["response_format"]["json_schema"] == {"name": "An_answer", "schema": asking.schema}


def test_a_template_is_filled_in_with_columns() -> None:
    asking = Asking(template=Template("{{Document}} {name}: {code}{missing_is_empty}"))
    row = {"name": "f", "code": ["x"], "missing_is_empty": None, "custom_id": 5}
    question = asked(read_row(row, 1, asking))
    assert question.body["messages"] == [{"role": "user", "content": '{Document} f: ["x"]'}]
    assert question.custom_id == "5"


def test_a_line_of_text_is_the_prompt_or_the_templates_item() -> None:
    assert asked(read_text("hi", 1, Asking())).body["messages"][0]["content"] == "hi"
    asking = Asking(template=Template("Say {item}"))
    assert asked(read_text("hi", 1, asking)).body["messages"][0]["content"] == "Say hi"


@pytest.mark.parametrize("text", ["no field", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a"])
def test_a_template_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Template(text)


def test_an_address_that_is_not_served_is_wrong_with_the_whole_input() -> None:
    with pytest.raises(BadInput, match="line 3 is for '/v1/images'"):
        read_line(line(custom_id="a", url="/v1/images", body={}), 3, Asking())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "line 4 is not JSON"),
        (b"\xff", "line 4 is not JSON"),
        (b"[" * 5000, "line 4 is not JSON"),
        (b"[1]", "line 4 is no JSON object"),
        (line(custom_id="", body=BODY), "custom_id must be"),
        (line(custom_id="a" * 513, body=BODY), "custom_id must be"),
        (line(custom_id="a", method="GET", body=BODY), "method must be POST"),
        (line(custom_id="a", url="/v1/chat/completions"), "body must be an object"),
        (line(text="hi"), "has no prompt"),
        (line(prompt=""), "has no prompt"),
    ],
)
def test_what_is_wrong_with_one_line_is_told_with_its_number(data: bytes, reason: str) -> None:
    entry = read_line(data, 4, Asking())
    assert isinstance(entry, Malformed)
    assert reason in entry.reason


def test_a_record_without_a_field_of_the_template_is_malformed() -> None:
    entry = read_row({"a": 1}, 2, Asking(template=Template("{b}")))
    assert isinstance(entry, Malformed)
    assert "'b'" in entry.reason


def test_equal_questions_have_equal_digests_whatever_their_order_and_name() -> None:
    first = Question("a", "/v1/chat/completions", {"model": "m", "messages": []})
    second = Question("b", "/v1/chat/completions", {"messages": [], "model": "m"})
    other = Question("a", "/v1/chat/completions", {"messages": [], "model": "n"})
    assert digest_of(first) == digest_of(second) != digest_of(other)


def test_embeddings_are_asked_as_they_are_said() -> None:
    body = {"model": "embed", "input": ["a", "b"]}
    said = line(custom_id="x", url="/v1/embeddings", body=body)
    asking = Asking(max_tokens=5, schema={"type": "object"})
    entry = read_line(said, 1, asking)
    assert entry == Question("x", "/v1/embeddings", body), "neither a length nor a schema is a vector's"
    assert isinstance(entry, Question)
    call = call_of(entry, request_id="1", options=Options())
    assert (call.dialect, call.model, len(call.messages)) == ("openai_embeddings", "embed", 2)
    other = read_line(said, 1, Asking(model="other"))
    assert isinstance(other, Question)
    assert other.body["model"] == "other"
