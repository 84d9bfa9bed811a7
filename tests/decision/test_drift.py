import itertools
from collections.abc import Iterable, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.decision.drift import (
    BLOCK,
    FIRST_STAKE,
    MONTH_NS,
    MOST_EVIDENCE,
    TILTS,
    Bet,
    Quantity,
    Question,
    Rules,
    Seen,
    Stream,
    Summary,
    Turn,
)

RULES = Rules(reference=400)
SHARE = 0.002 / MONTH_NS
STEP_NS = MONTH_NS // 10_000


def feed(
    stream: Stream, values: Iterable[float], rules: Rules = RULES, share: float = SHARE, start: int = 0
) -> list[Turn]:
    """See values, one every `STEP_NS`; what they raised and cleared."""
    seen = (Seen(value, (start + place) * STEP_NS, f"r{start + place}") for place, value in enumerate(values))
    turns = [stream.see(one, rules, share) for one in seen]
    return [turn for turn in turns if turn is not None]


def failing(random: Random, rate: float, count: int) -> list[float]:
    return [float(random.random() < rate) for _ in range(count)]


def lengths(random: Random, times: float, count: int) -> list[float]:
    return [times * random.lognormvariate(6, 1) for _ in range(count)]


def close(random: Random, mean: float, count: int, spread: float = 0.1) -> list[float]:
    return [random.gauss(mean, spread) for _ in range(count)]


def fed(quantity: Quantity, values: Sequence[float], rules: Rules = RULES) -> tuple[Stream, list[Turn]]:
    stream = Stream(quantity)
    return stream, feed(stream, values, rules)


# ---- the promise


