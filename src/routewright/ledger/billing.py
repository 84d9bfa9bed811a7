"""What an attempt may cost and what it did cost: the prices that are pinned when it is held, and applied at its end.

Pure: time comes in as seconds, and the prices as they were when the hold was made, whatever they have become since.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from routewright.call import Attempt, Call, Opaque
from routewright.catalog.pricing import (
    ANY_TIER,
    BATCH,
    Rates,
    Tariff,
    cost_nanousd,
    output_cost_nanousd,
    upper_bound_nanousd,
)
from routewright.catalog.registry import Deployment, Model
from routewright.catalog.served import Priced
from routewright.usage import Usage

Served: TypeAlias = Callable[[Model, Deployment, str], Priced | None]
"""The tariff of the model that answered, if it is another one than that of the model that was asked."""


def same_price(model: Model, deployment: Deployment, served: str) -> Priced | None:
    """A `Served` for which nobody ever answers in another's place."""
    return None


class Bill(Struct, frozen=True):
    """What an attempt cost, and by which prices."""

    cost_nanousd: int | None
    """None for a model without a price."""
    price_version: str
    service_tier: str
    is_estimated: bool
    """It was served in a way that has no price here: the dearest that is known was taken."""
    input_cost_nanousd: int | None = None
    """Of the cost, what the input made: all but output and a price per request. None for a model without a price."""


class Pinned:
    """The prices of one attempt, as they were when it was held."""

    def __init__(self, attempt: Attempt, now: int, served: Served = same_price) -> None:
        """`now` is UTC in seconds since 1970."""
        place = attempt.deployment
        self._attempt = attempt
        self._now = now
        self.served = served
        self._tariff = attempt.model.tariff if place.tariff is None else place.tariff
        self.version = attempt.price_version
        """The price version that the hold names."""

    def upper_bound_nanousd(self, input_tokens_ub: int) -> int | None:
        """The most that the attempt can cost, in any service tier it may get; None for a model without a price."""
        if self._tariff is None:
            return None
        call, model = self._attempt.routed.call, self._attempt.model
        # Another dialect than the client's does not carry the client's wish; how it is sent does not depend on that.
        is_carried = self._attempt.deployment.dialect == call.dialect or call.service_tier == BATCH
        output_tokens_max = call.max_output_tokens or model.max_output_tokens
        bounds = [
            upper_bound_nanousd(
                schedule,
                self._now,
                input_tokens_ub,
                output_tokens_max,
                call.choices,
                may_sound=schedule.prices_sound and may_sound(call),
            )
            for schedule in self._tariff.within_reach(call.service_tier if is_carried else "")
        ]
        return max(bounds)

    def bill(self, usage: Usage, *, served_model: str, service_tier: str) -> Bill:
        """What this usage costs, by the model that answered and the way in which it was served.

        What was sent as a batch is one, whatever the answer says or does not say.
        """
        if self._attempt.routed.call.service_tier == BATCH:
            service_tier = BATCH
        other = self.served(self._attempt.model, self._attempt.deployment, served_model)
        tariff, version = (self._tariff, self.version) if other is None else (other.tariff, other.version)
        if tariff is None:
            return Bill(None, version, service_tier, is_estimated=False)
        rates = rates_of(tariff, usage, self._now, service_tier)
        cost = cost_nanousd(usage, rates)
        return Bill(
            cost,
            version,
            service_tier,
            is_estimated=tariff.served_as(service_tier) is None,
            input_cost_nanousd=cost - output_cost_nanousd(usage, rates),
        )


def priced_usage(tariff: Tariff, usage: Usage, now: int, service_tier: str) -> int:
    """What usage costs at `now` (UTC epoch seconds), nano-USD; in a tier without a price, at the dearest there is."""
    return cost_nanousd(usage, rates_of(tariff, usage, now, service_tier))


def rates_of(tariff: Tariff, usage: Usage, now: int, service_tier: str) -> Rates:
    """The rates that usage is billed at; in a tier without a price, the dearest there are."""
    schedule = tariff.served_as(service_tier)
    unknown = BATCH if service_tier == BATCH else ANY_TIER
    if schedule is not None:
        return schedule.rates_at(now, usage.input_total)
    return max(
        (each.rates_at(now, usage.input_total) for each in tariff.within_reach(unknown)),
        key=lambda rates: cost_nanousd(usage, rates),
    )


def may_sound(call: Call) -> bool:
    """Whether there may be sound in a request, or in the answer to it."""
    if "audio" in call.body or "audio" in (call.body.get("modalities") or ()):
        return True
    return any(isinstance(part, Opaque) for message in call.messages for part in message.parts)
