"""What each model can do for one call, what that is expected to cost, and what stands in its way if anything does.

Models are told by their place in the registry's lineup. Costs are columns, made for all at once; what stands in the way
is looked for by a few comparisons that clear most models together, and put into words for the few that are left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import Enum
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.pricing import Rates
from routewright.catalog.registry import Capability, Deployment, Lineup, Model, bits_of
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.permission import NOT_ALLOWED, Permission

NOTHING_WARM: Mapping[str, int] = MappingProxyType({})
ALL_MODELS: Set[str] = frozenset()


class Obstacle(Enum):
    """Kinds of removal that decide which error is raised when nobody is left."""

    CONSTRAINT = 0
    PRICE = 1
    WINDOW = 2
    PERMISSION = 3


class Findings(Struct, frozen=True):
    """The models of a registry held against one call."""

    lineup: Lineup
    costs: Sequence[int]
    """Expected, in nano-USD; 0 of a model without a price."""
    forecast: Forecast | None
    """Over the lineup; None when nobody knows what to expect."""
    output_tokens: Sequence[int]
    """Expected of each."""
    cold: Mapping[int, int]
    """Without what is in the provider's cache; only of those where something is."""
    obstacles: Mapping[int, Obstacle]
    """The others are eligible."""
    reasons: Mapping[int, str]
    """Why one was removed, or, of an eligible one, why all its deployments rest."""

    def cost(self, at: int) -> int | None:
        """None of a model without a price."""
        return None if at in self.lineup.unpriced else self.costs[at]

    def is_foreseen(self, at: int) -> bool:
        """Whether it is known what to expect of it."""
        return self.forecast is not None and at not in self.forecast.unknown

    def success(self, at: int) -> float:
        """The probability of a good answer; 0 where nobody knows."""
        return 0.0 if self.forecast is None else self.forecast.success[at]

    def able(self, places: Sequence[int]) -> Sequence[int]:
        """Those of them that nothing stands in the way of."""
        obstacles = self.obstacles
        return [at for at in places if at not in obstacles] if obstacles else places

    def without(self, reasons: Mapping[str, str]) -> "Findings":
        """The same with these models removed, each for its reason."""
        places = {self.lineup.place[name]: reason for name, reason in reasons.items() if name in self.lineup.place}
        removed = {at: reason for at, reason in places.items() if at not in self.obstacles}
        obstacles = {**self.obstacles, **dict.fromkeys(removed, Obstacle.CONSTRAINT)}
        return replace(self, obstacles=obstacles, reasons={**self.reasons, **removed})


