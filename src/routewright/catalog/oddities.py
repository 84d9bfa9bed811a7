"""Prices that cannot be meant, or not quite: what `prices check` says."""

from collections.abc import Iterator

from msgspec import Struct

from routewright.catalog.pricing import BATCH, Price, PriceSchedule, Tariff

ABSURD_PICOUSD = 1_000_000_000
"""$1,000 per million tokens: more than any model's price in 2026."""
_CHEAPER = (BATCH, "flex")
_DEARER = ("priority", "fast")


class Oddity(Struct, frozen=True, kw_only=True):
    """Something about a model's prices."""

    model: str
    problem: str


def oddities(model: str, tariff: Tariff) -> Iterator[Oddity]:
    """What is absurd or inconsistent in a model's prices, told once for each kind."""
    told = [*_of_schedule(tariff.standard), *_of_tiers(tariff)]
    for tier, schedule in tariff.variants.items():
        told += [f"{tier}: {problem}" for problem in _of_schedule(schedule)]
    for problem in dict.fromkeys(told):
        yield Oddity(model=model, problem=problem)


def _of_schedule(schedule: PriceSchedule) -> Iterator[str]:
    for price in schedule.prices:
        yield from _of_price(price)
    for shorter, longer in zip(schedule.prices, schedule.prices[1:], strict=False):
        if shorter.above_tokens < longer.above_tokens and longer.input < shorter.input:
            yield f"long input ({longer.above_tokens:,} tokens and more) costs less than short input"


def _of_price(price: Price) -> Iterator[str]:
    if price.cache_read > price.input:
        yield "input read from the cache costs more than input"
    if price.cache_write_1h < price.cache_write:
        yield "a cache write for an hour costs less than one for five minutes"
    if price.audio_cache_read > max(price.audio_input, price.cache_read):
        yield "sound read from the cache costs more than sound"
    if price.output and not price.input:
        yield "input is free and output is not"
    dearest = price.ceiling(may_sound=True)
    if max(dearest.input, dearest.output) > ABSURD_PICOUSD:
        yield "a token costs more than $1,000 per million"


def _of_tiers(tariff: Tariff) -> Iterator[str]:
    usual = tariff.standard.prices[-1]
    for tier, schedule in tariff.variants.items():
        price = schedule.prices[-1]
        if tier in _CHEAPER and (price.input > usual.input or price.output > usual.output):
            yield f"{tier} costs more than the usual way"
        if tier in _DEARER and (price.input < usual.input or price.output < usual.output):
            yield f"{tier} costs less than the usual way"
