"""What was spent, added up: the figures that reports are made of."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple

from routewright.usage import NO_INPUT, InputParts, Usage

Dimension: TypeAlias = Literal["model", "tier", "key", "team", "tag", "day", "hour", "cause", "policy"]
"""What spending can be told by; days and hours are UTC, a policy is its name with its version."""
Keys: TypeAlias = tuple[str | None, ...]
"""What something is about, one for each dimension; None where nobody knows."""


class Sums(Struct, frozen=True, kw_only=True, gc=False):
    """Attempts and requests, added up. A model's money is that of its own attempts, its requests those it answered."""

    requests: int = 0
    complete: int = 0
    """Requests answered to the end."""
    answered: int = 0
    """Requests that somebody answered, to the end or not."""
    attempts: int = 0
    """Those that are closed, successful or not."""
    estimated: int = 0
    """Attempts whose provider did not say what it used: their cost is an upper bound."""
    unpriced: int = 0
    """Attempts of models without a price: their cost is not in `cost_nanousd`, and not zero."""
    simulated: int = 0
    """Attempts at the built-in simulator: real prices for made-up tokens."""
    usage: Usage = Usage()
    answer_usage: Usage = Usage()
    """Of the attempts that answered a request, to the end or not: what another model is priced by."""
    cost_nanousd: int = 0
    errand_cost_nanousd: int = 0
    """Of that, for small calls of our own."""
    answered_cost_nanousd: int = 0
    """What requests cost that somebody answered, all their attempts included."""
    failed_cost_nanousd: int = 0
    """What requests cost that nobody answered."""
    compared: int = 0
    """Requests that have a baseline."""
    baseline_cost_nanousd: int = 0
    """What those would have cost there."""
    compared_cost_nanousd: int = 0
    """What they did cost."""
    unsure: int = 0
    """Of these and of the failed ones, those with a part that the provider did not report."""
    least_saved_nanousd: int = 0
    """The saving, net of failed requests, if what was not reported did cost our bound; …"""
    most_saved_nanousd: int = 0
    """… and if it cost nothing."""
    input_parts: InputParts = NO_INPUT
    """Of answered requests."""
    input_estimated: int = 0
    """Of these, whose input nobody reported."""
    input_cost_nanousd: int = 0
    """What the input of answered requests cost."""
    system_cost_nanousd: int = 0
    """Of that, the system prompts' share by tokens."""
    from_cache: int = 0
    """Requests that got an answer which was kept."""
    cache_saved_nanousd: int = 0
    """What those answers cost when they were made."""

    def __add__(self, other: "Sums") -> "Sums":
        return added((self, other))


_COUNTS = tuple(name for name in Sums.__struct_fields__ if name not in ("usage", "answer_usage", "input_parts"))


def added(all_of_them: Iterable[Sums]) -> Sums:
    """Any number of them as one. Reports add up thousands: column by column, which is ten times as fast as in pairs."""
    rows = [astuple(sums) for sums in all_of_them]
    if not rows:
        return Sums()
    columns = dict(zip(Sums.__struct_fields__, zip(*rows, strict=True), strict=True))
    return Sums(
        usage=Usage(*_totals(columns["usage"])),
        answer_usage=Usage(*_totals(columns["answer_usage"])),
        input_parts=InputParts(*_totals(columns["input_parts"])),
        **{name: sum(columns[name]) for name in _COUNTS},
    )


def _totals(column: Iterable[Usage] | Iterable[InputParts]) -> Iterable[int]:
    return map(sum, zip(*map(astuple, column), strict=True))


def reader(of_attempts: Sequence[str], of_requests: Sequence[str]) -> Callable[[Sequence[int], Sequence[int]], Sums]:
    """What makes sums of the values of attempts, and those of requests, in the order of these columns."""
    counts = [[name for name in columns if name in _COUNTS] for columns in (of_attempts, of_requests)]
    count_attempts, count_requests = (
        itemgetter(*map(columns.index, its)) for columns, its in zip((of_attempts, of_requests), counts, strict=True)
    )
    names = (*counts[0], *counts[1])
    usage = itemgetter(*map(of_attempts.index, Usage.__struct_fields__))
    answer_usage = itemgetter(*(of_attempts.index(f"answer_{tokens}") for tokens in Usage.__struct_fields__))
    input_parts = itemgetter(*(of_requests.index(f"input_{part}") for part in InputParts.__struct_fields__))

    def read(attempts: Sequence[int], requests: Sequence[int]) -> Sums:
        return Sums(
            usage=Usage(*usage(attempts)),
            answer_usage=Usage(*answer_usage(attempts)),
            input_parts=InputParts(*input_parts(requests)),
            **dict(zip(names, count_attempts(attempts) + count_requests(requests), strict=True)),
        )

    return read