@pytest.mark.parametrize("chance", [0.02, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("tilt", TILTS)
def test_no_stake_is_expected_to_have_grown_at_any_moment_whatever_the_true_chance(chance: float, tilt: float) -> None:
    """Exactly, by all that can happen in a reference of three values and five after it."""
    pinned, after = 3, 5
    for length in range(1, after + 1):
        expected = 0.0
        for answers in itertools.product((False, True), repeat=pinned + length):
            question = Question(0.5, is_above=True, hits=sum(answers[:pinned]), bets=[Bet(tilt, evidence=1.0)])
            stands = 1.0
            for place, is_yes in enumerate(answers[pinned:]):
                stands = question.play(Seen(1.0, 0, ""), pinned + place, is_yes=is_yes)
            yes = sum(answers)
            expected += stands * chance**yes * (1 - chance) ** (len(answers) - yes)
        assert expected <= 1 + 1e-12


def test_what_is_staked_in_thirty_days_is_the_streams_share_and_a_day_for_its_reference() -> None:
    stream, _ = fed(Quantity.SUCCESS, [0.0] * 400)
    stream.questions[0].bets = [Bet(1.0) for _ in TILTS]  # these neither win nor lose
    feed(stream, [0.0] * 10_000, start=400)
    assert stream.evidence == pytest.approx(0.002 * (FIRST_STAKE + 1 - BLOCK / 10_000))


def test_stable_streams_raise_no_alarm() -> None:
    random = Random(5)
    for quantity in (Quantity.SUCCESS, Quantity.LENGTH, Quantity.COST):
        values = failing(random, 0.05, 3000) if quantity.is_rate else lengths(random, 1, 3000)
        assert fed(quantity, values)[1] == []


def test_only_the_order_of_values_counts_and_not_how_they_are_spread() -> None:
    values = lengths(Random(3), 1, 1500)
    plain, _ = fed(Quantity.LATENCY, values)
    stretched, _ = fed(Quantity.LATENCY, [value**3 + 7 for value in values])
    assert plain.evidence == stretched.evidence > 0


# ---- what is found


def test_a_drop_is_found_with_when_it_began_how_much_it_is_and_who_shows_it() -> None:
    random = Random(1)
    stream, turns = fed(Quantity.SUCCESS, failing(random, 0.05, 1400) + failing(random, 0.2, 300))
    (turn,) = turns
    alarm = turn.alarm
    assert turn.cleared_at_ns is None
    assert stream.alarm == alarm
    assert 1400 < alarm.raised_at_ns / STEP_NS < 1550
    assert abs(alarm.since_ns / STEP_NS - 1400) < 50
    assert alarm.is_rise
    assert alarm.reference == pytest.approx(0.05, abs=0.03)
    assert alarm.low < 0.2 < alarm.high
    assert alarm.likelihood_ratio is not None
    assert alarm.likelihood_ratio > 10_000
    assert len(alarm.examples) == 5
    assert all(int(example[1:]) >= 1400 for example in alarm.examples)


def test_that_answers_turn_out_better_is_no_alarm() -> None:
    random = Random(2)
    assert fed(Quantity.SUCCESS, failing(random, 0.3, 1000) + failing(random, 0.02, 1000))[1] == []
    assert fed(Quantity.COST, lengths(random, 1, 1000) + lengths(random, 0.4, 1000))[1] == []


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_answers_that_are_longer_or_shorter_are_found(times: float) -> None:
    random = Random(4)
    _, turns = fed(Quantity.LENGTH, lengths(random, 1, 1000) + lengths(random, times, 200))
    assert [turn.alarm.is_rise for turn in turns] == [times > 1]
    assert (turns[0].alarm.now > turns[0].alarm.reference) is (times > 1)


def test_what_never_happened_in_the_reference_is_found_when_it_begins() -> None:
    _, turns = fed(Quantity.REFUSALS, [0.0] * 1000 + [1.0] * 10)
    assert len(turns) == 1


def test_equal_values_are_no_change_and_another_one_is() -> None:
    assert fed(Quantity.COST, [7.0] * 2000)[1] == []
    assert len(fed(Quantity.COST, [7.0] * 1000 + [8.0] * 50)[1]) == 1


def test_before_the_reference_is_complete_nothing_is_watched() -> None:
    stream, turns = fed(Quantity.SUCCESS, [0.0] * 200 + [1.0] * 199)
    assert (stream.pinned_at_ns, turns) == (None, [])


# ---- afterwards


def test_an_alarm_clears_when_it_is_as_in_the_reference_again_and_the_next_one_is_found() -> None:
    random = Random(6)
    good, bad = failing(random, 0.05, 1000), failing(random, 0.25, 300)
    stream, turns = fed(Quantity.SUCCESS, good + bad + failing(random, 0.05, 400) + failing(random, 0.25, 200))
    assert [turn.cleared_at_ns is None for turn in turns] == [True, False, True]
    assert turns[1].alarm == turns[0].alarm
    assert turns[1].cleared_at_ns is not None
    assert 1300 < turns[1].cleared_at_ns / STEP_NS < 1500
    assert stream.pinned_counted == 400


def test_an_alarm_stands_as_long_as_the_change_does() -> None:
    random = Random(7)
    stream, turns = fed(Quantity.SUCCESS, failing(random, 0.05, 1000) + failing(random, 0.2, 4000))
    assert len(turns) == 1
    assert stream.alarm is not None


def test_a_stream_that_was_kept_and_read_again_goes_on_as_if_nothing_had_happened() -> None:
    random = Random(8)
    values = lengths(random, 1, 900) + lengths(random, 1.6, 600)
    whole, turns = fed(Quantity.LENGTH, values)
    kept, found = Stream(Quantity.LENGTH), []
    for start in range(0, len(values), 70):
        found += feed(kept, values[start : start + 70], start=start)
        kept = msgspec.json.decode(msgspec.json.encode(kept), type=Stream)
    assert (kept, found) == (whole, turns)
    assert found


# ---- the smallest change that matters

MATTERS = Rules(reference=400, smallest_change=0.01)
RARE, LESS_RARE = [0.0] * 109 + [1.0], [0.0] * 58 + [1.0]
"""Eight tenths of a point more, and not twice as much."""


def test_a_change_of_latency_that_nobody_cares_for_is_no_alarm_where_values_hardly_vary() -> None:
    random = Random(9)
    values = close(random, 100, 1000) + close(random, 100.3, 5000)
    stream, turns = fed(Quantity.LATENCY, values, MATTERS)
    assert turns == []
    assert stream.evidence < 1, "no value is beyond a mark"
    assert len(fed(Quantity.LATENCY, values)[1]) == 1


def test_what_goes_to_and_fro_below_the_bound_raises_and_clears_nothing() -> None:
    random = Random(10)
    values = [value for _ in range(5) for mean in (100, 100.3) for value in close(random, mean, 1000)]
    assert fed(Quantity.LATENCY, values, MATTERS)[1] == []
    assert len(fed(Quantity.LATENCY, values)[1]) > 7


def test_a_tight_latency_is_as_calm_where_one_answer_in_a_hundred_takes_ten_times_as_long() -> None:
    random = Random(11)
    values = close(random, 100, 1000) + close(random, 100.3, 5000)
    values = [10 * value if random.random() < 0.01 else value for value in values]
    assert fed(Quantity.LATENCY, values, MATTERS)[1] == []
    assert fed(Quantity.LATENCY, values)[1] != []


@pytest.mark.parametrize(("direction", "is_rise"), [(1, True), (-1, False)])
def test_of_a_quantity_the_mean_must_be_off_by_that_share_in_either_direction(direction: int, is_rise: bool) -> None:
    random = Random(12)
    small = close(random, 100, 1000, 0.5) + close(random, 100 + direction * 0.6, 300, 0.5)
    stream, turns = fed(Quantity.LENGTH, small, MATTERS)
    assert (turns, stream.alarm) == ([], None)
    assert stream.evidence >= 1, "that there is a change is beyond doubt"
    (turn,) = feed(stream, close(random, 100 + direction * 3, 100, 0.5), MATTERS, start=len(small))
    assert turn.alarm.is_rise is is_rise
    assert direction * (turn.alarm.now - turn.alarm.reference) >= 0.01 * turn.alarm.reference


def test_of_a_rate_it_must_be_off_by_that_many_points_and_the_evidence_stays_until_it_is() -> None:
    rules, values = Rules(reference=11_000, smallest_change=0.01), RARE * 100 + LESS_RARE * 250
    stream, turns = fed(Quantity.REFUSALS, values, rules)
    assert (turns, stream.alarm) == ([], None)
    assert stream.evidence >= 1
    assert len(fed(Quantity.REFUSALS, values, Rules(reference=11_000))[1]) == 1
    (turn,) = feed(stream, [0.0, 1.0] * 40, rules, start=len(values))
    assert turn.alarm.now - turn.alarm.reference >= 0.01


def test_what_is_twice_as_frequent_matters_however_rare_it_was() -> None:
    rules, values = Rules(reference=10_000, smallest_change=0.01), ([0.0] * 999 + [1.0]) * 10
    (turn,) = fed(Quantity.FAILURES, values + ([0.0] * 124 + [1.0]) * 20, rules)[1]
    assert turn.alarm.now - turn.alarm.reference < 0.01


def test_a_mean_that_moved_the_other_way_is_withheld() -> None:
    """More answers take somewhat longer, and the longest not nearly as long."""
    before, after = ([1000.0] + [100.0] * 9) * 100, ([104.0] * 9 + [120.0]) * 20
    stream, turns = fed(Quantity.LATENCY, before + after, MATTERS)
    assert turns == []
    assert stream.evidence >= 1
    assert len(fed(Quantity.LATENCY, before + after)[1]) == 1


def test_anything_is_a_change_of_what_was_nothing() -> None:
    assert len(fed(Quantity.COST, [0.0] * 1000 + [8.0] * 20, MATTERS)[1]) == 1
    assert fed(Quantity.COST, [0.0] * 2000, MATTERS)[1] == []


def test_an_alarm_clears_when_what_is_left_of_the_change_is_too_small_to_matter() -> None:
    random = Random(13)
    values = close(random, 100, 1000) + close(random, 105, 300) + close(random, 100.3, 3000)
    stream, turns = fed(Quantity.LATENCY, values, MATTERS)
    assert [turn.cleared_at_ns is None for turn in turns] == [True, False]
    assert stream.alarm is None


def test_a_bound_set_after_the_marks_withholds_without_end_and_is_kept_and_read_again() -> None:
    """All values are beyond a mark that was set without the bound, so evidence would grow beyond any number."""
    random = Random(14)
    stream, turns = fed(Quantity.LATENCY, close(random, 100, 400))
    turns += feed(stream, close(random, 100.3, 12_000), MATTERS, start=400)
    assert turns == []
    assert 1 <= stream.evidence <= MOST_EVIDENCE * len(stream.questions) * len(TILTS)
    stream = msgspec.json.decode(msgspec.json.encode(stream), type=Stream)
    (turn,) = feed(stream, close(random, 200, 200), MATTERS, start=12_400)
    assert turn.alarm.now >= 1.01 * turn.alarm.reference


def test_evidence_that_was_withheld_is_soon_gone_when_all_is_as_before() -> None:
    random = Random(15)
    stream, _ = fed(Quantity.LATENCY, close(random, 100, 400))
    feed(stream, close(random, 100.3, 5000), MATTERS, start=400)
    assert stream.evidence >= 1
    feed(stream, close(random, 100, 100), MATTERS, start=5400)
    assert stream.evidence < 0.01


def first_alarm(pinned: bytes, values: Sequence[float], smallest: float) -> float:
    """Which value raises it, if any."""
    stream = msgspec.json.decode(pinned, type=Stream)
    rules = Rules(reference=50, smallest_change=smallest)
    for place, value in enumerate(values):
        if stream.see(Seen(value, (50 + place) * STEP_NS, ""), rules, SHARE) is not None:
            return place
    return float("inf")


@given(
    st.sampled_from([Quantity.LENGTH, Quantity.FAILURES]),
    st.integers(0, 1_000_000),
    st.floats(-0.5, 0.5),
    st.lists(st.floats(0, 0.5), min_size=2, max_size=2).map(sorted),
)
def test_a_larger_bound_never_raises_an_alarm_sooner(
    quantity: Quantity, seed: int, change: float, bounds: list[float]
) -> None:
    """Of what is told by the same marks."""
    random = Random(seed)
    if quantity.is_rate:
        before, after = failing(random, 0.1, 50), failing(random, 0.1 + abs(change), 150)
    else:
        before, after = close(random, 100, 50, 5.0), close(random, 100 + 20 * change, 150, 5.0)
    stream, _ = fed(quantity, before, Rules(reference=50))
    pinned = msgspec.json.encode(stream)
    assert (
        first_alarm(pinned, after, 0) <= first_alarm(pinned, after, bounds[0]) <= first_alarm(pinned, after, bounds[1])
    )


@given(st.integers(0, 1_000_000), st.sampled_from([0.25, 8.0, 1024.0]))
def test_the_bound_of_a_quantity_is_a_share_whatever_its_unit(seed: int, unit: float) -> None:
    random = Random(seed)
    values = close(random, 100, 400, 1.0) + close(random, 101.5, 100, 1.0)
    plain, _ = fed(Quantity.LENGTH, values, MATTERS)
    scaled, _ = fed(Quantity.LENGTH, [unit * value for value in values], MATTERS)
    assert (plain.evidence, plain.alarm is None) == (scaled.evidence, scaled.alarm is None)


# ---- the classic rule

CLASSIC = Rules(reference=400, deviation=0.05)


def test_the_classic_rule_compares_the_latest_with_the_reference() -> None:
    steady, off = [0.0] * 19 + [1.0], [0.0] * 8 + [1.0, 1.0]
    stream, turns = fed(Quantity.SUCCESS, steady * 50 + off * 20 + steady * 20, CLASSIC)
    assert [turn.cleared_at_ns is None for turn in turns] == [True, False]
    assert turns[0].alarm.likelihood_ratio is None
    assert round(turns[0].alarm.now, 3) > 0.1
    assert stream.alarm is None


def test_the_classic_rule_takes_a_share_of_a_quantity() -> None:
    assert fed(Quantity.LATENCY, [100.0] * 400 + [104.0] * 400, CLASSIC)[1] == []
    assert len(fed(Quantity.LATENCY, [100.0] * 400 + [106.0] * 400, CLASSIC)[1]) == 1
    assert fed(Quantity.LATENCY, [100.0] * 400 + [90.0] * 400, CLASSIC)[1] == []
    assert len(fed(Quantity.LENGTH, [100.0] * 400 + [90.0] * 400, CLASSIC)[1]) == 1


# ---- intervals


def test_intervals_have_the_mean_in_them_and_shrink() -> None:
    few, many = Summary(20, 2.0, 2.0), Summary(2000, 200.0, 200.0)
    for summary in (few, many):
        low, high = summary.interval(is_rate=True)
        assert 0 < low < 0.1 < high < 1
    assert many.interval(is_rate=True)[1] < few.interval(is_rate=True)[1]
    low, high = Summary(4, 40.0, 480.0).interval(is_rate=False)
    assert low < 10 < high
