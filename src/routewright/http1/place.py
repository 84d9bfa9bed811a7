"""Where a request goes, and its head in bytes: what there is of it before anything is sent."""

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Self
from urllib.parse import quote, unquote_to_bytes, urlsplit

from msgspec import Struct

from routewright.dialects.wire import WireRequest
from routewright.errors import InvalidRequest

_PLAIN_TARGET = "/?#[]@!$&'()*+,;=:%-._~"
_DEFAULTS = {"user-agent": "User-Agent: routewright", "accept": "Accept: */*"}


class Place(Struct, frozen=True):
    """A URL, taken apart."""

    host: str
    port: int
    is_tls: bool
    peer: str
    """Host and port as the URL has them, for the Host header and for messages; never a password."""
    is_address: bool
    """There is no name to look up."""
    opening: str
    """The beginning of a request's head, behind its method."""
    defaults: Mapping[str, str]
    """Header lines by name, in lower case, for requests that do not have them of their own."""

    @classmethod
    @lru_cache(maxsize=1000)
    def of(cls, address: str) -> Self:
        """The place at a URL. Raises InvalidRequest for what is none."""
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidRequest("a provider's address begins with http:// or https:// and a host")
        is_tls = url.scheme == "https"
        userinfo, _, peer = url.netloc.rpartition("@")
        peer = peer if peer.isascii() else peer.encode("idna").decode()
        target = quote(f"{url.path or '/'}{f'?{url.query}' if url.query else ''}", safe=_PLAIN_TARGET)
        return cls(
            host=url.hostname,
            port=url.port or (443 if is_tls else 80),
            is_tls=is_tls,
            peer=peer,
            is_address=_is_address(url.hostname),
            opening=f"{target} HTTP/1.1\r\nHost: {peer}\r\nAccept-Encoding: identity",
            defaults=_DEFAULTS if not userinfo else {**_DEFAULTS, "authorization": _basic(userinfo)},
        )

    @property
    def key(self) -> tuple[str, int, bool]:
        """Requests to places with the same key can have the same connection."""
        return self.host, self.port, self.is_tls


def _basic(userinfo: str) -> str:
    return f"Authorization: Basic {b64encode(unquote_to_bytes(userinfo)).decode()}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def head(request: WireRequest) -> bytes:
    """All of a request before its body. Raises InvalidRequest when a header would smuggle in another one."""
    headers = request.headers
    form = _form(request.method, request.url, tuple(headers))
    values = tuple(headers.values())
    said = "".join(values)
    if "\r" in said or "\n" in said or "\0" in said:
        raise _smuggling()
    return (form % (*values, len(request.body))).encode()


@lru_cache(maxsize=1000)
def _form(method: str, url: str, names: tuple[str, ...]) -> str:
    """A head in which the values of the headers and the length of the body are to be filled in.

    Raises InvalidRequest for a name that would smuggle in another header.
    """
    if not "".join(names).isprintable():
        raise _smuggling()
    place = Place.of(url)
    said = {name.lower() for name in names}
    lines = [f"{method} {place.opening}"]
    lines += [line for name, line in place.defaults.items() if name not in said]
    form = "".join(f"{line}\r\n" for line in lines).replace("%", "%%")
    for name in names:
        is_sent = name.lower() != "accept-encoding"  # we do not decompress
        form += f"{name.replace('%', '%%')}: %s\r\n" if is_sent else "%.0s"
    return form + "Content-Length: %d\r\n\r\n"


def _smuggling() -> InvalidRequest:
    return InvalidRequest("a header meant for the provider contains a line break; remove the line break")
