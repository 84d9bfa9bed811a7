import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lobby import Lobby, lobby
from routewright.errors import DeadlineExceeded, IdempotencyMismatch, RequestInProgress
from routewright.gateway import idempotency
from routewright.gateway.http import IS_CUT, ClientLeft, Kept, Message, Request, Send
from routewright.gateway.idempotency import Answer, Answers, Idempotent

KEY = {"idempotency-key": "order-4711"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


def made(house: Lobby) -> int:
    """How many attempts went out."""
    return sum(house.runtime.engine.tally.attempts.values())


@pytest.mark.parametrize("stream", [False, True])
async def test_c14_the_same_request_again_gets_the_same_bytes_and_is_made_once(house: Lobby, stream: bool) -> None:
    first = await house.ask(headers=KEY, stream=stream)
    again = await house.ask(headers=KEY, stream=stream)
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert again.headers.pop("x-routewright-replayed") == "1"
    assert again.headers == first.headers
    assert made(house) == 1


async def test_callers_do_not_share_their_keys(house: Lobby) -> None:
    one, other = (house.key(name).text.reveal() for name in ("one", "other"))
    first = await house.ask(one, headers=KEY)
    second = await house.ask(other, headers=KEY, max_tokens=7)
    assert (first.status, second.status) == (200, 200)
    assert made(house) == 2


async def test_what_failed_can_be_tried_again(house: Lobby) -> None:
    refused = await house.ask(headers=KEY, model="no-such")
    assert refused.status == 404
    assert (await house.ask(headers=KEY, model="no-such")).status == 404
    assert (await house.ask(headers=KEY)).status == 200


@pytest.mark.parametrize("name", ["", "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_a_400(house: Lobby, name: str) -> None:
    refused = await house.ask(headers={"idempotency-key": name})
    assert (refused.status, refused.code) == (400, "invalid_request")


async def test_two_of_them_are_a_400(house: Lobby) -> None:
    raw = ((b"idempotency-key", b"a"), (b"idempotency-key", b"b"))
    assert (await house.call("POST", "/v1/chat/completions", {}, raw_headers=raw)).status == 400


async def test_an_answer_that_is_too_long_is_not_kept_and_not_made_twice(
    house: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_ANSWER_BYTES", 10)
    assert (await house.ask(headers=KEY)).status == 200
    refused = await house.ask(headers=KEY)
    assert (refused.status, refused.code) == (409, "request_in_progress")
    assert made(house) == 1


@pytest.mark.parametrize("end", ["left", "cut", "failed"])
async def test_what_broke_off_is_forgotten(house: Lobby, end: str) -> None:
    times = 0

    async def breaking(request: Request, send: Send) -> None:
        nonlocal times
        times += 1
        if end == "failed":
            raise DeadlineExceeded("too slow")
        await send({"status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send(b"data: {}\n\n")
        if end == "left":
            raise ClientLeft
        await send({"body": b"data: [DONE]\n\n", IS_CUT: True})

    async def send(message: Message) -> None:
        """Nobody looks."""

    handler = Idempotent(breaking, house.runtime.engine, house.clock)
    for _ in range(2):
        with contextlib.suppress(ClientLeft, DeadlineExceeded):
            await handler(Request("POST", "/", {b"idempotency-key": b"once"}, Kept(b"{}")), send)
    assert times == 2


def test_only_so_many_answers_are_kept_and_what_is_being_answered_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_ANSWERS", 3)
    answers = Answers()
    assert answers.begin(("", "running"), b"1", 0) is None
    for number in range(5):
        name = ("", str(number))
        assert answers.begin(name, b"1", number) is None
        answers.keep(name, Answer([], b"x"))
    with pytest.raises(RequestInProgress):
        answers.begin(("", "running"), b"1", 9)
    with pytest.raises(IdempotencyMismatch):
        answers.begin(("", "running"), b"2", 9)
    assert [answers.begin(("", str(number)), b"1", 9) is None for number in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_all_answers_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_BYTES", 10)
    answers = Answers()
    for name in (("", "a"), ("", "b"), ("", "c")):
        answers.begin(name, b"1", 0)
        answers.keep(name, Answer([], b"12345"))
    assert answers.begin(("", "a"), b"1", 0) is None
    assert answers.begin(("", "c"), b"1", 0) is not None
    assert answers._bytes == 10
