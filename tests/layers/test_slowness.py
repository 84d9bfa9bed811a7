from math import inf

import pytest

from routewright.layers.slowness import FORGOTTEN_AFTER_S, LONGEST_FACTOR, SHORTEST_PATIENCE_S, Wait, Waits

PLACES = ("here", "there")


def noted(**waits: list[float]) -> Waits:
    """Waits of these places, all at second 0."""
    found = Waits()
    for place, seconds in waits.items():
        for each in seconds:
            found.note(place, Wait.BEGINNING, 0, each)
    return found


def test_a_place_far_slower_than_its_sibling_is_slow_and_the_sibling_is_not() -> None:
    waits = noted(here=[4.0] * 5, there=[0.4] * 5)
    assert waits.are_long("here", Wait.BEGINNING, PLACES, 1)
    assert not waits.are_long("there", Wait.BEGINNING, PLACES, 1)


def test_prompt_beginnings_do_not_hide_the_silences_that_follow_them() -> None:
    waits = noted(here=[0.4] * 20, there=[0.4] * 20)
    for place, silence_s in (("here", 10.0), ("there", 0.4)):
        for _ in range(5):
            waits.note(place, Wait.SILENCE, 0, silence_s)
    assert waits.are_long("here", Wait.SILENCE, PLACES, 1)
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, 1)


def test_a_few_long_answers_among_others_are_not_slow() -> None:
    waits = noted(here=[0.5] * 16 + [20.0] * 4, there=[0.4] * 20)
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, 1)


def test_nobody_is_slow_without_a_sibling_that_was_heard_of_lately() -> None:
    assert not noted(here=[9.0] * 20).are_long("here", Wait.BEGINNING, PLACES, 1)
    assert not noted(here=[9.0] * 20, there=[0.1] * 4).are_long("here", Wait.BEGINNING, PLACES, 1)
    waits = noted(there=[0.1] * 20)
    for _ in range(20):
        waits.note("here", Wait.BEGINNING, FORGOTTEN_AFTER_S, 9.0)
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, FORGOTTEN_AFTER_S)


def test_what_is_short_anyway_is_not_slow() -> None:
    assert not noted(here=[0.5] * 20, there=[0.01] * 20).are_long("here", Wait.BEGINNING, PLACES, 1)


def test_a_probe_is_judged_by_itself() -> None:
    waits = noted(here=[9.0] * 20, there=[0.4] * 20)
    waits.forget("here", 2.0)
    waits.note("here", Wait.BEGINNING, 12, 9.0)
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, 12)
    assert waits.are_long("here", Wait.BEGINNING, PLACES, 12, fewest=1)


def test_a_wait_from_before_says_nothing_of_now() -> None:
    waits = noted(there=[0.4] * 20)
    waits.forget("here", 2.0)
    waits.note("here", Wait.BEGINNING, 10, 9.0)
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, 10, fewest=1)


def test_a_place_is_waited_for_much_longer_than_its_siblings_take_and_alone_for_ever() -> None:
    waits = noted(there=[0.4] * 5)
    assert waits.patience_s("here", PLACES, 1) == SHORTEST_PATIENCE_S
    assert noted(there=[5.0] * 5).patience_s("here", PLACES, 1) == pytest.approx(LONGEST_FACTOR * 5)
    assert waits.patience_s("there", PLACES, 1) == inf


def test_a_whole_answer_is_waited_for_much_longer_than_the_longest_of_a_sibling_and_alone_for_ever() -> None:
    waits = Waits()
    for seconds in (2.0, 2.0, 2.0, 2.0):
        waits.note("there", Wait.WHOLE, 0, seconds)
    assert waits.whole_patience_s("here", PLACES, 1) == inf
    waits.note("there", Wait.WHOLE, 0, 30.0)
    assert waits.whole_patience_s("here", PLACES, 1) == LONGEST_FACTOR * 30
    assert waits.whole_patience_s("there", PLACES, 1) == inf
    assert waits.whole_patience_s("here", PLACES, 61) == inf


def test_places_that_are_gone_are_forgotten() -> None:
    waits = noted(here=[9.0] * 20, there=[0.4] * 20)
    waits.keep_only(["there"])
    assert not waits.are_long("here", Wait.BEGINNING, PLACES, 1, fewest=1)
