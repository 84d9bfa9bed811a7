from routewright.ledger.spending import Sums
from routewright.usage import Usage


def test_sums_are_added_one_by_one() -> None:
    one = Sums(attempts=1, cost_nanousd=7, usage=Usage(input=3))
    other = Sums(attempts=2, requests=1, usage=Usage(input=4, output=5))
    assert one + other == Sums(attempts=3, requests=1, cost_nanousd=7, usage=Usage(input=7, output=5))
