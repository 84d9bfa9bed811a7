"""How many calls of a batch go at a time, without a clock of its own."""

from routewright.layers.window import CALM_S, CUT, FAR_SLOWER, PLENTY, ROUND, Window

PLENTY_LEFT = 10_000


def answers(window: Window, count: int, *, now: float = 100.0, took_s: float = 1.0, left: int | None = None) -> None:
    """So many, while all places are taken."""
    for _ in range(count):
        window.answered(now, took_s, window.size, left)


def test_without_headers_it_stays_at_what_was_given() -> None:
    window = Window(5, 64)
    answers(window, 1_000)
    assert window.size == 5


def test_it_rises_where_headers_leave_plenty_and_never_above_its_bound() -> None:
    window = Window(5, 64)
    answers(window, 50, left=PLENTY_LEFT)
    assert 5 < window.size <= 10, "a tenth of a call with each answer"
    answers(window, 1_000, left=PLENTY_LEFT)
    assert window.size == 64


def test_it_rises_no_further_than_the_headers_leave() -> None:
    window = Window(5, 64)
    answers(window, 1_000, left=40)
    assert window.size == int(40 / PLENTY)


def test_places_that_nobody_took_say_nothing() -> None:
    window = Window(5, 64)
    for _ in range(1_000):
        window.answered(100, 1.0, 3, PLENTY_LEFT)
    assert window.size == 5


def test_given_and_most_alike_it_is_fixed() -> None:
    window = Window(5, 5)
    answers(window, 1_000, left=PLENTY_LEFT)
    assert window.size == 5


def test_a_429_takes_back_what_was_won_once_for_a_burst_and_not_what_was_given() -> None:
    window = Window(20, 64)
    answers(window, 400, left=PLENTY_LEFT)
    window.overloaded(100.0)
    window.overloaded(100.5)
    assert window.size == int(60 * CUT)
    for second in range(101, 110):
        window.overloaded(float(second))
    assert window.size == 20, "what is below that is each deployment's own"


def test_after_a_429_nothing_is_tried_for_a_while() -> None:
    window = Window(5, 64)
    window.overloaded(100.0)
    answers(window, 100, now=100.0 + CALM_S - 1, left=PLENTY_LEFT)
    assert window.size == 5
    answers(window, 100, now=100.0 + CALM_S, left=PLENTY_LEFT)
    assert window.size > 5


def test_answers_that_slow_down_stop_the_rise() -> None:
    window = Window(5, 64)
    answers(window, ROUND, left=PLENTY_LEFT)
    answers(window, ROUND, took_s=2.0, left=PLENTY_LEFT)
    size = window.size
    answers(window, 10 * ROUND, took_s=2.0, left=PLENTY_LEFT)
    assert window.size == size


def test_answers_that_take_far_longer_cut_it_below_what_was_given_and_it_comes_back() -> None:
    window = Window(20, 64)
    answers(window, ROUND)
    answers(window, ROUND, took_s=FAR_SLOWER + 0.1)
    assert window.size == int(20 * CUT)
    answers(window, 2 * ROUND, took_s=FAR_SLOWER + 0.1)
    assert window.size == 20, "one rise is one sign, and nobody's leave is needed"


def test_a_rise_of_milliseconds_is_nobodys_fault() -> None:
    window = Window(20, 64)
    answers(window, ROUND, took_s=0.005)
    answers(window, ROUND, took_s=0.05)
    assert window.size == 20


def test_it_never_falls_below_one() -> None:
    window = Window(2, 64)
    took_s = 1.0
    for _ in range(10):
        answers(window, ROUND, took_s=took_s)
        window.answered(100, took_s, 0, None)
        took_s *= 4
    assert window.size >= 1


def test_questions_are_prepared_where_answers_are_fast_and_not_where_they_are_slow() -> None:
    fast, slow = Window(5, 64), Window(5, 64)
    assert fast.ahead == 0, "nothing is known yet"
    answers(fast, 10, took_s=0.005)
    answers(slow, 10, took_s=10.0)
    assert (fast.ahead, slow.ahead) == (5, 0)
