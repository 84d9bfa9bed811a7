"""Usage × dated price → integer money: prices are pico-USD per token, costs nano-USD, rounded once per attempt.

A price is not one number. It depends on the day (announced changes), on the time of day (off-peak discounts) and on the
length of the input (above a threshold *all* tokens cost more). `PriceSchedule` flattens these into one ordered list, so
that finding the rates of a request is a scan, and no rule has to be interpreted while requests wait.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cached_property
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from routewright.usage import Usage

SECONDS_PER_DAY = 86_400

DEAREST_USD_PER_MILLION = 10_000
"""More than ten times any model's price in 2026: above it, a price is a slip of the unit and refused."""

PicoUSD = Annotated[int, Meta(ge=0, le=DEAREST_USD_PER_MILLION * 1_000_000)]
"""The price of one token: 1 USD per million tokens is 1,000,000 pico-USD per token."""

NO_PRICE_OF_ITS_OWN = -1


class PriceError(ValueError):
    """A price that cannot be meant; the message starts with the place where it stands."""


class Rates(Struct, frozen=True, kw_only=True, gc=False):
    """Pico-USD per token, by token class; `request` is pico-USD per request, whatever its tokens.

    A class without a price of its own gets that of the class it is part of: cached input that of input, an hour's cache
    write that of a cache write, reasoning that of output, sound that of text. Cached sound is part of two classes: it
    costs what sound does where that has a price of its own, else what cached text does.
    """

    input: PicoUSD
    output: PicoUSD
    cache_read: PicoUSD = NO_PRICE_OF_ITS_OWN
    cache_write: PicoUSD = NO_PRICE_OF_ITS_OWN
    cache_write_1h: PicoUSD = NO_PRICE_OF_ITS_OWN
    reasoning: PicoUSD = NO_PRICE_OF_ITS_OWN
    audio_input: PicoUSD = NO_PRICE_OF_ITS_OWN
    audio_cache_read: PicoUSD = NO_PRICE_OF_ITS_OWN
    audio_output: PicoUSD = NO_PRICE_OF_ITS_OWN
    request: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.audio_cache_read == NO_PRICE_OF_ITS_OWN:
            of_sound = self.audio_input != NO_PRICE_OF_ITS_OWN
            force_setattr(self, "audio_cache_read", self.audio_input if of_sound else self.cache_read)
        for name, parent in PARENT_CLASSES:
            if getattr(self, name) == NO_PRICE_OF_ITS_OWN:
                force_setattr(self, name, getattr(self, parent))


TOKEN_CLASSES = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_cache_read",
    "audio_output",
)
"""The classes of tokens, as `Rates` and `Usage` name them."""

PARENT_CLASSES = (
    ("cache_read", "input"),
    ("cache_write", "input"),
    ("cache_write_1h", "cache_write"),
    ("reasoning", "output"),
    ("audio_input", "input"),
    ("audio_cache_read", "cache_read"),
    ("audio_output", "output"),
)
"""Class → the class it is part of, in an order in which the parents have their price first."""


class Ceiling(NamedTuple):
    """The dearest that a token of each direction can be at one price, in pico-USD, and when that price holds."""

    since: int
    above_tokens: int
    input: int
    output: int
    request: int


