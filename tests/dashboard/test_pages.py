"""The pages of requests and sessions: what they show, what they refuse, and what is done at them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lobby import OPERATOR_KEY, Lobby, lobby
from routewright.gateway import ui_requests
from routewright.gateway.http import Kept, Message, Request

FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
UNKNOWN = "01981234-5678-7abc-8def-0123456789ab"
HOSTILE = "=1+1<b>'"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


async def asked(house: Lobby, **headers: str) -> str:
    answered = await house.ask(headers=headers)
    await house.runtime.flush()
    house.clock.advance(5)  # what was made for others is not given out any more
    return answered.headers["x-routewright-request-id"]


async def tables(house: Lobby, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await house.call("GET", path)).json["tables"]
    return found


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday", "since=2026-02-30", "until=20261101", "min_cost=-1", "min_cost=1e9", "min_cost=NaN",
        "max_ms=1.5", "max_ms=99999999999999999999", "session=../../etc/passwd", "session=' OR 1=1",
        "outcome=<script>", "before=1", "before=9999999999999999999-" + "0" * 36, "before=1-" + "x" * 36, "page=2",
    ],
)  # fmt: skip
async def test_hostile_filters_are_a_clear_400(house: Lobby, query: str) -> None:
    for kind in ("", ".json", ".csv"):
        answered = await house.call("GET", f"/ui/requests{kind}?{query}")
        assert answered.status == 400
        assert b"<script>" not in answered.body.replace(b"<script src", b"")
    assert (await house.call("GET", f"/ui/requests/tail?{query}")).status == 400


@pytest.mark.parametrize("query", ["since=9999-12-31", "since=0001-01-01", "until=9999-12-31", "until=0001-01-01"])
async def test_days_that_no_ledger_can_have_are_days_all_the_same(house: Lobby, query: str) -> None:
    await asked(house)
    for kind in ("", ".json", ".csv"):
        assert (await house.call("GET", f"/ui/requests{kind}?{query}")).status == 200


async def test_a_page_that_is_not_there_says_where_pages_begin(house: Lobby) -> None:
    answered = await house.call("GET", "/ui/nowhere")
    assert answered.status == 404
    assert b"begin at /ui" in answered.body
    assert b"/v1/" not in answered.body


@pytest.mark.parametrize("part", [UNKNOWN, "1", "' OR 1=1", "..", "a" * 300, "%00"])
async def test_an_unknown_request_or_session_is_404(house: Lobby, part: str) -> None:
    for folder in ("requests", "sessions"):
        for kind in ("", ".json", ".csv"):
            assert (await house.call("GET", f"/ui/{folder}/{part}{kind}")).status == 404


async def test_a_request_has_its_decision_attempts_and_every_token_priced(house: Lobby) -> None:
    request_id = await asked(house)
    found = await tables(house, f"/ui/requests/{request_id}.json?policy=default")
    assert [row["model"] for row in found["decision"]][:2] == ["swift", "strong"]
    assert [(row["cause"], row["outcome"], row["cost_usd"]) for row in found["attempts"]] == [
        ("first", "complete", "0.000045000")
    ]
    priced = {row["kind"]: (row["tokens"], row["usd_per_million"], row["cost_usd"]) for row in found["tokens"]}
    assert priced == {
        "input": (5, "1.000000000", "0.000005000"),
        "output": (20, "2.000000000", "0.000040000"),
        "all": (25, None, "0.000045000"),
    }
    assert all(row["price_version"] for row in found["tokens"])
    assert found["replay"][0] == {"model": "swift", "share": 1000, "expected_cost_usd": "0.000047000"}
    assert (await house.call("GET", f"/ui/requests/{request_id}?policy=none")).status == 400


SHADOWED = '[shadow]\nmodels = ["plain"]\nshare = 1\njudge = "strong"\n[ledger]\nlog_content = true\n'


async def test_a_request_that_had_a_shadow_shows_it_over_time_and_what_came_of_it(tmp_path: Path) -> None:
    async with lobby(tmp_path, SHADOWED) as house:
        answered = await house.ask()
        await house.runtime.engine.shadows.finish()
        await house.runtime.flush()
        request_id = answered.headers["x-routewright-request-id"]
        found = await tables(house, f"/ui/requests/{request_id}.json")
        page = (await house.call("GET", f"/ui/requests/{request_id}")).body.decode()
    assert "shadow" in {row["cause"] for row in found["attempts"]}
    [told] = found["shadows"]
    assert (told["shadow"], told["beside"]) == ("plain", "swift")
    assert told["result"] in ("same", "win", "loss", "tie", "undecided", "different")
    assert told["shadow_cost_usd"] is not None
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert "shadow · acme/plain" in drawing
    assert f", {told['result']}" in drawing, "the verdict stands at its row"
    assert "Asked aside" in page
    assert "plain, aside" in page, "both answers are kept, and shown"


async def test_a_request_without_a_shadow_has_no_place_for_one(house: Lobby) -> None:
    request_id = await asked(house)
    assert "shadows" not in await tables(house, f"/ui/requests/{request_id}.json")
    assert b"Asked aside" not in (await house.call("GET", f"/ui/requests/{request_id}")).body


async def test_what_came_from_outside_is_text_everywhere(house: Lobby) -> None:
    request_id = await asked(house, **{"x-routewright-tags": HOSTILE})
    page = (await house.call("GET", f"/ui/requests/{request_id}")).body.decode()
    assert "=1+1&lt;b&gt;" in page
    assert "<b>" not in page
    await house.ask(model=HOSTILE)
    await house.runtime.flush()
    sheet = (await house.call("GET", "/ui/requests.csv?outcome=failed")).body.decode()
    assert f"'{HOSTILE}" in sheet, "no spreadsheet takes it for a formula"


async def test_no_word_of_a_prompt_is_shown_unless_content_is_kept(tmp_path: Path) -> None:
    words = [{"role": "system", "content": "A secret prompt"}, {"role": "user", "content": "A secret question"}]
    for settings, is_shown in (("", False), ("[ledger]\nlog_content = true\n", True)):
        (folder := tmp_path / str(is_shown)).mkdir()
        async with lobby(folder, settings) as house:
            answered = await house.ask(messages=words)
            await house.runtime.flush()
            request_id = answered.headers["x-routewright-request-id"]
            page = (await house.call("GET", f"/ui/requests/{request_id}")).body
            assert (b"A secret prompt" in page) == is_shown
            assert b"A secret question" not in page


async def test_sessions_are_one_line_each(house: Lobby) -> None:
    for model in ("auto", "auto", "strong"):
        await house.ask(headers={"x-session-id": "a"}, model=model)
        house.clock.advance(1)  # turns are in the order of their time
    await asked(house, **{"x-session-id": "b"})
    await house.ask()
    found = (await tables(house, "/ui/sessions.json"))["sessions"]
    by_turns = {row["turns"]: row for row in found}
    assert sorted(by_turns) == [1, 3]
    run = by_turns[3]
    assert (run["switches"], run["model"], run["costs_nanousd"]) == (1, "strong", "45000 45000 450000")
    assert run["cost_usd"] == "0.000540000"
    assert (by_turns[1]["switch_to"], by_turns[1]["switch_cost_usd"]) == ("strong", "0.000423000")
    turns = await tables(house, f"/ui/sessions/{run['session']}.json")
    assert len(turns["requests"]) == 3
    assert len((await tables(house, f"/ui/requests.json?session={run['session']}"))["requests"]) == 3


async def test_an_opinion_is_recorded_and_only_of_what_there_is(house: Lobby) -> None:
    request_id = await asked(house)
    path = f"/ui/requests/{request_id}/feedback"
    answered = await house.call("POST", path, b"good=1", headers=FORM)
    assert (answered.status, answered.headers["location"]) == (303, f"/ui/requests/{request_id}")
    await house.runtime.flush()
    assert b"feedback" in (await house.call("GET", f"/ui/requests/{request_id}")).body
    for body in (b"", b"good=2", b"good=1&good=0", b"score=1", b"\xff=1"):
        assert (await house.call("POST", path, body, headers=FORM)).status == 400
    assert (await house.call("POST", f"/ui/requests/{UNKNOWN}/feedback", b"good=1", headers=FORM)).status == 404
    assert (await house.call("POST", path, b"good=1", headers={**FORM, "content-type": "text/plain"})).status == 400
    assert (await house.call("POST", path, b"good=1", headers={"content-type": FORM["content-type"]})).status == 403


async def test_a_key_judges_its_own_requests_and_an_administrator_all(tmp_path: Path) -> None:
    async with lobby(tmp_path, '[server]\napi_key = "env:DOOR"\n', {"DOOR": OPERATOR_KEY}) as house:
        owner, other = (house.key(name, roles=["use"]).text.reveal() for name in ("owner", "other"))
        boss = house.key("boss", roles=["admin"]).text.reveal()
        answered = await house.ask(owner)
        await house.runtime.flush()
        path = f"/ui/requests/{answered.headers['x-routewright-request-id']}/feedback"
        told = [
            (await house.call("POST", path, b"good=0", key=key, headers=FORM)).status for key in (owner, other, boss)
        ]
        assert told == [303, 404, 303]
        assert (await house.call("POST", path, b"good=0", headers=FORM)).status == 401


# ---- following --------------------------------------------------------------------------------------------------


class Follower(Kept):
    """A reader of the live tail."""

    def __init__(self, house: Lobby, query: str = "") -> None:
        super().__init__()
        self.told = ""
        self.leave: Callable[[], None] = lambda: None
        self.news = asyncio.Event()
        self.task = asyncio.ensure_future(self._read(house, query))

    def watch(self, left: Callable[[], None] | None) -> None:
        if left is not None:
            self.leave = left

    async def _read(self, house: Lobby, query: str) -> None:
        async def send(message: Message) -> None:
            if isinstance(message, bytes):
                self.told += message.decode()
            self.news.set()

        headers = {b"host": b"127.0.0.1:8484"}
        await house.gateway(Request("GET", "/ui/requests/tail", headers, self, query=query.encode()), send)

    async def until(self, text: str) -> None:
        async with asyncio.timeout(10):
            while text not in self.told:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_requests, "LOOK_EVERY_S", 0.02)


async def test_followers_are_told_of_new_requests_like_those_they_ask_for(house: Lobby, at_once: None) -> None:
    old = await asked(house)
    house.clock.advance(60)
    every, none = Follower(house), Follower(house, "model=strong")
    await every.until(": following")
    await none.until(": following")
    new = await asked(house)
    await every.until(new)
    assert every.told.count(new) == 2, "once, in a cell and in its link"
    assert old not in every.told
    await every.until("\n\n:\n\n:\n\n")
    assert every.told.count(new) == 2
    assert new not in none.told
    for follower in (every, none):
        follower.leave()
        await follower.task


async def test_the_end_of_the_gateway_ends_following(house: Lobby, at_once: None) -> None:
    follower = Follower(house)
    await follower.until(": following")
    house.gateway.is_draining = True
    async with asyncio.timeout(10):
        await follower.task


async def test_only_so_many_follow(house: Lobby, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_requests, "MOST_FOLLOWERS", 1)
    first = Follower(house)
    await first.until(": following")
    assert (await house.call("GET", "/ui/requests/tail")).status == 503
    first.leave()
    await first.task
    second = Follower(house)
    await second.until(": following")
    second.leave()
    await second.task