class Examiner:
    """Holds one call against the models."""

    def __init__(
        self,
        lineup: Lineup,
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
        token_ratios: Mapping[str, float],
        permission: Permission | None = None,
        taking_part: Set[str] = ALL_MODELS,
        pinned: Model | None = None,
    ) -> None:
        """Without a `permission` every model may answer; `taking_part` is who may be chosen at all, empty for all;
        `pinned` a model of which only some deployments may be called."""
        self._lineup = lineup
        self._taking_part = taking_part
        self._forecast = None if forecast is None else forecast.over(lineup.names)
        self._warm = warm
        self._token_ratios = token_ratios
        self._permission = permission
        self._pinned = pinned
        self._call = call
        self._estimate = features.input_tokens
        self._usual_output = output_tokens
        self._room_for_output = call.max_output_tokens or output_tokens
        self._now_s = now_s
        self._resting = resting
        self._cannot_carry = cannot_carry
        self._must_have_price = must_have_price
        self._required = required
        self._uncarried: dict[str, str | None] = {call.dialect: None}
        """Dialect → the field that it cannot carry."""

    def examine(self) -> Findings:
        """Each model's expected cost, and the first constraint that removes it."""
        lineup = self._lineup
        input_tokens, output_tokens = self._input_tokens(), self._output_tokens()
        costs, cold = self._costs(input_tokens, output_tokens)
        obstacles: dict[int, Obstacle] = {}
        reasons: dict[int, str] = {}
        for at in self._suspects(input_tokens, costs):
            cost = None if at in lineup.unpriced else costs[at]
            found = self._obstacle(lineup.models[at], input_tokens[at], cost)
            if found is not None:
                obstacles[at], reasons[at] = found
        for at in self._touched():
            if at not in obstacles and (why := self._rest(lineup.models[at])):
                reasons[at] = why
        return Findings(lineup, costs, self._forecast, output_tokens, cold, obstacles, reasons)

    # -- what it would cost

    def _input_tokens(self) -> list[int]:
        """As each model counts them."""
        lineup, estimate = self._lineup, self._estimate
        input_tokens = [estimate] * len(lineup.names)
        for name, ratio in self._token_ratios.items():
            if name in lineup.place:
                input_tokens[lineup.place[name]] = round(estimate * ratio)
        return input_tokens

    def _output_tokens(self) -> list[int]:
        """Of one answer, expected of each model."""
        limits, usual, forecast = self._lineup.max_output_tokens, self._usual_output, self._forecast
        if forecast is None:
            return [usual if usual < limit else limit for limit in limits]
        allowed = self._call.max_output_tokens
        if allowed:
            output_tokens = [tokens if tokens < allowed else allowed for tokens in forecast.output_tokens]
        else:
            pairs = zip(forecast.output_tokens, limits, strict=True)
            output_tokens = [tokens if tokens < limit else limit for tokens, limit in pairs]
        for at in forecast.unknown:
            output_tokens[at] = min(usual, limits[at])
        return output_tokens

    def _costs(self, input_tokens: Sequence[int], output_tokens: Sequence[int]) -> tuple[list[int], dict[int, int]]:
        """Of each model, rounded once; and where something is warm, what it would be otherwise."""
        lineup, choices = self._lineup, self._call.choices
        billed = output_tokens if choices == 1 else [tokens * choices for tokens in output_tokens]
        columns = zip(
            input_tokens, billed, lineup.input_price, lineup.output_price, lineup.request_price, strict=True
        )
        costs = [(read * price + written * dear + once + 500) // 1000 for read, written, price, dear, once in columns]
        for at, prices in lineup.changing:
            rates = prices.rates_at(self._now_s, input_tokens[at])
            costs[at] = _nanousd(input_tokens[at], billed[at], rates)
        cold: dict[int, int] = {}
        for name, tokens in self._warm.items():
            at = lineup.place.get(name, -1)
            if at >= 0 and (known := lineup.models[at].prices) is not None:
                rates = known.rates_at(self._now_s, input_tokens[at])
                saved = min(tokens, input_tokens[at]) * (rates.input - rates.cache_read)
                if saved:
                    cold[at], costs[at] = costs[at], _nanousd(input_tokens[at], billed[at], rates, saved)
        if self._forecast is not None:
            for at, waste in self._forecast.waste.items():  # what is paid for failures, on top
                if waste > 1:
                    costs[at] = round(costs[at] * waste)
                    if at in cold:
                        cold[at] = round(cold[at] * waste)
        return costs, cold

    # -- what stands in the way

    def _suspects(self, input_tokens: Sequence[int], costs: Sequence[int]) -> Iterable[int]:
        """The models that something may stand in the way of; none of the others needs a look by itself."""
        lineup, call = self._lineup, self._call
        everyone = range(len(lineup.names))
        if self._permission is not None or self._taking_part:
            return everyone
        suspects = {*lineup.unpriced, *lineup.unplaced}
        if self._pinned is not None:
            suspects.add(lineup.place[self._pinned.name])
        if self._required:
            required = bits_of(self._required)
            if required & ~lineup.common:
                suspects.update([at for at, able in enumerate(lineup.able) if required & ~able])
        longest = call.max_output_tokens
        if longest is not None and longest > lineup.smallest_output:
            suspects.update([at for at, limit in enumerate(lineup.max_output_tokens) if longest > limit])
        room = self._room_for_output
        if max(input_tokens, default=0) + room > lineup.smallest_window:
            windows = zip(input_tokens, lineup.context_window, strict=True)
            suspects.update([at for at, (tokens, window) in enumerate(windows) if tokens + room > window])
        most = call.options.max_cost_nanousd
        if most is not None:
            suspects.update([at for at, cost in enumerate(costs) if cost > most])
        if not self._is_carried_anywhere():
            able = [places for dialect, places in lineup.dialects.items() if self._carries(dialect)]
            suspects.update(set(everyone).difference(*able))
        return suspects

    def _obstacle(self, model: Model, input_tokens: int, cost: int | None) -> tuple[Obstacle, str] | None:
        """The window comes last, so that it is blamed only when nothing else stands in the way."""
        if self._permission is not None and not self._permission.admits(model):
            return Obstacle.PERMISSION, NOT_ALLOWED
        if self._taking_part and model.name not in self._taking_part:
            return Obstacle.CONSTRAINT, "takes no part in this policy"
        reason = self._lack(model) or self._uncarriable(model)
        if reason:
            return Obstacle.CONSTRAINT, reason
        most = self._call.options.max_cost_nanousd
        if cost is None:
            reason = self._unpriced()
            if reason:
                return Obstacle.PRICE, reason
        elif most is not None and cost > most:
            return Obstacle.CONSTRAINT, f"expected {_usd(cost)} > max-cost {_usd(most)}"
        needed = input_tokens + self._room_for_output
        if needed > model.context_window:
            return Obstacle.WINDOW, f"context window {model.context_window:,} < {needed:,} needed"
        return None

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

    def _is_carried_anywhere(self) -> bool:
        """By all dialects that any model can be called in."""
        return all([self._carries(dialect) for dialect in self._lineup.dialects])

    def _unpriced(self) -> str:
        """Why a model without a price is removed; a caller who names one may have it, but not under a limit."""
        if self._must_have_price:
            return "no price"
        return "" if self._call.options.max_cost_nanousd is None else "no price to hold against max-cost"

    # -- where it can be called

    def deployments(self, model: Model) -> tuple[Deployment, ...]:
        """Those that can carry the call, in order of trial: the awake ones first."""
        usable = self._usable(model)
        if len(usable) == 1:
            return usable
        able = [deployment for deployment in usable if self._carries(deployment.dialect)]
        if not self._resting:
            return tuple(able)
        return tuple(sorted(able, key=lambda deployment: deployment.id in self._resting))

    @property
    def unusual(self) -> Set[int]:
        """The models of which more may have to be said than of others: of their cache, or of their deployments."""
        lineup = self._lineup
        unusual = self._touched()
        if lineup.mixed and not self._is_carried_anywhere():
            unusual.update(lineup.mixed)
        if self._warm:
            unusual.update([lineup.place[name] for name in self._warm if name in lineup.place])
        if self._permission is not None:
            unusual.update(self._permission.narrowed(lineup))
        return unusual

    def _touched(self) -> set[int]:
        """Models of which a deployment rests."""
        places = self._lineup.of_deployment
        return {places[name] for name in self._resting if name in places}

    def _usable(self, model: Model) -> tuple[Deployment, ...]:
        if self._pinned is not None and model.name == self._pinned.name:
            model = self._pinned
        return model.deployments if self._permission is None else self._permission.usable(model)

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


def _nanousd(input_tokens: int, output_tokens: int, rates: Rates, saved: int = 0) -> int:
    """`saved` is in pico-USD."""
    picousd = input_tokens * rates.input + output_tokens * rates.output + rates.request - saved
    return (picousd + 500) // 1000


def _usd(nanousd: int) -> str:
    return f"${nanousd / 1e9:.6f}".rstrip("0").rstrip(".")
