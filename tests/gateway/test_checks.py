"""Checks and the cascade through the gateway's door: what clients send, get and are told, and what is in the books."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lobby import GOOD, Answered, Lobby, lobby
from saying import Saying

SHAPE = """
[checks.shape]
kind = "json_schema"
routes = ["all"]
schema = '{"type": "object", "required": ["a"]}'
"""
ESCALATE = '[cascade]\nsteps = ["escalate"]\n'
COMPARE = '[cascade]\nagreement = ["plain", "swift"]\n'
INLINE = {"kind": "json_schema", "schema": {"type": "object", "required": ["a"]}}
CHOICE = [{"role": "user", "content": "Prove which one it is, by careful reasoning.\nA. red\nB. green"}]
RIGHT, WRONG, FENCED = '{"a": 1}', '{"b": 1}', 'Here it is:\n```json\n{"a": 1}\n```'


@asynccontextmanager
async def house(folder: Path, more: str = "", **says: list[str] | str) -> AsyncIterator[tuple[Lobby, Saying]]:
    saying = Saying(**says)
    async with lobby(folder, more, simulator=saying) as opened:
        yield opened, saying


def text_of(answer: Answered) -> str:
    content: str = answer.json["choices"][0]["message"]["content"]
    return content


def streamed_text(answer: Answered) -> str:
    chunks = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    return "".join(each["delta"].get("content") or "" for chunk in chunks for each in chunk["choices"])


async def rows(opened: Lobby, sql: str) -> list[Any]:
    await opened.runtime.flush()
    with sqlite3.connect(opened.runtime.engine.settings.ledger.path / "ledger.db") as connection:
        return connection.execute(sql).fetchall()


async def test_an_answer_that_fails_is_escalated_and_every_attempt_is_accounted(tmp_path: Path) -> None:
    async with house(tmp_path, SHAPE + ESCALATE, plain=WRONG, swift=RIGHT) as (opened, _):
        answer = await opened.ask(model="auto", routewright={"tier": "bulk"})
        assert (answer.status, text_of(answer)) == (200, RIGHT)
        assert answer.headers["x-routewright-model"] == "swift"
        assert answer.headers["x-routewright-checks"] == "shape=ok"
        assert answer.headers["x-routewright-cascade"] == "plain failed shape; escalation: swift"
        assert answer.headers["x-routewright-attempts"] == "2"
        assert answer.headers["x-routewright-cost-usd"] == "0.000022000", "of both: 10 in, 5 out at $0.1/0.2 and $1/2"
        settled = await rows(opened, "SELECT model, cause, cost_nanousd FROM events WHERE kind = 'settled'")
        assert settled == [("plain", "first", 2_000), ("swift", "escalation", 20_000)]
        assert await rows(opened, "SELECT model, attempts, cost_nanousd FROM requests") == [("swift", 2, 22_000)]
        told = await rows(opened, 'SELECT model, source, "check", score FROM outcomes ORDER BY sequence')
        assert told == [("plain", "check", "shape", 0.0), ("swift", "check", "shape", 1.0)]


async def test_where_nothing_is_checked_the_cascade_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "checked").mkdir()
    async with house(tmp_path) as (plain, _), house(tmp_path / "checked", SHAPE) as (checked, _):
        without, with_checks = plain.runtime.engine._snapshot.base, checked.runtime.engine._snapshot.base
        assert without.service is not without.checked
        assert with_checks.service is with_checks.checked


async def test_all_answers_of_a_request_count_against_its_keys_tokens(tmp_path: Path) -> None:
    async with house(tmp_path, SHAPE + ESCALATE, plain=WRONG, swift=RIGHT) as (opened, _):
        key = opened.key(tokens_per_minute=1_000).text.reveal()
        answer = await opened.ask(key, model="auto", routewright={"tier": "bulk"})
        assert answer.headers["x-routewright-attempts"] == "2"
        later = await opened.ask(key, model="auto", routewright={"tier": "bulk"})
        assert later.headers["x-ratelimit-remaining-tokens"] == "940", "of four answers of 15"


async def test_nothing_of_an_answer_is_kept_with_what_was_found(tmp_path: Path) -> None:
    said = '{"canary-of-the-answer": 1}'
    async with house(tmp_path, SHAPE, plain=said, swift=said, strong=said) as (opened, _):
        await opened.ask(model="auto", routewright={"tier": "bulk"})
        await opened.runtime.flush()
        folder = opened.runtime.engine.settings.ledger.path
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"shape" in kept
    assert b"canary-of-the-answer" not in kept


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repaired_answer_reaches_a_client_of_the_same_dialect(tmp_path: Path, stream: bool) -> None:
    async with house(tmp_path, SHAPE, plain=FENCED) as (opened, saying):
        answer = await opened.ask(model="plain", stream=stream, stream_options={"include_usage": True})
        assert (streamed_text(answer) if stream else text_of(answer)) == RIGHT
        assert answer.headers["x-routewright-cascade"] == "plain's JSON was repaired"
        assert len(saying.bodies) == 1
        assert b'"prompt_tokens":10' in answer.body
        assert answer.body.endswith(b"data: [DONE]\n\n") is stream


async def test_an_anthropic_body_brings_checks_as_well(tmp_path: Path) -> None:
    async with house(tmp_path, ESCALATE, plain=WRONG, swift=RIGHT, strong=RIGHT) as (opened, _):
        body = {**GOOD, "routewright": {"checks": [INLINE], "tier": "bulk"}}
        answer = await opened.call("POST", "/v1/messages", body)
        assert answer.json["content"] == [{"type": "text", "text": RIGHT}]
        assert answer.headers["x-routewright-checks"] == "json_schema=ok"


async def test_the_model_that_is_asked_again_reads_what_was_wrong(tmp_path: Path) -> None:
    async with house(tmp_path, plain=[WRONG, RIGHT]) as (opened, saying):
        answer = await opened.ask(model="plain", routewright={"checks": [INLINE]})
        assert text_of(answer) == RIGHT
        asked, again = saying.bodies
        assert "routewright" not in asked
        assert [each["content"] for each in again["messages"][:-1]] == ["Hi", WRONG]
        assert "required property" in again["messages"][-1]["content"]


async def test_checks_are_named_in_a_header_too(tmp_path: Path) -> None:
    async with house(tmp_path, plain="I'm sorry, I cannot help with that.") as (opened, _):
        answer = await opened.ask(model="plain", headers={"x-routewright-checks": "refusal, truncation"})
        assert answer.headers["x-routewright-checks"] == "refusal=failed, truncation=ok"


async def test_a_stream_that_is_only_recorded_is_passed_on_and_checked_later(tmp_path: Path) -> None:
    recorded = SHAPE + '[cascade]\nstreams = "record"\n'
    async with house(tmp_path, recorded, plain=WRONG) as (opened, _):
        answer = await opened.ask(model="plain", stream=True)
        assert streamed_text(answer) == WRONG
        assert answer.headers["x-routewright-checks"] == "shape=later"
        assert await rows(opened, "SELECT score FROM outcomes") == [(0.0,)]


async def test_cheap_answers_that_agree_spare_the_dear_model(tmp_path: Path) -> None:
    async with house(tmp_path, COMPARE, plain="B", swift="The answer is B.") as (opened, saying):
        answer = await opened.ask(messages=CHOICE, max_tokens=2_000)
        assert (text_of(answer), answer.headers["x-routewright-checks"]) == ("B", "agreement=ok")
        assert sorted(body["model"] for body in saying.bodies) == ["plain", "swift"]
        settled = await rows(opened, "SELECT model, cause FROM events WHERE kind = 'settled' ORDER BY model")
        assert settled == [("plain", "first"), ("swift", "agreement")]


async def test_the_decision_alone_shows_the_strategy_and_its_cost(tmp_path: Path) -> None:
    async with house(tmp_path, COMPARE) as (opened, _):
        told = await opened.call("POST", "/v1/route", {**GOOD, "messages": CHOICE, "max_tokens": 2_000})
        strategy = told.json["strategy"]
        assert (strategy["kind"], strategy["asked"], strategy["then"]) == ("agreement", ["plain", "swift"], "strong")
        assert 0 < strategy["expected_cost_nanousd"] < told.json["candidates"][0]["expected_cost_nanousd"]


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ("shape", "routewright.checks"),
        (["nope"], "routewright.checks[0]"),
        ([{"kind": "json_schema", "schema": {"type": "nope"}}], "routewright.checks[0]"),
        ([{"kind": "json_schema", "schema": {"$ref": "http://169.254.169.254/x"}}], "routewright.checks[0]"),
        ([{"kind": "json_schema"}], "routewright.checks[0].schema"),
        ([{"kind": "regex", "pattern": "(a)\\1"}], "routewright.checks[0]"),
        ([{"kind": "plug_in"}], "routewright.checks[0].kind"),
        (["json", {"kind": "length", "max": 3}], "routewright.checks[1].max"),
        ([{"kind": "json", "name": "agreement"}], "routewright.checks[0].name"),
        (["json"] * 17, "routewright.checks"),
    ],
)
async def test_x02_x13_a_check_that_cannot_be_is_400_by_its_name_and_nobody_is_asked(
    tmp_path: Path, checks: object, told: str
) -> None:
    async with house(tmp_path, plain=RIGHT) as (opened, saying):
        answer = await opened.ask(model="plain", routewright={"checks": checks})
        assert (answer.status, answer.json["error"]["param"]) == (400, told)
        assert not saying.bodies


async def test_a_kept_answer_is_no_answer_to_a_request_with_checks_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path, '[cache]\nroutes = ["all"]\n', plain=WRONG) as (opened, saying):
        await opened.ask(model="plain")
        checked = await opened.ask(model="plain", routewright={"checks": ["json"]})
        assert checked.headers.get("x-routewright-cache") is None
        assert len(saying.bodies) == 2


async def test_what_failed_its_checks_is_not_kept(tmp_path: Path) -> None:
    kept = '[cache]\nroutes = ["all"]\n' + SHAPE + "[cascade]\nsteps = []\n"
    async with house(tmp_path, kept, plain=[WRONG, RIGHT, RIGHT]) as (opened, _):
        states = [(await opened.ask(model="plain")).headers["x-routewright-cache"] for _ in range(3)]
        assert states == ["miss", "miss", "hit"]
