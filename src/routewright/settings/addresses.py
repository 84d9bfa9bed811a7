"""Addresses of documents: which may be asked, and how they are shown; and what came from one."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

MOST_URL_CHARS = 2_000


class Unfetched(Exception):
    """It could not be had; the text says why, and names the address."""


class Fetched(Struct, frozen=True):
    """A document as it came."""

    url: str
    """Where it was asked for."""
    content: bytes
    etag: str = ""
    """By which to ask whether it has changed; empty if the server did not say."""


def shown_url(url: str) -> str:
    """For messages: without a query and a password, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_address(url: str) -> None:
    """Raises Unfetched for what is no address, or none that a document can be had from unchanged."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Unfetched(f"{url[:100]!r} is no address: {error}") from error
    if len(url) > MOST_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise Unfetched(f"{shown_url(url)[:100]!r} is no address")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise Unfetched(f"{shown_url(url)} is not fetched: only https keeps it from being changed on its way")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
