"""Whether the promise of a tuned policy still holds, looked at as outcomes come; one that does not is taken back.

The evidence follows from the ledger alone: the outcomes of requests that the policy decided, in the order in which they
came, each request once, as soon as both its own answer and the baseline's are judged. So any process may look at it,
and all come to the same end; whoever finds the promise broken puts the version from before in force again.

Requests count that were *compared*: judged for the baseline and another model, whichever of the two answered. That is
what a shadow does to a share of all requests; feedback alone, of which it is not known what the baseline would have got,
tells nothing of the promise.
"""

import asyncio
import logging
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.clock import Clock
from routewright.decision.promise import Pledge, Watch
from routewright.errors import LedgerUnavailable, PolicyNotFound, StoreUnavailable
from routewright.ledger.database import Database, Row
from routewright.policies.store import AS_SETTINGS, PolicyStore, Version

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
PAGE = 5_000
AUTHOR = "tune"
"""Who writes tuned versions, and takes them back."""

_OUTCOMES = """
SELECT o.sequence, o.request_id, coalesce(nullif(o.model, ''), r.model) AS model, o.score, r.model AS answered, r.route
FROM outcomes AS o JOIN requests AS r USING (request_id)
WHERE o.sequence > ? AND r.at_ns >= ? AND r.model IS NOT NULL AND r.cache NOT IN ('hit', 'stale')
ORDER BY o.sequence LIMIT ?
"""


class Promised(Struct, frozen=True, kw_only=True):
    """What a tuned version says of itself, in its evidence."""

    baseline: str
    within: float
    confidence: float
    saving: tuple[float, float, float] | None = None
    """Share of the baseline's cost, and its interval."""
    outcomes: int = 0
    how: str = ""
    before: int = AS_SETTINGS
    """The version to fall back to."""

    @property
    def pledge(self) -> Pledge:
        """The promise itself."""
        return Pledge(self.within, self.confidence)


def promised(version: Version) -> Promised | None:
    """The promise of a version; None for one that was not tuned."""
    told: Any = version.evidence.get("promise")
    return None if told is None else msgspec.convert(told, Promised)


class State(Struct, frozen=True, kw_only=True):
    """How the promise of one version stands."""

    version: Version
    promise: Promised
    watch: Watch
    sequence: int = 0
    """Of the last outcome that was looked at."""
    fell_back: bool = False
    """The promise did not hold, and the version from before is in force again."""


class PromiseWatch:
    """Follows all tuned policies of one ledger. `look` waits for the database; call it in a thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._policies = PolicyStore(database, clock)
        self._states: dict[tuple[str, int], State] = {}
        self._open: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
        """Of each version, requests of which only one side is known: request → model → score."""

    def look(self) -> list[State]:
        """Take in what came since the last look, and take back what is broken. Raises StoreUnavailable and
        LedgerUnavailable."""
        found = []
        for name, standing in self._policies.in_force().standings.items():
            promise = promised(standing.version)
            if promise is None:
                continue
            key = name, standing.version.number
            state = self._states.get(key) or State(
                version=standing.version, promise=promise, watch=Watch(pledge=promise.pledge)
            )
            state = self._followed(state, self._open.setdefault(key, {}))
            if state.watch.is_broken and not state.fell_back:
                state = self._fallen_back(state)
            self._states[key] = state
            found.append(state)
        return found

    def _followed(self, state: State, waiting: dict[str, dict[str, float]]) -> State:
        while rows := self._database.read(_OUTCOMES, state.sequence, state.version.at_ns, PAGE):
            left = [each for row in rows if (each := _left(row, state, waiting)) is not None]
            watch = state.watch.after(np.array(left)) if left else state.watch
            state = replace(state, watch=watch, sequence=rows[-1]["sequence"])
        return state

    def _fallen_back(self, state: State) -> State:
        name, before = state.version.name, state.promise.before
        reason = (
            f"version {state.version.number} is more than {state.promise.within:.1%} worse than "
            f"{state.promise.baseline}, by {state.watch.outcomes:,} outcomes"
        )
        try:
            self._policies.rollback(name, author=AUTHOR, to=before, reason=reason)
        except PolicyNotFound:
            self._policies.rollback(name, author=AUTHOR, to=AS_SETTINGS, reason=reason)
        log.error("policy %s: its promise no longer holds, the one before is in force again: %s", name, reason)
        return replace(state, fell_back=True)

    async def follow(self) -> None:
        """Look once a minute, for as long as it is awaited; a store that does not answer is asked again later."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.look)
            except (StoreUnavailable, LedgerUnavailable) as error:
                log.warning("promises are not looked at now: %s", error.message)


class _Decided(Struct, frozen=True):
    """What is needed of a route."""

    policy: str = ""


_decided = msgspec.json.Decoder(_Decided | None)


def _left(row: Row, state: State, waiting: dict[str, dict[str, float]]) -> float | None:
    """What the promise leaves of a request that this outcome completes; None where it completes none."""
    decided = _decided.decode(row["route"] or "null")
    if decided is None or not decided.policy.startswith(f"{state.version.name}@"):
        return None
    scores = waiting.setdefault(row["request_id"], {})
    was_complete = _is_complete(scores, row["answered"], state.promise.baseline)
    scores[row["model"]] = row["score"]
    if was_complete or not _is_complete(scores, row["answered"], state.promise.baseline):
        return None
    chosen, baseline = scores[row["answered"]], scores[state.promise.baseline]
    return float(state.promise.pledge.left(np.array(chosen), np.array(baseline)))


def _is_complete(scores: dict[str, float], answered: str, baseline: str) -> bool:
    return len(scores) > 1 and answered in scores and baseline in scores
