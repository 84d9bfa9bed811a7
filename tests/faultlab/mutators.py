"""What fuzzing does to good bytes and good JSON: small damage of every kind, drawn from a generator that is given."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

WORDS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00", b"\x80", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80", b" ", b"\t", b":",
    b",", b";", b"0", b"-1", b"99999999999999999999", b"0x10", b"1e999", b"NaN", b"null", b"{}", b"[", b"]", b'"',
    b"\\ud800", b"\\u0000", b"HTTP/1.1", b"HTTP/2.0", b"GET", b"POST", b"HEAD", b"CONNECT", b"OPTIONS *",
    b"host: evil\r\n", b"content-length: 7\r\n", b"content-length: -1\r\n", b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: identity\r\n", b"connection: close\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n",
    b"expect: 100-continue\r\n", b"x-routewright-tags: \xff\r\n", b"../", b"%2e%2e%2f", b"%00", b"#", b"?", b"//",
    b"data: ", b"data:", b"event: ", b"id: 1\n", b"retry: 1\n", b": \n", b"[DONE]", b"data: [DONE]\n\n",
    b"data: {}\n\n", b'data: {"error":{"message":"x"}}\n\n', b"event: error\n", b"event: message_stop\n",
)  # fmt: skip
"""What means something to those who read HTTP, JSON and event streams."""

NAMES = (
    "model", "messages", "role", "content", "type", "text", "stream", "stream_options", "include_usage", "n", "stop",
    "tools", "tool_calls", "tool_choice", "tool_call_id", "function", "functions", "function_call", "name", "arguments",
    "response_format", "metadata", "user", "service_tier", "max_tokens", "max_completion_tokens", "temperature",
    "logit_bias", "modalities", "audio", "prediction", "input_audio", "file", "refusal", "reasoning_effort",
    "routewright", "tier", "tags", "deadline_ms", "max_cost_usd", "request_id", "score", "good", "roles", "budgets",
    "limit_usd", "period", "models", "expires_at", "usage", "prompt_tokens", "completion_tokens", "choices", "delta",
    "message", "index", "finish_reason", "error", "code", "stop_reason", "input_tokens", "output_tokens", "id",
    "__proto__", "",
)  # fmt: skip
"""Names of fields, each also where it does not belong."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e300, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, "", "x", "auto", "swift",
    "user", "tool", "0", "1e5", "-1", "NaN", "\x00", "\ud800", "é" * 300, "a" * 5000, "' OR 1=1 --", "../../etc/passwd",
    "%s{0}", "<script>", "=1+1", "\x1b[31m", "2027-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00",
    "data:image/png;base64,", "http://169.254.169.254/", "env:HOME", [], {}, [[]], [None], [{}], {"": {}},
    {"type": "text"}, {"$ref": "#"},
)  # fmt: skip
"""Values of every kind, and those at which readers stumble."""


def mutate_bytes(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Some damage, once or a few times; `others` are good inputs, of which a part may be put in."""
    raw = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        start = chance.randrange(len(raw) + 1)
        end = min(len(raw), start + chance.choice((1, 1, 2, 4, 16, 64)))
        match chance.randrange(8):
            case 0:
                raw[start:end] = b""
            case 1:
                raw[start:end] = chance.randbytes(end - start)
            case 2:
                raw[start:start] = chance.choice(WORDS)
            case 3:
                raw[start:end] = chance.choice(WORDS)
            case 4:
                raw[start:start] = raw[start:end] * chance.choice((1, 2, 50))
            case 5:
                other = chance.choice(others)
                cut = chance.randrange(len(other) + 1)
                raw[start:end] = other[cut : cut + chance.choice((8, 64, 4096))]
            case 6:
                if start < len(raw):
                    raw[start] ^= 1 << chance.randrange(8)
            case _:
                if chance.random() < 0.3:
                    del raw[start:]
                else:
                    raw[start:end] = bytes(reversed(raw[start:end]))
    return bytes(raw)


def mutate_json(value: Any, chance: Random) -> Any:
    """A copy with one to some places changed: of another kind, gone, doubled, renamed, moved, wrapped."""
    copy = deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(copy))
        if not places:
            return _value(chance)
        parent, key = chance.choice(places)
        other, other_key = chance.choice(places)
        _change(parent, key, chance, other[other_key])
    return copy


def _change(parent: Any, key: Any, chance: Random, another: Any) -> None:
    match chance.randrange(8):
        case 0 | 1 | 2:
            parent[key] = _value(chance)
        case 3:
            del parent[key]
        case 4:
            parent[key] = deepcopy(another)
        case 5:
            parent[key] = chance.choice(
                ([parent[key]], [parent[key], 1, deepcopy(parent[key])], {chance.choice(NAMES): parent[key]})
            )
        case 6 if isinstance(parent, dict):
            parent[chance.choice(NAMES)] = parent.pop(key)
        case 7 if isinstance(parent[key], str):
            text = parent[key]
            cut = chance.randrange(len(text) + 1)
            parent[key] = text[:cut] + str(chance.choice(VALUES)) + text[cut:]
        case _:
            where = parent if isinstance(parent, dict) else {}
            where[chance.choice(NAMES)] = _value(chance)
            parent[key] = parent[key] if where is parent else where


def _value(chance: Random) -> Any:
    return deepcopy(chance.choice(VALUES))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value, as its parent and its key in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def encode(value: Any, chance: Random) -> bytes:
    """JSON in UTF-8, with or without escapes; now and then deeply nested, or with one key twice."""
    if chance.random() < 0.02:
        depth = chance.choice((10, 63, 64, 65, 1000, 100_000))
        return b'{"model":"swift","messages":' + b"[" * depth + b"]" * depth + b"}"
    is_plain = chance.random() < 0.5
    data = json.dumps(value, ensure_ascii=is_plain).encode("utf-8", "surrogatepass")
    if chance.random() < 0.05 and data.startswith(b'{"'):
        data = b'{"model":null,"messages":7,' + data[1:]
    return data


def pieces(data: bytes, chance: Random) -> list[bytes]:
    """The bytes, cut where nobody would cut them."""
    match chance.randrange(4):
        case 0:
            return [data]
        case 1 if len(data) < 2000:
            return [data[at : at + 1] for at in range(len(data))]
        case _:
            cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 6)))
            return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
