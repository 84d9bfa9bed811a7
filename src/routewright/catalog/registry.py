"""What exists: tiers, models, deployments and the order of fallback; immutable, versioned by content, swapped whole."""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property, reduce

import msgspec
from msgspec import Struct

from routewright.catalog.pricing import PriceSchedule, Tariff
from routewright.errors import ModelNotFound, SettingsError
from routewright.secret import Secret

MAX_ATTEMPTS = 8
"""No request ever makes more attempts than this, whatever the fallback lists say."""

LONGEST_ALIAS = 50
"""Names on the way from an alias to its model."""

LONGEST_NAME = 256
"""Characters of a name that the ledger keeps as it came: a model's, asked for or told by a provider, and a user's."""

VIRTUAL_MODELS = ("auto", "auto:cheap", "auto:best", "claude-auto")
"""Names that stand for a decision; no model and no alias can have them."""


class Tier(StrEnum):
    """A class of work, and of the models meant for it."""

    COMPLEX = "complex"
    STANDARD = "standard"
    STRUCTURED = "structured"
    BULK = "bulk"


class Capability(StrEnum):
    """What a model can do beyond text in, text out."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"


class Deployment(Struct, frozen=True, kw_only=True):
    """A model at a provider: what is really called."""

    id: str
    """`provider/upstream model`."""
    provider: str
    dialect: str
    base_url: str
    upstream_model: str
    key: Secret | None = None
    concurrency: int | None = None
    """How many calls may be in flight there; None for no limit of ours."""
    tariff: Tariff | None = None
    """What the model costs at this place; None when that is what it costs anywhere."""
    price_version: str = ""
    """Of `tariff`."""


class Model(Struct, frozen=True, kw_only=True, dict=True):
    """A set of weights with a name, independent of where it runs."""

    name: str
    tier: Tier
    capabilities: frozenset[Capability] = frozenset()
    context_window: int
    """Input and output tokens together."""
    max_output_tokens: int
    prices: PriceSchedule | None
    """None when nobody knows: such a model is never chosen by `auto`."""
    variants: Mapping[str, PriceSchedule] = {}
    """Its prices in other service tiers (`batch`, `flex`, `priority`, `fast`)."""
    price_version: str = "unpriced"
    """Content hash of all its prices; every ledger entry names the one it was priced with."""
    fallbacks: tuple[str, ...] = ()
    """As declared; `Registry.order` has them resolved."""
    deployments: tuple[Deployment, ...] = ()
    """In order of trial; a model without one is known but cannot be called."""
    first_event_timeout_s: float | None = None
    """Overrides the policy's `fallback_timeout_ms` for this model."""
    origins: Mapping[str, str] = {}
    """Where each setting came from, e.g. `{"price": "genai-prices 0.2.3"}`."""

    @cached_property
    def tariff(self) -> Tariff | None:
        """All its prices; None without any."""
        return None if self.prices is None else Tariff(self.prices, self.variants)


