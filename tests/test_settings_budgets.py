import zoneinfo
from pathlib import Path

import pytest

from desk import Desk
from routewright.errors import SettingsError
from routewright.ledger.budgets import Budget, Period, Scope, WhenFull, window_at
from routewright.settings.budgets import budgets_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def budgets(desk: Desk, text: str) -> tuple[Budget, ...]:
    desk.write(text)
    return budgets_of(desk.load())


def refusal(desk: Desk, text: str) -> str:
    desk.write(text)
    with pytest.raises(SettingsError) as refused:
        desk.load()
    return refused.value.message


def test_without_settings_there_is_the_cost_alert_and_it_is_soft(desk: Desk) -> None:
    (alert,) = budgets(desk, "")
    assert alert == Budget(
        name="cost_alert_threshold",
        scope=Scope.TOTAL,
        limit_nanousd=100 * 10**9,
        period=Period.MONTH,
        is_hard=False,
        alerts_percent=(100,),
    )


def test_a_threshold_of_0_is_none(desk: Desk) -> None:
    assert budgets(desk, "[policy]\ncost_alert_threshold = 0\n") == ()


def test_a_budget_says_who_how_much_and_in_which_time(desk: Desk) -> None:
    text = """
    [policy]
    cost_alert_threshold = 0
    [spending]
    time_zone = "Europe/Berlin"
    when_full = ["cheaper"]
    [budgets.teams]
    scope = "team"
    limit_usd = "0.000000001"
    [budgets.blue]
    scope = "tag:blue sky"
    limit_usd = 12.5
    period = "week"
    kind = "soft"
    alerts = [100, 50, 50]
    time_zone = "Asia/Tokyo"
    """
    teams, blue = budgets(desk, text)
    assert teams == Budget(
        name="teams", scope=Scope.TEAM, limit_nanousd=1, period=Period.MONTH, time_zone="Europe/Berlin"
    )
    assert teams.is_for_each
    assert teams.of("red") == Budget(
        name="teams/red",
        scope=Scope.TEAM,
        subject="red",
        limit_nanousd=1,
        period=Period.MONTH,
        time_zone="Europe/Berlin",
    )
    assert blue == Budget(
        name="blue",
        scope=Scope.TAG,
        subject="blue sky",
        limit_nanousd=12_500_000_000,
        period=Period.WEEK,
        time_zone="Asia/Tokyo",
        is_hard=False,
        alerts_percent=(50, 100),
    )
    assert desk.load().spending.when_full == (WhenFull.CHEAPER,)


@pytest.mark.parametrize("scope", ["total", "key", "team", "tag", "key:k1", "model:gpt-5.5", "cause:judge", "tag:a:b"])
def test_scopes_that_are_understood(desk: Desk, scope: str) -> None:
    budget = budgets(desk, f'[budgets.b]\nscope = "{scope}"\nlimit_usd = 1\n')[0]
    assert (budget.scope, budget.subject) == (Scope(scope.split(":")[0]), scope.partition(":")[2])


@pytest.mark.parametrize("scope", ['""', '"model"', '"cause"', '"total:x"', '"team:"', '"nobody:x"', "3"])
def test_scopes_that_are_not(desk: Desk, scope: str) -> None:
    told = refusal(desk, f"[budgets.b]\nscope = {scope}\nlimit_usd = 1\n")
    assert told.startswith("budgets.b.scope: ")
    assert '"KIND:NAME"' in told
    assert told.endswith("(routewright.toml:2:1)")


def test_a_cause_that_no_attempt_has_is_a_mistake(desk: Desk) -> None:
    told = refusal(desk, '[budgets.b]\nscope = "cause:judgement"\nlimit_usd = 1\n')
    assert "'judgement' is no cause of an attempt; there are first, retry" in told


def test_a_cause_that_another_ones_budget_pays_for_is_a_mistake(desk: Desk) -> None:
    told = refusal(desk, '[budgets.b]\nscope = "cause:comparison"\nlimit_usd = 1\n')
    assert """'comparison' is paid for by "cause:shadow"; write that""" in told


def test_a_time_zone_that_there_is_not_is_a_mistake(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[spending]\ntime_zone = "Mars/Olympus"\n'
    assert "spending.time_zone: 'Mars/Olympus' is not a time zone" in refusal(desk, text)
    assert "tzdata" not in refusal(desk, text)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    assert "pip install tzdata" in refusal(desk, text)


def test_a_machine_without_time_zones_still_has_utc(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    desk.write('[spending]\ntime_zone = "UTC"\n')
    (alert,) = budgets_of(desk.load())
    assert window_at(alert.period, alert.time_zone, 0).starts_ns == 0


@pytest.mark.parametrize("name", ["cost_alert_threshold", "key", "a/b", "a b", ""])
def test_names_that_a_budget_must_not_have(desk: Desk, name: str) -> None:
    assert "budgets." in refusal(desk, f'[budgets."{name}"]\nscope = "total"\nlimit_usd = 1\n')


@pytest.mark.parametrize("limit", ["1_000_000_001", '"1e30"', "1e12"])
def test_a_limit_that_no_database_could_count_is_a_mistake(desk: Desk, limit: str) -> None:
    told = refusal(desk, f'[budgets.b]\nscope = "total"\nlimit_usd = {limit}\n')
    assert told.startswith("budgets.b.limit_usd: ")
    assert "USD is above 1,000,000,000" in told
    (budget, _) = budgets(desk, '[budgets.b]\nscope = "total"\nlimit_usd = 1_000_000_000\n')
    assert budget.limit_nanousd == 10**18


def test_a_budget_without_a_limit_is_a_mistake(desk: Desk) -> None:
    assert "limit_usd" in refusal(desk, '[budgets.b]\nscope = "total"\n')


@pytest.mark.parametrize("alerts", ["[0]", '["many"]', "[1001]", "80"])
def test_alerts_are_percentages(desk: Desk, alerts: str) -> None:
    told = refusal(desk, f'[budgets.b]\nscope = "total"\nlimit_usd = 1\nalerts = {alerts}\n')
    assert "is not a list of whole numbers from 1 to 1000" in told


def test_a_budget_can_come_from_the_environment(desk: Desk) -> None:
    variables = {
        "ROUTEWRIGHT_BUDGETS__ALL__SCOPE": "total",
        "ROUTEWRIGHT_BUDGETS__ALL__LIMIT_USD": "5",
        "ROUTEWRIGHT_BUDGETS__ALL__ALERTS": "50, 90",
    }
    budget = budgets_of(desk.load(variables))[0]
    assert (budget.name, budget.limit_nanousd, budget.alerts_percent) == ("all", 5 * 10**9, (50, 90))
