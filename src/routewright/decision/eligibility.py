"""What each model can do for one call, what that is expected to cost, and what stands in its way if anything does."""

from collections.abc import Callable, Iterable, Mapping, Set
from enum import Enum
from types import MappingProxyType

from msgspec import Struct

from routewright.call import Call
from routewright.catalog.pricing import Rates
from routewright.catalog.registry import Capability, Deployment, Model
from routewright.decision.expectation import Expectation, Forecast
from routewright.decision.features import Features
from routewright.decision.permission import NOT_ALLOWED, Permission

NOTHING_WARM: Mapping[str, int] = MappingProxyType({})
ALL_MODELS: Set[str] = frozenset()
NOTHING_EXPECTED: Mapping[str, Expectation] = MappingProxyType({})


class Obstacle(Enum):
    """Kinds of removal that decide which error is raised when nobody is left."""

    CONSTRAINT = 0
    PRICE = 1
    WINDOW = 2
    PERMISSION = 3


class Finding(Struct, frozen=True, gc=False):
    """One model held against the call."""

    model: Model
    cost_nanousd: int | None
    obstacle: Obstacle | None = None
    """None: the model is eligible."""
    reason: str = ""
    """Why it was removed, or, of an eligible one, why all its deployments rest."""
    expectation: Expectation | None = None
    """None when nobody knows what to expect of it."""
    output_tokens: int | None = None
    """Expected; None without an expectation."""
    cold_cost_nanousd: int | None = None
    """Without what is in the provider's cache; None where nothing is."""


