import pytest

from builders import attempt, call, model, reply, route
from routewright.call import Routed
from routewright.gateway.headers import answer_headers
from routewright.gateway.http import Message, Request


async def nothing() -> Message:
    """No body is read here."""
    raise AssertionError


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), None),
        (("tidied 2 messages: -300 tokens", "capped 1 tool result: -50 tokens"),
         b"tidied 2 messages: -300 tokens; capped 1 tool result: -50 tokens"),
    ],
)  # fmt: skip
def test_what_was_done_to_the_input_is_told(steps: tuple[str, ...], told: bytes | None) -> None:
    routed = Routed(call(), route(model(), context=steps))
    headers = dict(answer_headers(Request("POST", "/", {}, nothing), reply(attempt(routed=routed))))
    assert headers.get(b"x-routewright-context") == told
