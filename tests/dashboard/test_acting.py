"""Forms of the dashboard over HTTP: keys, batches and the playground; who may send them, and what is refused."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from forms import FORM
from lobby import OPERATOR_KEY, Answered, Lobby, lobby, standing
from routewright.dashboard.pages import PAGES
from routewright.gateway import ui_playground
from routewright.gateway.door import Access
from routewright.jobs.job import Job, JobState
from routewright.ledger.budgets import Scope

OPERATED = '[server]\napi_key = "env:DOOR"\n'
HOSTILE = "=1+1<script>alert(1)</script>\x1b[2J"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    """With an operator's key."""
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as opened:
        yield opened


async def send(house: Lobby, path: str, key: str | None = OPERATOR_KEY, **fields: str) -> Answered:
    return await house.call("POST", path, urlencode(fields).encode(), key=key, headers=FORM)


async def see(house: Lobby, path: str) -> str:
    answered = await house.call("GET", path, key=OPERATOR_KEY)
    assert answered.status == 200, answered.body
    return html.unescape(answered.body.decode())


# ---- keys -------------------------------------------------------------------------------------------------------


async def test_a_key_is_made_its_secret_is_shown_once_and_it_works_until_it_is_revoked(house: Lobby) -> None:
    made = await send(house, "/ui/keys", name="app", team="web", limit_usd="2.50", period="day", concurrency="3")
    assert (made.status, made.headers["cache-control"]) == (200, "no-store")
    found = re.search(r'id="secret">([^<]+)<', made.body.decode())
    assert found is not None
    secret = found[1]
    assert (await house.ask(key=secret)).status == 200
    [key] = house.runtime.directory.all_keys()
    assert (key.name, key.team, key.concurrency, key.budgets[0].limit_nanousd) == ("app", "web", 3, 2_500_000_000)
    for path in ("/ui/keys", f"/ui/keys/{key.id}", f"/ui/keys/{key.id}.json"):
        assert secret not in await see(house, path)
    done = await send(house, f"/ui/keys/{key.id}/revoke")
    assert (done.status, done.headers["location"]) == (303, f"/ui/keys/{key.id}")
    assert (await house.ask(key=secret)).status == 401
    assert "revoked" in await see(house, f"/ui/keys/{key.id}")


async def test_limits_and_budgets_of_a_key_are_set_and_taken_away(house: Lobby) -> None:
    key = house.key("app", budgets=[{"limit_usd": "9", "period": "day"}]).key
    await send(house, f"/ui/keys/{key.id}/limits", requests_per_minute="60", tokens_per_minute="")
    await send(house, f"/ui/keys/{key.id}/budget", limit_usd="100", period="month")
    [now] = house.runtime.directory.all_keys()
    assert (now.requests_per_minute, now.tokens_per_minute) == (60, None)
    assert {budget.period: budget.limit_nanousd for budget in now.budgets} == {"day": 9 * 10**9, "month": 100 * 10**9}
    await send(house, f"/ui/keys/{key.id}/budget", limit_usd="", period="day")
    await send(house, f"/ui/keys/{key.id}/limits", requests_per_minute="")
    [now] = house.runtime.directory.all_keys()
    assert (now.requests_per_minute, [budget.period for budget in now.budgets]) == (None, ["month"])


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x", "role": "owner"},
        {"name": "x", "limit_usd": "-1"},
        {"name": "x", "limit_usd": "1e400"},
        {"name": "x", "limit_usd": "1", "period": "hour"},
        {"name": "x", "concurrency": "many"},
        {"name": "x", "expires": "tomorrow"},
        {"name": "x\x1b[2J"},
        {"name": "x", "id": "mine"},
        {"name": "x" * 600},
    ],
)
async def test_x07_a_wish_that_is_not_understood_makes_no_key(house: Lobby, fields: dict[str, str]) -> None:
    answered = await send(house, "/ui/keys", **fields)
    assert (answered.status, b"<html" in answered.body) == (400, True)
    assert house.runtime.directory.all_keys() == []


async def test_who_may_only_look_sees_no_forms_and_cannot_act(house: Lobby) -> None:
    reader = house.key("eyes", roles=["read"]).text.reveal()
    target = house.key("target").key.id
    for path in ("/ui/keys", f"/ui/keys/{target}"):
        page = (await house.call("GET", path, key=reader)).body.decode()
        assert 'action="/ui/keys' not in page.replace('method="get" action="/ui/keys"', "")
    for endpoint in house.gateway.endpoints:
        if endpoint.access in (Access.ACT, Access.SAY) and not endpoint.path.startswith("/ui/requests"):
            answered = await send(house, endpoint.path.replace("*", target), reader)
            assert answered.status == 403, endpoint.path
    assert house.runtime.keyring.get(target).revoked_at_ns is None


