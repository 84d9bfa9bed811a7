"""Bodies that two parsers could read in two ways, or that cost too much to read, are refused."""

import msgspec
import pytest

from routewright.dialects.strict_json import DEPTH_LIMIT, VALUE_LIMIT, read_object
from routewright.errors import InvalidJson


def nested(depth: int) -> bytes:
    """An object with arrays in it, `depth` levels in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"a":1}x',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\n"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":' + b"9" * 30 + b"}",
        b'{"a":[-' + b"9" * 30 + b"]}",
        b'{"a":' + b"9" * 5_000 + b"}",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-be"),
        nested(DEPTH_LIMIT + 1),
        nested(100_000),
        b"[" * 1_000_000,
        b'{"a":[' + b"0," * VALUE_LIMIT + b"0]}",
    ],
    ids=lambda body: str(body[:24]),
)
def test_what_is_not_strict_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson) as caught:
        read_object(body)
    assert caught.value.hint


@pytest.mark.parametrize(
    "body",
    [
        nested(DEPTH_LIMIT),
        b' {"a": "[[[[{{{{\\"[[\\\\" }\n',
        b'{"a":"' + b"[{" * 10_000 + b'"}',
        b'{"a":18446744073709551615,"b":-9223372036854775808,"c":0.1}',
        '{"ä":"\\ud83d\\ude00 😀"}'.encode(),
    ],
    ids=lambda body: str(body[:24]),
)
def test_what_is_accepted_can_be_written_again(body: bytes) -> None:
    value = read_object(body)
    assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_the_last_of_repeated_keys_is_the_one_everybody_sees() -> None:
    assert read_object(b'{"model":"a","model":"b"}') == {"model": "b"}


def test_many_flat_values_are_no_depth() -> None:
    assert len(read_object(b'{"a":[' + b"[]," * 10_000 + b"[]]}")["a"]) == 10_001
