"""Google's error bodies: `{"error": {"code", "status", "message", "details": […]}}`, also as the one item of an array.

What matters stands in the details: how long to pause (`RetryInfo`), and that it was the key (`ErrorInfo`), which is
said with the status of a bad request.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from routewright.dialects.provider_errors import Said, provider_error, said_in
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import ProviderError

_REFUSES_KEY = ("API_KEY_", "ACCOUNT_STATE_INVALID")
"""How the reasons begin that speak of the key."""
_NOT_ALLOWED = "FAILED_PRECONDITION"
"""The account may not use this: no billing, or not from this country."""


class _Detail(Struct, gc=False, rename="camel"):
    retry_delay: str = ""
    reason: str = ""


class _Error(Struct, gc=False):
    code: int = 0
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Body(Struct, gc=False):
    error: _Error


_decode = msgspec.json.Decoder(_Body | list[_Body]).decode


def _error_in(body: bytes) -> _Error:
    try:
        decoded: _Body | list[_Body] = _decode(body)
    except UNREADABLE:
        return _Error(message=said_in(body).message)
    if isinstance(decoded, list):
        return decoded[0].error if decoded else _Error()
    return decoded.error


def read_failure(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> ProviderError:
    """Our error for an answer with this status; `now_s` is UTC in seconds since 1970."""
    error = _error_in(body)
    if any(detail.reason.startswith(_REFUSES_KEY) for detail in error.details):
        status = 401
    elif status == 400 and error.status == _NOT_ALLOWED:
        status = 403
    pause = next((detail.retry_delay for detail in error.details if detail.retry_delay.endswith("s")), "")
    if pause and "retry-after" not in headers:
        headers = {**headers, "retry-after": pause.removesuffix("s")}
    return provider_error(status, headers, Said(message=error.message, kind=error.status), now_s=now_s)


def reported_failure(body: bytes) -> ProviderError:
    """Our error for one that came within a 200: as if it had come with its own status."""
    code = _error_in(body).code
    return read_failure(code if 400 <= code < 600 else 500, {}, body, now_s=0)
