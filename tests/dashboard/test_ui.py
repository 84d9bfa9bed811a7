"""The dashboard over HTTP: who gets in, what is refused, and what it never does to anybody else."""

import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from entries import settled
from lobby import OPERATOR_KEY, Answered, Lobby, lobby
from routewright.dashboard.parameters import MOST_PARAMETERS
from routewright.gateway import ui
from routewright.gateway.door import Access
from routewright.gateway.ui_sessions import COOKIE, LASTS_S
from routewright.ledger.ledger import encode_event

FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
ELSEWHERE = {"x-forwarded-for": "203.0.113.9"}
OPERATED = '[server]\napi_key = "env:DOOR"\n'


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[Lobby]:
    """One whose dashboard is looked at from another machine, by way of a proxy."""
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as opened:
        yield opened


async def sign_in(house: Lobby, key: str, **fields: str) -> Answered:
    body = urlencode({"key": key, **fields}).encode()
    return await house.call("POST", "/ui/login", body, headers={**FORM, **ELSEWHERE})


async def look(house: Lobby, path: str, cookie: str = "") -> Answered:
    return await house.call("GET", path, headers={**ELSEWHERE, "cookie": cookie})


def cookie_of(answered: Answered) -> str:
    return answered.headers["set-cookie"].partition(";")[0]


# ---- pages ------------------------------------------------------------------------------------------------------


async def test_without_requests_there_is_something_to_copy(house: Lobby) -> None:
    page = (await house.call("GET", "/ui/overview")).body.decode()
    for text in (
        "Nothing was asked yet",
        "curl http://127.0.0.1:8484/v1/chat/completions",
        "from openai import OpenAI",
    ):
        assert text in page
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8484" in page


async def test_a_page_its_json_and_its_csv_say_the_same(house: Lobby) -> None:
    await house.ask()
    await house.runtime.flush()
    page = (await house.call("GET", "/ui/overview?days=7")).body.decode()
    told = (await house.call("GET", "/ui/overview.json?days=7")).json
    spend = told["tables"]["spend"]
    assert (told["page"], told["query"], len(spend)) == ("overview", "days=7", 7)
    assert spend[-1]["cost_usd"] == "0.000045000"
    assert "$0.000045" in page
    lines = (await house.call("GET", "/ui/overview.csv?days=7&table=spend")).body.decode().splitlines()
    assert lines[0].split(",") == list(spend[-1])
    assert lines[-1].split(",")[:2] == [spend[-1]["day"], "0.000045000"]
    only = (await house.call("GET", "/ui/overview.json?table=models")).json
    assert list(only["tables"]) == ["models"]


async def test_what_a_cost_does_not_tell_by_itself_stands_beside_it(house: Lobby) -> None:
    await house.ask()
    await house.runtime.flush()
    now = {"at_ns": house.clock.time_ns(), "request_id": "r2"}
    others = settled("a1", deployment="simulator/small", **now), settled("a2", is_estimated=True, **now)
    house.runtime.store.absorb([encode_event(event) for event in others])
    page = (await house.call("GET", "/ui/overview?days=7")).body.decode()
    assert "simulated: 1 attempt at the built-in simulator; no money was spent on these" in page
    assert "1 attempt estimated: the cost is an upper bound" in page


