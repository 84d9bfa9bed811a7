import json
from pathlib import Path

import pytest

from routewright.access.description import read_wish
from routewright.migration.litellm_keys import NoKeys, read_keys, read_teams
from routewright.settings import load_settings
from routewright.settings.budgets import budgets_of

KEY = {
    "token": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "key_name": "sk-...abcd",
    "key_alias": "reports",
    "spend": 1.5,
    "max_budget": 30.0,
    "budget_duration": "30d",
    "expires": "2027-01-01T00:00:00Z",
    "models": ["gpt-4o"],
    "team_id": "research",
    "rpm_limit": 60,
    "tpm_limit": 9000,
    "max_parallel_requests": 4,
    "metadata": {"tags": ["nightly"]},
    "blocked": None,
    "aliases": {},
}


def test_a_key_keeps_what_it_may_do_and_spend() -> None:
    [plan] = read_keys(json.dumps({"keys": [KEY], "total_pages": 1}).encode(), {})
    key = read_wish(plan.fields)
    assert (key.name, key.team, key.models, key.tags) == ("reports", "research", ("gpt-4o",), ("nightly",))
    assert (key.requests_per_minute, key.tokens_per_minute, key.concurrency) == (60, 9000, 4)
    [budget] = key.budgets
    assert (budget.limit_nanousd, budget.period, budget.is_hard) == (30_000_000_000, "month", True)
    assert key.expires_at_ns == 1_798_761_600_000_000_000
    assert plan.notes == ("of its budget 1.5 USD were spent there, which is not known here",)


def test_pages_follow_one_another_and_a_key_without_a_name_gets_one() -> None:
    unnamed = {**KEY, "key_alias": None}
    plans = read_keys(json.dumps([{"keys": [KEY]}, {"keys": [unnamed]}]).encode(), {})
    assert [plan.name for plan in plans] == ["reports", "litellm sk-...abcd"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"blocked": True}, "blocked"),
        ({"models": ["all-team-models"]}, "--teams"),
        ({"models": []}, "--teams"),  # its team may restrict them
        ({"models": ["no-default-models"]}, "--model"),
        ({"permissions": {"x": 1}}, "permissions"),
        ({"model_max_budget": {"gpt-4o": 1}}, "model_max_budget"),
    ],
)
def test_a_key_that_could_do_more_here_is_left_out(fields: dict[str, object], reason: str) -> None:
    [plan] = read_keys(json.dumps({"keys": [{**KEY, **fields}]}).encode(), {})
    assert not plan.fields
    assert reason in plan.notes[0]


@pytest.mark.parametrize(
    ("duration", "limit", "period"), [("1d", "30.0", "day"), ("90d", "10.00", "month"), (None, "30.0", "forever")]
)
def test_a_budget_never_lets_more_be_spent(duration: str | None, limit: str, period: str) -> None:
    [plan] = read_keys(json.dumps({"keys": [{**KEY, "budget_duration": duration}]}).encode(), {})
    assert plan.fields["budgets"] == [{"limit_usd": limit, "period": period, "is_hard": True}]


def test_all_models_are_no_restriction_without_a_team() -> None:
    [plan] = read_keys(json.dumps({"keys": [{**KEY, "models": ["all-proxy-models"], "team_id": None}]}).encode(), {})
    assert read_wish(plan.fields).models == ()


TEAM = {
    "team_id": "research",
    "team_alias": 'R&D "one"',
    "models": ["gpt-4o", "claude"],
    "max_budget": 90,
    "budget_duration": "90d",
}


@pytest.mark.parametrize("models", [[], ["all-team-models"], ["all-proxy-models"]])
def test_a_key_of_a_team_that_is_known_has_its_name_and_models(models: list[str]) -> None:
    teams = read_teams(json.dumps([TEAM]).encode())
    [plan] = read_keys(json.dumps({"keys": [{**KEY, "models": models}]}).encode(), teams)
    key = read_wish(plan.fields)
    assert (key.team, key.models) == ('R&D "one"', ("gpt-4o", "claude"))
    blocked = read_teams(json.dumps({"teams": [{**TEAM, "blocked": True}]}).encode())
    [plan] = read_keys(json.dumps({"keys": [KEY]}).encode(), blocked)
    assert not plan.fields


def test_the_budget_of_a_team_is_a_section_of_the_settings(tmp_path: Path) -> None:
    [team] = read_teams(json.dumps([TEAM]).encode()).values()
    (tmp_path / "routewright.toml").write_text(team.settings)
    [budget, *_] = budgets_of(load_settings(environ={"HOME": str(tmp_path)}, cwd=tmp_path))
    assert (budget.subject, budget.limit_nanousd, budget.period) == ('R&D "one"', 30_000_000_000, "month")
    [free] = read_teams(json.dumps([{"team_id": "free"}]).encode()).values()
    assert free.settings == ""


@pytest.mark.parametrize(
    ("document", "reason"),
    [("[", "no JSON"), ("{}", "no list `keys`"), ("3", "no list `keys`"), ('{"keys": ["88dc"]}', "return_full_object")],
)
def test_what_is_no_such_list_is_said(document: str, reason: str) -> None:
    with pytest.raises(NoKeys, match=reason):
        read_keys(document.encode(), {})
