"""What no dialect but the client's can say is refused by all of them, wherever it stands in the body."""

import msgspec
import pytest

from builders import call
from routewright.call import Options
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.carrying import asks_for_nothing
from routewright.dialects.known import UPSTREAMS


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
