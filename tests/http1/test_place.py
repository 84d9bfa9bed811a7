"""The head of a request, from its URL and headers."""

import pytest

from routewright.dialects.wire import WireRequest
from routewright.errors import InvalidRequest
from routewright.http1.place import Place, head


def lines(url: str, headers: dict[str, str] | None = None) -> list[str]:
    return head(WireRequest(url=url, headers=headers or {}, body=b"{}")).decode().split("\r\n")


@pytest.mark.parametrize(
    ("url", "first", "host"),
    [
        ("https://api.example/v1/chat", "POST /v1/chat HTTP/1.1", "Host: api.example"),
        ("https://api.example:8443", "POST / HTTP/1.1", "Host: api.example:8443"),
        ("http://[::1]:80/a?b=c&d", "POST /a?b=c&d HTTP/1.1", "Host: [::1]:80"),
        ("http://me:secret@api.example/a#b", "POST /a HTTP/1.1", "Host: api.example"),
        ("http://müller.example/ü b?%20", "POST /%C3%BC%20b?%20 HTTP/1.1", "Host: xn--mller-kva.example"),
    ],
)
def test_target_and_host_are_those_of_the_url(url: str, first: str, host: str) -> None:
    assert lines(url)[:2] == [first, host]


def test_user_and_password_of_a_url_are_sent_as_such_and_told_nobody() -> None:
    place = Place.of("http://me:se%40cret@api.example/")
    assert "Authorization: Basic bWU6c2VAY3JldA==" in lines("http://me:se%40cret@api.example/")
    assert "se" not in place.peer


def test_a_header_of_the_request_replaces_ours() -> None:
    sent = lines("http://api.example/", {"User-Agent": "other", "Authorization": "Bearer k"})
    assert [line for line in sent if line.lower().startswith(("user-agent", "authorization"))] == [
        "User-Agent: other",
        "Authorization: Bearer k",
    ]


@pytest.mark.parametrize("url", ["ftp://a/", "api.example/v1", "http:///v1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="http"):
        Place.of(url)
