from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lobby import Lobby, lobby

PLAIN = {"name": "trial", "changes": {"models": ["plain"]}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


@pytest.fixture
def admin(house: Lobby) -> str:
    return house.key("boss", roles=["admin", "read"]).text.reveal()


@pytest.fixture
def user(house: Lobby) -> str:
    return house.key("app").text.reveal()


async def model_of(house: Lobby, user: str, policy: str | None = None) -> str:
    """Who answers."""
    fields = {} if policy is None else {"routewright": {"policy": policy}}
    return (await house.ask(user, **fields)).headers["x-routewright-model"]


async def test_a_policy_is_in_force_at_once_for_who_names_it_and_for_its_share(
    house: Lobby, admin: str, user: str
) -> None:
    made = await house.call("POST", "/admin/policies", {**PLAIN, "reason": "a trial"}, key=admin)
    assert (made.status, made.json["number"], made.json["changes"]) == (201, 1, {"models": ["plain"]})
    assert made.headers["cache-control"] == "no-store"
    assert await model_of(house, user) != "plain"
    assert await model_of(house, user, "trial") == "plain"
    by_header = await house.ask(user, headers={"x-routewright-policy": "trial"})
    assert by_header.headers["x-routewright-model"] == "plain"
    await house.call("POST", "/admin/policies", {**PLAIN, "share": 100}, key=admin)
    assert await model_of(house, user) == "plain"
    assert await model_of(house, user, "default") != "plain"


async def test_policies_are_listed_and_shown_with_their_history(house: Lobby, admin: str) -> None:
    await house.call("POST", "/admin/policies", {**PLAIN, "evidence": {"saving": 0.6}}, key=admin)
    listed = (await house.call("GET", "/admin/policies", key=admin)).json
    assert (listed["object"], listed["enabled"]) == ("list", True)
    assert [(each["name"], each["is_base"], each["number"]) for each in listed["data"]] == [
        ("default", True, 0),
        ("trial", False, 1),
    ]
    shown = (await house.call("GET", "/admin/policies/trial", key=admin)).json
    assert shown["policy"] == listed["data"][1]
    assert shown["versions"][0]["evidence"] == {"saving": 0.6}
    assert [each["kind"] for each in shown["history"]] == ["apply"]
    assert (await house.call("GET", "/admin/policies/other", key=admin)).code == "policy_not_found"


async def test_a_rollback_and_the_switch_take_effect_at_once(house: Lobby, admin: str, user: str) -> None:
    await house.call("POST", "/admin/policies", {"name": "default", "changes": {"models": ["plain"]}}, key=admin)
    assert await model_of(house, user) == "plain"
    off = await house.call("PATCH", "/admin/policies", {"enabled": False, "reason": "an outage"}, key=admin)
    assert off.json["enabled"] is False
    assert await model_of(house, user) != "plain"
    await house.call("PATCH", "/admin/policies", {"enabled": True}, key=admin)
    assert await model_of(house, user) == "plain"
    back = await house.call("POST", "/admin/policies/default/rollback", {"reason": "worse"}, key=admin)
    assert (back.status, back.json["number"]) == (200, 0)
    assert await model_of(house, user) != "plain"
    again = await house.call("POST", "/admin/policies/default/rollback", {"to": 1}, key=admin)
    assert again.json["number"] == 1


@pytest.mark.parametrize(
    ("method", "body", "told"),
    [
        ("POST", {"changes": {}}, "name is required"),
        ("POST", {"name": "trial", "changes": {"tresholds": 1}}, '"tresholds" in [policies.trial] (changes)'),
        ("POST", {"name": "trial", "changes": {"models": ["plian"]}}, "no model is called 'plian' — did you mean"),
        ("POST", {"name": "trial", "changes": [1]}, "changes must be an object"),
        ("POST", {"name": "default", "share": 10}, "the base has no share of its own"),
        ("POST", {"name": "trial", "share": 101}, "share must be a number from 0 to 100"),
        ("POST", {"name": "Two Words"}, "is no name of a policy"),
        ("POST", {"name": "trial", "overlay": {}}, "overlay is not known here"),
        ("POST", {"name": "trial", "reason": "x" * 1001}, "reason is over 1,000 characters"),
        ("PATCH", {}, "enabled is missing"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(
    house: Lobby, admin: str, method: str, body: dict[str, object], told: str
) -> None:
    answer = await house.call(method, "/admin/policies", body, key=admin)
    assert answer.status == 400
    assert told in answer.json["error"]["message"]


async def test_only_an_admin_changes_policies(house: Lobby, user: str) -> None:
    rollback = "/admin/policies/a/rollback"
    for method, path in (("POST", "/admin/policies"), ("PATCH", "/admin/policies"), ("POST", rollback)):
        assert (await house.call(method, path, {}, key=user)).status == 403
    assert (await house.call("GET", "/admin/policies", key=user)).status == 403


async def test_a_request_for_a_policy_that_does_not_exist_is_404(house: Lobby, user: str) -> None:
    answer = await house.ask(user, routewright={"policy": "nobody"})
    assert (answer.status, answer.code) == (404, "policy_not_found")
