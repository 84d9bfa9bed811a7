"""Whether the promise of a tuned policy still holds, looked at as outcomes come; one that does not is taken back.

The evidence follows from the ledger alone: the outcomes of requests that the policy decided, in the order in which they
came, each request once, as soon as both its own answer and the baseline's are judged. So any process may look at it,
and all come to the same end; whoever finds the promise broken puts the version from before in force again, or the
baseline alone, where that version says the same.

Requests count that were *compared*: judged for the baseline and another model, whichever of the two answered. That is
what a shadow does to a share of all requests; feedback alone, of which nobody knows what the baseline would have got,
tells nothing of the promise.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.clock import Clock
from routewright.decision.intent import is_decided
from routewright.decision.pledge import Pledge, Watch
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.database import Database, Row
from routewright.policies.overlay import NOTHING, bare_of
from routewright.policies.store import AS_SETTINGS, PolicyStore, Version
from routewright.route import Asked
from routewright.settings.schema import Overlay

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
PAGE = 5_000
AUTHOR = "tune"
"""Who writes tuned versions, and takes them back."""

_UNTIL = """
SELECT max(sequence) AS last
FROM (SELECT sequence FROM outcomes WHERE sequence > ? ORDER BY sequence LIMIT ?) AS page
"""
_OUTCOMES = """
SELECT o.sequence, o.request_id, coalesce(nullif(o.model, ''), r.model) AS model, o.score, r.model AS answered, r.route
FROM outcomes AS o JOIN requests AS r USING (request_id)
WHERE o.request_id IN (SELECT request_id FROM outcomes WHERE sequence > ? AND sequence <= ?) AND o.sequence <= ?
  AND r.at_ns >= ? AND r.model IS NOT NULL AND r.cache NOT IN ('hit', 'stale')
ORDER BY o.sequence
"""
"""Also those from before of the same requests, so that nothing need be remembered of what is not complete yet."""


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
    since_ns: int
    """When it was put in force, the last time: UTC nanoseconds since 1970."""
    watch: Watch
    sequence: int = 0
    """Of the last outcome that was looked at."""


class PromiseWatch:
    """Follows all tuned policies of one ledger. `look` waits for the database; call it in a thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._policies = PolicyStore(database, clock)
        self._states: dict[tuple[str, int], State] = {}

    def look(self) -> list[State]:
        """Take in what came since the last look, and take back what is broken: how each stood then.

        Raises StoreUnavailable and LedgerUnavailable.
        """
        found = [self._followed(state) for state in self._in_force()]
        self._states = {(state.version.name, state.since_ns): state for state in found}
        for state in found:
            if state.watch.is_broken:
                self._take_back(state)
        return found

    def _in_force(self) -> Iterator[State]:
        since_ns = {change.name: change.at_ns for change in self._policies.history()}
        for name, standing in self._policies.in_force().standings.items():
            promise = promised(standing.version)
            if promise is not None:
                yield self._states.get((name, since_ns[name])) or State(
                    version=standing.version,
                    promise=promise,
                    since_ns=since_ns[name],
                    watch=Watch(pledge=promise.pledge),
                )

    def _followed(self, state: State) -> State:
        while (last := self._database.read(_UNTIL, state.sequence, PAGE)[0]["last"]) is not None:
            rows = self._database.read(_OUTCOMES, state.sequence, last, last, state.since_ns)
            state = replace(state, watch=state.watch.after(_left(rows, state)), sequence=last)
        return state

    def _take_back(self, state: State) -> None:
        promise, broken = state.promise, state.version
        standing = self._policies.in_force().standings.get(broken.name)
        if standing is None or standing.version.number != broken.number:
            return  # another process has done so, or an operator has put something else in force
        reason = (
            f"version {broken.number} is more than {promise.within * 100:g} % worse than {promise.baseline}, "
            f"by {state.watch.outcomes:,} comparisons"
        )
        log.error("policy %s: its promise no longer holds, and it is taken back: %s", broken.name, reason)
        if self._before(state) != broken.overlay:
            self._policies.rollback(broken.name, author=AUTHOR, to=promise.before, reason=reason)
        else:  # what is as bad is no way out
            safe = replace(bare_of(broken.overlay), models=(promise.baseline,))
            self._policies.apply(broken.name, safe, author=AUTHOR, reason=reason)

    def _before(self, state: State) -> Overlay:
        number = state.promise.before
        return NOTHING if number == AS_SETTINGS else self._policies.version(state.version.name, number).overlay

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
    asked: Asked | None = None


_decided = msgspec.json.Decoder(_Decided | None)


def _left(rows: Iterable[Row], state: State) -> Iterator[float]:
    """What the promise leaves of each request that is complete since the last look, in the order of completion."""
    scores: dict[str, dict[str, float]] = {}
    done: set[str] = set()
    for row in rows:
        request_id, answered, baseline = row["request_id"], row["answered"], state.promise.baseline
        of_models = scores.setdefault(request_id, {})
        of_models[row["model"]] = row["score"]
        if request_id in done or len(of_models) < 2 or not {answered, baseline} <= of_models.keys():
            continue
        done.add(request_id)
        if row["sequence"] > state.sequence and _is_of(row["route"], state.version.name):
            yield of_models[answered] - (1 - state.promise.within) * of_models[baseline]


def _is_of(route: str | None, name: str) -> bool:
    """Whether a route was decided by a policy of this name."""
    decided = _decided.decode(route or "null")
    return decided is not None and decided.policy.startswith(f"{name}@") and is_decided(decided.asked)
