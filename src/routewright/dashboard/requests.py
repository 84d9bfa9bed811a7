"""The request explorer: how many there were, above a table of them; every filter is in the address."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from routewright.dashboard.charting import Stack, stacked
from routewright.dashboard.listing import Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, Figure, View
from routewright.errors import InvalidRequest
from routewright.ledger.browsing import END, FAR_NS, MOST_WALKED, Bar, Brief, Filter, Place, browse, counted
from routewright.ledger.rollups import DAY_NS, HOUR_NS
from routewright.ledger.spending import Dimension
from routewright.reports.figures import short
from routewright.reports.reading import moment

ROWS = 50
USUAL_DAYS = 7
MOST_HOURS = 72
"""Bars by the hour; what is longer is shown by the day."""
MOST_BARS = 400

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORD = re.compile(r"[a-z_]{1,48}")
_SESSION = re.compile(r"[0-9a-f]{32}")
_PLACE = re.compile(r"(\d{1,19})-([0-9a-f-]{36})")
_MOST_MS = 10**9
_EPOCH = date(1970, 1, 1)

COLUMNS = (
    Column("time", "time (UTC)", Kind.TIME),
    Column("request_id", "request"),
    Column("asked_for", "asked for"),
    Column("tier", "tier"),
    Column("model", "answered by"),
    Column("outcome", "outcome"),
    Column("cost_usd", "cost", Kind.USD),
    Column("baseline_cost_usd", "baseline", Kind.USD),
    Column("attempts", "attempts", Kind.COUNT),
    Column("total_ms", "time taken", Kind.MS),
    Column("key", "key"),
    Column("team", "team"),
)


def read(desk: Desk, asked: Parameters) -> View:
    """A page of requests, and how many there were in each hour or day."""
    wanted, after = filter_of(asked, desk.now_ns), _place(asked)
    found = browse(desk.ledger.database, wanted, after, ROWS)
    figure = _histogram(desk, wanted)
    listing = listing_of(found.rows)
    onward = found.onward
    values = {
        "figure": figure,
        "requests": listing,
        "asked": asked.values,
        "since": _day(wanted.since_ns),
        "onward": None if onward is None else asked.changed(before=f"{onward.at_ns}-{onward.request_id}"),
        "looked_back": "" if found.is_whole or onward is None else moment(onward.at_ns),
        "is_first": after == END,
        "tail": asked.changed(before=None),
    }
    return View(title="Requests", template="requests.html", values=values, listings=(listing, figure.listing))


def listing_of(rows: Sequence[Brief]) -> Listing:
    """Requests as lines."""
    return Listing(
        name="requests",
        title="Requests",
        columns=COLUMNS,
        rows=[line_of(row) for row in rows],
        links=[f"/ui/requests/{row.request_id}" for row in rows],
    )


def line_of(row: Brief) -> tuple[str | int | None, ...]:
    """A request under `COLUMNS`."""
    return (
        row.at_ns,
        row.request_id,
        row.requested_model,
        row.tier,
        row.model,
        row.outcome,
        row.cost_nanousd,
        row.baseline_cost_nanousd,
        row.attempts,
        row.total_ms,
        row.key or None,
        row.team or None,
    )


# ---- what is asked ----------------------------------------------------------------------------------------------


def filter_of(asked: Parameters, now_ns: int) -> Filter:
    """The filter in an address. Raises InvalidRequest."""
    since, until = _date(asked, "since"), _date(asked, "until")
    usual = now_ns // DAY_NS * DAY_NS - (USUAL_DAYS - 1) * DAY_NS
    return Filter(
        since_ns=usual if since is None else since,
        until_ns=FAR_NS if until is None else until + DAY_NS,
        model=asked.text("model"),
        tier=asked.text("tier"),
        key=asked.text("key"),
        team=asked.text("team"),
        tag=asked.text("tag"),
        outcome=asked.matching("outcome", _WORD, "an outcome such as complete, or failed"),
        session=asked.matching("session", _SESSION, "32 hexadecimal digits"),
        least_nanousd=asked.nanousd("min_cost"),
        most_nanousd=asked.nanousd("max_cost"),
        least_ms=asked.whole("min_ms", _MOST_MS),
        most_ms=asked.whole("max_ms", _MOST_MS),
    )


def _date(asked: Parameters, name: str) -> int | None:
    """When a day begins: UTC nanoseconds since 1970; of one that a ledger cannot have, the nearest that it can."""
    text = asked.matching(name, _DAY, "a day such as 2026-11-01")
    if text is None:
        return None
    try:
        return min(max(0, (date.fromisoformat(text) - _EPOCH).days * DAY_NS), FAR_NS - DAY_NS)
    except ValueError as error:
        raise InvalidRequest(f"{name} is no day of the calendar", param=name) from error


def _place(asked: Parameters) -> Place:
    text = asked.text("before")
    if text is None:
        return END
    found = _PLACE.fullmatch(text)
    if found is None or int(found[1]) > FAR_NS:
        raise InvalidRequest("before is no place in the list", param="before", hint="leave it out for the latest")
    return Place(int(found[1]), found[2])


# ---- how many ---------------------------------------------------------------------------------------------------


def _histogram(desk: Desk, wanted: Filter) -> Figure:
    """By the hour or the day, complete and others: from roll-ups where these know, else from what was walked."""
    until_ns = min(wanted.until_ns, desk.now_ns + HOUR_NS)
    span_ns = HOUR_NS if until_ns - wanted.since_ns <= MOST_HOURS * HOUR_NS else DAY_NS
    if wanted.is_of_sums:
        bars, told = _from_sums(desk, wanted, until_ns, span_ns), "Every request."
    else:
        bars = counted(desk.ledger.database, wanted, END, span_ns)
        told = f"Those among the latest {MOST_WALKED:,} of this time: no sums are kept by what is filtered by here."
    rows = [
        (_label(bar.starts_ns, span_ns), bar.complete, bar.others) for bar in _filled(bars, wanted, until_ns, span_ns)
    ]
    if wanted.outcome is not None:
        told += " Of the outcome that is asked for."
    listing = Listing(
        name="histogram",
        title=f"Requests by {'hour' if span_ns == HOUR_NS else 'day'}",
        columns=(
            Column("starts_at", "begins (UTC)", Kind.TIME),
            Column("complete", "complete", Kind.COUNT),
            Column("others", "others", Kind.COUNT),
        ),
        rows=rows,
    )
    return stacked(listing, Stack(series=(1, 2)), told, short, is_wide=True)


def _from_sums(desk: Desk, wanted: Filter, until_ns: int, span_ns: int) -> list[Bar]:
    when: Dimension = "hour" if span_ns == HOUR_NS else "day"
    sought: dict[Dimension, str | None] = {
        "model": wanted.model,
        "tier": wanted.tier,
        "key": wanted.key,
        "team": wanted.team,
        "tag": wanted.tag,
    }
    only = {name: value for name, value in sought.items() if value is not None}
    found = []
    for (name,), sums in desk.ledger.sums((when,), wanted.since_ns, until_ns, only):
        at = datetime.fromisoformat(str(name)).replace(tzinfo=UTC)
        complete, others = sums.complete, sums.requests - sums.complete
        found.append(
            Bar(
                int(at.timestamp()) * 10**9,
                0 if wanted.outcome == "failed" else complete,
                0 if wanted.outcome == "complete" else others,
            )
        )
    return found


def _filled(bars: Sequence[Bar], wanted: Filter, until_ns: int, span_ns: int) -> list[Bar]:
    """With those where nothing was, if they are not too many; from the first one if the time begins long before."""
    if not bars:
        return []
    known = {bar.starts_ns: bar for bar in bars}
    begin = max(wanted.since_ns, until_ns - MOST_BARS * span_ns) // span_ns * span_ns
    last = max(known)
    times = range(begin, max(last, min(until_ns - 1, last + span_ns)) + 1, span_ns)
    return [known.get(at, Bar(at, 0, 0)) for at in times]


def _label(at_ns: int, span_ns: int) -> str:
    text = moment(at_ns)
    return text[:10] if span_ns == DAY_NS else text[5:16]


def _day(at_ns: int) -> str:
    return (_EPOCH + timedelta(days=at_ns // DAY_NS)).isoformat()
