"""What a refused hold is told as: which budget, its limit, what is spent and held, what was asked, when it resets."""

from datetime import datetime

from routewright.catalog.registry import Model
from routewright.errors import BudgetExceeded, HoldRefused, UnpricedModel
from routewright.ledger.budgets import Period, Refusal, zone_of
from routewright.ledger.ledger import NANOSECONDS
from routewright.money import exact_usd


def hold_refused(refusal: Refusal) -> HoldRefused:
    """The error of one attempt."""
    return HoldRefused(_message(refusal), details=_details(refusal))


def budget_exceeded(refusal: Refusal) -> BudgetExceeded:
    """The error of the request as a whole."""
    hint = "raise its limit, or ask for fewer output tokens"
    if refusal.is_frozen:
        hint = f"`routewright budgets thaw {refusal.budget.name}`, once it is clear why"
    return BudgetExceeded(_message(refusal), details=_details(refusal), hint=hint)


def unpriced(model: Model) -> UnpricedModel:
    """The error of a model whose cost nobody knows, where a budget must not be overshot."""
    return UnpricedModel(
        f"{model.name} has no price, and this request counts against a hard budget",
        hint=f"add [models.{model.name}.price], or ask for another model",
    )


def _message(refusal: Refusal) -> str:
    budget = refusal.budget
    if refusal.is_frozen:
        return f'budget "{budget.name}" is frozen: an attempt cost more than was held for it'
    elsewhere = (
        f" and {_usd(refusal.elsewhere_nanousd)} granted to other processes" if refusal.elsewhere_nanousd else ""
    )
    return (
        f'budget "{budget.name}" of {_usd(budget.limit_nanousd)} {_period(budget.period)} has no room for '
        f"{_usd(refusal.asked_nanousd)}, the most that this request may cost: "
        f"{_usd(refusal.spent_nanousd)} spent, {_usd(refusal.held_nanousd)} held{elsewhere}; {_reset(refusal)}"
    )


def _period(period: Period) -> str:
    return "in all" if period is Period.FOREVER else f"per {period}"


def _reset(refusal: Refusal) -> str:
    when = _resets_at(refusal)
    return "it does not reset" if when is None else f"it resets at {when}"


def _resets_at(refusal: Refusal) -> str | None:
    if refusal.ends_ns is None:
        return None
    return datetime.fromtimestamp(refusal.ends_ns // NANOSECONDS, zone_of(refusal.budget.time_zone)).isoformat()


def _details(refusal: Refusal) -> dict[str, str | int | bool | None]:
    return {
        "name": refusal.budget.name,
        "period": str(refusal.budget.period),
        "limit_nanousd": refusal.budget.limit_nanousd,
        "spent_nanousd": refusal.spent_nanousd,
        "held_nanousd": refusal.held_nanousd,
        "asked_nanousd": refusal.asked_nanousd,
        "resets_at": _resets_at(refusal),
        "is_frozen": refusal.is_frozen,
    }


def _usd(nanousd: int) -> str:
    return f"${exact_usd(nanousd, least_decimals=2)}"