async def test_x12_a_form_of_another_page_changes_nothing(house: Lobby) -> None:
    reader = house.key("boss", roles=["admin"])
    body = urlencode({"key": reader.text.reveal()}).encode()
    signed_in = await house.call("POST", "/ui/login", body, headers=FORM)
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    path = f"/ui/keys/{reader.key.id}/revoke"
    for more in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example", "host": "127.0.0.1:8484"}):
        kind = {name: value for name, value in FORM.items() if name != "sec-fetch-site"}
        answered = await house.call("POST", path, b"", headers={**kind, "cookie": cookie, **more})
        assert (answered.status, b"E148" in answered.body) == (403, True)
    assert house.runtime.keyring.get(reader.key.id).revoked_at_ns is None
    answered = await house.call("POST", path, b"", headers={**FORM, "cookie": cookie})
    assert answered.status == 303


async def test_a_page_made_for_one_reader_is_not_given_to_another(house: Lobby) -> None:
    cookies = {}
    for name in ("one", "two"):
        reader = house.key(name, roles=["read"])
        body = urlencode({"key": reader.text.reveal()}).encode()
        signed_in = await house.call("POST", "/ui/login", body, headers=FORM)
        cookies[reader.key.id] = signed_in.headers["set-cookie"].partition(";")[0]
    for key_id, cookie in cookies.items():
        page = (await house.call("GET", "/ui/models", headers={"cookie": cookie})).body.decode()
        assert f"Sign out {key_id}" in page


# ---- budgets ----------------------------------------------------------------------------------------------------


