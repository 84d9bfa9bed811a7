"""Spending by policy is that of the rows, in either database, and agrees with the sums."""

import pytest
from msgspec.structs import replace

from entries import DAY, ROUTE, absorb, recorded, released, reserved, settled
from routewright.ledger.rollups import HOUR_NS
from routewright.ledger.spending import Dimension, Keys
from routewright.ledger.store import Store

CHEAP, SURE = replace(ROUTE, policy="cheap@1"), replace(ROUTE, policy="sure@2")


@pytest.fixture
def filled(store: Store) -> Store:
    """Two policies over three days; a request without a route, and an attempt whose request was never written."""
    absorb(
        store,
        reserved("a1"),
        settled("a1", request_id="r1", cost_nanousd=10),
        released("a2", request_id="r1"),
        recorded("r1", route=CHEAP, cost_nanousd=10),
        settled("b1", request_id="r2", at_ns=DAY, cost_nanousd=200, model="large"),
        recorded("r2", route=SURE, at_ns=DAY, cost_nanousd=200, model="large"),
        settled("c1", request_id="r3", at_ns=2 * DAY, cost_nanousd=30),
        recorded("r3", route=CHEAP, at_ns=2 * DAY, cost_nanousd=30, tags=("x",)),
        recorded("r4", route=None, at_ns=2 * DAY, cost_nanousd=0, model=None, baseline_cost_nanousd=None),
        settled("d1", request_id="lost", at_ns=2 * DAY, cost_nanousd=4_000),
    )
    return store


def told(
    store: Store, by: tuple[Dimension, ...], since_ns: int = 0, until_ns: int = 9 * DAY
) -> dict[Keys, tuple[int, int, int]]:
    """Attempts, cost, requests."""
    return {
        keys: (sums.attempts, sums.cost_nanousd, sums.requests) for keys, sums in store.sums(by, since_ns, until_ns)
    }


def test_attempts_and_requests_are_told_by_the_policy_of_the_route(filled: Store) -> None:
    assert told(filled, ("policy",)) == {
        ("cheap@1",): (3, 40, 2),
        ("sure@2",): (1, 200, 1),
        (None,): (1, 4_000, 1),
    }
    sums = [sums for _, sums in filled.sums(("policy",))]
    total = filled.totals()
    assert sum(each.cost_nanousd for each in sums) == total.cost_nanousd
    assert sum(each.most_saved_nanousd for each in sums) == total.most_saved_nanousd
    assert sum(each.usage.total for each in sums) == total.usage.total


def test_another_dimension_stands_beside(filled: Store) -> None:
    assert told(filled, ("day", "policy")) == {
        ("1970-01-01", "cheap@1"): (2, 10, 1),
        ("1970-01-02", "sure@2"): (1, 200, 1),
        ("1970-01-03", "cheap@1"): (1, 30, 1),
        ("1970-01-03", None): (1, 4_000, 1),
    }
    assert told(filled, ("policy", "model"))["sure@2", "large"] == (1, 200, 1)
    assert told(filled, ("policy", "cause"))["cheap@1", "first"] == (3, 40, 0), "requests have no cause"


def test_a_time_and_filters_leave_out_the_rest(filled: Store) -> None:
    assert told(filled, ("policy",), since_ns=DAY, until_ns=DAY + HOUR_NS) == {("sure@2",): (1, 200, 1)}
    assert dict(filled.sums(("policy",), only={"model": "large"})).keys() == {("sure@2",)}


def test_tags_are_not_told_by_policy_and_a_policy_is_no_filter(filled: Store) -> None:
    with pytest.raises(ValueError, match="no tags"):
        filled.sums(("policy", "tag"))
    with pytest.raises(ValueError, match="no filter"):
        filled.sums(("model",), only={"policy": "cheap@1"})


def test_an_empty_ledger_has_no_policies(store: Store) -> None:
    assert store.sums(("policy",)) == []
