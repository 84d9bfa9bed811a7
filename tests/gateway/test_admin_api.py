from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lobby import Lobby, lobby, standing


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


@pytest.fixture
def admin(house: Lobby) -> str:
    return house.key("boss", roles=["admin"]).text.reveal()


async def test_a_key_that_is_made_works_at_once_and_its_text_is_told_once(house: Lobby, admin: str) -> None:
    wish = {"name": "app", "models": ["auto"], "budgets": [{"limit_usd": "2", "period": "week"}]}
    made = await house.call("POST", "/admin/keys", wish, key=admin)
    assert made.status == 201
    assert made.headers["cache-control"] == "no-store"
    text = made.json["key"]
    assert (await house.ask(text)).status == 200
    shown = await house.call("GET", f"/admin/keys/{made.json['id']}", key=admin)
    listed = await house.call("GET", "/admin/keys", key=admin)
    assert shown.json == {name: value for name, value in made.json.items() if name != "key"}
    assert shown.json in listed.json["data"]
    for answer in (shown, listed):
        assert text.split("-")[2].encode() not in answer.body
        assert b"hmac" not in answer.body


async def test_a_key_can_be_changed_field_by_field(house: Lobby, admin: str) -> None:
    issued = house.key(team="a", requests_per_minute=5)
    path = f"/admin/keys/{issued.key.id}"
    changed = await house.call("PATCH", path, {"models": ["plain"], "requests_per_minute": None}, key=admin)
    assert (changed.json["team"], changed.json["models"], changed.json["requests_per_minute"]) == ("a", ["plain"], None)
    assert (await house.ask(issued.text.reveal(), model="plain")).status == 200
    assert (await house.ask(issued.text.reveal(), model="swift")).code == "model_not_found"


async def test_a_key_that_is_revoked_is_refused_at_once_and_stays_listed(house: Lobby, admin: str) -> None:
    issued = house.key()
    revoked = await house.call("DELETE", f"/admin/keys/{issued.key.id}", key=admin)
    assert (revoked.status, revoked.json["state"]) == (200, "revoked")
    assert (await house.ask(issued.text.reveal())).status == 401
    changed = await house.call("PATCH", f"/admin/keys/{issued.key.id}", {"name": "again"}, key=admin)
    assert changed.json["state"] == "revoked"


async def test_a_key_is_rotated_with_and_without_grace(house: Lobby, admin: str) -> None:
    issued = house.key()
    path = f"/admin/keys/{issued.key.id}/rotate"
    first = await house.call("POST", path, {"grace_s": 60}, key=admin)
    assert first.json["previous_secret_until"] == "2027-01-15T08:01:00Z"
    assert (await house.ask(issued.text.reveal())).status == 200
    assert (await house.ask(first.json["key"])).status == 200
    second = await house.call("POST", path, key=admin)
    assert (await house.ask(first.json["key"])).status == 401
    assert (await house.ask(second.json["key"])).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/admin/keys", {"name": "app", "hmac": "0" * 64}),
        ("POST", "/admin/keys", {"name": "app", "role": "admin"}),
        ("POST", "/admin/keys", {"name": "app", "tenant": "other"}),
        ("POST", "/admin/keys", {}),
        ("PATCH", "/admin/keys/{id}", {"id": "0000000000"}),
        ("PATCH", "/admin/keys/{id}", {"revoked_at": None}),
        ("PATCH", "/admin/keys/{id}", {"state": "active"}),
        ("PATCH", "/admin/keys/{id}", {"name": None}),
        ("POST", "/admin/keys/{id}/rotate", {"grace": 60}),
        ("POST", "/admin/keys/{id}/rotate", {"grace_s": -1}),
        ("POST", "/admin/keys/{id}/rotate", {"grace_s": "long"}),
    ],
)
async def test_x07_a_field_that_is_not_the_callers_is_refused(
    house: Lobby, admin: str, method: str, path: str, body: object
) -> None:
    key_id = house.key().key.id
    before = house.runtime.keyring.list()
    refused = await house.call(method, path.replace("{id}", key_id), body, key=admin)
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert house.runtime.keyring.list() == before


@pytest.mark.parametrize("key_id", ["0000000000", "x", "' OR 1=1 --", "é", "..", "rotate"])
async def test_x09_an_id_that_is_none_is_a_404_whatever_it_looks_like(house: Lobby, admin: str, key_id: str) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        answered = await house.call(method, f"/admin/keys/{key_id}{path}", b"{}", key=admin)
        assert (answered.status, answered.code) == (404, "key_not_found"), method


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
async def test_a_body_that_is_none_is_a_400(house: Lobby, admin: str, body: bytes) -> None:
    refused = await house.call("POST", "/admin/keys", body, key=admin)
    assert refused.status == 400


async def test_a_long_body_is_refused(house: Lobby, admin: str) -> None:
    refused = await house.call("POST", "/admin/keys", {"name": "x" * 70_000}, key=admin)
    assert (refused.status, refused.code) == (413, "body_too_large")


async def test_budgets_are_listed(house: Lobby, admin: str) -> None:
    assert (await house.call("GET", "/admin/budgets", key=admin)).json == {"object": "list", "data": []}
    house.budgets = [standing("all")]
    [shown] = (await house.call("GET", "/admin/budgets", key=admin)).json["data"]
    assert shown == {
        "name": "all",
        "scope": "total",
        "subject": "",
        "period": "day",
        "is_hard": True,
        "limit_usd": "10.000000000",
        "spent_usd": "2.000000000",
        "held_usd": "0.750000000",
        "remaining_usd": "7.250000000",
        "starts_at": "2027-01-15T08:00:00Z",
        "ends_at": "2027-01-16T08:00:00Z",
        "is_frozen": False,
    }
