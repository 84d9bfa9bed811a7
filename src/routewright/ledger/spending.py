"""What was spent, added up: the figures that reports are made of."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from routewright.ledger.database import Row
from routewright.usage import NO_INPUT, InputParts, Usage

Dimension: TypeAlias = Literal["model", "tier", "key", "team", "tag", "day", "hour", "cause"]
"""What spending can be told by; days and hours are UTC."""


class Sums(Struct, frozen=True, kw_only=True):
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

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


_GROUPS = ("usage", "answer_usage", "input_parts")
_COUNTS = tuple(name for name in Sums.__struct_fields__ if name not in _GROUPS)


def named(row: Row) -> dict[str, Any]:
    """A row of sums as the fields of `Sums`: what it has in columns of their own goes where it belongs."""
    return {
        **{name: row[name] for name in _COUNTS},
        "usage": Usage(*(row[tokens] for tokens in Usage.__struct_fields__)),
        "answer_usage": Usage(*(row[f"answer_{tokens}"] for tokens in Usage.__struct_fields__)),
        "input_parts": InputParts(*(row[f"input_{part}"] for part in InputParts.__struct_fields__)),
    }
