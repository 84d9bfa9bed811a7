from hypothesis import given
from hypothesis import strategies as st

from routewright.catalog.registry import Tier
from routewright.cli.savings import Compared, Saving, against, as_recorded, is_simulated, saving
from routewright.ledger.store import Spend
from routewright.route import Candidate, Route
from routewright.usage import Usage
from terminal import request

AMOUNTS = st.integers(0, 10**12)
REQUESTS = st.builds(
    lambda cost, would, estimated, failed: request(
        cost_nanousd=cost,
        is_estimated=estimated,
        model=None if failed else "swift",
        baseline_cost_nanousd=None if failed else would,
    ),
    AMOUNTS,
    st.none() | AMOUNTS,
    st.booleans(),
    st.booleans(),
)


def of(*requests: object) -> Saving:
    return saving(as_recorded(requests), ["strong"])  # type: ignore[arg-type]


def test_saving_is_what_the_baseline_would_have_cost_less_what_was_paid() -> None:
    found = of(request("a"), request("b", cost_nanousd=1_000_000))
    assert (found.actual_nanousd, found.baseline_nanousd, found.saved_nanousd) == (3_000_000, 20_000_000, 17_000_000)
    assert found.low_nanousd == found.high_nanousd == found.saved_nanousd
    assert found.baselines == ("strong",)


def test_saving_below_zero_is_shown_as_it_is() -> None:
    assert of(request(cost_nanousd=15_000_000)).saved_nanousd == -5_000_000


def test_money_of_failed_requests_counts_against_the_saving() -> None:
    found = of(request("a"), request("b", model=None, baseline_cost_nanousd=None, cost_nanousd=3_000_000))
    assert found.failed_nanousd == 3_000_000
    assert found.saved_nanousd == 8_000_000 - 3_000_000


def test_answer_without_a_baseline_is_left_out_on_both_sides() -> None:
    found = of(request("a"), request("b", baseline_cost_nanousd=None))
    assert (found.requests, found.saved_nanousd) == (1, 8_000_000)


def test_estimated_request_widens_the_saving_to_an_interval() -> None:
    found = of(request("a"), request("b", is_estimated=True))
    assert found.estimated == 1
    assert (found.low_nanousd, found.high_nanousd) == (8_000_000, 18_000_000)


def test_estimated_failure_might_have_cost_nothing() -> None:
    failed = request("b", model=None, baseline_cost_nanousd=None, is_estimated=True, cost_nanousd=3_000_000)
    found = of(request("a"), failed)
    assert (found.low_nanousd, found.saved_nanousd, found.high_nanousd) == (5_000_000, 5_000_000, 8_000_000)


@given(st.lists(REQUESTS))
def test_saving_lies_in_its_interval(requests: list[object]) -> None:
    found = of(*requests)
    assert found.low_nanousd <= found.saved_nanousd <= found.high_nanousd


@given(st.lists(REQUESTS), st.lists(REQUESTS))
def test_savings_add_up(one: list[object], other: list[object]) -> None:
    assert of(*one, *other).saved_nanousd == of(*one).saved_nanousd + of(*other).saved_nanousd
    assert of(*one, *other).low_nanousd == of(*one).low_nanousd + of(*other).low_nanousd


def spend(key: str) -> Spend:
    return Spend(
        key=key,
        requests=2,
        complete=2,
        attempts=2,
        estimated=0,
        unpriced=0,
        usage=Usage(),
        cost_nanousd=4,
        baseline_cost_nanousd=99,
        compared_cost_nanousd=4,
    )


def test_another_baseline_replaces_the_recorded_one_row_by_row() -> None:
    compared = [
        Compared(request("a", tier="bulk"), 7),
        Compared(request("b", tier="bulk"), None),
        Compared(request("c", tier="complex"), 11),
    ]
    bulk, other = against([spend("bulk"), spend("standard")], compared, "tier")
    assert (bulk.baseline_cost_nanousd, bulk.compared_cost_nanousd, bulk.cost_nanousd) == (7, 2_000_000, 4)
    assert (other.baseline_cost_nanousd, other.compared_cost_nanousd) == (0, 0)
    (day,) = against([spend("2026-11-01")], compared, "day")
    assert day.baseline_cost_nanousd == 18


def answered_at(*places: str) -> Route:
    candidate = Candidate(
        model="swift", tier=Tier.BULK, is_eligible=True, reason="", expected_cost_nanousd=1, deployments=places
    )
    return Route(
        verdict=None,
        tier=Tier.BULK,
        reason="",
        candidates=(candidate,),
        input_tokens=1,
        output_tokens=1,
        catalog="c",
        classifier=None,
        policy="p",
    )


def test_simulated_answers_are_known_by_where_they_came_from() -> None:
    assert is_simulated(request(route=answered_at("simulator/swift")))
    assert not is_simulated(request(route=answered_at("acme/swift")))
    assert not is_simulated(request(route=answered_at("simulator/swift"), model=None))
    assert not is_simulated(request(route=None))
