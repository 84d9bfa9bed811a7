"""What can go wrong at the simulated provider, and how often: nothing, unless a plan says so."""

from collections.abc import Mapping
from enum import StrEnum
from random import Random

from msgspec import Struct, structs


class Mishap(StrEnum):
    """What befalls one request; named like the field of `FaultRates` that holds its probability."""

    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    OVERLOADED = "overloaded"
    SLOW = "slow"
    CUT = "cut"


class FaultRates(Struct, frozen=True, kw_only=True):
    """Probabilities per request, together at most 1 (else ValueError).

    `rate_limited` is 429 with `retry-after`, `failed` 500, `overloaded` Anthropic's 529 or OpenAI's 503, `slow` a first
    token that keeps one waiting, and `cut` an answer that breaks off at some byte.
    """

    rate_limited: float = 0.0
    failed: float = 0.0
    overloaded: float = 0.0
    slow: float = 0.0
    cut: float = 0.0

    def __post_init__(self) -> None:
        rates = structs.astuple(self)
        if min(rates) < 0 or sum(rates) > 1 + 1e-9:
            raise ValueError(f"fault rates are probabilities that sum to at most 1, not {structs.asdict(self)}")

    def draw(self, chance: Random) -> Mishap | None:
        """What befalls a request now; None for nothing."""
        left = chance.random()
        for mishap in Mishap:
            left -= getattr(self, mishap)
            if left < 0:
                return mishap
        return None


class FaultPlan(Struct, frozen=True, kw_only=True):
    """Fault rates by upstream model, and for all others.

    `slow_s` is waited in full, whatever the simulator's time scale, because the time-outs it is meant to meet are not
    scaled either.
    """

    rates: FaultRates = FaultRates()
    by_model: Mapping[str, FaultRates] = {}
    retry_after_s: int = 2
    slow_s: float = 30.0

    def draw(self, model: str, chance: Random) -> Mishap | None:
        """What befalls a request to this model."""
        return self.by_model.get(model, self.rates).draw(chance)


NO_FAULTS = FaultPlan()
