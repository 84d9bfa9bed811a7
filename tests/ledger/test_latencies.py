"""How long answers took, in both databases: what is counted, when, and how near a percentile is."""

import math
from collections.abc import Sequence

import pytest

from builders import route
from ledger_rows import DAY_NS, absorb
from routewright.ledger.latencies import PER_DOUBLING, Spread, latencies, merged, middle
from routewright.ledger.ledger import LedgerEvent, Settled
from routewright.ledger.store import Store
from routewright.usage import Usage
from terminal import NOON, request

TODAY = NOON // DAY_NS * DAY_NS


def settled(number: int, first_event_ms: int | None, cause: str = "first") -> Settled:
    return Settled(
        attempt_id=f"attempt-{number}",
        request_id=f"request-{number}",
        at_ns=NOON,
        model="swift",
        deployment="acme/swift",
        served_model="swift",
        cause=cause,
        outcome="complete",
        usage=Usage(),
        cost_nanousd=1,
        price_version="test",
        is_estimated=False,
        first_event_ms=first_event_ms,
        total_ms=9,
    )


def took(*milliseconds: int) -> list[LedgerEvent]:
    return [
        request(f"request-{number}", at_ns=NOON, total_ms=each, overhead_us=each, route=route(), model="swift")
        for number, each in enumerate(milliseconds)
    ]


def test_answers_are_counted_once_by_day_and_model(store: Store) -> None:
    events = [*took(100, 100, 3000), settled(1, 50), settled(2, None), settled(3, 50, cause="judge")]
    absorb(store, events)
    absorb(store, events)  # delivered twice
    absorb(store, [request("later", at_ns=NOON + DAY_NS, total_ms=7, route=route(), model="strong")])
    absorb(store, [request("refused", at_ns=NOON, total_ms=7, model=None, outcome="rate_limited")])
    found = latencies(store.database, TODAY, TODAY + DAY_NS)
    assert {key: spread.total for key, spread in found.by_day.items()} == {
        ("total", TODAY): 3,
        ("overhead", TODAY): 3,
        ("first", TODAY): 1,
    }
    assert set(found.by_model) == {("total", "swift"), ("overhead", "swift"), ("first", "swift")}
    both = latencies(store.database, 0, 2**62)
    assert both.all("total").total == 4
    assert both.by_model["total", "strong"].total == 1


@pytest.mark.parametrize("values", [(0,), (1, 2, 3), (5, 80, 81, 90, 1000, 120_000), tuple(range(1, 400, 7))])
def test_a_percentile_is_within_five_percent(store: Store, values: Sequence[int]) -> None:
    absorb(store, took(*values))
    spread = latencies(store.database, 0, 2**62).all("total")
    assert spread.total == len(values)
    for percent in (1, 50, 95, 99, 100):
        exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
        found = spread.percentile(percent)
        assert found is not None
        assert abs(found - exact) <= 0.05 * exact + 1, percent


def test_nothing_has_no_percentile_and_spreads_add_up() -> None:
    assert Spread({}).percentile(50) is None
    assert merged([Spread({1: 2}), Spread({1: 1, 3: 1})]).counts == {1: 3, 3: 1}
    assert middle(PER_DOUBLING * 10) == round(1024 * 2 ** (0.5 / PER_DOUBLING)) - 1
