"""Both sides of OpenAI's Responses: what it can say of others' calls, and where its requests go."""

import msgspec
import pytest
from msgspec.structs import replace

from builders import attempt, call, deployment, model
from routewright.call import CacheMark, Call, Document, Image, Message, Opaque, Options, Part, Text, Thinking, Tool
from routewright.dialects.known import DOWNSTREAMS, REWRITERS, UPSTREAMS
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.errors import ModelNotFound, ProviderOverloaded
from routewright.secret import Secret

DIALECT = OpenAIResponses()
CHAT = OpenAIChat()


def chat(**fields: object) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return CHAT.read(msgspec.json.encode(body), request_id="request-1", options=Options())


def responses(**fields: object) -> Call:
    body = msgspec.json.encode({"model": "auto", "input": "Hi", **fields})
    return DIALECT.read(body, request_id="request-1", options=Options())


def test_it_is_known_on_both_sides() -> None:
    for known in (UPSTREAMS, DOWNSTREAMS, REWRITERS):
        assert isinstance(known["openai_responses"], OpenAIResponses)


def test_a_request_goes_to_responses_with_the_key() -> None:
    place = deployment("acme/swift", dialect="openai_responses", key=Secret("s3cret"), base_url="https://a.example/v1/")
    request = DIALECT.write_request(attempt(call(stream=True), model("swift", place)))
    assert request.url == "https://a.example/v1/responses"
    assert (request.headers["authorization"], request.headers["accept"]) == ("Bearer s3cret", "text/event-stream")
    assert request.headers["x-attempt-id"] == "attempt-1"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (chat(n=2), "n"),
        (chat(stop="x"), "stop"),
        (chat(frequency_penalty=1), "frequency_penalty"),
        (chat(messages=[{"role": "user", "content": [{"type": "input_audio"}]}]), "messages[0] (input_audio)"),
        (chat(frequency_penalty=0, logit_bias={}, modalities=["text"], logprobs=True, top_logprobs=2, seed=7), None),
        (responses(tools=[{"type": "web_search"}], conversation="conv_1"), None),
    ],
)
def test_what_it_cannot_carry_is_named(asked: Call, field: str | None) -> None:
    assert DIALECT.cannot_carry(asked) == field


def test_hints_without_a_counterpart_are_told() -> None:
    assert DIALECT.dropped_fields(chat(seed=7, store=True, verbosity="low", prompt_cache_key="k")) == ("seed", "store")
    assert DIALECT.dropped_fields(responses(truncation="auto")) == ()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (responses(tools=[{"type": "web_search"}]), "tools"),
        (responses(conversation="conv_1"), "conversation"),
        (responses(input=[{"type": "item_reference", "id": "x"}]), "messages[0] (item_reference)"),
        (
            responses(input=[{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/b"}]}]),
            "messages[0] (document of this kind or in this place)",
        ),
        (responses(include=["message.output_text.logprobs"], truncation="auto", text={"verbosity": "low"}), None),
    ],
)
def test_what_a_chat_completion_cannot_carry_is_named(asked: Call, field: str | None) -> None:
    assert CHAT.cannot_carry(asked) == field


def test_what_a_chat_completion_leaves_out_is_told() -> None:
    asked = responses(truncation="auto", safety_identifier="s", text={"verbosity": "low"})
    assert CHAT.dropped_fields(asked) == ("verbosity", "truncation", "safety_identifier")


@pytest.mark.parametrize(
    ("part", "in_responses", "in_chat"),
    [
        (Thinking("Hm.", "s3al", "openai_responses"), (), ("thinking",)),
        (Thinking("Hm.", "s3al", "anthropic_messages"), ("thinking",), ("thinking",)),
        (Thinking("Hm."), ("thinking",), ("thinking",)),
        (CacheMark(), ("cache_control",), ("cache_control",)),
        (Text("Hm."), (), ()),
    ],
)
def test_parts_that_are_left_out_are_told(part: Part, in_responses: tuple[str, ...], in_chat: tuple[str, ...]) -> None:
    asked = call(messages=(Message("assistant", (part,)),))
    assert DIALECT.dropped_fields(asked) == in_responses
    assert CHAT.dropped_fields(asked) == in_chat
    assert DIALECT.cannot_carry(asked) is CHAT.cannot_carry(asked) is None


def test_thoughts_of_others_are_told_in_the_own_dialect_too() -> None:
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "s3al"}
    theirs = {**thought, "encrypted_content": "rw1.anthropic_messages.x"}
    assert DIALECT.dropped_fields(responses(input=[thought, {"role": "user", "content": "Hi"}])) == ()
    assert DIALECT.dropped_fields(responses(input=[theirs, {"role": "user", "content": "Hi"}])) == ("thinking",)


def test_a_mark_on_a_tool_is_told_too() -> None:
    asked = replace(call(), tools=(Tool("look", "", {}, cache_mark=CacheMark()),))
    assert DIALECT.dropped_fields(asked) == ("cache_control",)


def test_pictures_and_files_are_carried_and_what_is_opaque_is_not() -> None:
    parts = (Image("https://a.example/b.png"), Document("https://a.example/b.pdf"))
    assert DIALECT.cannot_carry(call(messages=(Message("user", parts),))) is None
    assert DIALECT.cannot_carry(call(messages=(Message("user", (Opaque("video"),)),))) == "messages[0] (video)"


def test_errors_have_openais_form() -> None:
    error = msgspec.json.decode(DIALECT.write_error(ModelNotFound("no such model", param="model"), "request-1"))[
        "error"
    ]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    refused = DIALECT.read_error(429, {"retry-after": "3"}, b'{"error":{"message":"slow down"}}', now_s=0)
    assert isinstance(refused, ProviderOverloaded)
    assert refused.retry_after_s == 3
