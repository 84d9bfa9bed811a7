"""Where a request goes, and its head in bytes: what there is of it before anything is sent."""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Self
from urllib.parse import quote, unquote_to_bytes, urlsplit

from msgspec import Struct

from routewright.dialects.wire import WireRequest
from routewright.errors import InvalidRequest

_NOT_IN_A_HEADER = re.compile(r"[\r\n\0]")
_PLAIN_TARGET = "/?#[]@!$&'()*+,;=:%-._~"
_OURS = {"user-agent": "routewright", "accept": "*/*"}
"""What a request says unless it says otherwise itself."""


class Place(Struct, frozen=True):
    """A URL, taken apart."""

    host: str
    port: int
    is_tls: bool
    peer: str
    """Host and port as the URL has them, for the Host header and for messages; never a password."""
    is_address: bool
    """There is no name to look up."""
    target: str
    authorization: str
    """By the user and password of the URL; empty without any."""

    @classmethod
    @lru_cache(maxsize=1000)
    def of(cls, address: str) -> Self:
        """The place at a URL. Raises InvalidRequest for what is none."""
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidRequest("a provider's address begins with http:// or https:// and a host")
        is_tls = url.scheme == "https"
        userinfo, _, peer = url.netloc.rpartition("@")
        return cls(
            host=url.hostname,
            port=url.port or (443 if is_tls else 80),
            is_tls=is_tls,
            peer=peer if peer.isascii() else peer.encode("idna").decode(),
            is_address=_is_address(url.hostname),
            target=quote(f"{url.path or '/'}{f'?{url.query}' if url.query else ''}", safe=_PLAIN_TARGET),
            authorization=f"Basic {b64encode(unquote_to_bytes(userinfo)).decode()}" if userinfo else "",
        )

    @property
    def key(self) -> tuple[str, int, bool]:
        """Requests to places with the same key can have the same connection."""
        return self.host, self.port, self.is_tls


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def head(request: WireRequest, place: Place) -> bytes:
    """All of a request before its body. Raises InvalidRequest when a header value would smuggle in another header."""
    lines = [
        f"{name}: {value}" if value else f"{name}:"
        for name, value in request.headers.items()
        if name.lower() != "accept-encoding"
    ]
    if _NOT_IN_A_HEADER.search("".join(lines)):
        raise InvalidRequest("a header meant for the provider contains a line break; remove the line break")
    text = "\r\n".join(
        (
            f"{request.method} {place.target} HTTP/1.1",
            f"Host: {place.peer}",
            *_defaults(request.headers, place),
            "Accept-Encoding: identity",
            *lines,
            f"Content-Length: {len(request.body)}\r\n\r\n",
        )
    )
    return text.encode()


def _defaults(headers: Mapping[str, str], place: Place) -> list[str]:
    said = {name.lower() for name in headers}
    ours = _OURS if not place.authorization else {**_OURS, "authorization": place.authorization}
    return [f"{name}: {value}" for name, value in ours.items() if name not in said]
