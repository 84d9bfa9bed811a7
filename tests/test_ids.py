import uuid
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.ids import is_uuid7, uuid7

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


@given(TIMES)
def test_what_was_minted_is_known_by_its_form(time_ns: int) -> None:
    assert is_uuid7(uuid7(time_ns, Random(1)))


@pytest.mark.parametrize("text", ["", "request-1", str(uuid.UUID(int=0)), f"{uuid7(0, Random(1))}\n"])
def test_what_a_client_made_up_is_not(text: str) -> None:
    assert not is_uuid7(text)
