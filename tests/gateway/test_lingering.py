"""A gateway that was told to end goes on for its linger time, and closes its door without resetting who is in it."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from clients import PATIENCE_S, chat, house
from draining import READY

from routewright.gateway.lingering import LET_IN_S, let_in, take_no_more, waiting

LINGERS = "[server]\nlinger_seconds = 30\n"


async def test_requests_after_sigterm_are_answered_and_their_connections_end(tmp_path: Path) -> None:
    async with house(tmp_path, LINGERS) as opened:
        async with opened.wire() as kept:
            kept.write(READY)
            assert (await kept.one()).headers.get("connection") is None
            opened.server.handle_exit(signal.SIGTERM, None)
            await opened.until(lambda: opened.server._entrance.keeps_alive is False)
            kept.write(READY)
            heard = await kept.rest()
            assert (heard.statuses, heard.headers["connection"]) == ([503], "close")
        async with opened.wire() as new:
            new.write(chat("ok"))
            heard = await new.rest()
            assert (heard.statuses, heard.headers["connection"]) == ([200], "close")
        opened.server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(PATIENCE_S):
            await opened.serving


async def test_who_waits_at_a_terminal_waits_for_no_linger(tmp_path: Path) -> None:
    async with house(tmp_path, LINGERS) as opened:
        opened.server.handle_exit(signal.SIGINT, None)
        async with asyncio.timeout(PATIENCE_S):
            await opened.serving


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can refuse new connections alone")


@on_linux
async def test_nobody_is_left_outside_by_an_event_loop_that_is_late() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        assert waiting(listener) == 3
        closing = asyncio.create_task(let_in([listener]))
        await asyncio.sleep(2 * LET_IN_S)
        for left in (2, 1, 0):
            assert not closing.done()
            listener.accept()[0].close()
            assert waiting(listener) == left
        async with asyncio.timeout(PATIENCE_S):
            await closing


@on_linux
def test_a_closing_door_admits_who_has_knocked_and_later_refuses_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as early:
            take_no_more(listener)
            early.sendall(b"asked")
            met: list[int | None] = []
            late = threading.Thread(target=lambda: met.append(connecting(address)))
            late.start()
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(5) == b"asked"
            listener.settimeout(0.1)
            with pytest.raises(TimeoutError):
                listener.accept()
            assert met == []
            listener.close()
            late.join()
            assert met == [errno.ECONNREFUSED]


def connecting(address: tuple[str, int]) -> int | None:
    """The error number with which a connection fails, if it does."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        return error.errno
    return None
