"""Google's error bodies into our errors."""

from typing import Any

import msgspec
import pytest

from routewright.dialects.gemini_errors import read_failure
from routewright.errors import CredentialRefused, ProviderError, ProviderFailed, ProviderOverloaded, ProviderRejected


def failure(status: int, name: str, *details: dict[str, Any], message: str = "no", **headers: str) -> ProviderError:
    error = {"code": status, "status": name, "message": message, "details": details}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_failure(status, headers, msgspec.json.encode({"error": error}), 0.0)


def test_a_rate_limit_says_how_long_to_pause() -> None:
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
    told = "You exceeded your current quota, please check your plan and billing details"
    error = failure(429, "RESOURCE_EXHAUSTED", quota, retry, message=told)
    assert (type(error), error.retry_after_s) == (ProviderOverloaded, 34.07)
    assert told in error.message
    assert failure(429, "RESOURCE_EXHAUSTED", retry, retry_after="2").retry_after_s == 2


@pytest.mark.parametrize("delay", ["", "soon", "-3s", "1e9s", "s"])
def test_a_pause_that_cannot_be_understood_is_none(delay: str) -> None:
    assert failure(429, "RESOURCE_EXHAUSTED", {"retryDelay": delay}).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "name", "details", "error"),
    [
        (400, "INVALID_ARGUMENT", [{"reason": "API_KEY_INVALID"}], CredentialRefused),
        (400, "FAILED_PRECONDITION", [], CredentialRefused),
        (403, "PERMISSION_DENIED", [], CredentialRefused),
        (400, "INVALID_ARGUMENT", [], ProviderRejected),
        (404, "NOT_FOUND", [], ProviderRejected),
        (500, "INTERNAL", [], ProviderFailed),
        (503, "UNAVAILABLE", [], ProviderFailed),
        (504, "DEADLINE_EXCEEDED", [], ProviderFailed),
    ],
)
def test_each_status_is_read_for_what_it_is(
    status: int, name: str, details: list[Any], error: type[ProviderError]
) -> None:
    assert type(failure(status, name, *details)) is error


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error": "gone"}', b'[{"error": {"code": 500}}]'])
def test_other_bodies_are_read_by_their_status(body: bytes) -> None:
    error = read_failure(500, {}, body, 0.0)
    assert type(error) is ProviderFailed
    assert ("gone" in error.message) == (b"gone" in body)
