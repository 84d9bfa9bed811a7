"""Many rows of all kinds for tests of the whole ledger: three days of it, from a seed."""

from datetime import date
from random import Random

from builders import route
from routewright.ids import uuid7
from routewright.ledger.ledger import (
    ComparisonRecorded,
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    Reserved,
    Settled,
    encode_event,
)
from routewright.ledger.sealed_rows import DAY_NS
from routewright.ledger.store import Store
from routewright.usage import Usage
from terminal import NOON, request

__all__ = ["DAY_NS", "absorb", "day", "generated"]


def day(number: int) -> int:
    """The number of a day of November 2026 since 1970."""
    return (date(2026, 11, number) - date(1970, 1, 1)).days


def generated(rows: int, seed: int = 7) -> list[LedgerEvent]:
    """About so many events: attempts, requests, outcomes and vectors of the first three days of November 2026."""
    random = Random(seed)
    events: list[LedgerEvent] = []
    while len(events) < rows:
        at_ns = NOON + random.randrange(-DAY_NS // 2, DAY_NS * 5 // 2)
        events += _one_request(uuid7(at_ns, random), at_ns, random)
    return events


def _one_request(request_id: str, at_ns: int, random: Random) -> list[LedgerEvent]:
    events: list[LedgerEvent] = []
    cost = 0
    attempts = random.choice((1, 1, 1, 2))
    for number in range(attempts):
        attempt = {
            "attempt_id": uuid7(at_ns + number, random),
            "request_id": request_id,
            "model": random.choice(("swift", "strong")),
            "deployment": "acme/swift",
            "cause": "first" if number == 0 else "retry",
            "boot": "boot",
            "key": "k1",
            "tags": ("häßlich", "=1+1"),
        }
        held = random.randrange(10**7)
        events.append(
            Reserved(**attempt, at_ns=at_ns, amount_nanousd=held, price_version="test")  # type: ignore[arg-type]
        )
        closing = {**attempt, "at_ns": at_ns + 10**9, "total_ms": 1_000, "held_nanousd": held}
        if number + 1 < attempts:
            events.append(Released(**closing, outcome="upstream_failed"))  # type: ignore[arg-type]
            continue
        paid = random.choice((None, held // 2, held // 3))
        cost += paid or 0
        usage = Usage(input=random.randrange(10_000), cache_read=random.randrange(100), output=random.randrange(4_000))
        settled = {"outcome": "complete", "usage": usage, "cost_nanousd": paid, "price_version": "test"}
        more = {"served_model": "swift-1", "is_estimated": random.random() < 0.1, "first_event_ms": 120}
        events.append(Settled(**closing, **settled, **more))  # type: ignore[arg-type]
    events.append(request(request_id, at_ns=at_ns + 10**9, cost_nanousd=cost, attempts=attempts, route=route()))
    if random.random() < 0.3:
        outcome = uuid7(at_ns, random)
        events.append(
            OutcomeRecorded(outcome_id=outcome, request_id=request_id, at_ns=at_ns + 2, source="check", score=0.1)
        )
        vector = random.randbytes(16)
        events.append(EmbeddingRecorded(request_id=request_id, at_ns=at_ns + 2, embedder="e", vector=vector))
        events.append(_comparison(request_id, at_ns + 3, random))
    return events


def _comparison(request_id: str, at_ns: int, random: Random) -> ComparisonRecorded:
    return ComparisonRecorded(
        comparison_id=uuid7(at_ns, random),
        request_id=request_id,
        at_ns=at_ns,
        model="swift",
        shadow="strong",
        result="tie",
        decided_by="agreement",
        is_same=True,
        cost_nanousd=random.randrange(10**7),
        shadow_cost_nanousd=None,
        total_ms=1_000,
        shadow_ms=2_000,
        answer="häßlich",
    )


def absorb(store: Store, events: list[LedgerEvent]) -> None:
    """Bring events into a store in batches, as the drainer does."""
    for start in range(0, len(events), 500):
        store.absorb([encode_event(event) for event in events[start : start + 500]])
