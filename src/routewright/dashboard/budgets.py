"""Who may spend how much: what is spent, held and left of every budget, the nearest to its end first."""

from collections.abc import Mapping, Sequence

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.ledger.budgets import BudgetStanding, Period, Scope
from routewright.text import counted

MOST_SHOWN = 200
CLOSE_PERMILLE = 800
"""Of its limit: from here on a budget is close to its end."""


def read(desk: Desk, asked: Parameters) -> View:
    """No question: every gateway knows how its budgets stand."""
    scope, period = asked.choice("scope", tuple(Scope), ""), asked.choice("period", tuple(Period), "")
    only = asked.choice("only", ("close",), "")
    names = {key.id: key.name for key in desk.directory.all_keys()}
    found = [
        standing
        for standing in sorted(desk.budgets, key=used_permille, reverse=True)
        if scope in ("", standing.budget.scope)
        and period in ("", standing.budget.period)
        and (not only or used_permille(standing) >= CLOSE_PERMILLE)
    ]
    table = listing(found[:MOST_SHOWN], names, len(found))
    close = [standing for standing in desk.budgets if used_permille(standing) >= CLOSE_PERMILLE]
    values = {
        "is_empty": not desk.budgets,
        "budgets": table,
        "scope": scope,
        "scopes": tuple(Scope),
        "period": period,
        "periods": tuple(Period),
        "only": only,
        "counted": counted(len(desk.budgets), "budget"),
        "close": len(close),
    }
    return View(title="Budgets", template="budgets.html", values=values, listings=(table,))


def used_permille(standing: BudgetStanding) -> int:
    """What is spent and held, in thousandths of the limit."""
    limit = standing.budget.limit_nanousd
    return 1000 * (standing.spent_nanousd + standing.held_nanousd) // limit if limit else 1000


def listing(found: Sequence[BudgetStanding], names: Mapping[str, str], of: int) -> Listing:
    """Some of them; `names` are those of keys, by id."""
    return Listing(
        name="budgets",
        title="Budgets",
        columns=(
            Column("budget", "budget"),
            Column("of", "of"),
            Column("kind", "kind"),
            Column("limit_usd", "limit", Kind.USD),
            Column("spent_usd", "spent", Kind.USD),
            Column("held_usd", "held", Kind.USD),
            Column("left_usd", "left", Kind.USD),
            Column("used", "used", Kind.SHARE),
            Column("state", "state"),
            Column("ends", "until (UTC)", Kind.TIME),
        ),
        rows=[_row(standing, names) for standing in found],
        links=[_link(standing) for standing in found],
        note=f"The first {len(found)} of {of:,}." if of > len(found) else "",
    )


def _row(standing: BudgetStanding, names: Mapping[str, str]) -> tuple[Cell, ...]:
    budget, used = standing.budget, used_permille(standing)
    state = "frozen" if standing.is_frozen else "spent" if used >= 1000 else "close" if used >= CLOSE_PERMILLE else "ok"
    return (
        budget.name,
        f"{budget.scope} {names.get(budget.subject, budget.subject)}".rstrip(),
        f"{'hard' if budget.is_hard else 'soft'}, {budget.period}",
        budget.limit_nanousd,
        standing.spent_nanousd,
        standing.held_nanousd,
        standing.remaining_nanousd,
        used,
        state,
        standing.window.ends_ns,
    )


def _link(standing: BudgetStanding) -> str:
    budget = standing.budget
    return f"/ui/keys/{budget.subject}" if budget.scope is Scope.KEY and budget.subject else ""
