"""What no dialect but the client's can say is refused by all of them, wherever it stands in the body; and what one says
in a place of its own is said by the others in theirs."""

from typing import Any

import msgspec
import pytest

from builders import attempt, call, deployment, model
from routewright.call import Options, OutputFormat
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.carrying import asks_for_nothing
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.wire import Downstream


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "gemini"])
def test_a_field_within_a_block_is_refused_like_any_other(upstream: str) -> None:
    block = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    cited = {**block, "citations": {"enabled": True}}
    for content, unsaid in (([block], None), ([cited], "document.citations")):
        said = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
        asked = AnthropicMessages().read(msgspec.json.encode(said), request_id="r", options=Options())
        assert UPSTREAMS[upstream].cannot_carry(asked) == unsaid


def test_only_known_fields_can_ask_for_nothing() -> None:
    asked = call(body={"presence_penalty": 0, "logit_bias": {"1": 5}, "odd": None})
    assert [asks_for_nothing(asked, name) for name in ("presence_penalty", "logit_bias", "odd", "absent")] == [
        True,
        False,
        False,
        False,
    ]


FORM = {"name": "city", "description": "Where the parcel goes", "schema": {"type": "object"}}
DESCRIBED = {"description": "Where the parcel goes", "type": "object"}


@pytest.mark.parametrize(
    ("client", "asked"),
    [
        (
            OpenAIChat(),
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "response_format": {"type": "json_schema", "json_schema": FORM},
            },
        ),
        (OpenAIResponses(), {"input": "Hi", "text": {"format": {"type": "json_schema", **FORM}}}),
    ],
)
@pytest.mark.parametrize(
    ("upstream", "place", "told"),
    [
        ("openai_chat", ("response_format", "json_schema"), FORM),
        ("openai_responses", ("text", "format"), {"type": "json_schema", **FORM}),
        ("anthropic_messages", ("output_config", "format", "schema"), DESCRIBED),
        ("gemini", ("generationConfig", "responseJsonSchema"), DESCRIBED),
    ],
)
def test_what_an_answer_is_for_is_told_to_every_provider(
    client: Downstream, asked: dict[str, Any], upstream: str, place: tuple[str, ...], told: dict[str, Any]
) -> None:
    body = msgspec.json.encode({"model": "auto", **asked})
    tried = attempt(
        client.read(body, request_id="r", options=Options()), model("any", deployment("any/one", dialect=upstream))
    )
    written = msgspec.json.decode(UPSTREAMS[upstream].write_request(tried).body)
    for name in place:
        written = written[name]
    assert written == told


def test_a_schema_that_describes_itself_keeps_its_words() -> None:
    own = {"type": "object", "description": "A city"}
    assert OutputFormat("json_schema", schema=own, description="Where the parcel goes").described_schema == own
    assert OutputFormat("json_schema", schema=own).described_schema is own
