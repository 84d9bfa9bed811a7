from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.access.description import KeyTold, changed, read_budget, read_wish, told
from routewright.access.keys import KeyBudget, Role
from routewright.errors import InvalidRequest
from routewright.ledger.budgets import Period


def test_what_is_not_said_is_not_limited() -> None:
    key = read_wish({"name": "app"})
    assert key.roles == {Role.USE}
    assert (key.models, key.tiers, key.budgets, key.tags, key.team) == ((), (), (), (), "")
    assert key.expires_at_ns is key.requests_per_minute is key.tokens_per_minute is key.concurrency is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "two\nlines"},
        {"name": 7},
        {"name": "app", "hmac": "00"},
        {"name": "app", "id": "0000000000"},
        {"name": "app", "created_at": "2026-01-01T00:00:00Z"},
        {"name": "app", "revoked_at": None},
        {"name": "app", "owner": "me"},
        {"name": "app", "roles": []},
        {"name": "app", "roles": ["root"]},
        {"name": "app", "roles": "admin"},
        {"name": "app", "tiers": ["huge"]},
        {"name": "app", "models": [""]},
        {"name": "app", "tags": ["x"] * 101},
        {"name": "app", "requests_per_minute": 0},
        {"name": "app", "tokens_per_minute": 1.5},
        {"name": "app", "concurrency": True},
        {"name": "app", "expires_at": "soon"},
        {"name": "app", "expires_at": "2030-01-01T00:00:00"},
        {"name": "app", "expires_at": "1960-01-01T00:00:00Z"},
        {"name": "app", "expires_at": "2026-01-01T00:00:00Z", "not_before": "2026-01-01T00:00:00Z"},
        {"name": "app", "budgets": [{"limit_usd": "ten", "period": "month"}]},
        {"name": "app", "budgets": [{"limit_usd": "-1", "period": "month"}]},
        {"name": "app", "budgets": [{"limit_usd": "NaN", "period": "month"}]},
        {"name": "app", "budgets": [{"limit_usd": "1e30", "period": "month"}]},
        {"name": "app", "budgets": [{"limit_usd": 10.1, "period": "month"}]},
        {"name": "app", "budgets": [{"limit_usd": "1", "period": "year"}]},
        {"name": "app", "budgets": [{"limit_usd": "1", "period": "day", "scope": "total"}]},
        {"name": "app", "budgets": [{"limit_usd": "1", "period": "day"}, {"limit_usd": "2", "period": "day"}]},
    ],
)
def test_x07_whatever_else_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read_wish(fields)
    with pytest.raises(InvalidRequest):
        changed(read_wish({"name": "app"}), fields or {"name": ""})


def test_a_change_replaces_only_what_is_said() -> None:
    key = read_wish({"name": "app", "team": "a", "tiers": ["bulk"], "budgets": [{"limit_usd": "1", "period": "day"}]})
    after = changed(key, {"team": "b", "tiers": []})
    assert (after.name, after.team, after.tiers, after.budgets) == ("app", "b", (), key.budgets)


@given(st.integers(0, 10**18), st.sampled_from(list(Period)), st.booleans())
def test_an_amount_is_told_exactly(nanousd: int, period: Period, is_hard: bool) -> None:
    key = read_wish({"name": "app"})
    budget = KeyBudget(limit_nanousd=nanousd, period=period, is_hard=is_hard)
    key = msgspec.structs.replace(key, budgets=(budget,))
    assert changed(key, {}).budgets == (budget,)


def test_nothing_of_a_secret_is_told() -> None:
    assert not {"hmac", "previous_hmac", "key"} & set(KeyTold.__struct_fields__)
    key = msgspec.structs.replace(read_wish({"name": "app"}), hmac="f" * 64, previous_hmac="e" * 64, revoked_at_ns=0)
    shown = told(key, 0)
    assert b"fff" not in msgspec.json.encode(shown)
    assert b"eee" not in msgspec.json.encode(shown)
    assert shown.state == "revoked"
    assert shown.revoked_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("10/month", ("10", "month", True)),
        ("0.5/day/soft", ("0.5", "day", False)),
        ("1/forever/hard", ("1", "forever", True)),
    ],
)
def test_a_budget_can_be_written_in_one_word(text: str, fields: tuple[str, str, bool]) -> None:
    assert tuple(read_budget(text).values()) == fields


@pytest.mark.parametrize("text", ["10", "10/year", "month", "10/month/firm", ""])
def test_what_is_no_budget_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        read_budget(text)


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        ({"name": ""}, "name: expected `str` of length >= 1", "name"),
        ({"name": "app", "tags": ["a", ""]}, "tags[1]: expected `str` of length >= 1", "tags"),
        ({"name": "app", "requests_per_minute": 0}, "requests_per_minute: expected `int` >= 1", "requests_per_minute"),
        ({"name": "app", "owner": "me"}, "that cannot be a key: Object contains unknown field `owner`", None),
    ],
)
def test_what_is_wrong_begins_with_its_field(fields: dict[str, Any], message: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_wish(fields)
    assert (refused.value.message, refused.value.param) == (message, param)
