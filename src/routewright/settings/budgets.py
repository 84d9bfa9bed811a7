"""Budgets as the settings have them."""

from collections.abc import Iterator

from routewright.call import Cause
from routewright.ledger.budgets import Budget, Period, Scope
from routewright.settings.load import Settings
from routewright.settings.schema import COST_ALERT, BudgetSettings

SHADOW_BUDGET = "shadow"


def budgets_of(settings: Settings) -> tuple[Budget, ...]:
    """Every budget that the settings name, and the threshold of the cost alert as a soft one."""
    return tuple(_budgets(settings))


def _budgets(settings: Settings) -> Iterator[Budget]:
    for name, budget in settings.budgets.items():
        yield _budget(name, budget, settings.spending.time_zone)
    if settings.shadow.models and SHADOW_BUDGET not in settings.budgets:
        yield _shadows(settings)
    if settings.policy.cost_alert_nanousd:
        yield Budget(
            name=COST_ALERT,
            scope=Scope.TOTAL,
            limit_nanousd=settings.policy.cost_alert_nanousd,
            period=Period.MONTH,
            time_zone=settings.spending.time_zone,
            is_hard=False,
            alerts_percent=(100,),
        )


def _shadows(settings: Settings) -> Budget:
    """What copies may cost; a budget of that name in the settings takes its place."""
    return Budget(
        name=SHADOW_BUDGET,
        scope=Scope.CAUSE,
        subject=Cause.SHADOW,
        limit_nanousd=int(settings.shadow.daily_usd * 10**9),
        period=Period.DAY,
        time_zone=settings.spending.time_zone,
        alerts_percent=(),
    )


def _budget(name: str, budget: BudgetSettings, time_zone: str) -> Budget:
    scope, _, subject = budget.scope.partition(":")
    return Budget(
        name=name,
        scope=Scope(scope),
        subject=subject,
        limit_nanousd=int(budget.limit_usd * 10**9),
        period=budget.period,
        time_zone=budget.time_zone or time_zone,
        is_hard=budget.kind == "hard",
        alerts_percent=tuple(sorted(set(budget.alerts))),
    )
