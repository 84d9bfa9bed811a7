"""Prices find their moment and their length of input; costs are exact, additive, monotonic and bounded."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.catalog.pricing import (
    SECONDS_PER_DAY,
    TOKEN_CLASSES,
    Price,
    PriceError,
    PriceSchedule,
    Rates,
    Tariff,
    cost_nanousd,
    parse_usd_per_million,
    price_version,
    upper_bound_nanousd,
)
from routewright.usage import Usage

PICOUSD = st.integers(0, 200_000_000)
TOKENS = st.integers(0, 2_000_000)
USAGES = st.builds(Usage, *[TOKENS] * len(TOKEN_CLASSES))
RATES = dict.fromkeys(TOKEN_CLASSES, PICOUSD)
STARTS = st.lists(st.integers(1, 3 * SECONDS_PER_DAY), max_size=2, unique=True).map(lambda rest: [0, *sorted(rest)])
SECONDS = st.lists(st.integers(1, SECONDS_PER_DAY - 1), max_size=2, unique=True).map(lambda rest: [0, *sorted(rest)])
THRESHOLDS = st.lists(st.integers(0, 1_000_000), max_size=2, unique=True).map(lambda rest: [-1, *sorted(rest)])


@st.composite
def schedules(draw: st.DrawFn) -> PriceSchedule:
    """Schedules that keep the invariant: every day has a price from midnight on, every window one for any length."""
    return PriceSchedule(
        tuple(
            Price(
                **{name: draw(rate) for name, rate in RATES.items()}, since=since, second_of_day=second, above_tokens=up
            )
            for since in draw(STARTS)
            for second in draw(SECONDS)
            for up in draw(THRESHOLDS)
        )
    )


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def only(price: int, **conditions: int) -> Price:
    return Price(input=price, output=price, **conditions)


def test_class_without_a_price_costs_what_its_parent_costs() -> None:
    assert Rates(input=5, output=9) == Rates(
        input=5,
        output=9,
        cache_read=5,
        cache_write=5,
        cache_write_1h=5,
        reasoning=9,
        audio_input=5,
        audio_cache_read=5,
        audio_output=9,
        request=0,
    )
    assert Rates(input=5, output=9, cache_write=7).cache_write_1h == 7


@pytest.mark.parametrize(
    ("own", "cached_sound"),
    [
        ({"audio_input": 40}, 40),
        ({"cache_read": 2}, 2),
        ({"audio_input": 40, "cache_read": 2}, 40),
        ({"audio_input": 40, "cache_read": 2, "audio_cache_read": 20}, 20),
        ({"audio_input": 0, "cache_read": 2}, 0),
    ],
)
def test_cached_sound_costs_what_sound_does_else_what_cached_text_does(own: dict[str, int], cached_sound: int) -> None:
    assert Rates(input=5, output=9, **own).audio_cache_read == cached_sound


def test_class_with_a_price_of_zero_is_free() -> None:
    rates = Rates(input=5, output=9, cache_read=0, cache_write=0, cache_write_1h=0, reasoning=0)
    assert (rates.cache_read, rates.cache_write, rates.cache_write_1h, rates.reasoning) == (0, 0, 0, 0)


def test_cost_prices_each_class_at_its_own_rate() -> None:
    rates = Rates(
        input=1_000,
        output=2_000,
        cache_read=3_000,
        cache_write=5_000,
        cache_write_1h=7_000,
        reasoning=11_000,
        audio_input=17_000,
        audio_cache_read=19_000,
        audio_output=23_000,
        request=13_000,
    )
    text = 1 + 30 + 500 + 7_000 + 20_000 + 1_100_000 + 13
    assert cost_nanousd(Usage(1, 10, 100, 1_000, 10_000, 100_000), rates) == text
    assert cost_nanousd(Usage(1, 10, 100, 1_000, 10_000, 100_000, 1, 10, 100), rates) == text + 17 + 190 + 2_300


@pytest.mark.parametrize(("name", "nanousd"), [("audio_input", 17), ("audio_cache_read", 19), ("audio_output", 23)])
def test_sound_of_one_class_alone_is_priced(name: str, nanousd: int) -> None:
    rates = Rates(input=1_000, output=1_000, audio_input=17_000, audio_cache_read=19_000, audio_output=23_000)
    assert cost_nanousd(Usage(**{name: 1}), rates) == nanousd


@pytest.mark.parametrize(("picousd", "nanousd"), [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2)])
def test_cost_is_rounded_half_up_once(picousd: int, nanousd: int) -> None:
    assert cost_nanousd(Usage(input=picousd), Rates(input=1, output=0)) == nanousd


@given(USAGES, USAGES, st.builds(Rates, **RATES))
def test_cost_of_a_sum_is_the_sum_of_costs_but_for_one_rounding(one: Usage, other: Usage, rates: Rates) -> None:
    assert abs(cost_nanousd(one + other, rates) - cost_nanousd(one, rates) - cost_nanousd(other, rates)) <= 1


@given(USAGES, USAGES, st.builds(Rates, **RATES))
def test_more_tokens_never_cost_less(usage: Usage, more: Usage, rates: Rates) -> None:
    assert cost_nanousd(usage + more, rates) >= cost_nanousd(usage, rates) >= 0


def test_tier_begins_above_its_threshold_and_holds_for_all_tokens() -> None:
    schedule = PriceSchedule((only(1), only(2, above_tokens=200_000), only(3, above_tokens=500_000)))
    lengths = (0, 199_999, 200_000, 200_001, 500_000, 500_001)
    assert [schedule.rates_at(0, length).input for length in lengths] == [1, 1, 1, 2, 2, 3]
    assert cost_nanousd(Usage(input=200_001), schedule.rates_at(0, 200_001)) == 400


def test_window_begins_and_ends_on_the_second() -> None:
    schedule = PriceSchedule((only(1), only(2, second_of_day=1_800), only(1, second_of_day=59_400)))
    moments = ("2026-11-22T00:29:59", "2026-11-22T00:30:00", "2026-11-22T16:29:59", "2026-11-22T16:30:00")
    assert [schedule.rates_at(at(moment), 1).input for moment in moments] == [1, 2, 2, 1]


def test_change_of_price_begins_at_midnight_utc_of_its_day() -> None:
    schedule = PriceSchedule((only(1), only(2, since=at("2026-12-01"))))
    assert schedule.rates_at(at("2026-11-30T23:59:59"), 1).input == 1
    assert schedule.rates_at(at("2026-12-01T00:00:00"), 1).input == 2


def test_later_change_of_price_ends_the_windows_and_tiers_before_it() -> None:
    schedule = PriceSchedule(
        (only(1), only(2, above_tokens=10), only(3, second_of_day=60), only(4, since=SECONDS_PER_DAY))
    )
    assert schedule.rates_at(59, 11).input == 2
    assert schedule.rates_at(60, 11).input == 3
    assert schedule.rates_at(SECONDS_PER_DAY + 60, 11).input == 4


def naive_rates_at(schedule: PriceSchedule, now: int, input_tokens: int) -> Rates:
    """The definition, one condition after the other."""
    prices = [price for price in schedule.prices if price.since <= now]
    prices = [
        price for price in prices if price.since == prices[-1].since and price.second_of_day <= now % SECONDS_PER_DAY
    ]
    prices = [price for price in prices if price.second_of_day == prices[-1].second_of_day]
    return [price for price in prices if price.above_tokens < input_tokens][-1]


@given(schedules(), st.integers(0, 4 * SECONDS_PER_DAY), st.integers(0, 1_000_001))
def test_scan_finds_what_day_then_time_then_length_select(schedule: PriceSchedule, now: int, input_tokens: int) -> None:
    assert schedule.rates_at(now, input_tokens) is naive_rates_at(schedule, now, input_tokens)


@given(
    schedules(), st.integers(0, 4 * SECONDS_PER_DAY), st.integers(0, SECONDS_PER_DAY), USAGES, st.integers(1, 4), TOKENS
)
def test_hold_covers_any_usage_settled_within_a_day(
    schedule: PriceSchedule, now: int, later: int, usage: Usage, n: int, spare: int
) -> None:
    output_tokens_max = -(-usage.output_total // n)
    held = upper_bound_nanousd(schedule, now, usage.input_total + spare, output_tokens_max, n)
    assert held >= cost_nanousd(usage, schedule.rates_at(now + later, usage.input_total))


def test_before_all_time_the_first_price_holds() -> None:
    schedule = PriceSchedule((only(1), only(2, above_tokens=10)))
    assert schedule.rates_at(-1, 11).input == 1


def test_hold_on_a_flat_price_is_not_larger_than_needed() -> None:
    schedule = PriceSchedule((Price(input=3_000, output=9_000, cache_write=4_000, cache_read=300),))
    assert upper_bound_nanousd(schedule, 0, 100, 50, 2) == 100 * 4 + 50 * 2 * 9


def test_hold_on_sound_is_only_made_where_there_may_be_some() -> None:
    schedule = PriceSchedule((Price(input=3_000, output=9_000, audio_input=40_000, audio_output=80_000),))
    assert upper_bound_nanousd(schedule, 0, 100, 50) == 100 * 40 + 50 * 80
    assert upper_bound_nanousd(schedule, 0, 100, 50, may_sound=False) == 100 * 3 + 50 * 9
    cached = PriceSchedule((Price(input=3_000, output=9_000, audio_input=1_000, audio_cache_read=50_000),))
    assert upper_bound_nanousd(cached, 0, 100, 0) == 100 * 50


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, False), ({"audio_input": 2}, True), ({"audio_output": 2}, True), ({"cache_read": 0}, False)],
)
def test_a_schedule_knows_whether_sound_has_a_price_of_its_own(own: dict[str, int], expected: bool) -> None:
    assert PriceSchedule((only(1), Price(input=1, output=1, since=5, **own))).prices_sound is expected


STANDARD, HALF, DOUBLE = (PriceSchedule((only(price),)) for price in (10, 5, 20))
TARIFF = Tariff(STANDARD, {"batch": HALF, "flex": HALF, "priority": DOUBLE})


@pytest.mark.parametrize(
    ("asked", "schedules_in_reach"),
    [
        ("", [STANDARD]),
        ("flex", [STANDARD, HALF]),
        ("priority", [STANDARD, DOUBLE]),
        ("auto", [STANDARD, HALF, DOUBLE]),
        ("whatever", [STANDARD, HALF, DOUBLE]),
        ("batch", [HALF]),
    ],
)
def test_a_wish_for_a_tier_reaches_it_and_the_usual_one(asked: str, schedules_in_reach: list[PriceSchedule]) -> None:
    assert TARIFF.within_reach(asked) == schedules_in_reach


def test_a_batch_without_a_price_of_its_own_costs_what_the_usual_way_does() -> None:
    assert Tariff(STANDARD).within_reach("batch") == [STANDARD]
    assert Tariff(STANDARD).within_reach("auto") == [STANDARD]


def test_a_tier_is_served_at_its_own_prices_or_at_unknown_ones() -> None:
    assert TARIFF.served_as("") is STANDARD
    assert TARIFF.served_as("priority") is DOUBLE
    assert TARIFF.served_as("scale") is None


def test_a_price_version_stands_for_all_prices_in_any_order_of_the_tiers() -> None:
    turned = Tariff(STANDARD, dict(reversed(list(TARIFF.variants.items()))))
    assert price_version(turned) == price_version(TARIFF)
    assert len({price_version(tariff) for tariff in (TARIFF, Tariff(STANDARD), Tariff(HALF))}) == 3
    assert len(price_version(TARIFF)) == 12
    assert msgspec.json.decode(msgspec.json.encode(TARIFF), type=Tariff) == TARIFF


def test_hold_leaves_out_tiers_beyond_reach_and_prices_of_the_past() -> None:
    change, later = at("2026-12-01"), at("2027-01-01")
    schedule = PriceSchedule(
        (only(9_000), only(1_000, since=change), only(5_000, since=change, above_tokens=100), only(7_000, since=later))
    )
    assert upper_bound_nanousd(schedule, change, 100, 0) == 100 * 1
    assert upper_bound_nanousd(schedule, change, 101, 0) == 101 * 5
    assert upper_bound_nanousd(schedule, later - SECONDS_PER_DAY, 100, 0) == 100 * 7


@pytest.mark.parametrize(
    ("usd", "picousd"),
    [
        ("5", 5_000_000),
        ("0.27", 270_000),
        (Decimal("0.000001"), 1),
        (3, 3_000_000),
        ("1e-2", 10_000),
        ("0", 0),
        ("10000", 10**10),
    ],
)
def test_usd_per_million_tokens_is_read_exactly(usd: Decimal | int | str, picousd: int) -> None:
    assert parse_usd_per_million(usd) == picousd


@given(st.integers(0, 10**10))
def test_every_price_in_picousd_survives_being_written_in_usd(picousd: int) -> None:
    assert parse_usd_per_million(str(Decimal(picousd).scaleb(-6))) == picousd


@pytest.mark.parametrize(
    "usd", ["-0.01", "NaN", "Infinity", "10000.01", "1e30", "five", "", "0.0000001", True, 0.27, None]
)
def test_price_that_cannot_be_meant_is_refused_with_its_place(usd: object) -> None:
    with pytest.raises(PriceError, match=r"^prices\.openai\.gpt-5\.5\.input: "):
        parse_usd_per_million(usd, "prices.openai.gpt-5.5.input")  # type: ignore[arg-type]  # what settings may hold


def test_inexact_source_is_rounded_half_to_even() -> None:
    finer = ("0.18000000000000002", "0.08333333333333334", "0.0000005", "0.0000015")
    assert [parse_usd_per_million(usd, exact=False) for usd in finer] == [180_000, 83_333, 0, 2]


@pytest.mark.parametrize("price", [-2, -1, 10**10 + 1])
def test_negative_and_absurd_prices_do_not_decode(price: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([[{"input": 1, "output": price}]], PriceSchedule)


def test_schedule_without_prices_does_not_decode() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([[]], PriceSchedule)


@given(schedules())
def test_schedule_survives_being_written_and_read(schedule: PriceSchedule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=PriceSchedule) == schedule
