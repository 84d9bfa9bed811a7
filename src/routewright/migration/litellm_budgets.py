"""LiteLLM's `max_budget` and `budget_duration` → budgets in calendar periods."""

import re
from collections.abc import Mapping
from decimal import Decimal

from routewright.ledger.budgets import Period
from routewright.migration.draft import Draft, Fate
from routewright.migration.yaml_reading import Node

_DURATION = re.compile(r"(\d{1,6})(mo|s|m|h|d|w)", re.ASCII)
_DAYS = {"s": Decimal(1) / 86_400, "m": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": 1, "w": 7, "mo": 30}
_PERIODS = ((1, Period.DAY), (7, Period.WEEK), (31, Period.MONTH))
"""A calendar period is taken for all durations up to its own, so that no more can be spent than before."""
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def put_budget(table: Mapping[str, Node], scope: str, name: str, draft: Draft) -> None:
    """The budget that a table states, if it does; without a `name`, there can be none of this scope."""
    limit, duration = table.get("max_budget") or table.get("budget_limit"), table.get("budget_duration")
    duration = duration or table.get("time_period")
    told = [node for node in (limit, duration) if node is not None]
    if limit is None or limit.number is None or not name:
        why = "a budget limits a model with all its deployments, not one of them" if limit else "there is no max_budget"
        for node in told:
            draft.tell(node, Fate.DROPPED, why=why)
        return
    section = ("budgets", _NAME.sub("-", name).strip("-_.")[:60] or "litellm")
    usd, period, is_exact = _in_calendar(limit.number, duration.text if duration else None)
    why = "" if is_exact else "a calendar period, with a limit that lets no more be spent than before"
    if not draft.put((*section, "limit_usd"), usd, limit, fate=Fate.KEPT if is_exact else Fate.CHANGED, why=why):
        for node in told:
            draft.tell(node, Fate.DROPPED, why="the budget it belongs to cannot be kept")
        return
    draft.add((*section, "scope"), scope, limit, "whose spending it limits")
    if duration is None:
        draft.add((*section, "period"), period, limit, "without a budget_duration it never renews")
    else:
        why = f"from midnight on in UTC{'' if is_exact else '; the nearest longer period, or a month with its share'}"
        draft.put((*section, "period"), period, duration, fate=Fate.CHANGED, why=why)


def _in_calendar(usd: Decimal, duration: str | None) -> tuple[Decimal, Period, bool]:
    """Limit and period, and whether they are as long as what was said."""
    if duration is None:
        return usd, Period.FOREVER, True
    match = _DURATION.fullmatch(duration)
    if match is None or not int(match[1]):
        return usd, Period.FOREVER, False
    days = int(match[1]) * _DAYS[match[2]]
    for longest, period in _PERIODS:
        if days <= longest:
            return usd, period, days == longest or days == 30
    return (usd * 30 / days).quantize(Decimal("0.01"), "ROUND_DOWN"), Period.MONTH, False
