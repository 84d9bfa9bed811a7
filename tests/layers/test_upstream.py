import json

import pytest

from builders import attempt, call, deployment, model
from routewright.call import Attempt
from routewright.dialects.known import UPSTREAMS
from routewright.errors import (
    ConnectFailed,
    DeadlineExceeded,
    IdleTimeout,
    InvalidResponse,
    ProviderFailed,
    ProviderOverloaded,
    RoutewrightError,
    StreamCut,
)
from routewright.layers.upstream import Upstream
from routewright.reply import Answer, Event, Receipt, Reply
from routewright.testing import FakeClock, ScriptedResponse, ScriptedTransport


def chunk(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = json.dumps(
    {
        "model": "swift-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
).encode()
STREAMED = attempt(call(stream=True))


class Leaf:
    """The leaf over a scripted provider."""

    def __init__(self, *script: ScriptedResponse | RoutewrightError, max_reply_bytes: int = 10_000) -> None:
        self.clock = FakeClock()
        answers = list(script)
        self.transport = ScriptedTransport(lambda _: answers.pop(0))
        self.leaf = Upstream(
            self.transport,
            UPSTREAMS,
            self.clock,
            connect_timeout_s=3,
            idle_timeout_s=30,
            max_reply_bytes=max_reply_bytes,
        )

    def begin(self, request: Attempt) -> Reply:
        """Until the first event."""
        return self.clock.run(self.leaf(request))

    def read(self, request: Attempt) -> Answer:
        """To the end."""

        async def whole() -> Answer:
            reply = await self.leaf(request)
            reply.on_close(
                lambda closed: setattr(closed, "receipt", Receipt(cost_nanousd=0, is_estimated=False, attempts=()))
            )
            return await reply.read()

        return self.clock.run(whole())


def test_an_unstreamed_answer_is_one_event_with_its_body() -> None:
    house = Leaf(ScriptedResponse(200, [WHOLE[:30], WHOLE[30:]]))
    answer = house.read(attempt())
    assert (answer.text, answer.served_model, answer.usage.input) == ("Hello", "swift-1", 3)
    (sent,) = house.transport.requests
    assert sent.url == "https://acme.example/v1/chat/completions"
    assert sent.headers["x-attempt-id"] == "attempt-1"


def test_a_stream_has_begun_when_something_is_said_and_not_before() -> None:
    house = Leaf(
        ScriptedResponse(200, [chunk(role="assistant"), 2.0, chunk(content="Hel"), 1.0, chunk(content="lo"), END])
    )
    reply = house.begin(STREAMED)
    assert house.clock.monotonic() == pytest.approx(2)
    assert reply.text_bytes == 3


def test_an_error_after_a_mere_opening_line_can_still_go_elsewhere() -> None:
    house = Leaf(ScriptedResponse(200, [chunk(role="assistant"), b'data: {"error":{"message":"boom"}}\n\n']))
    with pytest.raises(ProviderFailed):
        house.begin(STREAMED)
    assert house.transport.responses[0].was_aborted


def test_an_error_status_is_the_dialects_error_with_the_pause_it_names() -> None:
    house = Leaf(ScriptedResponse(429, [b'{"error":{"message":"slow down"}}'], {"retry-after": "7"}))
    with pytest.raises(ProviderOverloaded) as overloaded:
        house.begin(attempt())
    assert overloaded.value.retry_after_s == 7


def test_what_the_transport_meets_passes_through() -> None:
    with pytest.raises(ConnectFailed):
        Leaf(ConnectFailed("refused")).begin(attempt())


def test_a_stream_that_falls_silent_is_given_up() -> None:
    house = Leaf(ScriptedResponse(200, [chunk(content="Hel"), 100.0, END]))
    with pytest.raises(IdleTimeout):
        house.read(STREAMED)
    assert house.clock.monotonic() == pytest.approx(30)
    assert house.transport.responses[0].was_aborted


def test_each_arrival_puts_the_idle_limit_of_a_relayed_stream_off() -> None:
    house = Leaf(
        ScriptedResponse(200, [chunk(content="Hel"), 20.0, chunk(content="lo"), 20.0, chunk(content="!"), 100.0, END])
    )
    reply = house.begin(STREAMED)
    taken: list[Event] = []

    def take(events: tuple[Event, ...]) -> bool:
        taken.extend(events)
        return True

    with pytest.raises(IdleTimeout):
        house.clock.run(reply.relay(take))
    assert house.clock.monotonic() == pytest.approx(70)
    assert "".join(event.text for event in taken) == "Hello!"
    assert reply.longest_pause_s == pytest.approx(30)


def test_the_deadline_holds_while_a_stream_comes() -> None:
    house = Leaf(ScriptedResponse(200, [chunk(content="Hel"), 20.0, chunk(content="lo"), END]))
    with pytest.raises(DeadlineExceeded):
        house.read(attempt(call(stream=True, deadline_at=5.0)))
    assert house.clock.monotonic() == pytest.approx(5)


def test_a_stream_without_its_end_is_cut() -> None:
    with pytest.raises(StreamCut):
        Leaf(ScriptedResponse(200, [chunk(content="Hel")])).read(STREAMED)


@pytest.mark.parametrize("body", [[], [b"<html>It works!</html>"], [WHOLE[:-5]]])
def test_what_is_not_an_answer_is_a_failure(body: list[bytes]) -> None:
    with pytest.raises(InvalidResponse):
        Leaf(ScriptedResponse(200, body)).begin(attempt())


def test_u19_an_endless_answer_is_stopped_at_the_bound() -> None:
    house = Leaf(ScriptedResponse(200, [chunk(content="x" * 500)] * 100), max_reply_bytes=5_000)
    with pytest.raises(InvalidResponse, match="more than 5,000 bytes"):
        house.read(STREAMED)
    assert house.transport.responses[0].was_aborted


def test_the_provider_decides_the_dialect() -> None:
    claude = model("claude", deployment("anthropic/claude", dialect="anthropic_messages", base_url="https://a.example"))
    said = b'{"type":"message","content":[{"type":"text","text":"Hi"}],'
    body = said + b'"stop_reason":"end_turn","usage":{"input_tokens":3}}'
    house = Leaf(ScriptedResponse(200, [body]))
    assert house.read(attempt(at=claude)).text == "Hi"
    assert house.transport.requests[0].url == "https://a.example/v1/messages"
