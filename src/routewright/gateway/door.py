"""The door: who a request comes from, by the key it brings, and whether they may do what they ask for.

A key that is missing, malformed, unknown, expired, revoked, not valid yet or sent twice gets one and the same answer.
Without any key at all, in the settings or in the ledger, only this machine is served, and nothing can be changed.
"""

import hmac
from enum import Enum
from functools import lru_cache
from urllib.parse import urlsplit

from routewright.access.directory import Directory
from routewright.access.keys import OPERATOR, Caller, Role
from routewright.engine import Engine
from routewright.errors import ForeignForm, ForeignOrigin, NotPermitted, Unauthorized
from routewright.gateway.http import Request
from routewright.gateway.ui_sessions import UiSessions
from routewright.settings import is_loopback


class Access(Enum):
    """Who may call an endpoint: whoever has one of its `roles`."""

    OPEN = "open"
    """Anybody who reaches the port: says nothing but whether we live."""
    LOCAL = "local", Role.READ
    """Anybody on this machine, if no other reaches the port; else as `READ`."""
    USE = "use", Role.USE
    READ = "read", Role.READ
    ADMIN = "admin", Role.ADMIN
    SEE = "see", Role.READ
    """In a browser too: as `READ`, by a key's session; and on this machine anybody, if no other reaches the port."""
    SAY = "say", Role.USE, Role.ADMIN
    """In a browser too: as `USE`, or `ADMIN`."""
    ACT = "act", Role.ADMIN
    """In a browser too: as `ADMIN`."""

    def __init__(self, _name: str, *roles: Role) -> None:
        self.roles = frozenset(roles)


_IN_BROWSERS = (Access.SEE, Access.SAY, Access.ACT)

NEIGHBOUR = Caller(roles=frozenset({Role.USE, Role.READ}))
"""Whoever is on this machine, as long as there is no key: may use and see everything, and change nothing."""
ONLOOKER = Caller(roles=frozenset({Role.READ}))
"""Whoever is on this machine, where there are keys: may look at the dashboard."""

_KEY_HEADERS = (b"authorization", b"x-api-key")
_OF_PROXIES = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
"""A request that has one of these came from somewhere else, whatever address it names."""


class Door:
    """Lets in by `server.api_key`, which may do everything, or by a virtual key."""

    def __init__(self, engine: Engine, directory: Directory, sessions: UiSessions, *, is_local: bool) -> None:
        """`is_local` says whether the gateway listens on a loopback address, which no reload changes."""
        self._is_local = is_local
        self._engine = engine
        self._directory = directory
        self._sessions = sessions

    @property
    def has_keys(self) -> bool:
        """Whether there is any key at all."""
        return self._engine.settings.server_key is not None or self._directory.has_keys

    def admit(self, request: Request, access: Access) -> Caller:
        """Who it is. Raises Unauthorized, NotPermitted, ForeignOrigin, AccessUnavailable."""
        if access is Access.OPEN or (access is Access.LOCAL and self._is_local and _foreign_address(request) is None):
            return Caller()
        caller = self._browser(request) if access in _IN_BROWSERS else self._caller(request)
        if access.roles.isdisjoint(caller.roles):
            if caller in (NEIGHBOUR, ONLOOKER):
                raise _unauthorised()
            wanted = " or ".join(sorted(repr(role.value) for role in access.roles))
            raise NotPermitted(f"this key does not have the role {wanted}", hint="use one that has")
        return caller

    def _caller(self, request: Request) -> Caller:
        return self.holder(_key_text(request)) if self.has_keys else self._neighbour(request)

    def _browser(self, request: Request) -> Caller:
        """By its key, by its session, or for being here. What is sent is taken from our own pages only."""
        if has_key(request):
            return self._caller(request)
        if request.method != "GET":
            check_own_page(request)
        caller = self._sessions.caller(request.header(b"cookie") or "")
        if caller is not None:
            return caller
        if not self.has_keys:
            return self._neighbour(request)
        is_here = self._is_local and _foreign_address(request) is None
        if not is_here or any(name in request.headers for name in _OF_PROXIES):
            raise _unauthorised()
        return ONLOOKER

    def holder(self, text: str) -> Caller:
        """Whose key this is. Raises Unauthorized, AccessUnavailable."""
        operator_key = self._engine.settings.server_key
        holder = self._directory.find(text)
        if operator_key is not None and hmac.compare_digest(text.encode(), operator_key.reveal().encode()):
            return OPERATOR
        if holder is None:
            raise _unauthorised()
        return holder

    def _neighbour(self, request: Request) -> Caller:
        """Without a key the loopback address is all that protects us, and a page in a browser here reaches it too."""
        if not self._is_local:
            raise _unauthorised()
        address = _foreign_address(request)
        if address is not None:
            raise ForeignOrigin(
                f"{address[:100]!r} is not this machine, and this gateway has no key",
                hint="call it by 127.0.0.1 or localhost, or make it a key: `routewright keys create NAME`",
            )
        return NEIGHBOUR


def has_key(request: Request) -> bool:
    """Whether it brings a key, valid or not."""
    return any(name in request.headers for name in _KEY_HEADERS)


def check_own_page(request: Request) -> None:
    """A form was sent by a page of ours. Raises ForeignForm.

    Every browser of today says where a form comes from, in one header or the other, and no page can change them.
    """
    site = request.header(b"sec-fetch-site")
    if site is None:
        origin, host = request.header(b"origin"), request.header(b"host")
        is_ours = origin is not None and host is not None and origin.partition("://")[2] == host
    else:
        is_ours = site == "same-origin"
    if not is_ours:
        raise ForeignForm(
            "this was not sent by a page of this gateway",
            hint="a proxy in front of the gateway must leave the Host header as it is",
        )


def _key_text(request: Request) -> str:
    """The one key that was sent; empty if there is none, or several that could each be meant."""
    if not request.repeated.isdisjoint(_KEY_HEADERS):
        return ""
    scheme, _, token = (request.header(b"authorization") or "").partition(" ")
    other = request.header(b"x-api-key")
    if scheme.lower() != "bearer":
        return other or ""
    return token if other in (None, token) else ""


def _unauthorised() -> Unauthorized:
    return Unauthorized("no valid API key", hint="send a key of this gateway as Authorization: Bearer …")


def _foreign_address(request: Request) -> str | None:
    """Where a web page that is not this machine's own is from, by `Origin`; or, if its name was pointed at us (DNS
    rebinding), by `Host`."""
    for name in (b"origin", b"host"):
        address = request.headers.get(name)
        if address is not None and not _is_here(address):
            return address.decode("latin-1")
    return None


@lru_cache(maxsize=256)
def _is_here(address: bytes) -> bool:
    return is_loopback(_host_of(address.decode("latin-1")))


def _host_of(address: str) -> str:
    """The host in an `Origin` or `Host`; empty when there is none that one could understand."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:  # such as an open bracket
        return ""