class Examiner:
    """Holds one call against the models."""

    def __init__(
        self,
        *,
        call: Call,
        features: Features,
        required: frozenset[Capability],
        output_tokens: int,
        now_s: int,
        resting: Mapping[str, str],
        cannot_carry: Callable[[str, Call], str | None],
        must_have_price: bool,
        forecast: Forecast | None,
        warm: Mapping[str, int],
        permission: Permission | None = None,
        taking_part: Set[str] = ALL_MODELS,
    ) -> None:
        """Without a `permission` every model may answer; `taking_part` is who may be chosen at all, empty for all."""
        self._taking_part = taking_part
        self._expectations = forecast.of if forecast is not None else NOTHING_EXPECTED
        self.warm = warm
        self._permission = permission
        self._call = call
        self._input_tokens = features.input_tokens
        self._output_tokens = output_tokens
        self._room_for_output = call.max_output_tokens or output_tokens
        self._max_cost = call.options.max_cost_nanousd
        self._now_s = now_s
        self._resting = resting
        self._cannot_carry = cannot_carry
        self._must_have_price = must_have_price
        self._required = required
        self._uncarried: dict[str, str | None] = {call.dialect: None}
        """Dialect → the field that it cannot carry."""

    def examine(self, models: Iterable[Model], token_ratio: Callable[[str], float]) -> dict[str, Finding]:
        """Each model's expected cost, and the first constraint that removes it.

        The window comes last, so that it is blamed only when nothing else stands in the way.
        """
        estimate, expected, choices, now_s = self._input_tokens, self._output_tokens, self._call.choices, self._now_s
        room, required, dialect = self._room_for_output, self._required, self._call.dialect
        is_plain = not self._resting and self._max_cost is None and self._permission is None and not self._taking_part
        allowed = self._call.max_output_tokens
        findings = {}
        for model in models:
            input_tokens = round(estimate * token_ratio(model.name))
            expectation = self._expectations.get(model.name)
            output_tokens = min(expected, model.max_output_tokens)
            if expectation is not None:
                output_tokens = min(expectation.output_tokens, allowed or model.max_output_tokens)
            cost = cold = None
            if model.prices is not None:
                rates = model.prices.rates_at(now_s, input_tokens)
                cost = input_tokens * rates.input + output_tokens * choices * rates.output + rates.request
                waste = 1.0 if expectation is None else expectation.waste
                if self.warm and (saved := self._saved_by_cache(model.name, input_tokens, rates)):
                    cold = _nanousd(cost, waste)
                    cost -= saved
                cost = _nanousd(cost, waste)
            told = None if expectation is None else output_tokens
            if (  # nothing stands in the way: most models, most of the time
                is_plain
                and cost is not None
                and required <= model.capabilities
                and room <= model.max_output_tokens
                and input_tokens + room <= model.context_window
                and model.deployments
                and model.deployments[0].dialect == dialect
            ):
                findings[model.name] = Finding(model, cost, None, "", expectation, told, cold)
            else:
                obstacle, reason = self._look_closer(model, input_tokens, cost)
                findings[model.name] = Finding(model, cost, obstacle, reason, expectation, told, cold)
        return findings

    def _saved_by_cache(self, name: str, input_tokens: int, rates: Rates) -> int:
        """Pico-USD that the warm part of the input costs less than fresh input."""
        return min(self.warm.get(name, 0), input_tokens) * (rates.input - rates.cache_read)

    def _look_closer(self, model: Model, input_tokens: int, cost: int | None) -> tuple[Obstacle | None, str]:
        obstacle, reason = self._obstacle(model, input_tokens, cost)
        if obstacle is None and self._resting:
            reason = self._rest(model)
        return obstacle, reason

    def _obstacle(self, model: Model, input_tokens: int, cost: int | None) -> tuple[Obstacle | None, str]:
        if self._permission is not None and not self._permission.admits(model):
            return Obstacle.PERMISSION, NOT_ALLOWED
        if self._taking_part and model.name not in self._taking_part:
            return Obstacle.CONSTRAINT, "takes no part in this policy"
        reason = self._lack(model) or self._uncarriable(model)
        if reason:
            return Obstacle.CONSTRAINT, reason
        if cost is None:
            reason = self._unpriced()
            if reason:
                return Obstacle.PRICE, reason
        elif self._max_cost is not None and cost > self._max_cost:
            return Obstacle.CONSTRAINT, f"expected {_usd(cost)} > max-cost {_usd(self._max_cost)}"
        needed = input_tokens + self._room_for_output
        if needed > model.context_window:
            return Obstacle.WINDOW, f"context window {model.context_window:,} < {needed:,} needed"
        return None, ""

    def deployments(self, model: Model) -> tuple[Deployment, ...]:
        """Those that can carry the call, in order of trial: the awake ones first."""
        usable = self._usable(model)
        if len(usable) == 1:
            return usable
        able = [deployment for deployment in usable if self._carries(deployment.dialect)]
        return tuple(sorted(able, key=lambda deployment: deployment.id in self._resting))

    def _usable(self, model: Model) -> tuple[Deployment, ...]:
        return model.deployments if self._permission is None else self._permission.usable(model)

    def _lack(self, model: Model) -> str:
        """What the model cannot do, whatever it costs."""
        for capability, reason in LACKS.items():
            if capability in self._required and capability not in model.capabilities:
                return reason
        asked = self._call.max_output_tokens
        if asked is not None and asked > model.max_output_tokens:
            return f"output limit {model.max_output_tokens:,} < {asked:,} asked"
        return ""

    def _uncarriable(self, model: Model) -> str:
        """The field that no deployment's dialect can carry; empty when one can."""
        usable = self._usable(model)
        if any(self._carries(deployment.dialect) for deployment in usable):
            return ""
        if not usable:
            return "no deployment"
        dialect = usable[0].dialect
        return f"{self._call.dialect} field {self._uncarried[dialect]!r} cannot be carried to {dialect}"

    def _carries(self, dialect: str) -> bool:
        if dialect not in self._uncarried:
            self._uncarried[dialect] = self._cannot_carry(dialect, self._call)
        return self._uncarried[dialect] is None

    def _unpriced(self) -> str:
        """Why a model without a price is removed; a caller who names one may have it, but not under a limit."""
        if self._must_have_price:
            return "no price"
        return "" if self._max_cost is None else "no price to hold against max-cost"

    def _rest(self, model: Model) -> str:
        reasons = [self._resting.get(deployment.id) for deployment in self.deployments(model)]
        return f"{reasons[0]} (all deployments rest)" if all(reasons) else ""


LACKS = {
    Capability.TOOLS: "no tools",
    Capability.VISION: "no vision",
    Capability.JSON_SCHEMA: "no json_schema",
}
"""Why a model is removed that does not have a capability."""


def required_capabilities(call: Call, features: Features) -> frozenset[Capability]:
    """What a model must be able to do, to be given the call."""
    if not (call.tools or features.images or call.output_format.kind == "json_schema"):
        return frozenset()
    required = set()
    if call.tools:
        required.add(Capability.TOOLS)
    if features.images:
        required.add(Capability.VISION)
    if call.output_format.kind == "json_schema":
        required.add(Capability.JSON_SCHEMA)
    return frozenset(required)


def _nanousd(picousd: int, waste: float) -> int:
    """Rounded once, with what is paid for failures on top."""
    nanousd = (picousd + 500) // 1000
    return round(nanousd * waste) if waste > 1 else nanousd


def _usd(nanousd: int) -> str:
    return f"${nanousd / 1e9:.6f}".rstrip("0").rstrip(".")
