"""LiteLLM's `max_budget` and `budget_duration` → budgets in calendar periods."""

import re
from collections.abc import Mapping
from decimal import Decimal
from itertools import chain, count

from routewright.ledger.budgets import Period
from routewright.migration.draft import Draft, Fate, admits, toml_key
from routewright.migration.yaml_reading import Node

_DURATION = re.compile(r"(\d{1,6})(mo|s|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}
_PERIODS = ((1, Period.DAY), (7, Period.WEEK), (31, Period.MONTH))
"""A calendar period is taken for all durations up to its own, so that no more can be spent than before."""
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")
_NO_BUDGET = "a budget has a limit in USD and says whose spending it limits"


def put_budget(table: Mapping[str, Node], scope: str, name: str, draft: Draft) -> None:
    """The budget that a table states, if it does; without a `name`, there can be none of this scope."""
    limit, duration = table.get("max_budget"), table.get("budget_duration")
    if limit is None or limit.number is None or not name or not admits(("budgets", "it", "scope"), scope):
        why = "a budget limits a model with all its deployments, not one of them" if limit and not name else _NO_BUDGET
        for node in filter(None, (limit, duration)):
            draft.tell(node, Fate.DROPPED, why=why)
        return
    section = ("budgets", _free_name(name, draft))
    usd, period, is_exact = in_calendar(limit.number, duration.text if duration else None)
    fate, why = (Fate.KEPT, "") if is_exact else (Fate.CHANGED, "no more can be spent in any time than before")
    if draft.put((*section, "limit_usd"), usd, limit, fate=fate, why=why):
        draft.add((*section, "scope"), scope, limit, "whose spending it limits")
        draft.set((*section, "period"), period.value, duration or limit)
        fate, to, why = Fate.CHANGED, toml_key((*section, "period")), "calendar periods begin at midnight, UTC"
    else:
        fate, to, why = Fate.DROPPED, "", _NO_BUDGET
    if duration is not None:
        draft.tell(duration, fate, to=to, why=why)


def _free_name(name: str, draft: Draft) -> str:
    """The name, or one like it: with letters that the name of a budget may have, and not taken yet."""
    plain = _UNUSUAL.sub("-", name)[:60]
    taken = {key[1] for key in draft.settings if key[0] == "budgets"}
    return next(
        free for free in chain((plain,), (f"{plain[:55]}-{number}" for number in count(2))) if free not in taken
    )


def in_calendar(usd: Decimal, duration: str | None) -> tuple[Decimal, Period, bool]:
    """Limit and period, and whether they are as long as what was said."""
    if duration is None:
        return usd, Period.FOREVER, True
    match = _DURATION.fullmatch(duration)
    if match is None or not int(match[1]):
        return usd, Period.FOREVER, False
    days = Decimal(int(match[1]) * _SECONDS[match[2]]) / 86_400
    for longest, period in _PERIODS:
        if days <= longest:
            return usd, period, days == longest or days == 30
    return (usd * 30 / days).quantize(Decimal("0.01"), "ROUND_DOWN"), Period.MONTH, False
