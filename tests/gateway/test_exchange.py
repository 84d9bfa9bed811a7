"""The bytes of answers: what one write has, and how an answer's end is told."""

import asyncio

import pytest

from routewright.gateway.exchange import Exchange, Flow
from routewright.gateway.http import NO_WAIT, ClientLeft, respond


class Wire(asyncio.Transport):
    """A connection without a socket, which keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Answer:
    """An exchange with what came of it."""

    def __init__(self, method: str = "POST", version: str = "1.1", *, is_awaited: bool = False) -> None:
        self.wire = Wire()
        self.flow = Flow(self.wire)
        self.completed = 0
        self.exchange = Exchange(
            self.wire,
            self.flow,
            loop=asyncio.get_running_loop(),
            is_chunkable=version == "1.1",
            is_bodiless=method == "HEAD",
            keeps_alive=True,
            is_awaited=is_awaited,
            common=b"date: now\r\n",
            on_complete=self._complete,
        )

    def _complete(self) -> None:
        self.completed += 1

    async def start(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        await self.exchange.send({"status": status, "headers": list(headers)})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        await self.exchange.send(data if more else {"body": data})


async def test_head_and_body_are_one_write() -> None:
    answer = Answer()
    await answer.start((b"content-length", b"2"))
    await answer.body(b"ok")
    assert answer.wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok"]
    assert (answer.completed, answer.wire.is_closed) == (1, False)


async def test_a_whole_answer_tells_its_length_and_is_one_write() -> None:
    answer = Answer()
    await respond(answer.exchange.send, 200, [(b"x", b"y")], b"ok")
    assert answer.wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\nx: y\r\ncontent-length: 2\r\n\r\nok"]
    assert answer.completed == 1


async def test_a_stream_is_a_write_for_each_chunk() -> None:
    answer = Answer()
    await answer.start()
    await answer.body(b"one", more=True)
    await answer.body(b"two", more=True)
    await answer.body(b"")
    head = b"HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n"
    assert answer.wire.writes == [head + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]


async def test_a_client_of_http_1_0_gets_no_chunks_and_the_end_by_the_end_of_the_connection() -> None:
    answer = Answer(version="1.0")
    await answer.start()
    await answer.body(b"one", more=True)
    await answer.body(b"two")
    assert answer.wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\nconnection: close\r\n\r\none", b"two"]
    assert answer.wire.is_closed


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_what_has_no_body_has_none(method: str, status: int) -> None:
    answer = Answer(method)
    await answer.start((b"x", b"y"), status=status)
    await answer.body(b"not for HEAD")
    assert answer.wire.writes[0].endswith(b"x: y\r\n\r\n")
    assert answer.completed == 1


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"\0"])
async def test_a_header_with_a_line_break_goes_nowhere(value: bytes) -> None:
    answer = Answer()
    with pytest.raises(ValueError, match="control character"):
        await answer.start((b"x-routewright-reason", value))
    assert answer.wire.writes == []


@pytest.mark.parametrize("body", [b"short", b"much too long"])
async def test_an_answer_of_another_length_than_it_said_is_not_sent(body: bytes) -> None:
    answer = Answer()
    await answer.start((b"content-length", b"9"))
    with pytest.raises(ValueError, match="another length"):
        await answer.body(body)
    assert not answer.exchange.is_complete


async def test_whoever_writes_waits_for_a_client_that_does_not_read_unless_it_leaves() -> None:
    answer = Answer()
    await answer.start()
    answer.flow.pause_writing()
    writing = asyncio.ensure_future(answer.body(b"one", more=True))
    await asyncio.sleep(0)
    assert answer.wire.writes == []
    answer.exchange.leave()
    answer.flow.resume_writing()
    await writing
    assert answer.wire.writes == [], "nobody is there to read it"


async def test_a_body_comes_as_it_came_and_then_the_departure() -> None:
    answer = Answer(is_awaited=True)
    receiving = asyncio.ensure_future(answer.exchange.read())
    await asyncio.sleep(0)
    assert answer.wire.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    answer.exchange.add(b"on")
    answer.exchange.add(b"e")
    assert await receiving == b"one"
    answer.exchange.end()
    assert await answer.exchange.read() == b""
    left = list[str]()
    answer.exchange.watch(lambda: left.append("while it was watched"))
    answer.exchange.leave()
    answer.exchange.watch(lambda: left.append("before"))
    assert left == ["while it was watched", "before"]
    with pytest.raises(ClientLeft):
        await answer.exchange.read()


async def test_what_is_sent_at_once_is_written_before_it_is_awaited() -> None:
    answer = Answer()
    await answer.start()
    assert answer.exchange.send(b"one") is NO_WAIT
    assert answer.wire.writes[-1].endswith(b"3\r\none\r\n")
    await answer.body(b"two", more=True)
    assert answer.wire.writes[-1] == b"3\r\ntwo\r\n"


async def test_what_waits_for_room_is_written_when_there_is_some_and_may_be_dropped() -> None:
    answer = Answer()
    await answer.start()
    await answer.body(b"one", more=True)
    answer.flow.pause_writing()
    later = answer.exchange.send(b"two")
    dropped = answer.exchange.send(b"three")
    assert later is not NO_WAIT
    assert len(answer.wire.writes) == 1
    del dropped  # without a warning that it was never awaited
    answer.flow.resume_writing()
    await later
    assert answer.wire.writes[1:] == [b"3\r\ntwo\r\n"]
