"""Turns: beside the plain definition, which looks at everybody at each step."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from routewright.call import Priority
from routewright.layers.turns import LONG_S, Turns, Waiter

LOOP = asyncio.new_event_loop()
LOOP.close()
TENANTS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), TENANTS, st.sampled_from(Priority)),
        st.sampled_from(("next", "last", "remove")),
        st.floats(0.1, LONG_S),
    ),
    max_size=60,
)


def waiter(tenant: str, since: float = 0.0, priority: Priority = Priority.LIVE) -> Waiter:
    return Waiter(priority, tenant, since, asyncio.Future(loop=LOOP))


def first_of(line: list[Waiter], now: float) -> Waiter:
    fresh = [each for each in line if now - each.since < LONG_S]
    return fresh[0] if fresh else line[-1]


def last_of(line: list[Waiter], now: float) -> Waiter:
    stale = [each for each in line if now - each.since >= LONG_S]
    return stale[0] if stale else line[-1]


@given(STEPS)
def test_a_step_takes_the_call_that_the_definition_says(steps: list[object]) -> None:
    turns, waiting, now = Turns(), list[Waiter](), 0.0
    for step in steps:
        match step:
            case float():
                now += step
            case ("add", str() as tenant, Priority() as priority):
                waiting.append(one := waiter(tenant, now, priority))
                turns.add(one)
            case "remove":
                if waiting:
                    one = waiting.pop(len(waiting) // 2)
                    assert turns.remove(one)
                    assert not turns.remove(one)
            case _ if waiting:
                one = turns.pop_next(now) if step == "next" else turns.pop_last(now)
                line = [each for each in waiting if (each.priority, each.tenant) == (one.priority, one.tenant)]
                most = (min if step == "next" else max)(each.priority for each in waiting)
                assert one.priority == most
                assert one is (first_of if step == "next" else last_of)(line, now)
                waiting.remove(one)
        assert len(turns) == len(waiting)
        assert turns.fresh(now) == sum(now - each.since < LONG_S for each in waiting)


@given(st.lists(TENANTS, max_size=40))
def test_tenants_alternate_for_as_long_as_they_wait(arrivals: list[str]) -> None:
    turns = Turns()
    for tenant in arrivals:
        turns.add(waiter(tenant))
    wanted, served = Counter(arrivals), Counter[str]()
    for _ in arrivals:
        tenant = turns.pop_next(0.0).tenant
        waiting = [each for each in wanted if served[each] < wanted[each]]
        assert served[tenant] == min(served[each] for each in waiting), "nobody has two turns before another has one"
        served[tenant] += 1


def test_who_leaves_gives_up_the_last_turn_of_its_tenant() -> None:
    turns, first, second = Turns(), waiter("a"), waiter("a")
    for each in (first, second, waiter("b")):
        turns.add(each)
    turns.remove(first)
    assert turns.pop_next(0.0) is second
    assert turns.pop_next(0.0).tenant == "b"
