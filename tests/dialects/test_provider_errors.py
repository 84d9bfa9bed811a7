"""What a provider's refusal means, and what of its words may be repeated."""

import pytest

from routewright.dialects.provider_errors import Said, provider_error, retry_after_s, said_in, sanitised
from routewright.errors import (
    CredentialRefused,
    InvalidResponse,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    Remedy,
)

NOW_S = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples."""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "999999"}, 120.0),
        ({"retry-after": "9" * 400}, 120.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "7, 8"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sun Nov  6 08:49:47 1994"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:40:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 07 Nov 1994 08:49:37 GMT"}, 120.0),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        ({"retry-after": "Sun, 06 Nov 99999 08:49:37 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "-5", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "junk"}, None),
        ({"retry-after-ms": "999999999"}, 120.0),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == expected


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (301, InvalidResponse, Remedy.ELSEWHERE),
        (307, InvalidResponse, Remedy.ELSEWHERE),
        (400, ProviderRejected, Remedy.ELSEWHERE),
        (401, CredentialRefused, Remedy.ELSEWHERE),
        (402, CredentialRefused, Remedy.ELSEWHERE),
        (403, CredentialRefused, Remedy.ELSEWHERE),
        (404, ProviderRejected, Remedy.ELSEWHERE),
        (408, ProviderFailed, Remedy.AGAIN),
        (409, ProviderFailed, Remedy.AGAIN),
        (413, ProviderRejected, Remedy.ELSEWHERE),
        (418, ProviderRejected, Remedy.ELSEWHERE),
        (422, ProviderRejected, Remedy.ELSEWHERE),
        (429, ProviderOverloaded, Remedy.AGAIN),
        (500, ProviderFailed, Remedy.AGAIN),
        (501, ProviderError, Remedy.ELSEWHERE),
        (502, ProviderFailed, Remedy.AGAIN),
        (503, ProviderFailed, Remedy.AGAIN),
        (504, ProviderFailed, Remedy.AGAIN),
        (505, ProviderError, Remedy.ELSEWHERE),
        (520, ProviderFailed, Remedy.AGAIN),
        (524, ProviderFailed, Remedy.AGAIN),
        (529, ProviderFailed, Remedy.AGAIN),
    ],
)
def test_each_status_has_its_meaning(status: int, kind: type[ProviderError], remedy: Remedy) -> None:
    error = provider_error(status, {}, Said("went wrong"), now_s=NOW_S)
    assert type(error) is kind
    assert error.remedy is remedy
    assert error.provider_status == status


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_pause_that_was_asked_for_is_kept(status: int) -> None:
    assert provider_error(status, {"retry-after": "7"}, Said(), now_s=NOW_S).retry_after_s == 7.0


@pytest.mark.parametrize(
    "said",
    [Said(kind="insufficient_quota"), Said(code="insufficient_quota"), Said(code="enforced_spend_limit_reached")],
)
def test_a_used_up_account_is_no_rate_limit(said: Said) -> None:
    error = provider_error(429, {"retry-after": "7"}, said, now_s=NOW_S)
    assert type(error) is CredentialRefused
    assert "used up" in error.message


@pytest.mark.parametrize("status", [401, 403])
def test_the_words_about_a_key_are_not_repeated(status: int) -> None:
    error = provider_error(status, {}, Said("Incorrect API key provided: my-secret"), now_s=NOW_S)
    assert "my-secret" not in f"{error.message} {error.hint}"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-x_Y-z1234567890",
        "sk-ab***********yz",
        "Bearer abc.def.ghi",
        "bearer topsecret",
        "gsk_abcdefgh12345678",
        "xai-abcdefgh12345678",
        "AIzaSyA1234567890abcdefgh",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_what_looks_like_a_key_is_starred_out(secret: str) -> None:
    assert sanitised(f"the key {secret} is wrong") == "the key *** is wrong"


def test_plain_words_are_left_alone() -> None:
    text = "This model's maximum context length is 8192 tokens (task-oriented, risk-free, ask-me)."
    assert sanitised(text) == text


def test_text_is_one_short_line() -> None:
    assert sanitised("a\r\nb\x00c\x1b[31m\u2028d") == "a b c [31m d"
    assert len(sanitised("word " * 1_000)) == 499
    assert sanitised("a" * 490 + " half-a-key-that-is-cut") == "a" * 490
    assert len(sanitised("字" * 1_000)) == 500


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"m","type":"t","code":"c"}}', Said("m", "t", "c")),
        (b'{"error":{"message":"m","type":null,"code":429}}', Said("m", "", "429")),
        (b'{"error":"m"}', Said("m")),
        (b'{"message":"m","code":400}', Said("m", "", "400")),
        (b'{"type":"error","error":{"type":"t","message":"m"}}', Said("m", "t")),
        (b'{"error":{"type":"t","message":"m","details":{"error_code":"c"}}}', Said("m", "t", "c")),
        (b'{"error":{"message":["a"]}}', Said()),
        (b"[1]", Said()),
        (b"<html>503</html>", Said()),
        (b"", Said()),
        (b'{"error":{"mess', Said()),
    ],
)
def test_error_bodies_of_all_shapes_are_read(body: bytes, said: Said) -> None:
    assert said_in(body) == said