class Price(Rates, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Rates, and when they hold."""

    since: Annotated[int, Meta(ge=0)] = 0
    """UTC epoch second from which on."""
    second_of_day: Annotated[int, Meta(ge=0, lt=SECONDS_PER_DAY)] = 0
    """Second after midnight UTC from which on, every day."""
    above_tokens: Annotated[int, Meta(ge=-1)] = -1
    """Total input that a request must exceed; -1 is below any."""

    def ceiling(self, *, may_sound: bool) -> Ceiling:
        """With `may_sound` of all classes of tokens, else of those of text."""
        dearest_input = max(self.input, self.cache_read, self.cache_write, self.cache_write_1h)
        dearest_output = max(self.output, self.reasoning)
        if may_sound:
            dearest_input = max(dearest_input, self.audio_input, self.audio_cache_read)
            dearest_output = max(dearest_output, self.audio_output)
        return Ceiling(self.since, self.above_tokens, dearest_input, dearest_output, self.request)


class PriceSchedule(Struct, frozen=True, array_like=True, dict=True):
    """What a model costs over time: of `prices`, the last one whose three conditions hold.

    Invariant: `prices` are sorted by (since, second_of_day, above_tokens); each `since` has a price from midnight on,
    each (since, second_of_day) one for any input. Hence the last one that holds is also the one that is meant.
    """

    prices: Annotated[tuple[Price, ...], Meta(min_length=1)]

    def rates_at(self, now: int, input_tokens: int) -> Rates:
        """The rates of a request at `now` (UTC epoch seconds) with `input_tokens` in total, cached ones included."""
        prices = self.prices
        if len(prices) > 1:
            second_of_day = now % SECONDS_PER_DAY
            for price in reversed(prices):
                if price.since <= now and price.second_of_day <= second_of_day and price.above_tokens < input_tokens:
                    return price
        return prices[0]

    @property
    def depends_on_time(self) -> bool:
        """Whether anything but the length of the input decides which price holds."""
        return any(price.since or price.second_of_day for price in self.prices[1:])

    @cached_property
    def prices_sound(self) -> bool:
        """Whether sound costs anything else than text, at any time."""
        return any(price.audio_input != price.input or price.audio_output != price.output for price in self.prices)

    @cached_property
    def ceilings(self) -> tuple[Ceiling, ...]:
        """One for each price, of all classes of tokens."""
        return tuple(price.ceiling(may_sound=True) for price in self.prices)

    @cached_property
    def text_ceilings(self) -> tuple[Ceiling, ...]:
        """The same without the classes of sound: text cannot be billed as such."""
        return tuple(price.ceiling(may_sound=False) for price in self.prices)


def _within_a_day(ceilings: Sequence[Ceiling], now: int, input_tokens_ub: int) -> list[Ceiling]:
    """Those that a request of at most `input_tokens_ub` may get between `now` and 24 hours later."""
    current = max([each.since for each in ceilings if each.since <= now], default=0)
    latest = now + SECONDS_PER_DAY
    return [each for each in ceilings if current <= each.since <= latest and each.above_tokens < input_tokens_ub]


class Tariff(Struct, frozen=True, omit_defaults=True):
    """Everything that a model may cost: in the usual way, and in the other ways in which it can be served.

    This is what a price version stands for, and what is kept of it for ever.
    """

    standard: PriceSchedule
    variants: Mapping[str, PriceSchedule] = {}
    """Service tier (`batch`, `flex`, `priority`, `fast`) → complete prices of its own."""

    def within_reach(self, asked: str) -> list[PriceSchedule]:
        """The schedules that a request with this wish for a service tier may be billed at.

        Without a wish, and for the usual way by any of its names, that is the standard one. A tier with a price of its
        own may be refused, and then the standard one holds; `batch` is no wish but a way of sending, and is not. Any
        other wish, `auto` among them, leaves the choice to the provider.
        """
        if not asked:
            return [self.standard]
        schedule = self.variants.get(asked)
        if asked == BATCH:
            return [schedule or self.standard]
        if schedule is not None:
            return [self.standard, schedule]
        return [self.standard, *(other for tier, other in self.variants.items() if tier != BATCH)]

    def served_as(self, tier: str) -> PriceSchedule | None:
        """The schedule of a service tier; None for one that has no price here. Empty is the usual way."""
        return self.variants.get(tier) if tier else self.standard


BATCH = "batch"
"""The service tier of work that is handed in as a file and may take a day."""
ANY_TIER = "auto"
"""The wish that leaves the tier to the provider."""


def price_version(tariff: Tariff) -> str:
    """First 12 hex digits of the SHA-256 of all its prices."""
    return hashlib.sha256(msgspec.json.encode(tariff, order="deterministic")).hexdigest()[:12]


def cost_nanousd(usage: Usage, rates: Rates) -> int:
    """What `usage` costs at `rates`, in nano-USD, rounded once, half up."""
    picousd = (
        usage.input * rates.input
        + usage.cache_read * rates.cache_read
        + usage.cache_write * rates.cache_write
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.output * rates.output
        + usage.reasoning * rates.reasoning
        + rates.request
    )
    if usage.audio_input or usage.audio_output or usage.audio_cache_read:
        picousd += (
            usage.audio_input * rates.audio_input
            + usage.audio_cache_read * rates.audio_cache_read
            + usage.audio_output * rates.audio_output
        )
    return (picousd + 500) // 1000


def output_cost_nanousd(usage: Usage, rates: Rates) -> int:
    """What the same costs without its input: the answer, and a price per request."""
    picousd = usage.output * rates.output + usage.reasoning * rates.reasoning + rates.request
    if usage.audio_output:
        picousd += usage.audio_output * rates.audio_output
    return (picousd + 500) // 1000


def upper_bound_nanousd(
    schedule: PriceSchedule,
    now: int,
    input_tokens_ub: int,
    output_tokens_max: int,
    n: int = 1,
    *,
    may_sound: bool = True,
) -> int:
    """The most that a request can cost, in nano-USD: what to hold before it is sent.

    Every input token is taken at the dearest input class, each of `n` answers at full length, and both at the dearest
    price within reach: any tier up to `input_tokens_ub`, any time of day, any change due in the next 24 hours. Settled
    whenever within that time, a request therefore never costs more than was held. Without `may_sound` neither the
    request nor its answer can have sound in it.
    """
    output_tokens = output_tokens_max * n
    ceilings: Sequence[Ceiling] = schedule.ceilings if may_sound else schedule.text_ceilings
    if len(ceilings) > 1:
        ceilings = _within_a_day(ceilings, now, input_tokens_ub)
    bounds = [input_tokens_ub * each.input + output_tokens * each.output + each.request for each in ceilings]
    return (max(bounds) + 500) // 1000


def parse_usd_per_million(price: Decimal | int | str, path: str = "price", *, exact: bool = True) -> int:
    """A price in USD per million tokens ("0.27") as pico-USD per token (270_000).

    Raises PriceError, starting with `path`, if it is no number, negative, absurdly high, or finer than a pico-USD per
    token. With `exact=False` the last is rounded, half to even: for sources that computed in binary fractions.
    """
    usd = parse_usd(price, path)
    if usd > DEAREST_USD_PER_MILLION:
        raise PriceError(f"{path}: {usd} USD per million tokens is above {DEAREST_USD_PER_MILLION}; check the unit")
    picousd = usd * 1_000_000
    if exact and picousd % 1:
        raise PriceError(f"{path}: {usd} USD per million tokens has more than six decimals; round it to six")
    return int(picousd.to_integral_value(ROUND_HALF_EVEN))


def parse_usd(amount: Decimal | int | str, path: str) -> Decimal:
    """An amount of USD; raises PriceError, starting with `path`, if it is no finite number of at least 0."""
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise PriceError(f"{path}: expected a price, got {amount!r}; put the number in quotes, then it stays exact")
    try:
        usd = Decimal(amount)
    except InvalidOperation:
        raise PriceError(f"{path}: {amount!r} is not a number; write it like 0.27") from None
    if not usd.is_finite() or usd < 0:
        raise PriceError(f"{path}: must be a finite number of at least 0, not {amount}")
    return usd
