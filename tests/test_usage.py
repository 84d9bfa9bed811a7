"""Usage is a sum of disjoint classes, and refuses counts that nobody can mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.usage import IMPLAUSIBLE_TOKENS, Usage

COUNTS = st.integers(0, IMPLAUSIBLE_TOKENS)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
CLASSES = Usage.__struct_fields__


def test_totals_count_every_class_once() -> None:
    usage = Usage(input=1, cache_read=20, cache_write=300, cache_write_1h=4_000, output=50_000, reasoning=600_000)
    assert (usage.input_total, usage.output_total, usage.total) == (4_321, 650_000, 654_321)


@given(USAGES, USAGES)
def test_sum_adds_class_by_class(one: Usage, other: Usage) -> None:
    both = one + other
    assert [getattr(both, name) for name in CLASSES] == [getattr(one, name) + getattr(other, name) for name in CLASSES]
    assert both == other + one
    assert one + Usage() == one


@given(USAGES)
def test_plausible_usage_passes_unchanged(usage: Usage) -> None:
    assert usage.plausible() is usage


def test_explicit_zero_is_plausible() -> None:
    assert Usage().plausible() == Usage()


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("count", [-1, IMPLAUSIBLE_TOKENS + 1, 10**12])
def test_negative_and_absurd_counts_are_refused_by_name(name: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"reports {count} {name} tokens"):
        Usage(**{name: count}).plausible()


def test_limit_can_be_narrowed_to_the_context_of_a_model() -> None:
    assert Usage(input=200_000).plausible(200_000).input == 200_000
    with pytest.raises(ValueError, match="200001 input"):
        Usage(input=200_001).plausible(200_000)
