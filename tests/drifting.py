"""Streams of drift as a gateway would have watched and kept them."""

from collections.abc import Sequence

from routewright.decision.drift import MONTH_NS, Quantity, Rules, Seen, Stream
from routewright.ledger.database import Database
from routewright.ledger.drift import DriftBook, Streams
from terminal import NOON

STEP_NS = MONTH_NS // 10_000


def stream_of(quantity: Quantity, values: Sequence[float], smallest_change: float = 0.0) -> Stream:
    """What was seen, one value every few minutes from noon on; a hundred are the reference."""
    stream, rules = Stream(quantity), Rules(reference=100, smallest_change=smallest_change)
    for place, value in enumerate(values):
        stream.see(Seen(value, NOON + place * STEP_NS, f"r{place}"), rules, 0.1 / MONTH_NS)
    return stream


def too_small_to_matter() -> Stream:
    """One with evidence for a change, which is smaller than the smallest that matters."""
    stream = stream_of(Quantity.REFUSALS, [0.0, 1.0] * 500 + [0.0, 1.0, 1.0] * 100, smallest_change=0.2)
    assert stream.evidence >= 1
    return stream


def keep(database: Database, streams: Streams) -> None:
    """As a look would."""
    book = DriftBook(database)
    marks = book.take(for_s=60)
    assert marks is not None
    assert book.keep(streams, marks)
