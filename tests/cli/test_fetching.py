"""Documents are fetched over https only, in bounds, and what goes wrong is an error that names the address."""

from pathlib import Path

import pytest

from routewright.cli.failures import BadPrices
from routewright.cli.fetching import fetch, read_source
from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed
from routewright.http1.pulled import Pulled


class Answer(Pulled):
    """A response with a status and a body in pieces."""

    def __init__(self, *pieces: bytes, status: int = 200) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.was_aborted = False
        self._pieces = list(pieces)

    async def next(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def abort(self) -> None:
        self.was_aborted = True


class Web:
    """A transport that answers what it is told, and keeps what it was asked."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.requests: list[WireRequest] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> Answer:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("url", ["https://acme.example/prices.json", "http://127.0.0.1:8000/p", "http://localhost/p"])
async def test_a_document_is_fetched_whole(url: str) -> None:
    web = Web(Answer(b"ab", b"cd"))
    assert await fetch(url, 4, web) == b"abcd"
    assert [(request.method, request.url, request.body) for request in web.requests] == [("GET", url, b"")]


@pytest.mark.parametrize("url", ["http://acme.example/p", "ftp://acme.example/p", "file:///etc/passwd", "http:///p"])
async def test_nothing_is_asked_of_an_address_that_is_not_safe(url: str) -> None:
    web = Web(Answer(b"{}"))
    with pytest.raises(BadPrices, match="only https"):
        await fetch(url, 4, web)
    assert web.requests == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(b"abc", b"de"), "over 0 MiB"),
        (Answer(b"moved", status=301), "status 301"),
        (Answer(b"", status=404), "status 404"),
        (ConnectFailed("refused"), "refused"),
        (TimeoutError(), "no answer in time"),
    ],
)
async def test_what_goes_wrong_names_the_address(answer: Answer | Exception, problem: str) -> None:
    with pytest.raises(BadPrices, match=problem) as refused:
        await fetch("https://acme.example/p", 4, Web(answer))
    assert "https://acme.example/p" in refused.value.message


def test_a_file_is_read_within_the_same_bound(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(b"abcd")
    assert read_source(str(path), 4) == b"abcd"
    with pytest.raises(BadPrices, match="no price document"):
        read_source(str(path), 3)
    with pytest.raises(BadPrices, match="cannot read"):
        read_source(str(tmp_path), 4)
