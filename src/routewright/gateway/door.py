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
from routewright.errors import ForeignOrigin, NotPermitted, Unauthorized
from routewright.gateway.http import Request
from routewright.settings import is_loopback


class Access(Enum):
    """Who may call an endpoint."""

    OPEN = "open"
    """Anybody who reaches the port: says nothing but whether we live."""
    LOCAL = "local"
    """Anybody on this machine, if no other reaches the port; else as `READ`."""
    USE = "use"
    READ = "read"
    ADMIN = "admin"


_ROLES = {Access.LOCAL: Role.READ, Access.USE: Role.USE, Access.READ: Role.READ, Access.ADMIN: Role.ADMIN}

NEIGHBOUR = Caller(roles=frozenset({Role.USE, Role.READ}))
"""Whoever is on this machine, as long as there is no key: may use and see everything, and change nothing."""


class Door:
    """Lets in by `server.api_key`, which may do everything, or by a virtual key."""

    def __init__(self, engine: Engine, directory: Directory, *, is_local: bool) -> None:
        """`is_local` says whether the gateway listens on a loopback address, which no reload changes."""
        self._is_local = is_local
        self._engine = engine
        self._directory = directory

    def admit(self, request: Request, access: Access) -> Caller:
        """Who it is. Raises Unauthorized, NotPermitted, ForeignOrigin, AccessUnavailable."""
        if access is Access.OPEN or (access is Access.LOCAL and self._is_local and _foreign_address(request) is None):
            return Caller()
        caller, role = self._caller(request), _ROLES[access]
        if role not in caller.roles:
            if caller is NEIGHBOUR:
                raise _unauthorised()
            raise NotPermitted(f"this key does not have the role {role.value!r}", hint="use one that has")
        return caller

    def _caller(self, request: Request) -> Caller:
        operator_key = self._engine.settings.server_key
        if operator_key is None and not self._directory.has_keys:
            return self._neighbour(request)
        text = _key_text(request)
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


def _key_text(request: Request) -> str:
    """The one key that was sent; empty if there is none, or several that could each be meant."""
    if not request.repeated.isdisjoint((b"authorization", b"x-api-key")):
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
        address = request.header(name)
        if address is not None and not _is_here(address):
            return address
    return None


@lru_cache(maxsize=256)
def _is_here(address: str) -> bool:
    return is_loopback(_host_of(address))


def _host_of(address: str) -> str:
    """The host in an `Origin` or `Host`; empty when there is none that one could understand."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:  # such as an open bracket
        return ""
