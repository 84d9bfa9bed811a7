import asyncio
import socket
import threading
from typing import Any

import pytest

from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed
from routewright.names import FRESH_S, USED_S, Names
from routewright.testing import FakeClock
from routewright.transport import HttpTransport


class Resolver:
    """In place of the system's: `answers` maps a host to its address, or to what becomes of asking."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, str | Exception] = {"here": "10.0.0.1"}
        self.asked: list[str] = []
        self.let_go = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self._ask)

    def _ask(self, host: str, _: object, *, type: int) -> list[Any]:  # noqa: A002 its name
        self.asked.append(host)
        if host == "late":
            self.let_go.wait(10)
        answer = self.answers.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, type, 6, "", (answer, 0))] * 2


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


async def test_a_name_is_looked_up_once_however_many_ask(resolver: Resolver) -> None:
    names = Names()
    assert names.known("here") is None
    assert await asyncio.gather(*(names.find("here") for _ in range(50))) == [("10.0.0.1",)] * 50
    assert names.known("here") == ("10.0.0.1",)
    assert resolver.asked == ["here"]


@pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_AGAIN, "try again"), UnicodeError("label too long")])
async def test_a_name_that_is_not_found_is_an_error_and_may_be_asked_for_again(
    resolver: Resolver, failure: Exception
) -> None:
    names, resolver.answers["gone"] = Names(), failure
    with pytest.raises(OSError, match=r"again|long"):
        await names.find("gone")
    resolver.answers["gone"] = "10.0.0.2"
    assert await names.find("gone") == ("10.0.0.2",)


async def test_who_gives_up_leaves_the_lookup_to_the_others(resolver: Resolver) -> None:
    names, resolver.answers["late"] = Names(), "10.0.0.3"
    impatient, patient = asyncio.ensure_future(names.find("late")), asyncio.ensure_future(names.find("late"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await names.find("here") == ("10.0.0.1",), "nor does anybody wait for it who asks for another name"
    resolver.let_go.set()
    assert await patient == ("10.0.0.3",)


def test_old_addresses_are_used_while_new_ones_are_looked_for_and_not_for_ever(resolver: Resolver) -> None:
    clock = FakeClock()

    async def story() -> None:
        names = Names()
        await names.find("here")
        clock.advance(FRESH_S + 1)
        del resolver.answers["here"]
        for _ in range(3):
            assert names.known("here") == ("10.0.0.1",), "the name server is down: that is not noticed"
            await asyncio.sleep(0)
        assert resolver.asked == ["here", "here"], "nor asked more often for that"
        clock.advance(USED_S - FRESH_S)
        assert names.known("here") is None

    clock.run(story())


async def test_a_newer_address_is_used_once_it_is_found(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.names.FRESH_S", -1.0)
    names = Names()
    await names.find("here")
    resolver.answers["here"] = "10.0.0.9"
    async with asyncio.timeout(5):
        while names.known("here") != ("10.0.0.9",):  # noqa: ASYNC110 nobody waits for it
            await asyncio.sleep(0.001)


# ---- as a part of connecting


def asked_of(host: str, port: int = 1) -> WireRequest:
    return WireRequest(url=f"http://{host}:{port}/", headers={}, body=b"{}")


async def test_u02_a_name_that_is_late_takes_no_longer_than_connecting_may(resolver: Resolver) -> None:
    transport = HttpTransport()
    with pytest.raises(ConnectFailed, match=r"late: its name was not found within 0\.05 s"):
        await transport.send(asked_of("late"), connect_timeout_s=0.05)
    with pytest.raises(ConnectFailed, match="gone: Name or service not known"):
        await transport.send(asked_of("gone"), connect_timeout_s=5)
    resolver.let_go.set()
    await transport.close()


async def test_u02_what_was_found_is_where_we_connect(resolver: Resolver) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    resolver.answers["there.example"] = "127.0.0.1"
    transport, server = HttpTransport(), await asyncio.start_server(hello, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("there.example", "127.0.0.1"):
            response = await transport.send(asked_of(host, port), connect_timeout_s=5)
            assert response.status == 200
            assert await response.next() == b""
    assert resolver.asked == ["there.example"], "an address is none to look up"
    await transport.close()


async def test_behind_a_proxy_names_are_not_ours_to_look_up(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    transport = HttpTransport()
    with pytest.raises(ConnectFailed):
        await transport.send(asked_of("here"), connect_timeout_s=5)
    assert resolver.asked == []
    await transport.close()


async def test_a_transport_that_ends_during_a_lookup_connects_to_nobody(resolver: Resolver) -> None:
    transport, resolver.answers["late"] = HttpTransport(), "127.0.0.1"
    asked = asyncio.ensure_future(transport.send(asked_of("late"), connect_timeout_s=5))
    await asyncio.sleep(0)
    await transport.close()
    resolver.let_go.set()
    with pytest.raises(ConnectFailed, match="we ended"):
        await asked
