"""What differs between two price tables, by model, service tier and class of token."""

from collections.abc import Iterator

from msgspec import Struct

from routewright.catalog.pricing import PARENT_CLASSES, SECONDS_PER_DAY, TOKEN_CLASSES, PriceSchedule, Tariff
from routewright.catalog.served import tariff_of
from routewright.catalog.sources import PriceTable

RATES = (*TOKEN_CLASSES, "request")
_PARENTS = dict(PARENT_CLASSES)
WHOLE = "all"
"""In place of a class: the model came or went with all its prices."""
SUSPICIOUS_FACTOR = 10
"""A price that changes by more is a slip of the unit until somebody says otherwise."""


class Change(Struct, frozen=True, kw_only=True):
    """One rate that is another one; None on the side that has no price for it."""

    provider: str
    model: str
    tier: str
    """The service tier; empty for the usual way."""
    token_class: str
    """As in `Rates`, or `WHOLE` for a model that came or went with all its prices."""
    before_picousd: int | None
    after_picousd: int | None
    since: int = 0
    """When the price after it begins (UTC epoch seconds); 0 if it holds now."""
    second_of_day: int = 0
    above_tokens: int = -1

    @property
    def percent(self) -> float | None:
        """By how much it rose; None where there is nothing to compare with. For people, never for money."""
        if not self.before_picousd or self.after_picousd is None:
            return None
        return (self.after_picousd - self.before_picousd) * 100 / self.before_picousd

    @property
    def is_suspicious(self) -> bool:
        """It went to nothing or from there, or by more than ten times either way."""
        if self.token_class == WHOLE:
            return False
        before, after = self.before_picousd or 0, self.after_picousd or 0
        return before != after and (
            not before or not after or max(before, after) > SUSPICIOUS_FACTOR * min(before, after)
        )


def changes(old: PriceTable, new: PriceTable, now: int) -> Iterator[Change]:
    """What differs from `now` (UTC epoch seconds) on, in the order of the new table, then what only the old one has."""
    for provider in new.providers:
        for entry in new.models(provider):
            before, after = tariff_of(old.lookup(provider, entry.id)), tariff_of(entry)
            yield from tariff_changes((provider, entry.id), before, after, now)
    for provider in old.providers:
        for entry in old.models(provider):
            if new.lookup(provider, entry.id) is None:
                yield from tariff_changes((provider, entry.id), tariff_of(entry), None, now)


def tariff_changes(name: tuple[str, str], old: Tariff | None, new: Tariff | None, now: int) -> Iterator[Change]:
    """The same of one model, which is called `provider, model`."""
    provider, model = name
    if old is None or new is None:
        only = old or new
        if only is not None:
            rate = only.standard.rates_at(now, 0).input
            before, after = (rate, None) if new is None else (None, rate)
            yield Change(
                provider=provider,
                model=model,
                tier="",
                token_class=WHOLE,
                before_picousd=before,
                after_picousd=after,
            )
        return
    for tier in dict.fromkeys(("", *old.variants, *new.variants)):
        was, becomes = old.served_as(tier) or old.standard, new.served_as(tier) or new.standard
        yield from _schedule_changes(name, tier, was, becomes, now)


def _schedule_changes(
    name: tuple[str, str], tier: str, old: PriceSchedule, new: PriceSchedule, now: int
) -> Iterator[Change]:
    """At every condition that either of them has, from now on; a rate that changes at all of them is told once."""
    seen = set()
    today = now - now % SECONDS_PER_DAY
    for since, second, above in _conditions(old, new, now):
        moment = max(since, today) + second
        before, after = old.rates_at(moment, above + 1), new.rates_at(moment, above + 1)
        for token_class in RATES:
            rates = getattr(before, token_class), getattr(after, token_class)
            parent = _PARENTS.get(token_class)
            if parent is not None and rates == (getattr(before, parent), getattr(after, parent)):
                continue  # it has no price of its own on either side, and follows the class it is part of
            if rates[0] != rates[1] and (token_class, rates) not in seen:
                seen.add((token_class, rates))
                yield Change(
                    provider=name[0],
                    model=name[1],
                    tier=tier,
                    token_class=token_class,
                    before_picousd=rates[0],
                    after_picousd=rates[1],
                    since=since,
                    second_of_day=second,
                    above_tokens=above,
                )


def _conditions(old: PriceSchedule, new: PriceSchedule, now: int) -> list[tuple[int, int, int]]:
    prices = (*old.prices, *new.prices)
    eras = {0, *(price.since for price in prices if price.since > now)}
    seconds = {price.second_of_day for price in prices}
    lengths = {price.above_tokens for price in prices}
    return sorted((since, second, above) for since in eras for second in seconds for above in lengths)
