"""Sessions: an agent's whole run as one line, and its turns."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.requests import listing_of
from routewright.dashboard.view import Desk, View
from routewright.errors import RequestNotFound
from routewright.ledger.browsing import END, Cached, Turn, cached_of, routes_of, turns, turns_of
from routewright.route import Route

LOOKED_AT = 20_000
"""Requests among which the latest sessions are found."""
MOST_SESSIONS = 25
MOST_TURNS = 200
"""Of a session, the latest: what is told of it is told of these."""

_SESSION = re.compile(r"[0-9a-f]{32}")
_decode = msgspec.json.Decoder(Route | None).decode


def read(desk: Desk, asked: Parameters) -> View:
    """The sessions with the latest turns."""
    database = desk.ledger.database
    runs = _runs(turns(database, END, LOOKED_AT, MOST_SESSIONS))
    ids = [turn.request_id for run in runs.values() for turn in run]
    cached, routes = cached_of(database, ids), routes_of(database, [run[-1].request_id for run in runs.values()])
    listing = _listing(runs, cached, routes)
    values = {"sessions": listing, "looked_at": LOOKED_AT}
    return View(title="Sessions", template="sessions.html", values=values, listings=(listing,))


def read_one(desk: Desk, asked: Parameters) -> View:
    """The turns of one session, in order. Raises RequestNotFound."""
    found = turns_of(desk.ledger.database, asked.part, MOST_TURNS) if _SESSION.fullmatch(asked.part) else []
    if not found:
        raise RequestNotFound(f"no session {asked.part[:64]!r} is recorded", hint="the list has the latest")
    listing = listing_of(found)
    values = {"session": asked.part, "turns": listing, "is_cut": len(found) == MOST_TURNS, "most": MOST_TURNS}
    return View(title="Session", template="session.html", values=values, listings=(listing,))


def _runs(latest: Sequence[Turn]) -> dict[str, list[Turn]]:
    """The sessions of these turns, each with its own in order."""
    runs: dict[str, list[Turn]] = {}
    for turn in latest:
        run = runs.setdefault(turn.session, [])
        if len(run) < MOST_TURNS:
            run.append(turn)
    return {session: run[::-1] for session, run in runs.items()}


def _listing(runs: Mapping[str, Sequence[Turn]], cached: Mapping[str, Cached], routes: Mapping[str, str]) -> Listing:
    return Listing(
        name="sessions",
        title="Sessions",
        columns=(
            Column("session", "session"),
            Column("last_at", "last turn (UTC)", Kind.TIME),
            Column("turns", "turns", Kind.COUNT),
            Column("costs_nanousd", "cost over turns", Kind.COURSE),
            Column("cost_usd", "cost", Kind.USD),
            Column("baseline_cost_usd", "baseline", Kind.USD),
            Column("model", "last model"),
            Column("switches", "switches", Kind.COUNT),
            Column("cached_share", "input from cache", Kind.SHARE),
            Column("switch_to", "a switch now"),
            Column("switch_cost_usd", "would cost more", Kind.USD),
        ),
        rows=[
            (session, *_line(run, cached), *_switch(routes.get(run[-1].request_id))) for session, run in runs.items()
        ],
        links=[f"/ui/sessions/{session}" for session in runs],
    )


def _line(run: Sequence[Turn], cached: Mapping[str, Cached]) -> tuple[Cell, ...]:
    models = [turn.model for turn in run if turn.model is not None]
    known = [cached[turn.request_id] for turn in run if turn.request_id in cached]
    tokens = sum(each.input for each in known)
    baselines = [turn.baseline_cost_nanousd for turn in run if turn.baseline_cost_nanousd is not None]
    return (
        run[-1].at_ns,
        len(run),
        " ".join(str(turn.cost_nanousd) for turn in run),
        sum(turn.cost_nanousd for turn in run),
        sum(baselines) if baselines else None,
        models[-1] if models else None,
        sum(before != after for before, after in pairwise(models)),
        1000 * sum(each.cached for each in known) // tokens if tokens else None,
    )


def _switch(text: str | None) -> tuple[Cell, Cell]:
    """Which other model was the next choice for the last turn, and what it was expected to cost beyond the one taken,
    which has the conversation in its provider's cache."""
    route = _decode(text or "null")
    if route is None or route.chosen.expected_cost_nanousd is None:
        return None, None
    others = [each for each in route.eligible[1:] if each.expected_cost_nanousd is not None]
    if not others:
        return None, None
    return others[0].model, (others[0].expected_cost_nanousd or 0) - route.chosen.expected_cost_nanousd
