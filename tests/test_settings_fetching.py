"""A document at an address, from a real server on this machine: what is asked, what is followed, what is refused."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from routewright.settings.addresses import Unfetched, shown_url
from routewright.settings.fetching import fetch_alone

MOST_BYTES = 100


class Server(BaseHTTPRequestHandler):
    """A document with an ETag, ways to it, and what is none."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["if-none-match"]))
        here = f"http://{self.headers['host']}"
        if self.path.startswith("/round/"):
            left = int(self.path.removeprefix("/round/"))
            self.answer(302, location=f"/round/{left - 1}" if left else f"{here}/document")
        elif self.path == "/out":
            self.answer(301, location="http://acme.example/document")
        elif self.path == "/long":
            self.answer(200, b"x" * (MOST_BYTES + 1))
        elif self.path != "/document":
            self.answer(404)
        elif self.headers["if-none-match"] == '"v1"':
            self.answer(304)
        else:
            self.answer(200, b"port = 1", etag='"v1"')

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_document_comes_with_its_etag_and_is_not_sent_twice(address: str) -> None:
    url = f"{address}/document"
    first = fetch_alone(url, most_bytes=MOST_BYTES, patience_s=5)
    assert first is not None
    assert (first.content, first.etag) == (b"port = 1", '"v1"')
    assert fetch_alone(url, most_bytes=MOST_BYTES, patience_s=5, etag=first.etag) is None
    assert Server.asked[-1] == ("/document", '"v1"')


def test_redirects_are_followed_as_far_as_allowed(address: str) -> None:
    followed = fetch_alone(f"{address}/round/2", most_bytes=MOST_BYTES, patience_s=5, redirects=3)
    assert followed is not None
    assert followed.content == b"port = 1"
    with pytest.raises(Unfetched, match="/round/3 answered with status 302"):
        fetch_alone(f"{address}/round/3", most_bytes=MOST_BYTES, patience_s=5, redirects=3)


def test_a_redirect_to_where_it_would_not_be_safe_is_not_followed(address: str) -> None:
    with pytest.raises(Unfetched, match=r"http://acme\.example/document is not fetched: only https"):
        fetch_alone(f"{address}/out", most_bytes=MOST_BYTES, patience_s=5, redirects=3)


@pytest.mark.parametrize(("path", "problem"), [("/long", "is over 0 MiB"), ("/nothing", "answered with status 404")])
def test_what_cannot_be_had_is_told_with_the_address(address: str, path: str, problem: str) -> None:
    with pytest.raises(Unfetched, match=f"{path} {problem}"):
        fetch_alone(f"{address}{path}", most_bytes=MOST_BYTES, patience_s=5)


@pytest.mark.parametrize("url", ["http://acme.example/a", "https://", "https://acme.example/a b", "https://[::1/a"])
def test_nothing_is_asked_of_what_is_no_safe_address(url: str) -> None:
    with pytest.raises(Unfetched):
        fetch_alone(url, most_bytes=MOST_BYTES, patience_s=5)


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert shown_url("https://me:secret@acme.example/a?token=secret") == "https://acme.example/a"
