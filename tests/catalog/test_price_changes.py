"""What differs between two tables, and what of it looks like a mistake."""

import msgspec
import pytest

from routewright.catalog.oddities import oddities
from routewright.catalog.price_changes import WHOLE, Change, changes, tariff_changes
from routewright.catalog.pricing import SECONDS_PER_DAY, Price, PriceSchedule, Tariff
from routewright.catalog.sources import PriceTable

NOW = 10 * SECONDS_PER_DAY + 5


def flat(**rates: int) -> PriceSchedule:
    return PriceSchedule((Price(**rates),))


def told(old: Tariff | None, new: Tariff | None) -> list[tuple[str, str, int | None, int | None]]:
    found = tariff_changes(("acme", "swift"), old, new, NOW)
    return [(each.tier, each.token_class, each.before_picousd, each.after_picousd) for each in found]


def test_a_class_that_follows_another_is_told_with_it() -> None:
    assert told(Tariff(flat(input=10, output=20)), Tariff(flat(input=11, output=20))) == [("", "input", 10, 11)]


def test_a_class_with_a_price_of_its_own_on_either_side_is_told() -> None:
    old, new = Tariff(flat(input=10, output=20)), Tariff(flat(input=10, output=20, cache_read=1))
    assert told(old, new) == [("", "cache_read", 10, 1)]


def test_every_tier_is_compared_and_a_new_one_with_the_usual_way() -> None:
    old = Tariff(flat(input=10, output=20), {"flex": flat(input=5, output=10)})
    new = Tariff(flat(input=10, output=20), {"flex": flat(input=6, output=10), "batch": flat(input=5, output=20)})
    assert told(old, new) == [("flex", "input", 5, 6), ("batch", "input", 10, 5)]


def test_changes_of_the_past_are_left_out_and_those_to_come_have_their_day() -> None:
    def schedule(past: int, now: int, later: int) -> Tariff:
        return Tariff(
            PriceSchedule(
                (
                    Price(input=past, output=1),
                    Price(input=now, output=1, since=9 * SECONDS_PER_DAY),
                    Price(input=later, output=1, since=12 * SECONDS_PER_DAY),
                )
            )
        )

    (change,) = tariff_changes(("acme", "swift"), schedule(1, 2, 3), schedule(9, 2, 4), NOW)
    assert (change.before_picousd, change.after_picousd, change.since) == (3, 4, 12 * SECONDS_PER_DAY)


def test_times_of_day_and_lengths_of_input_are_compared_each() -> None:
    old = PriceSchedule((Price(input=10, output=1), Price(input=20, output=1, above_tokens=100)))
    new = PriceSchedule((Price(input=10, output=1), Price(input=5, output=1, second_of_day=3_600)))
    found = list(tariff_changes(("a", "b"), Tariff(old), Tariff(new), NOW))
    assert [(each.second_of_day, each.above_tokens, each.before_picousd, each.after_picousd) for each in found] == [
        (0, 100, 20, 10),
        (3_600, -1, 10, 5),
        (3_600, 100, 20, 5),
    ]


def test_a_model_that_comes_or_goes_is_told_once() -> None:
    tariff = Tariff(flat(input=10, output=20))
    assert told(None, tariff) == [("", WHOLE, None, 10)]
    assert told(tariff, None) == [("", WHOLE, 10, None)]
    assert told(None, None) == []


def table(**models: int) -> PriceTable:
    rows = [{"id": name, "standard": [[{"input": price, "output": 9}]]} for name, price in models.items()]
    document = {"source": "x", "date": "2026-01-01", "providers": [{"id": "acme", "models": rows}]}
    return PriceTable(msgspec.json.encode(document))


def test_tables_are_compared_in_the_order_of_the_new_one_then_what_is_gone() -> None:
    found = [(each.model, each.token_class) for each in changes(table(a=1, b=2, c=3), table(d=4, c=5, b=2), NOW)]
    assert found == [("d", WHOLE), ("c", "input"), ("a", WHOLE)]


@pytest.mark.parametrize(
    ("before", "after", "percent", "is_suspicious"),
    [
        (100, 150, 50.0, False),
        (100, 1_000, 900.0, False),
        (100, 1_001, 901.0, True),
        (1_001, 100, (100 - 1_001) * 100 / 1_001, True),
        (100, 0, -100.0, True),
        (0, 100, None, True),
        (0, 0, None, False),
    ],
)
def test_k04_more_than_ten_times_or_to_nothing_is_suspicious(
    before: int, after: int, percent: float | None, is_suspicious: bool
) -> None:
    change = Change(provider="a", model="b", tier="", token_class="input", before_picousd=before, after_picousd=after)
    assert (change.percent, change.is_suspicious) == (percent, is_suspicious)


def test_a_model_that_comes_is_not_suspicious() -> None:
    (change,) = tariff_changes(("a", "b"), None, Tariff(flat(input=1, output=1)), NOW)
    assert (change.percent, change.is_suspicious) == (None, False)


SOUND = Tariff(flat(input=10, output=20, cache_read=1, cache_write=12, cache_write_1h=20))


@pytest.mark.parametrize(
    ("tariff", "problems"),
    [
        (SOUND, []),
        (Tariff(flat(input=10, output=20, cache_read=11)), ["input read from the cache costs more than input"]),
        (
            Tariff(flat(input=10, output=20, cache_write=12, cache_write_1h=11)),
            ["a cache write for an hour costs less than one for five minutes"],
        ),
        (
            Tariff(flat(input=10, output=20, audio_input=30, audio_cache_read=31)),
            ["sound read from the cache costs more than sound"],
        ),
        (Tariff(flat(input=0, output=20)), ["input is free and output is not"]),
        (Tariff(flat(input=0, output=0)), []),
        (Tariff(flat(input=1_000_000_000, output=1, request=10**15)), []),
        (Tariff(flat(input=1_000_000_001, output=1)), ["a token costs more than $1,000 per million"]),
        (Tariff(flat(input=1, output=1_000_000_001)), ["a token costs more than $1,000 per million"]),
        (
            Tariff(PriceSchedule((Price(input=10, output=20), Price(input=9, output=20, above_tokens=100)))),
            ["long input (100 tokens and more) costs less than short input"],
        ),
        (
            Tariff(SOUND.standard, {"batch": flat(input=5, output=21)}),
            ["batch costs more than the usual way"],
        ),
        (Tariff(SOUND.standard, {"priority": flat(input=9, output=20)}), ["priority costs less than the usual way"]),
        (Tariff(SOUND.standard, {"flex": flat(input=5, output=10), "fast": flat(input=50, output=90)}), []),
        (
            Tariff(SOUND.standard, {"flex": flat(input=5, output=10, cache_read=6)}),
            ["flex: input read from the cache costs more than input"],
        ),
    ],
)  # fmt: skip
def test_k04_absurd_and_inconsistent_prices_are_told(tariff: Tariff, problems: list[str]) -> None:
    assert [each.problem for each in oddities("swift", tariff)] == problems
