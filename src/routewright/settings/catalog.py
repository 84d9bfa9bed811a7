"""Settings and what was found → the registry: which models there are, where each can be called, and what it costs."""

from collections.abc import Iterator, Mapping, Set
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from routewright.catalog.pricing import Price, PriceError, PriceSchedule, Tariff, price_version
from routewright.catalog.registry import VIRTUAL_MODELS, Deployment, Model, Registry, Tier, build_registry
from routewright.catalog.served import priced
from routewright.catalog.sources import ModelPrices, PriceTable, load_prices, price_from_usd
from routewright.decision.intent import CHEAPEST
from routewright.dialects.openai_embeddings import DIALECT as EMBEDDINGS
from routewright.errors import ModelNotFound, SettingsError
from routewright.ledger.budgets import Scope
from routewright.settings.given import did_you_mean, raise_if
from routewright.settings.load import Settings
from routewright.settings.places import KeyPath
from routewright.settings.schema import ModelSettings, dotted
from routewright.settings.sources import DEFAULT, Origin

if TYPE_CHECKING:  # it brings asyncio, and settings are read without
    from routewright.detection import Found

SIMULATOR = "simulator"
USUAL_OUTPUT_TOKENS = 8192
"""For a model whose limit nobody says, but never more than half of its context window."""
EMBEDDING_WINDOW = 300_000
"""For all texts of a request together, as at OpenAI; what one may have is the provider's to check."""
USUAL_LOCAL_WINDOW = 8192
"""What local servers start with on small machines, when they do not say."""
FREE = Tariff(PriceSchedule((Price(input=0, output=0),)))


def build_catalog(
    settings: Settings, found: "Found | None" = None, *, prices: PriceTable | None = None, simulate: bool = False
) -> Registry:
    """The registry of all models that are named or found, priced by `prices`, or by the table that the settings name.

    Where nothing is named, no key is there and no server was found, all models answer from the simulator; with
    `simulate` they do in any case. Raises SettingsError for the name of a model that does not exist, and when no model
    can be called.
    """
    servers = found.servers if found and not simulate else ()
    windows = {f"{server.provider}/{model.name}": model.context_window for server in servers for model in server.models}
    is_simulated = simulate or not (windows or settings.keys or settings.names_catalog)
    assembly = _Assembly(settings, windows, prices or prices_of(settings), is_simulated=is_simulated)
    models = assembly.models()
    raise_if(chain(assembly.mistakes, _unknown_names(settings, {model.name for model in models})))
    try:
        registry = build_registry(models, settings.aliases)
    except SettingsError as error:
        raise SettingsError(error.message + _place_in(error.message, settings), hint=error.hint) from None
    raise_if(_unknown_judge(settings, registry))
    if not any(model.deployments for model in models):
        raise _nothing_to_call(settings)
    return registry


def prices_of(settings: Settings) -> PriceTable:
    """The price table that the settings name, or that `routewright prices sync` wrote, or that comes with the package.

    Raises SettingsError for a file that is named and missing, or that is no price document.
    """
    named = settings.prices.document
    path = settings.price_document
    if named is None and not path.exists():
        return load_prices()
    try:
        return load_prices(path)
    except OSError as error:
        problem = f"cannot read the prices in {path}: {error.strerror}"
    except PriceError as error:
        problem = f"{path}: {error}"
    raise SettingsError(
        f"prices.document: {problem}{settings.place(('prices', 'document'))}",
        hint="`routewright prices sync --from FILE` writes a price document; without one, the bundled prices apply",
    )


