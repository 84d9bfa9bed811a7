"""What models are watched for, how it stands beside the reference, and which alarms there are."""

from collections.abc import Mapping

from routewright.dashboard.listing import Cell, Column, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.decision.drift import Quantity, Stream
from routewright.jobs.drift_news import change_in_words, minute, name_of, shown
from routewright.ledger.drift import DriftBook, Key
from routewright.text import counted

STATES = ("alarm", "stable", "reference")
"""An alarm stands; nothing has changed; there is no whole reference yet."""


def read(desk: Desk, asked: Parameters) -> View:
    """One question: all streams, of which there is a bounded number."""
    state, model = asked.choice("state", STATES, ""), asked.text("model")
    streams = DriftBook(desk.ledger.database).streams()
    wanted = {
        key: stream for key, stream in streams.items() if state in ("", _state(stream)) and model in (None, key.model)
    }
    listing = _listing(wanted, desk.engine.settings.drift.reference)
    alarms = [f"{key.model}: {change_in_words(key, stream.alarm)}" for key, stream in streams.items() if stream.alarm]
    values = {
        "is_empty": not streams,
        "streams": listing,
        "alarms": alarms,
        "counted": counted(len(streams), "stream"),
        "state": state,
        "states": STATES,
        "model": model or "",
        "models": sorted({key.model for key in streams}),
    }
    return View(title="Drift", template="drift.html", values=values, listings=(listing,))


def _state(stream: Stream) -> str:
    if stream.alarm is not None:
        return "alarm"
    return "reference" if stream.pinned_at_ns is None else "stable"


def _listing(streams: Mapping[Key, Stream], reference: int) -> Listing:
    return Listing(
        name="streams",
        title="Streams",
        columns=(
            Column("model", "model"),
            Column("stream", "stream"),
            Column("state", "state"),
            Column("reference", "reference"),
            Column("now", "now"),
            Column("interval", "95 % sure"),
            Column("evidence", "evidence (alarm at 1)"),
            Column("examples", "requests"),
        ),
        rows=[_row(key, stream, reference) for key, stream in streams.items()],
    )


def _row(key: Key, stream: Stream, reference: int) -> tuple[Cell, ...]:
    name, before = name_of(key), shown(key.quantity, stream.reference.mean) if stream.reference.n else None
    if stream.pinned_at_ns is None:
        return key.model, name, f"reference: {stream.reference.n:,} of {reference:,}", before, None, None, None, None
    ends = [shown(key.quantity, end) for end in stream.now.interval(is_rate=key.quantity.is_rate)]
    if key.quantity is Quantity.SUCCESS:  # told the other way round than it is counted
        ends.reverse()
    alarm = stream.alarm
    return (
        key.model,
        name,
        "stable" if alarm is None else f"alarm since {minute(alarm.since_ns)}",
        before,
        shown(key.quantity, stream.now.mean),
        f"{ends[0]} – {ends[1]}",
        f"{stream.evidence:.2g}",
        None if alarm is None else ", ".join(alarm.examples),
    )
