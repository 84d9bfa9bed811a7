"""Decisions as they were logged, each with what came of it: what other policies are held against.

A decision's action is its *first choice*, and its outcome is that of the request, whoever answered in the end: budgets
and failures that let another model answer belong to the world, as they would under any policy.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct

from routewright.call import Cause
from routewright.ledger.database import Database, Row
from routewright.ledger.ledger import OutcomeSource, RequestRecorded, Settled, is_believed_over
from routewright.ledger.rows import event_of
from routewright.route import Route

MOST_DECISIONS = 100_000
"""So many of the latest decisions of a time are looked at; older ones say less of today's traffic."""
PAGE = 2_000

FOREVER_NS = 2**63 - 1
_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_PAGE = """
SELECT 'request' AS kind, * FROM requests
WHERE at_ns >= ? AND (at_ns, request_id) < (?, ?)
ORDER BY at_ns DESC, request_id DESC LIMIT ?
"""
_OUTCOMES = """
SELECT o.request_id, coalesce(nullif(o.model, ''), r.model) AS model, o.source, o.score
FROM requests AS r JOIN outcomes AS o USING (request_id)
WHERE r.at_ns BETWEEN ? AND ? AND (o.model <> '' OR r.model IS NOT NULL) ORDER BY o.sequence
"""
_ANSWERS = f"""
SELECT e.* FROM requests AS r JOIN events AS e USING (request_id)
WHERE r.at_ns BETWEEN ? AND ? AND e.kind = 'settled' AND e.cause NOT IN ({_ERRANDS}) ORDER BY e.sequence
"""  # noqa: S608 of our own constants


class Logged(Struct, frozen=True, kw_only=True):
    """One decision about a request that was answered, and what came of it."""

    request_id: str
    at_ns: int
    """When the request was over: UTC nanoseconds since 1970."""
    route: Route
    model: str
    """Whose answer the client got."""
    score: float | None
    """How good that answer was, 0 to 1, as who is most trusted said last; None when nobody said anything."""
    scores: Mapping[str, float]
    """Model → the same of its answer, for each whose answer to this request was judged (shadows, too)."""
    cost_nanousd: int
    """Of the whole request: every attempt, and errands."""
    answers: tuple[Settled, ...]
    """Attempts at an answer that were paid for, in order."""

    @property
    def first_choice(self) -> str:
        """The action: the model that the decision put first."""
        return self.route.first_choice or self.route.chosen.model

    @property
    def propensity(self) -> float:
        """The probability with which that was chosen."""
        return self.route.propensity

    @property
    def propensities(self) -> Mapping[str, float]:
        """Model → the probability with which it was to be the first choice; those with none are left out."""
        found = {each.model: each.propensity for each in self.route.candidates if each.propensity}
        return found or {self.first_choice: self.propensity}

    @property
    def is_replayable(self) -> bool:
        """Whether the route says enough to decide anew; routes of older versions do not."""
        return self.route.asked is not None and self.route.first_choice != ""


class Only(Struct, frozen=True, kw_only=True):
    """Which decisions are looked at; None for any. An empty text is for what has no key or team."""

    model: str | None = None
    """Who answered."""
    team: str | None = None
    key: str | None = None
    tag: str | None = None

    def admits(self, row: RequestRecorded) -> bool:
        """Whether a request is one of them."""
        return (
            self.model in (None, row.model)
            and self.team in (None, row.team)
            and self.key in (None, row.key)
            and (self.tag is None or self.tag in row.tags)
        )


class Reading(Struct, frozen=True, kw_only=True):
    """The decisions of a time, oldest first, and what was left out of them."""

    logged: tuple[Logged, ...]
    unanswered: int
    """Nobody answered: there is nothing whose quality could be told."""
    cached: int
    """Answered by the response cache: nobody was chosen."""
    cut: bool
    """There are older ones, beyond the most that are looked at."""


ALL = Only()


def read_decisions(
    database: Database,
    since_ns: int = 0,
    until_ns: int = FOREVER_NS,
    only: Only = ALL,
    most: int = MOST_DECISIONS,
) -> Reading:
    """The latest `most` requests that ended in a time (UTC nanoseconds), as decisions. Raises StoreUnavailable."""
    requests = (row for row in _requests(database, since_ns, until_ns) if only.admits(row))
    looked_at = list(islice(requests, most))[::-1]
    has_more = next(requests, None) is not None
    answered = [row for row in looked_at if row.model is not None and row.route is not None]
    decided = [row for row in answered if not _is_kept(row)]
    return Reading(
        logged=tuple(logged for page in _pages(decided) for logged in _with_what_came(database, page)),
        unanswered=len(looked_at) - len(answered),
        cached=len(answered) - len(decided),
        cut=has_more,
    )


def _is_kept(row: RequestRecorded) -> bool:
    return row.cache in ("hit", "stale")


def _requests(database: Database, since_ns: int, until_ns: int) -> Iterator[RequestRecorded]:
    """Newest first."""
    before = until_ns, ""
    while rows := database.read(_PAGE, since_ns, *before, PAGE):
        for row in rows:
            event = event_of(row)
            assert isinstance(event, RequestRecorded)
            yield event
        before = rows[-1]["at_ns"], rows[-1]["request_id"]


def _pages(rows: list[RequestRecorded]) -> Iterator[list[RequestRecorded]]:
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]


def _with_what_came(database: Database, page: list[RequestRecorded]) -> Iterator[Logged]:
    bounds = page[0].at_ns, page[-1].at_ns
    scores = _scores(database.read(_OUTCOMES, *bounds))
    answers: dict[str, list[Settled]] = {}
    for row in database.read(_ANSWERS, *bounds):
        event = event_of(row)
        assert isinstance(event, Settled)
        answers.setdefault(event.request_id, []).append(event)
    for request in page:
        assert request.model is not None
        assert request.route is not None
        of_models = scores.get(request.request_id, {})
        yield Logged(
            request_id=request.request_id,
            at_ns=request.at_ns,
            route=request.route,
            model=request.model,
            score=of_models.get(request.model),
            scores=of_models,
            cost_nanousd=request.cost_nanousd,
            answers=tuple(answers.get(request.request_id, ())),
        )


def _scores(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Request → model → the score in force."""
    scores: dict[str, dict[str, float]] = {}
    sources: dict[tuple[str, str], OutcomeSource] = {}
    for row in rows:
        key = row["request_id"], row["model"]
        if key not in sources or is_believed_over(row["source"], sources[key]):
            sources[key] = row["source"]
            scores.setdefault(key[0], {})[key[1]] = row["score"]
    return scores