class _Assembly:
    """Puts models together from settings, found servers and prices."""

    def __init__(
        self, settings: Settings, windows: Mapping[str, int | None], prices: PriceTable, *, is_simulated: bool
    ) -> None:
        """`windows` has the found models: `provider/model` → its context window, None if the server did not say."""
        self.mistakes: list[str] = []
        self._settings = settings
        self._windows = windows
        self._prices = prices
        self._is_simulated = is_simulated
        self._declared = {**_named(settings, windows), **_found(settings, windows)}

    def models(self) -> list[Model]:
        """All models, those of the settings first; what is wrong with any of them is in `mistakes` then."""
        return [self._model(name, declared) for name, declared in self._declared.items()]

    def _model(self, name: str, declared: ModelSettings) -> Model:
        window, window_origin = self._context_window(name, declared)
        tariff, price_origin = self._price(name, declared)
        deployments = tuple(self._deployments(name, declared))
        if price_origin == self._prices.source:
            deployments = tuple(self._with_own_price(deployment, tariff) for deployment in deployments)
        if declared.embedding:
            self.mistakes += _not_for_vectors(self._settings, name, declared)
        timeout_ms = declared.first_event_timeout_ms
        return Model(
            name=name,
            tier=declared.tier or Tier.BULK,
            capabilities=declared.capabilities,
            context_window=window,
            max_output_tokens=min(declared.max_output_tokens or min(USUAL_OUTPUT_TOKENS, max(1, window // 2)), window),
            prices=tariff.standard if tariff else None,
            variants=tariff.variants if tariff else {},
            price_version=price_version(tariff) if tariff else "unpriced",
            fallbacks=self._fallbacks(name, declared),
            deployments=deployments,
            first_event_timeout_s=None if timeout_ms is None else timeout_ms / 1000,
            origins={
                "tier": _told(self._settings.origin("models", name, "tier")),
                "context_window": window_origin,
                "max_output_tokens": self._limit_origin(name, declared),
                "price": price_origin,
            },
        )

    def _limit_origin(self, name: str, declared: ModelSettings) -> str:
        if declared.max_output_tokens is None:
            return "assumed"
        return _told(self._settings.origin("models", name, "max_output_tokens"))

    def _deployments(self, name: str, declared: ModelSettings) -> Iterator[Deployment]:
        """The places that can be called, in order."""
        places = [deployment.partition("/") for deployment in declared.deployments]
        if self._is_simulated:
            # It speaks as the model would at home, so that all dialects are in use.
            home = places[0][0] if places else SIMULATOR
            yield self._deployment(SIMULATOR, name, self._dialect(home, declared))
            return
        for provider, _, upstream in places:
            if provider not in self._settings.unusable:
                yield self._deployment(provider, upstream, self._dialect(provider, declared))

    def _dialect(self, provider: str, declared: ModelSettings) -> str:
        return EMBEDDINGS if declared.embedding else self._settings.providers[provider].dialect

    def _deployment(self, provider: str, upstream: str, dialect: str) -> Deployment:
        return Deployment(
            id=f"{provider}/{upstream}",
            provider=provider,
            dialect=dialect,
            base_url=self._settings.providers[provider].base_url,
            upstream_model=upstream,
            key=self._settings.keys.get(provider),
            concurrency=self._settings.providers[provider].concurrency,
        )

    def _context_window(self, name: str, declared: ModelSettings) -> tuple[int, str]:
        """In tokens, and who says so."""
        origin = self._settings.origin("models", name, "context_window")
        listed = next((prices.context_window for prices in self._listed(declared) if prices.context_window), None)
        said = next((window for window in map(self._windows.get, declared.deployments) if window), None)
        if declared.context_window and (origin != DEFAULT or not listed):
            return declared.context_window, _told(origin)
        if declared.embedding:
            return EMBEDDING_WINDOW, "assumed"
        if listed:
            return listed, self._prices.source
        if said:
            return said, "the server"
        if not self._is_local(declared):
            path = ("models", name, "context_window")
            place = self._settings.place(path[:-1])
            self.mistakes.append(
                f"{dotted(path)} is missing, and the price table does not know it either; "
                f"it is the number of tokens of input and output together{place}"
            )
        return USUAL_LOCAL_WINDOW, "assumed"

    def _with_own_price(self, deployment: Deployment, usual: Tariff | None) -> Deployment:
        """A deployment where the model costs something else than at the first one."""
        if deployment.base_url == "simulator:":
            return deployment
        listed = self._prices.lookup(deployment.provider, deployment.upstream_model)
        own = priced(listed)
        if own is None or own.tariff == usual:
            return deployment
        return replace(deployment, tariff=own.tariff, price_version=own.version)

    def _price(self, name: str, declared: ModelSettings) -> tuple[Tariff | None, str]:
        """All prices, and who says so."""
        origin = self._settings.origin("models", name, "price", "input")
        listed = next(filter(None, map(priced, self._listed(declared))), None)
        if declared.price and (origin != DEFAULT or not listed):
            usd = msgspec.structs.asdict(declared.price)
            price = price_from_usd(
                {token_class: amount for token_class, amount in usd.items() if amount is not None},
                dotted(("models", name, "price")),
            )
            return Tariff(PriceSchedule((price,))), _told(origin)
        if listed:
            return listed.tariff, self._prices.source
        return (FREE, "local server") if self._is_local(declared) else (None, "unknown")

    def _listed(self, declared: ModelSettings) -> Iterator[ModelPrices]:
        """What the price table has on a model: first on the places that can be called, then on the others."""
        places = [deployment.partition("/") for deployment in declared.deployments]
        for provider, _, upstream in sorted(places, key=lambda place: place[0] in self._settings.unusable):
            listed = None if self._settings.providers[provider].local else self._prices.lookup(provider, upstream)
            if listed:
                yield listed

    def _is_local(self, declared: ModelSettings) -> bool:
        """Whether the model is on servers of one's own only."""
        providers = {deployment.partition("/")[0] for deployment in declared.deployments}
        return all(self._settings.providers[provider].local for provider in providers)

    def _fallbacks(self, name: str, declared: ModelSettings) -> tuple[str, ...]:
        """As declared; of a built-in list, a model that is switched off is left out."""
        if self._settings.origin("models", name, "fallbacks") != DEFAULT:
            return declared.fallbacks
        return tuple(other for other in declared.fallbacks if other in self._declared)


def _not_for_vectors(settings: Settings, name: str, declared: ModelSettings) -> Iterator[str]:
    """What an embedding model cannot have."""
    if declared.fallbacks:
        path = ("models", name, "fallbacks")
        yield f"{dotted(path)}: vectors of another model cannot be compared{settings.place(path)}"
    for provider in {place.partition("/")[0] for place in declared.deployments}:
        if not settings.providers[provider].dialect.startswith("openai_"):
            path = ("models", name, "embedding")
            problem = f"{provider} does not speak OpenAI's dialect, and so has no /embeddings"
            yield f"{dotted(path)}: {problem}{settings.place(path)}"


def _named(settings: Settings, found: Mapping[str, int | None]) -> Mapping[str, ModelSettings]:
    """The models of the settings; one without deployments is where it was found."""

    def places(name: str) -> tuple[str, ...]:
        return tuple(deployment for deployment in found if deployment.partition("/")[2] == name)

    return {
        name: model if model.deployments else replace(model, deployments=places(name))
        for name, model in settings.models.items()
        if model.enabled and not (model.needs_key and not _has_key(settings, model))
    }


def _has_key(settings: Settings, model: ModelSettings) -> bool:
    """Whether one of its providers has a key."""
    return any(deployment.partition("/")[0] in settings.keys for deployment in model.deployments)


def _found(settings: Settings, found: Mapping[str, int | None]) -> Mapping[str, ModelSettings]:
    """The found models that the settings say nothing about; where a name is taken, the provider's is put before it."""
    models: dict[str, ModelSettings] = {}
    for deployment in found:
        _, _, name = deployment.partition("/")
        named = settings.models.get(name)
        if named is None or named.deployments:
            is_taken = named or name in models or name in settings.aliases or name in VIRTUAL_MODELS
            models[deployment if is_taken else name] = ModelSettings(deployments=(deployment,))
    return models


def _unknown_names(settings: Settings, known: Set[str]) -> Iterator[str]:
    """What names a model that does not exist; what is built in may name what is switched off."""
    also_aliases = known | settings.aliases.keys()
    named: list[tuple[KeyPath, tuple[str, ...], Set[str]]] = [
        (("models", name, "fallbacks"), model.fallbacks, known)
        for name, model in settings.models.items()
        if model.enabled and settings.origin("models", name, "fallbacks") != DEFAULT
    ]
    named += [(("policy", "baseline"), (settings.policy.baseline,), known)] if settings.policy.baseline else []
    named += [(("cache", "routes"), settings.cache.routes, known | settings.models.keys() | {*Tier, "all"})]
    routes = known | settings.models.keys() | settings.aliases.keys() | {*Tier, *VIRTUAL_MODELS, "all"}
    named += [(("checks", name, "routes"), check.routes, routes) for name, check in settings.checks.items()]
    named += [(("cascade", "agreement"), settings.cascade.agreement, known | settings.models.keys())]
    shadow = settings.shadow
    named += [(("shadow", "models"), shadow.models, also_aliases)]
    named += [(("shadow", "judge"), (shadow.judge,), also_aliases)] if shadow.judge else []
    wish = settings.policy.quality
    named += [(("policy", "quality"), (wish.model,), also_aliases)] if wish else []
    named += [(("aliases", alias), (to,), also_aliases) for alias, to in settings.aliases.items()]
    ours = known | settings.models.keys()  # what is switched off, or has no key now, has no part in a policy
    for policy, overlay in settings.policies.items():
        at = ("policies", policy)
        named += [((*at, "models"), overlay.models, ours), ((*at, "tiers"), tuple(overlay.tiers), ours)]
        named += [((*at, "fallbacks", name), (name, *names), ours) for name, names in overlay.fallbacks.items()]
        named += [((*at, "baseline"), (overlay.baseline,), ours)] if overlay.baseline else []
        named += [((*at, "quality"), (overlay.quality.model,), also_aliases)] if overlay.quality else []
    named += [  # no alias: who counts is the model that is asked
        (("budgets", budget, "scope"), (model,), known | settings.models.keys())
        for budget, (kind, _, model) in ((name, each.scope.partition(":")) for name, each in settings.budgets.items())
        if kind == Scope.MODEL
    ]
    for path, names, choice in named:
        for name in names:
            if name not in choice:
                yield f'{dotted(path)}: no model is called "{name}"{settings.place(path)}{did_you_mean(name, choice)}'


def _unknown_judge(settings: Settings, registry: Registry) -> Iterator[str]:
    """The judge of difficulty must not be chosen by difficulty."""
    path, judge = ("second_opinion", "model"), settings.second_opinion.model
    if settings.second_opinion.kind != "judge" or judge == CHEAPEST:
        return
    if judge in VIRTUAL_MODELS:
        yield f'{dotted(path)}: "{judge}" cannot judge; name a model, or "{CHEAPEST}"{settings.place(path)}'
        return
    try:
        registry.resolve(judge)
    except ModelNotFound:
        near = did_you_mean(judge, (*registry.models, *registry.aliases))
        yield f'{dotted(path)}: no model is called "{judge}"{settings.place(path)}{near}'


def _place_in(message: str, settings: Settings) -> str:
    """The place of the setting that a message begins with."""
    paths = (path for path in settings.origins if message.startswith(f"{'.'.join(path)}:"))
    return next((settings.place(path) for path in paths), "")


def _nothing_to_call(settings: Settings) -> SettingsError:
    enabled = [model for model in settings.models.values() if model.enabled]
    wanted = dict.fromkeys(place.partition("/")[0] for model in enabled for place in model.deployments)
    reasons = [f"{name}: {settings.unusable[name]}" for name in wanted if name in settings.unusable]
    idle = [name for name in settings.keys if name not in wanted]
    if idle:
        return SettingsError(
            "\n".join(
                ["no model can be called", f"{idle[0]}: there is a key, but no model is deployed there", *reasons]
            ),
            hint=f'add [models."NAME"] with tier = "standard" and deployments = ["{idle[0]}/NAME"] to routewright.toml',
        )
    return SettingsError(
        "\n".join(["no model can be called", *reasons]),
        hint="set one of these keys, or try `routewright demo`, which needs none",
    )


def _told(origin: Origin) -> str:
    return "built-in" if origin == DEFAULT else str(origin)
