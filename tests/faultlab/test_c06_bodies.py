"""C06 to C09: bodies too deep or too wide, not JSON, JSON that parsers disagree on, or not what they should be."""

import json
import random
from pathlib import Path
from typing import Any

from clients import House, Wire, chat, house, post

GOOD: dict[str, Any] = {"model": "ok", "messages": [{"role": "user", "content": "Hi"}]}
OPEN = b'{"model":"ok","messages":[{"role":"user","content":"Hi"}],"x":'
SEED = 20261127
CASES = 600


def with_x(value: bytes) -> bytes:
    """A good body but for one field."""
    return OPEN + value + b"}"


async def refused(opened: House, cases: dict[str, bytes], code: str) -> None:
    async with opened.wire() as wire:
        for name, body in cases.items():
            wire.write(post(body))
            heard = await wire.one()
            assert heard.statuses == [400], name
            heard.refused(400, code)
    assert opened.provider.bodies == []


async def test_c06_what_is_too_deep_or_too_wide_is_a_400_and_the_next_request_is_served(tmp_path: Path) -> None:
    cases = {
        "100,000 arrays": with_x(b"[" * 100_000 + b"]" * 100_000),
        "100,000 objects": with_x(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        "100,000 arrays without an end": with_x(b"[" * 100_000),
        "65 arrays": with_x(b"[" * 65 + b"]" * 65),
        "a million elements": with_x(b"[" + b"1," * 1_000_000 + b"1]"),
        "six hundred thousand keys": with_x(b"{" + b",".join(b'"%d":0' % number for number in range(600_000)) + b"}"),
        "a million messages": b'{"model":"ok","messages":[' + b"{}," * 1_000_000 + b"{}]}",
        "a number of 5,000 digits": with_x(b"9" * 5000),
        "a number below -2^63": with_x(b"-9223372036854775809"),
    }
    async with house(tmp_path) as opened:
        await refused(opened, cases, "invalid_json")
        assert (await opened.send(chat("ok"))).statuses == [200]


async def test_c07_what_is_not_json_in_utf8_is_a_400(tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    cases = {
        "no UTF-8": with_x(b'"\xff"'),
        "an overlong form": with_x(b'"\xc0\xaf"'),
        "a surrogate as bytes": with_x(b'"\xed\xa0\x80"'),
        "a lone surrogate": with_x(b'"\\ud800"'),
        "BOM": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
        "UTF-32": good.encode("utf-32"),
        "NaN": with_x(b"NaN"),
        "Infinity": with_x(b"Infinity"),
        "-Infinity": with_x(b"-Infinity"),
        "1e999": with_x(b"1e999"),
        "a control character": with_x(b'"\x00"'),
        "a comma at the end": with_x(b"[1,]"),
        "a comment": with_x(b"1/**/"),
        "two values": good.encode() + b"{}",
        "half of it": good.encode()[:-5],
    }
    async with house(tmp_path) as opened:
        await refused(opened, cases, "invalid_json")


async def test_c08_of_a_key_that_comes_twice_the_provider_sees_the_one_that_we_saw(tmp_path: Path) -> None:
    body = b'{"model":"no such","model":"ok","max_tokens":7,"messages":[{"role":"user","content":"a","content":"b"}]}'
    async with house(tmp_path) as opened:
        assert (await opened.send(post(body))).statuses == [200]
        (raw,) = opened.provider.raw
        pairs = json.loads(raw, object_pairs_hook=lambda found: found)
        assert len(dict(pairs)) == len(pairs)
        assert raw.count(b'"model"') == raw.count(b'"content"') == 1
        assert opened.provider.bodies[0]["messages"][0]["content"] == "b"


WRONG: dict[str, list[object]] = {
    "messages": [None, [], {}, "Hi", [None], [{}], [{"role": "user"}], [{"role": 1, "content": "x"}]],
    "model": [None, 7, "", [], {"a": 1}],
    "max_tokens": [-1, 0, 1.5, "many", 10**15, True, []],
    "n": [0, -1, 1000, 1.5, "two"],
    "stream": ["yes", 1, []],
    "temperature": ["hot", [], {}],
    "stop": [7, [7], ["a"] * 9],
    "tools": [7, "x", [7], [{}]],
    "stream_options": [7, "x"],
    "routewright": [7, "x", {"teir": "bulk"}, {"tier": 7}, {"tags": "x"}, {"deadline_ms": -1}],
}


async def test_c09_a_field_of_a_wrong_kind_is_a_400_that_names_it(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as wire:
        for field, values in WRONG.items():
            for value in values:
                heard = await _ask(wire, {**GOOD, field: value})
                if heard.statuses == [200]:
                    assert value is None, (field, value)
                    continue
                heard.refused(400, json.loads(heard.body)["error"]["code"])
                assert json.loads(heard.body)["error"]["param"].startswith(field), (field, value)
        without = await _ask(wire, {"model": "ok"})
        without.refused(400, "invalid_request", param="messages")
        assert opened.provider.bodies == []


async def test_c09_a_field_we_do_not_know_is_the_providers_and_decides_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as opened, opened.wire() as wire:
        assert (await _ask(wire, {**GOOD, "user": "me", "new_field": {"tier": "complex"}})).statuses == [200]
        assert opened.provider.bodies[0]["new_field"] == {"tier": "complex"}


async def test_c09_whatever_is_done_to_a_good_body_the_answer_is_a_documented_one(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    statuses = set()
    async with house(tmp_path) as opened, opened.wire() as wire:
        for _ in range(CASES):
            wire.write(post(_spoilt(chance), path=b"/v1/route"))  # reads them as chat completions are read
            heard = await wire.one()
            statuses.update(heard.statuses)
            if heard.statuses != [200]:
                heard.refused(heard.statuses[0], json.loads(heard.body)["error"]["code"])
    assert statuses <= {200, 400, 404}, statuses
    assert statuses >= {200, 400}, "some were still good, and some were not"


async def _ask(wire: Wire, body: object) -> Any:
    wire.write(post(json.dumps(body).encode()))
    return await wire.one()


def _spoilt(chance: random.Random) -> bytes:
    """A good body with one thing wrong: a value of another kind, a key more, or a byte."""
    junk: list[Any] = [
        None,
        True,
        -1,
        0,
        1e300,
        2**63,
        "",
        "ok",
        "\x00",
        "é" * 50,
        [],
        {},
        [[]],
        {"type": "text"},
        [{"role": "user"}],
    ]
    body = json.loads(json.dumps({**GOOD, "max_tokens": 5, "tools": [], "stop": ["x"], "routewright": {}}))
    place: Any = chance.choice([body, body["messages"][0], body["routewright"]])
    place[chance.choice([*place, "extra", "stream", "n", "top_p", "name", "tool_calls"])] = chance.choice(junk)
    place.pop("stream", None)
    raw = bytearray(json.dumps(body).encode())
    if chance.random() < 0.3:
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw)
