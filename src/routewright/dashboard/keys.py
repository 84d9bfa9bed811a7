"""The virtual keys: who has one, what it allows, and how much of that is used."""

from collections.abc import Sequence

from routewright.access.keys import Role, VirtualKey
from routewright.dashboard import budgets
from routewright.dashboard.listing import Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.errors import KeyNotFound
from routewright.ledger.budgets import BudgetStanding, Period, Scope
from routewright.ledger.rollups import DAY_NS
from routewright.text import counted

MOST_SHOWN = 200
DAYS = 30
STATES = ("active", "revoked", "expired", "not yet valid")


def read(desk: Desk, asked: Parameters) -> View:
    """No question: all keys are in memory."""
    every = desk.directory.all_keys()
    state, name, team = asked.choice("state", STATES, ""), asked.text("name"), asked.text("team")
    found = [
        key
        for key in every
        if state in ("", key.state(desk.now_ns))
        and (name is None or name.lower() in key.name.lower())
        and team in (None, key.team)
    ]
    table = _keys(desk, found[:MOST_SHOWN], len(found))
    values = {
        "is_empty": not every,
        "keys": table,
        "state": state,
        "states": STATES,
        "name": name or "",
        "team": team or "",
        "counted": counted(len(every), "key"),
        "roles": tuple(Role),
        "periods": tuple(Period),
    }
    return View(title="Keys", template="keys.html", values=values, listings=(table,))


def read_one(desk: Desk, asked: Parameters) -> View:
    """One question to the roll-ups: what it has spent. Raises KeyNotFound."""
    key = next((key for key in desk.directory.all_keys() if key.id == asked.part), None)
    if key is None:
        raise KeyNotFound(f"there is no key with the id {asked.part[:20]!r}", hint="the list has those there are")
    standings = [standing for standing in _budgets_of_keys(desk) if standing.budget.subject == key.id]
    table = _keys(desk, [key], 1)
    held = budgets.listing(standings, {key.id: key.name}, len(standings))
    spent = _spent(desk, key)
    values = {
        "key": key,
        "table": table,
        "budgets": held,
        "spent": spent,
        "is_active": key.revoked_at_ns is None,
        "models": ", ".join(key.models) or "all",
        "tiers": ", ".join(key.tiers) or "all",
        "tags": ", ".join(key.tags) or "none",
        "periods": tuple(Period),
    }
    return View(title=f"Key {key.name}", template="key.html", values=values, listings=(table, held, spent))


def _keys(desk: Desk, keys: Sequence[VirtualKey], of: int) -> Listing:
    used: dict[str, int] = {}
    for standing in _budgets_of_keys(desk):
        subject = standing.budget.subject
        used[subject] = max(used.get(subject, 0), budgets.used_permille(standing))
    return Listing(
        name="keys",
        title="Keys",
        columns=(
            Column("name", "name"),
            Column("id", "id"),
            Column("state", "state"),
            Column("team", "team"),
            Column("roles", "may"),
            Column("budgets", "budgets"),
            Column("used", "of it used", Kind.SHARE),
            Column("requests_per_minute", "requests a minute", Kind.COUNT),
            Column("tokens_per_minute", "tokens a minute", Kind.COUNT),
            Column("concurrency", "at once", Kind.COUNT),
            Column("created", "made (UTC)", Kind.TIME),
            Column("expires", "until (UTC)", Kind.TIME),
        ),
        rows=[
            (
                key.name,
                key.id,
                key.state(desk.now_ns),
                key.team or None,
                ", ".join(role for role in Role if role in key.roles),
                ", ".join(f"{budget.period}" for budget in key.budgets) or None,
                used.get(key.id),
                key.requests_per_minute,
                key.tokens_per_minute,
                key.concurrency,
                key.created_at_ns,
                key.expires_at_ns,
            )
            for key in keys
        ],
        links=[f"/ui/keys/{key.id}" for key in keys],
        note=f"The newest {len(keys)} of {of:,}." if of > len(keys) else "",
    )


def _budgets_of_keys(desk: Desk) -> list[BudgetStanding]:
    return [standing for standing in desk.budgets if standing.budget.scope is Scope.KEY]


def _spent(desk: Desk, key: VirtualKey) -> Listing:
    found = desk.ledger.sums(("model",), desk.now_ns - DAYS * DAY_NS, only={"key": key.id})
    return Listing(
        name="spent",
        title=f"Spent in {DAYS} days",
        columns=(
            Column("model", "model"),
            Column("requests", "requests", Kind.COUNT),
            Column("attempts", "attempts", Kind.COUNT),
            Column("cost_usd", "spent", Kind.USD),
        ),
        rows=[
            (keys[0] or "(nobody)", sums.requests, sums.attempts, sums.cost_nanousd)
            for keys, sums in sorted(found, key=lambda each: -each[1].cost_nanousd)
        ],
    )