async def test_what_is_loaded_is_ours_small_and_never_changes(house: Lobby) -> None:
    await house.ask()
    await house.runtime.flush()
    answered = await house.call("GET", "/ui/overview")
    page = answered.body.decode()
    loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', page)
    assert loaded
    assert all(address.startswith("/ui/static/") for address in loaded)
    size = len(answered.body)
    for address in loaded:
        file = await house.call("GET", address)
        assert (file.status, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        size += len(file.body)
    assert len(loaded) + 1 < 12
    assert size < 250_000
    assert (await house.call("GET", "/ui/static/0123456789ab/boot.js")).status == 404


async def test_x12_every_answer_forbids_scripts_from_elsewhere_and_frames(house: Lobby) -> None:
    for path in (
        "/ui",
        "/ui/overview",
        "/ui/overview.json",
        "/ui/overview.csv",
        "/ui/login",
        "/ui/none",
        "/ui/overview?x",
    ):
        headers = (await house.call("GET", path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    page = (await house.call("GET", "/ui/overview")).body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


# ---- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "days=0",
        "days=-1",
        "days=30&days=7",
        "days=%00",
        "days=%ff",
        "days=30'%20OR%201=1",
        "days=" + "9" * 600,
        "table=users",
        "nothing=1",
        "<script>=1",
        "&".join(f"a{number}=1" for number in range(MOST_PARAMETERS + 1)),
    ],
)
async def test_what_is_not_understood_is_a_clear_400_and_does_nothing(house: Lobby, query: str) -> None:
    for kind in ("", ".json", ".csv"):
        answered = await house.call("GET", f"/ui/overview{kind}?{query}")
        if kind or not query.startswith("table"):
            assert answered.status == 400
            assert b"<script>=" not in answered.body


async def test_what_is_not_there_is_a_404_page(house: Lobby) -> None:
    answered = await house.call("GET", "/ui/<img src=x onerror=alert(1)>")
    assert answered.status == 404
    assert b"Not found" in answered.body
    assert b"<img" not in answered.body


async def test_a_fault_of_the_dashboard_is_told_in_a_page_and_asked_models_go_on(
    house: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.runtime.store.__class__, "sums", broken)
    answered = await house.call("GET", "/ui/overview")
    assert answered.status == 500
    assert b"an internal error" in answered.body
    assert (await house.ask()).status == 200


async def test_only_so_many_pages_are_made_and_waited_for(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "MOST_WAITING", 0)
    monkeypatch.setattr(ui, "AT_ONCE", 0)
    assert (await house.call("GET", "/ui/overview")).status == 503


async def test_a_page_that_takes_too_long_is_given_up(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(ui, "PAGE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(house.runtime.store.__class__, "sums", lambda *_: goes_on.wait(5))
    answered = await house.call("GET", "/ui/overview")
    goes_on.set()
    assert answered.status == 504
    assert b"took over" in answered.body


async def test_readers_who_ask_for_the_same_at_once_get_the_same_page(
    house: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    sums = house.runtime.store.__class__.sums

    def counted(*arguments: object) -> object:
        nonlocal made
        made += 1
        return sums(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(house.runtime.store.__class__, "sums", counted)
    await house.call("GET", "/ui/overview")
    once = made
    await house.call("GET", "/ui/overview")
    assert (made, once > 0) == (once, True)
    house.clock.advance(ui.KEPT_S + 1)
    await house.call("GET", "/ui/overview")
    assert made == 2 * once


# ---- access -----------------------------------------------------------------------------------------------------


async def test_from_elsewhere_one_signs_in_with_a_key_that_may_read(locked: Lobby) -> None:
    refused = await look(locked, "/ui/overview?days=7")
    assert (refused.status, refused.headers["location"]) == (303, "/ui/login?next=%2Fui%2Foverview%3Fdays%3D7")
    assert (await look(locked, "/ui/overview.json")).code == "invalid_api_key"
    reader = locked.key("eyes", roles=["read"])
    entered = await sign_in(locked, reader.text.reveal(), next="/ui/overview?days=7")
    assert (entered.status, entered.headers["location"]) == (303, "/ui/overview?days=7")
    for word in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/;"):
        assert word in entered.headers["set-cookie"]
    assert reader.text.reveal() not in entered.headers["set-cookie"]
    page = await look(locked, "/ui/overview", cookie_of(entered))
    assert page.status == 200
    assert reader.key.id in page.body.decode()


async def test_a_session_is_over_with_its_key_its_time_or_its_seal(locked: Lobby) -> None:
    reader = locked.key("eyes", roles=["read"])
    cookie = cookie_of(await sign_in(locked, reader.text.reveal()))
    operator = cookie_of(await sign_in(locked, OPERATOR_KEY))
    for good in (cookie, operator):
        assert (await look(locked, "/ui/overview", good)).status == 200
    for bad in (
        cookie[:-1],
        cookie + "0",
        cookie.replace(".", ".9", 1),
        f"{cookie}; {cookie}",
        f"{COOKIE}=operator.9.0",
    ):
        assert (await look(locked, "/ui/overview", bad)).status == 303, bad
    locked.runtime.keyring.rotate(reader.key.id)
    locked.runtime.directory.refresh()
    assert (await look(locked, "/ui/overview", cookie)).status == 303
    assert (await look(locked, "/ui/overview", operator)).status == 200
    locked.clock.advance(LASTS_S)
    assert (await look(locked, "/ui/overview", operator)).status == 303


async def test_a_wrong_key_and_one_without_the_role_do_not_sign_in(locked: Lobby) -> None:
    user = locked.key("app").text.reveal()
    assert (await sign_in(locked, "wrong")).status == 401
    assert (await sign_in(locked, user)).status == 403
    assert "set-cookie" not in (await sign_in(locked, user)).headers


@pytest.mark.parametrize(
    "onward", ["https://evil.example/ui/", "//evil.example/ui", "/\\evil.example", "javascript:1", "/v1"]
)
async def test_signing_in_leads_nowhere_else(locked: Lobby, onward: str) -> None:
    assert (await sign_in(locked, OPERATOR_KEY, next=onward)).headers["location"] == "/ui"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8484"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_x12_a_form_of_another_page_is_refused(locked: Lobby, headers: dict[str, str]) -> None:
    kind = {"content-type": FORM["content-type"]}
    for path in ("/ui/login", "/ui/logout"):
        answered = await locked.call("POST", path, b"key=" + OPERATOR_KEY.encode(), headers={**kind, **headers})
        assert answered.status == 403
        assert "set-cookie" not in answered.headers


async def test_x12_a_name_pointed_at_this_machine_sees_nothing(house: Lobby) -> None:
    for headers in ((b"host", b"evil.example"),), ((b"origin", b"https://evil.example"),):
        assert (await house.call("GET", "/ui/overview", raw_headers=headers)).status == 403 or headers[0][0] == b"host"
    scope_host = await house.call("GET", "/ui/overview", headers={"host": "evil.example"})
    assert scope_host.status == 403


async def test_a_session_is_no_key_for_anything_else(locked: Lobby) -> None:
    cookie = cookie_of(await sign_in(locked, OPERATOR_KEY))
    for endpoint in locked.gateway.endpoints:
        if endpoint.access in (Access.USE, Access.READ, Access.ADMIN):
            path = endpoint.path.replace("**", "x").replace("*", "x")
            answered = await locked.call(endpoint.method, path, {}, headers={"cookie": cookie, **FORM})
            assert answered.status == 401, path


async def test_signing_out_ends_the_session_in_the_browser(locked: Lobby) -> None:
    answered = await locked.call("POST", "/ui/logout", b"", headers=FORM)
    assert (answered.status, "Max-Age=0" in answered.headers["set-cookie"]) == (303, True)