async def test_budgets_are_shown_the_nearest_to_their_end_first(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    near = replace(standing("near"), spent_nanousd=9_000_000_000, remaining_nanousd=250_000_000)
    monkeypatch.setattr(house.runtime.engine, "budgets", lambda: [standing("far"), near, standing("k", Scope.KEY)])
    told = (await house.call("GET", "/ui/budgets.json", key=OPERATOR_KEY)).json["tables"]["budgets"]
    assert [row["budget"] for row in told] == ["near", "far", "k"]
    assert (told[1]["spent_usd"], told[1]["held_usd"], told[1]["left_usd"], told[1]["used"]) == (
        "2.000000000",
        "0.750000000",
        "7.250000000",
        275,
    )
    close = (await house.call("GET", "/ui/budgets.json?only=close", key=OPERATOR_KEY)).json["tables"]["budgets"]
    assert [(row["budget"], row["state"]) for row in close] == [("near", "close")]


# ---- batches ----------------------------------------------------------------------------------------------------


def made(house: Lobby, number: int, **changes: object) -> Job:
    """A batch made in a terminal."""
    fields: dict[str, object] = {"state": JobState.IN_PROGRESS, "total": 4, **changes}
    folder = house.runtime.engine.settings.ledger.path
    return house.gateway.batch_work.kept.jobs.create(
        Job(
            id=f"batch_{number:032x}",
            created_at_ns=number,
            source=str(folder / "in.jsonl"),
            output=str(folder / f"{number}.jsonl"),
            errors=str(folder / f"{number}.errors"),
            fingerprint="f",
            **fields,  # type: ignore[arg-type]
        )
    )


async def test_batches_are_listed_page_by_page_and_cancelled(house: Lobby) -> None:
    jobs = [made(house, number) for number in range(1, 23)]
    first = await see(house, "/ui/batches")
    assert (jobs[-1].id in first, jobs[0].id in first) == (True, False)
    onward = re.search(r'href="(/ui/batches\?before=\d+)"', first)
    assert onward is not None
    assert jobs[0].id in await see(house, onward[1])
    answered = await send(house, f"/ui/batches/{jobs[0].id}/cancel")
    assert (answered.status, answered.headers["location"]) == (303, f"/ui/batches/{jobs[0].id}")
    page = await see(house, f"/ui/batches/{jobs[0].id}")
    assert "cancelled" in page
    assert "Cancel the batch" not in page
    assert (await send(house, f"/ui/batches/{jobs[0].id}/cancel")).status == 303  # it is already
    assert (await house.call("GET", "/ui/batches/batch_none", key=OPERATOR_KEY)).status == 404


async def test_large_batches_are_counted_only_when_they_are_opened(
    house: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routewright.dashboard.batches.MOST_COUNTED", 5)
    older, newer = made(house, 1), made(house, 2)
    told = (await house.call("GET", "/ui/batches.json", key=OPERATOR_KEY)).json["tables"]["batches"]
    assert [(row["batch"], row["done"]) for row in told] == [(newer.id, 0), (older.id, None)]
    [one] = (await house.call("GET", f"/ui/batches/{older.id}.json?table=batches", key=OPERATOR_KEY)).json["tables"][
        "batches"
    ]
    assert one["done"] == 0


async def test_a_batch_of_a_terminal_goes_on_there(house: Lobby) -> None:
    job = made(house, 1)
    answered = await send(house, f"/ui/batches/{job.id}/resume")
    assert answered.status == 409
    assert b"routewright batch run" in answered.body


# ---- the playground ---------------------------------------------------------------------------------------------


async def test_what_it_would_cost_is_told_before_and_nobody_is_asked(house: Lobby) -> None:
    page = html.unescape((await send(house, "/ui/playground", prompt="Hi", left="strong", right="plain")).body.decode())
    assert "Before: <strong>strong</strong>, est. $" in page
    assert "After:" not in page
    await house.runtime.flush()
    assert house.runtime.store.totals().requests == 0


async def test_two_models_answer_side_by_side_and_the_costs_are_those_of_the_ledger(house: Lobby) -> None:
    fields = {"prompt": "Hi\r\nthere", "left": "strong", "right": "plain", "max_tokens": "20", "do": "ask"}
    answered = await send(house, "/ui/playground", **fields)
    page = answered.body.decode()
    assert page.count("After:") == 2
    assert "Hi\nthere</textarea>" in page
    await house.runtime.flush()
    for request in house.runtime.store.tail(2):
        amount = f"${request.cost_nanousd / 1e9:.6f}" if request.cost_nanousd >= 1000 else "$"
        assert amount in page
        assert f"/ui/requests/{request.request_id}" in page


async def test_x11_a_question_full_of_html_is_text(house: Lobby) -> None:
    fields = {"prompt": "</textarea><script>alert(1)</script>", "left": HOSTILE.replace("\x1b[2J", ""), "do": "ask"}
    answered = await send(house, "/ui/playground", **fields)
    assert answered.status == 200
    assert b"<script>alert" not in answered.body
    assert b"E1" in answered.body  # no model is called so


async def test_who_asks_pays_and_is_held_to_their_key(house: Lobby) -> None:
    user = house.key("app", models=["plain"])
    page = (
        await send(house, "/ui/playground", user.text.reveal(), prompt="Hi", left="strong", right="plain", do="ask")
    ).body.decode()
    assert page.count("After:") == 1
    assert "no model is called" in html.unescape(page)
    await house.runtime.flush()
    [request] = [each for each in house.runtime.store.tail(5) if each.outcome == "complete"]
    assert (request.model, request.key) == ("plain", user.key.id)


async def test_only_so_many_playgrounds_ask_at_a_time(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_playground, "MOST_ASKED", 0)
    assert (await send(house, "/ui/playground", prompt="Hi", do="ask")).status == 503
    assert (await send(house, "/ui/playground", prompt="Hi")).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": " "},
        {"prompt": "x", "max_tokens": "5000"},
        {"prompt": "x" * 16_001},
        {"prompt": "x", "do": "buy"},
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(house: Lobby, fields: dict[str, str]) -> None:
    assert (await send(house, "/ui/playground", **fields)).status == 400


# ---- all pages --------------------------------------------------------------------------------------------------


async def test_every_page_has_its_json_and_csv_and_refuses_what_it_does_not_know(house: Lobby) -> None:
    key = house.key(HOSTILE.replace("\x1b[2J", "")).key
    await house.ask(key=OPERATOR_KEY)
    await house.runtime.flush()
    made(house, 1)
    for page in PAGES:
        part = {"keys/*": key.id, "batches/*": f"batch_{1:032x}"}.get(page.name)
        if "*" in page.name and part is None:
            continue
        path = f"/ui/{page.name.replace('*', part or '')}"
        for kind, begins in (("", b"<!doctype html>"), (".json", b"{"), (".csv", b"")):
            answered = await house.call("GET", path + kind, key=OPERATOR_KEY)
            assert answered.status == 200, path + kind
            assert answered.body.startswith(begins)
            assert b"<script>" not in answered.body or kind != ""
            for name in (*page.known, "nothing"):
                hostile = f"{path}{kind}?{name}=%00%1b%27;DROP"
                assert (await house.call("GET", hostile, key=OPERATOR_KEY)).status == 400, hostile
