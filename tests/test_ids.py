import uuid
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from routewright.ids import uuid7

TIMES = st.integers(0, (1 << 48) * 1_000_000 - 1)


@given(TIMES)
def test_it_is_a_version_7_uuid_of_its_millisecond(time_ns: int) -> None:
    value = uuid.UUID(uuid7(time_ns, Random(1)))
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert value.int >> 80 == time_ns // 1_000_000


@given(TIMES, TIMES)
def test_ids_sort_by_time(one: int, other: int) -> None:
    if one // 1_000_000 < other // 1_000_000:
        assert uuid7(one, Random(1)) < uuid7(other, Random(2))


def test_no_two_are_the_same() -> None:
    random = Random()
    assert len({uuid7(0, random) for _ in range(1000)}) == 1000
