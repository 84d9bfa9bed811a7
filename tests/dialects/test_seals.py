"""A seal finds its way back to the dialect that made it, through the hands of a client of another."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, call, deployment, model
from builders import reply as built_reply
from routewright.call import Options
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.responses_answer import response_in
from routewright.dialects.seals import unwrapped, wrapped
from routewright.reply import Event, Receipt

DIALECTS = st.sampled_from(["openai_responses", "anthropic_messages", "gemini"])


@given(st.text(), DIALECTS, DIALECTS)
def test_a_wrapped_seal_comes_back_as_it_was_with_its_maker(seal: str, maker: str, client: str) -> None:
    assert unwrapped(wrapped(seal, maker), client) == (seal, maker)


def test_a_seal_that_was_never_wrapped_is_the_clients_own() -> None:
    assert unwrapped("gAAAAABo.x", "openai_responses") == ("gAAAAABo.x", "openai_responses")
    assert wrapped("s3al.x", "anthropic_messages") == "rw1.anthropic_messages.s3al.x"


def test_what_one_provider_thought_goes_back_to_it_word_for_word_and_to_no_other() -> None:
    claude = model("claude", deployment("a/claude-opus-4-7", dialect="anthropic_messages"))
    gpt = model("gpt", deployment("o/gpt-5.5", dialect="openai_responses"))
    client = OpenAIResponses()
    reply = built_reply(attempt(call(dialect=client.name), claude))
    writer = client.writer(reply, 0)
    sent = writer.write((Event(reasoning="Hm. "), Event(reasoning="Ah."), Event(seal="s1gnature"), Event(text="Hi")))
    reply.receipt = Receipt(cost_nanousd=1, is_estimated=False, attempts=())
    output = msgspec.json.decode(response_in(sent + writer.end(reply)))["output"]
    body = {"model": "auto", "input": [{"role": "user", "content": "Hi"}, *output, {"role": "user", "content": "So?"}]}
    asked = client.read(msgspec.json.encode(body), request_id="request-1", options=Options())

    back = msgspec.json.decode(UPSTREAMS["anthropic_messages"].write_request(attempt(asked, claude)).body)
    assert back["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm. Ah.", "signature": "s1gnature"}
    away = UPSTREAMS["openai_responses"].write_request(attempt(asked, gpt)).body
    assert b"s1gnature" not in away
    assert b"Hm. Ah." not in away
    assert b"Hi" in away
