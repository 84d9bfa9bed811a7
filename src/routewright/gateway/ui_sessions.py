"""Sessions of browsers: a key is exchanged for a cookie that says whose it was, until when, and that we wrote it.

The cookie is signed by the installation's secret, and no table has it: so a session is known to every gateway of an
installation and outlasts a restart, and there is nothing to fill up. It gives no more than its key does at each
request: one that is revoked, expired, rotated or loses a role takes its sessions with it.
"""

import hmac
from collections.abc import Callable

from routewright.access.directory import Directory
from routewright.access.installation import Signer
from routewright.access.keys import OPERATOR, Caller
from routewright.clock import Clock
from routewright.secret import Secret

COOKIE = "__Host-routewright"
LASTS_S = 12 * 3600

_OPERATOR = "operator"
_SECOND_NS = 10**9


class UiSessions:
    """Writes cookies and reads them. `signer` is asked once somebody signs in, as it may make the secret."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        signer: Callable[[], Signer],
        operator_key: Callable[[], Secret | None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._signer = signer
        self._operator_key = operator_key
        self._known: Signer | None = None

    def begin(self, caller: Caller) -> bytes:
        """The header that begins a session of whoever holds a key."""
        name = caller.tenant.key or _OPERATOR
        ends = self._clock.time_ns() // _SECOND_NS + LASTS_S
        return _cookie(f"{name}.{ends}.{self._seal(name, ends, self._text_of(name) or '')}", LASTS_S)

    def caller(self, cookies: str) -> Caller | None:
        """Whose session a request's cookies name; None for none that is valid."""
        parts = _value(cookies).split(".")
        if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 12):
            return None
        name, ends, seal = parts[0], int(parts[1]), parts[2]
        text = self._text_of(name)
        is_right = hmac.compare_digest(self._seal(name, ends, text or "").encode(), seal.encode())
        if text is None or not is_right or ends * _SECOND_NS <= self._clock.time_ns():
            return None
        return OPERATOR if name == _OPERATOR else self._directory.holder(name)

    def _text_of(self, name: str) -> str | None:
        """What changes when the key does; None where there is no such key any more."""
        if name == _OPERATOR:
            key = self._operator_key()
            return None if key is None else key.reveal()
        return self._directory.seal(name)

    def _seal(self, name: str, ends: int, text: str) -> str:
        self._known = self._known or self._signer()
        return self._known.sign(f"session of the dashboard\n{name}\n{ends}\n{self._known.sign(text)}")


def ended() -> bytes:
    """The header that ends a session in its browser."""
    return _cookie("", 0)


def _cookie(value: str, lasts_s: int) -> bytes:
    return f"{COOKIE}={value}; Path=/; Max-Age={lasts_s}; Secure; HttpOnly; SameSite=Strict".encode()


def _value(cookies: str) -> str:
    """Ours among those of a `Cookie` header; empty if it is not there once."""
    found = [text.partition("=")[2] for text in cookies.split("; ") if text.startswith(f"{COOKIE}=")]
    return found[0] if len(found) == 1 else ""
