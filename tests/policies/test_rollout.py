from collections import Counter

import pytest

from builders import call, message
from routewright.policies.rollout import Rollout
from routewright.tenant import Tenant

UNITS = [f"session-{number}" for number in range(20_000)]


def drawn(**shares: float) -> dict[str, str | None]:
    rollout = Rollout(shares)
    return {unit: rollout.draw(unit) for unit in UNITS}


def moves(before: dict[str, str | None], after: dict[str, str | None]) -> Counter[tuple[str | None, str | None]]:
    return Counter((before[unit], after[unit]) for unit in UNITS if before[unit] != after[unit])


@pytest.mark.parametrize(
    "shares", [{"a": 10}, {"a": 1.5, "b": 50}, {"a": 20, "b": 30, "c": 50}, {"a": 0, "b": 100}, {"b": 5, "a": 5}]
)
def test_each_policy_gets_its_share(shares: dict[str, float]) -> None:
    counts = Counter(drawn(**shares).values())
    for name, share in [*shares.items(), (None, 100 - sum(shares.values()))]:
        spread = (len(UNITS) * share / 100 * (1 - share / 100)) ** 0.5
        assert abs(counts[name] - len(UNITS) * share / 100) <= 4 * spread, name


def test_a_draw_is_the_same_in_every_process_for_ever() -> None:
    rollout = Rollout({"trial": 50})
    assert [rollout.draw(unit) for unit in ("one", "two", "three", "four", "five", "six")] == [
        "trial",
        "trial",
        None,
        None,
        None,
        None,
    ]


def test_without_shares_all_is_the_base() -> None:
    assert set(drawn().values()) == {None}


def test_one_that_grows_keeps_what_it_has_and_takes_from_the_base() -> None:
    assert moves(drawn(trial=10), drawn(trial=25)).keys() == {(None, "trial")}


def test_of_several_the_last_one_grows_at_the_expense_of_the_base_alone() -> None:
    assert moves(drawn(a=10, b=20, c=5), drawn(a=10, b=20, c=30)).keys() == {(None, "c")}
    assert moves(drawn(a=10, b=20), drawn(a=10, b=20, c=30)).keys() == {(None, "c")}


def test_where_another_grows_only_what_it_takes_is_filled_up_again() -> None:
    moved = moves(drawn(a=10, b=20), drawn(a=15, b=20))
    assert moved.keys() == {(None, "a"), ("b", "a"), (None, "b")}
    assert moved["b", "a"] + moved[None, "a"] == pytest.approx(0.05 * len(UNITS), rel=0.15)
    assert moved[None, "b"] == pytest.approx(moved["b", "a"], rel=0.3)


def test_two_policies_draw_independently_of_each_other() -> None:
    one, other = drawn(a=50), drawn(b=50)
    both = sum(one[unit] == "a" and other[unit] == "b" for unit in UNITS)
    assert both == pytest.approx(0.25 * len(UNITS), rel=0.05)


def test_a_conversation_keeps_its_policy_with_a_session_and_without_one() -> None:
    rollout = Rollout({})
    turns = (message("Be brief.", "system"), message("Hello"))
    first, second = call(messages=turns), call(messages=(*turns, message("Hi", "assistant"), message("Go on")))
    assert rollout.unit(first) == rollout.unit(second) != rollout.unit(call("Something else"))
    assert rollout.unit(call("Anything", session="s1")) == rollout.unit(call("Else", session="s1")) == "s1"


def test_by_key_all_of_a_key_have_one_policy_and_who_has_none_goes_by_session() -> None:
    rollout = Rollout({}, "key")
    mine = Tenant(key="k1")
    assert rollout.unit(call("one", tenant=mine)) == rollout.unit(call("two", session="s2", tenant=mine)) == "k1"
    assert rollout.unit(call("one", session="s1")) == "s1"
