"""What a client's own dialect brings is passed on byte for byte, but for the usage, which is told with its cost."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest
from msgspec.structs import replace

from matrix.desk import Desk
from matrix.faces import chat, messages, responses
from matrix.meaning import Said
from matrix.provider import Play
from matrix.scenarios import ASK, PARIS, THOUGHTS, TOKYO
from routewright.dialects.known import DOWNSTREAMS

SAID = Said(
    thoughts=THOUGHTS, pieces=("Grüß ", "👩‍🚀"), uses=(PARIS, TOKYO), finish="tools", logprobs=(("Grüß ", -0.5),)
)
BODIES = {
    "openai_chat": ("/v1/chat/completions", chat.body_of(ASK)),
    "openai_responses": ("/v1/responses", responses.body_of(ASK)),
    "anthropic_messages": ("/v1/messages", messages.body_of(ASK)),
}
EVERYWHERE = pytest.mark.parametrize("dialect", sorted(DOWNSTREAMS))


def asked(desk: Desk, dialect: str, **more: Any) -> bytes:
    desk.provider.plays.clear()
    desk.provider.plays.append(Play(said=replace(SAID, thoughts=THOUGHTS if dialect != "openai_chat" else ())))
    path, body = BODIES[dialect]
    connection = HTTPConnection(desk.url.removeprefix("http://"))
    connection.request("POST", path, json.dumps({**body, "model": dialect, **more}))
    answer = connection.getresponse().read()
    connection.close()
    return answer


def frames(stream: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in stream.split(b"\n\n")[:-1]]


def bare(frame: bytes) -> Any:
    """What a frame says, without the cost."""
    said = json.loads(frame.partition(b"data: ")[2])
    assert (said.get("response") or said)["usage"].pop("cost") > 0
    return said


@EVERYWHERE
def test_a_whole_answer_is_the_providers_bytes(desk: Desk, dialect: str) -> None:
    assert asked(desk, dialect) == desk.provider.sent[-1]


def test_a_stream_of_anthropics_is_the_providers_bytes(desk: Desk) -> None:
    assert asked(desk, "anthropic_messages", stream=True) == desk.provider.sent[-1]


def test_a_stream_of_responses_is_all_the_same_but_for_the_cost_at_its_end(desk: Desk) -> None:
    *got, last = frames(asked(desk, "openai_responses", stream=True))
    *sent, ended = frames(desk.provider.sent[-1])
    assert got == sent
    assert bare(last) == json.loads(ended.partition(b"data: ")[2])


def test_a_stream_of_chunks_is_all_the_same_but_for_the_usage(desk: Desk) -> None:
    unasked = frames(asked(desk, "openai_chat", stream=True))
    *sent, usage, done = frames(desk.provider.sent[-1])
    assert unasked == [*sent, done]
    *got, told, end = frames(asked(desk, "openai_chat", stream=True, stream_options={"include_usage": True}))
    assert [*got, end] == [*sent, done]
    assert bare(told) == json.loads(usage.partition(b"data: ")[2])