class Lineup(Struct, frozen=True, kw_only=True):
    """The models of a registry side by side: of each, by its place in the settings, what no request changes.

    Laid out once, so that a request that is held against hundreds of models looks at columns of numbers, and at the
    few models by themselves of which there is something to say.
    """

    models: tuple[Model, ...]
    names: tuple[str, ...]
    tiers: tuple[Tier, ...]
    deployments: tuple[tuple[str, ...], ...]
    """Ids, in order of trial."""
    fallbacks: tuple[tuple[int, ...], ...]
    """`Registry.order`, without the model itself."""
    place: Mapping[str, int]
    """By name."""
    of_deployment: Mapping[str, int]
    """The model's place, by the deployment's id."""
    of_tier: Mapping[Tier, tuple[int, ...]]
    able: tuple[int, ...]
    """What each can do: a bit for each of its capabilities, as `bits_of` gives them."""
    common: int
    """What all of them can do."""
    context_window: tuple[int, ...]
    max_output_tokens: tuple[int, ...]
    smallest_window: int
    smallest_output: int
    input_price: tuple[int, ...]
    """Pico-USD per token, the first of several; 0 for a model without a price."""
    output_price: tuple[int, ...]
    request_price: tuple[int, ...]
    """Pico-USD."""
    changing: tuple[tuple[int, PriceSchedule], ...]
    """Models that have several prices, which depend on the time."""
    stepped: tuple[tuple[int, PriceSchedule], ...]
    """Models that have several prices, which depend on the length of the input alone."""
    first_step: int
    """No price depends on the length of an input of up to so many tokens."""
    unpriced: tuple[int, ...]
    dearest: tuple[int, ...]
    """Models among which the dearest is what a saving is measured against: the complex ones, or all, with a price."""
    doubtful: frozenset[int]
    """Models that lack a price or a deployment."""
    dialects: Mapping[str, frozenset[int]]
    """Dialect → the models that can be called in it."""
    mixed: tuple[int, ...]
    """Models with deployments of several dialects."""

    @staticmethod
    def of(registry: "Registry") -> "Lineup":
        """The models of a registry, in its order."""
        models = tuple(registry.models.values())
        places = range(len(models))
        place = {model.name: at for at, model in enumerate(models)}
        spoken = [{each.dialect for each in model.deployments} for model in models]
        prices = [(at, found) for at in places if (found := models[at].prices) is not None]
        first = [model.prices.prices[0] if model.prices else None for model in models]
        stepped = tuple([(at, found) for at, found in prices if len(found.prices) > 1 and not found.depends_on_time])
        priced = tuple([at for at, _ in prices])
        able = tuple([bits_of(model.capabilities) for model in models])
        return Lineup(
            models=models,
            names=tuple(place),
            tiers=tuple([model.tier for model in models]),
            deployments=tuple([tuple([each.id for each in model.deployments]) for model in models]),
            fallbacks=tuple([tuple([place[each] for each in registry.order[name][1:]]) for name in place]),
            place=place,
            of_deployment={each.id: at for at, model in enumerate(models) for each in model.deployments},
            of_tier={tier: tuple([at for at in places if models[at].tier is tier]) for tier in Tier},
            able=able,
            common=reduce(int.__and__, able, -1),
            context_window=tuple([model.context_window for model in models]),
            max_output_tokens=tuple([model.max_output_tokens for model in models]),
            smallest_window=min([model.context_window for model in models], default=0),
            smallest_output=min([model.max_output_tokens for model in models], default=0),
            input_price=tuple([price.input if price else 0 for price in first]),
            output_price=tuple([price.output if price else 0 for price in first]),
            request_price=tuple([price.request if price else 0 for price in first]),
            changing=tuple([(at, found) for at, found in prices if found.depends_on_time]),
            stepped=stepped,
            first_step=min(
                [each.above_tokens for _, found in stepped for each in found.prices[1:]], default=sys.maxsize
            ),
            unpriced=tuple([at for at in places if models[at].prices is None]),
            dearest=tuple([at for at in priced if models[at].tier is Tier.COMPLEX]) or priced,
            doubtful=frozenset(at for at in places if models[at].prices is None or not models[at].deployments),
            dialects={
                dialect: frozenset(at for at in places if dialect in spoken[at]) for dialect in set().union(*spoken)
            },
            mixed=tuple([at for at in places if len(spoken[at]) > 1]),
        )


def bits_of(capabilities: Iterable[Capability]) -> int:
    """A set of capabilities as a number: a bit for each, so that who lacks one is found by one operation."""
    return sum({_BITS[capability] for capability in capabilities})


_BITS = {capability: 1 << at for at, capability in enumerate(Capability)}


