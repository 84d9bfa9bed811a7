"""What each model can do for one call, what that is expected to cost, and what stands in its way if anything does.

Models are told by their place in the registry's lineup. Costs are columns, made for all at once; what stands in the way
is looked for by a few comparisons that clear most models together, and put into words for the few that are left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import Enum
from itertools import repeat
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.pricing import Rates
from routewright.catalog.registry import Capability, Deployment, Lineup, Model, bits_of
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.permission import NOT_ALLOWED, Permission

NOTHING_WARM: Mapping[str, int] = MappingProxyType({})
ALL_MODELS: Set[str] = frozenset()
NOBODY: Set[int] = frozenset()
NOTHING_REQUIRED: frozenset[Capability] = frozenset()


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


class Examiner(Struct, kw_only=True):
    """Holds one call against the models."""

    lineup: Lineup
    call: Call
    input_tokens: int
    """As estimated."""
    output_tokens: int
    """As usual for this kind of work, and as the call allows."""
    required: int
    """What a model must be able to do, as `bits_of` gives it."""
    now_s: int
    resting: Mapping[str, str]
    cannot_carry: Callable[[str, Call], str | None]
    must_have_price: bool
    forecast: Forecast | None
    """Over the lineup."""
    warm: Mapping[str, int]
    token_ratios: Mapping[str, float]
    permission: Permission | None
    """None where every model may answer."""
    taking_part: Set[str]
    """Who may be chosen at all; empty for all."""
    pinned: Model | None
    """A model of which only some deployments may be called."""
    uncarried: dict[str, str | None] = field(default_factory=dict)
    """Dialect → the field of the call that it cannot carry; filled when it is asked for."""

    def examine(self) -> Findings:
        """Each model's expected cost, and the first constraint that removes it."""
        lineup = self.lineup
        input_tokens, output_tokens = self._input_of_each(), self._output_of_each()
        costs, cold = self._costs(input_tokens, output_tokens)
        obstacles: dict[int, Obstacle] = {}
        reasons: dict[int, str] = {}
        denied = self.permission.denied(lineup) if self.permission is not None else NOBODY
        for at in self._suspects(input_tokens, costs, denied):
            if at in denied:
                obstacles[at], reasons[at] = Obstacle.PERMISSION, NOT_ALLOWED
                continue
            cost = None if at in lineup.unpriced else costs[at]
            found = self._obstacle(lineup.models[at], input_tokens[at], cost)
            if found is not None:
                obstacles[at], reasons[at] = found
        for at in self._touched() if self.resting else ():
            if at not in obstacles and (why := self._rest(lineup.models[at])):
                reasons[at] = why
        return Findings(lineup, costs, self.forecast, output_tokens, cold, obstacles, reasons)

    @property
    def _room(self) -> int:
        """Tokens that the answer may need."""
        return self.call.max_output_tokens or self.output_tokens

    # -- what it would cost

    def _input_of_each(self) -> list[int]:
        """As each model counts them."""
        lineup, estimate = self.lineup, self.input_tokens
        input_tokens = [estimate] * len(lineup.names)
        for name, ratio in self.token_ratios.items():
            if name in lineup.place:
                input_tokens[lineup.place[name]] = round(estimate * ratio)
        return input_tokens

    def _output_of_each(self) -> list[int]:
        """Tokens of one answer, expected of each model."""
        lineup, usual, forecast = self.lineup, self.output_tokens, self.forecast
        limits, allowed = lineup.max_output_tokens, self.call.max_output_tokens
        if forecast is None:
            return [min(usual, limit) for limit in limits]
        output_tokens = list(forecast.output_tokens)
        if max(output_tokens, default=0) > (allowed or lineup.smallest_output):
            output_tokens = list(map(min, output_tokens, repeat(allowed) if allowed else limits))
        for at in forecast.unknown:
            output_tokens[at] = min(usual, limits[at])
        return output_tokens

    def _costs(self, input_tokens: Sequence[int], output_tokens: Sequence[int]) -> tuple[list[int], dict[int, int]]:
        """Of each model, rounded once; and where something is warm, what it would be otherwise."""
        lineup, choices = self.lineup, self.call.choices
        billed = output_tokens if choices == 1 else [tokens * choices for tokens in output_tokens]
        columns = zip(input_tokens, billed, lineup.input_price, lineup.output_price, lineup.request_price, strict=True)
        costs = [(read * price + written * dear + once + 500) // 1000 for read, written, price, dear, once in columns]
        varying = lineup.changing
        if lineup.stepped and max(input_tokens) > lineup.first_step:
            varying += lineup.stepped
        for at, prices in varying:
            rates = prices.rates_at(self.now_s, input_tokens[at])
            costs[at] = _nanousd(input_tokens[at], billed[at], rates)
        cold = self._warm_up(costs, input_tokens, billed) if self.warm else {}
        if self.forecast is not None:
            for at, waste in self.forecast.waste.items():  # what is paid for failures, on top
                if waste > 1:
                    costs[at] = round(costs[at] * waste)
                    if at in cold:
                        cold[at] = round(cold[at] * waste)
        return costs, cold

    def _warm_up(self, costs: list[int], input_tokens: Sequence[int], billed: Sequence[int]) -> dict[int, int]:
        """Take off what the warm part of the input costs less than fresh input; gives what it was before."""
        cold = {}
        for name, tokens in self.warm.items():
            at = self.lineup.place.get(name, -1)
            if at >= 0 and (prices := self.lineup.models[at].prices) is not None:
                rates = prices.rates_at(self.now_s, input_tokens[at])
                saved = min(tokens, input_tokens[at]) * (rates.input - rates.cache_read)
                if saved:
                    cold[at], costs[at] = costs[at], _nanousd(input_tokens[at], billed[at], rates, saved)
        return cold

    # -- what stands in the way

    def _suspects(self, input_tokens: Sequence[int], costs: Sequence[int], denied: Set[int]) -> Iterable[int]:
        """The models that something may stand in the way of; none of the others needs a look by itself."""
        lineup, call, room = self.lineup, self.call, self._room
        suspects = lineup.doubtful
        if self.permission is not None:
            suspects |= denied | set(self.permission.narrowed(lineup))
        if self.taking_part:
            suspects |= {at for at, name in enumerate(lineup.names) if name not in self.taking_part}
        if self.pinned is not None:
            suspects |= {lineup.place[self.pinned.name]}
        if self.required & ~lineup.common:
            suspects |= {at for at, able in enumerate(lineup.able) if self.required & ~able}
        asked = call.max_output_tokens
        if asked is not None and asked > lineup.smallest_output:
            suspects |= {at for at, limit in enumerate(lineup.max_output_tokens) if asked > limit}
        if max(input_tokens, default=0) + room > lineup.smallest_window:
            windows = zip(input_tokens, lineup.context_window, strict=True)
            suspects |= {at for at, (tokens, window) in enumerate(windows) if tokens + room > window}
        most = call.options.max_cost_nanousd
        if most is not None:
            suspects |= {at for at, cost in enumerate(costs) if cost > most}
        if not self._is_carried_anywhere():
            able = [places for dialect, places in lineup.dialects.items() if self._carries(dialect)]
            suspects |= frozenset(range(len(lineup.names))).difference(*able)
        return suspects

    def _obstacle(self, model: Model, input_tokens: int, cost: int | None) -> tuple[Obstacle, str] | None:
        """Of a model that is not denied; the window comes last, so that it is blamed only when nothing else is."""
        if self.taking_part and model.name not in self.taking_part:
            return Obstacle.CONSTRAINT, "takes no part in this policy"
        reason = self._lack(model) or self._uncarriable(model)
        if reason:
            return Obstacle.CONSTRAINT, reason
        most = self.call.options.max_cost_nanousd
        if cost is None:
            reason = self._unpriced()
            if reason:
                return Obstacle.PRICE, reason
        elif most is not None and cost > most:
            return Obstacle.CONSTRAINT, f"expected {_usd(cost)} > max-cost {_usd(most)}"
        needed = input_tokens + self._room
        if needed > model.context_window:
            return Obstacle.WINDOW, f"context window {model.context_window:,} < {needed:,} needed"
        return None

    def _lack(self, model: Model) -> str:
        """What the model cannot do, whatever it costs."""
        for capability, reason in LACKS.items():
            if bits_of((capability,)) & self.required and capability not in model.capabilities:
                return reason
        asked = self.call.max_output_tokens
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
        return f"{self.call.dialect} field {self.uncarried[dialect]!r} cannot be carried to {dialect}"

    def _carries(self, dialect: str) -> bool:
        if dialect == self.call.dialect:
            return True
        if dialect not in self.uncarried:
            self.uncarried[dialect] = self.cannot_carry(dialect, self.call)
        return self.uncarried[dialect] is None

    def _is_carried_anywhere(self) -> bool:
        """By all dialects that any model can be called in."""
        dialects = self.lineup.dialects
        if len(dialects) == 1 and self.call.dialect in dialects:
            return True
        return all(map(self._carries, dialects))

    def _unpriced(self) -> str:
        """Why a model without a price is removed; a caller who names one may have it, but not under a limit."""
        if self.must_have_price:
            return "no price"
        return "" if self.call.options.max_cost_nanousd is None else "no price to hold against max-cost"

    # -- where it can be called

    def deployments(self, model: Model) -> tuple[Deployment, ...]:
        """Those that can carry the call, in order of trial: the awake ones first."""
        usable = self._usable(model)
        if len(usable) == 1:
            return usable
        able = [deployment for deployment in usable if self._carries(deployment.dialect)]
        if not self.resting:
            return tuple(able)
        return tuple(sorted(able, key=lambda deployment: deployment.id in self.resting))

    @property
    def unusual(self) -> Set[int]:
        """The models of which more may have to be said than of others: of their cache, or of their deployments."""
        lineup = self.lineup
        unusual = self._touched() if self.resting else set()
        if self.pinned is not None:
            unusual.add(lineup.place[self.pinned.name])
        if lineup.mixed and not self._is_carried_anywhere():
            unusual.update(lineup.mixed)
        if self.warm:
            unusual.update([lineup.place[name] for name in self.warm if name in lineup.place])
        if self.permission is not None:
            unusual.update(self.permission.narrowed(lineup))
        return unusual

    def _touched(self) -> set[int]:
        """Models of which a deployment rests."""
        places = self.lineup.of_deployment
        return {places[name] for name in self.resting if name in places}

    def _usable(self, model: Model) -> tuple[Deployment, ...]:
        if self.pinned is not None and model.name == self.pinned.name:
            model = self.pinned
        return model.deployments if self.permission is None else self.permission.usable(model)

    def _rest(self, model: Model) -> str:
        reasons = [self.resting.get(deployment.id) for deployment in self.deployments(model)]
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
        return NOTHING_REQUIRED
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