class Registry(Struct, frozen=True, kw_only=True, dict=True):
    """One immutable state of the catalog."""

    models: Mapping[str, Model]
    deployments: Mapping[str, Deployment]
    """By id."""
    order: Mapping[str, tuple[str, ...]]
    """Model → itself and then its fallbacks, each once, at most `MAX_ATTEMPTS` of them."""
    aliases: Mapping[str, str]
    version: str
    """First 12 hex digits of the SHA-256 of the content, keys excluded."""

    @cached_property
    def lineup(self) -> Lineup:
        """The models side by side."""
        return Lineup.of(self)

    def in_tier(self, tier: Tier) -> tuple[Model, ...]:
        """The models of a tier that can be called, in the order of the settings."""
        return tuple(model for model in self.models.values() if model.tier is tier and model.deployments)

    def resolve(self, requested: str) -> Model:
        """The model behind a name, an alias, or `provider/model` (then with that provider's deployments only).

        Raises ModelNotFound.
        """
        model = self.find(requested)
        if model is None:
            raise model_not_found(requested)
        return model

    def find(self, requested: str) -> Model | None:
        """The same; None where there is none."""
        name = self.aliases.get(requested, requested)
        model = self.models.get(name)
        if model is not None:
            return model
        provider, _, rest = name.partition("/")
        for model in self.models.values():
            mine = tuple(
                deployment
                for deployment in model.deployments
                if deployment.id == name or (deployment.provider == provider and model.name == rest)
            )
            if mine:
                return msgspec.structs.replace(model, deployments=mine)
        return None


def model_not_found(requested: str) -> ModelNotFound:
    """The one answer to a name that does not exist, and to one that must seem so."""
    return ModelNotFound(
        f"no model is called {requested[:LONGEST_NAME]!r}", param="model", hint="use a name that GET /v1/models lists"
    )


def build_registry(models: Iterable[Model], aliases: Mapping[str, str]) -> Registry:
    """Check the models against each other and resolve what refers to what.

    Raises SettingsError, with the path of names printed, for an unknown name, a fallback list that only names its own
    model, and an alias that leads to itself or nowhere.
    """
    by_name = {model.name: model for model in models}
    for model in by_name.values():
        _check_fallbacks(model, by_name)
    resolved_aliases = {alias: _follow_alias(alias, aliases, by_name) for alias in aliases}
    order = {name: _fallback_order(name, by_name) for name in by_name}
    deployments = {deployment.id: deployment for model in by_name.values() for deployment in model.deployments}
    return Registry(
        models=by_name,
        deployments=deployments,
        order=order,
        aliases=resolved_aliases,
        version=_version(by_name, resolved_aliases),
    )


def _check_fallbacks(model: Model, by_name: Mapping[str, Model]) -> None:
    place = f"models.{model.name}.fallbacks"
    for name in model.fallbacks:
        if name not in by_name:
            raise SettingsError(f"{place}: no model is called {name!r}", hint=f"known: {', '.join(sorted(by_name))}")
    if model.fallbacks and set(model.fallbacks) == {model.name}:
        raise SettingsError(f"{place}: {model.name} → {model.name} leads nowhere else", hint="name another model")


def _follow_alias(alias: str, aliases: Mapping[str, str], by_name: Mapping[str, Model]) -> str:
    path = [alias]
    while path[-1] in aliases:
        target = aliases[path[-1]]
        if target in path:
            raise SettingsError(f"aliases.{alias}: {' → '.join([*path, target])} goes in a circle")
        path.append(target)
        if len(path) > LONGEST_ALIAS:
            raise SettingsError(f"aliases.{alias}: {' → '.join(path[:3])} → … goes on for over {LONGEST_ALIAS} names")
    if path[-1] not in by_name:
        raise SettingsError(f"aliases.{alias}: {' → '.join(path)} ends at no known model")
    return path[-1]


def _fallback_order(name: str, by_name: Mapping[str, Model]) -> tuple[str, ...]:
    """Depth first through the lists, each model once: two models may name each other."""
    order: list[str] = []
    ahead = [name]
    while ahead and len(order) < MAX_ATTEMPTS:
        current = ahead.pop(0)
        if current not in order:
            order.append(current)
            ahead = [*by_name[current].fallbacks, *ahead]
    return tuple(order)


def _version(by_name: Mapping[str, Model], aliases: Mapping[str, str]) -> str:
    def public(value: object) -> str:
        assert isinstance(value, Secret)  # the one type in here that msgspec does not know
        return "***"

    content = msgspec.json.encode((by_name, aliases), enc_hook=public, order="deterministic")
    return hashlib.sha256(content).hexdigest()[:12]
