"""LiteLLM's `model_list` → models, with their deployments, limits and prices. Entries of one name are one model."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from routewright.catalog.pricing import Price
from routewright.catalog.registry import Capability, Tier
from routewright.catalog.sources import ModelPrices, PriceTable
from routewright.migration.draft import Draft, Fate, Setting, admits, toml_key
from routewright.migration.litellm_budgets import put_budget
from routewright.migration.litellm_entries import Entry, read_entry, text_of
from routewright.migration.litellm_places import Places
from routewright.migration.litellm_reasons import IN_INFO, IN_PARAMS
from routewright.migration.yaml_reading import Node
from routewright.settings.sources import built_in

COMPLEX_ABOVE = Decimal(15)
STANDARD_FROM = Decimal(2)
"""USD per million output tokens: of all that is known of a model, its price says best which work it is for."""
ASSUMED_WINDOW = 128_000

_COSTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_LIMITS = {
    "max_input_tokens": "context_window",
    "max_output_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
}
_CAPABILITIES = {
    "supports_function_calling": Capability.TOOLS,
    "supports_vision": Capability.VISION,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_reasoning": Capability.REASONING,
}
_ASSUMED = (Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA)
_NO_PRICE = "a price has input and output, each from 0 to 10000 USD per million tokens"
_PER_MILLION = Decimal(10**6)


def put_models(model_list: Node | None, credentials: Mapping[str, Node], draft: Draft, prices: PriceTable) -> None:
    """Put all models into the draft, and tell of all that their entries say."""
    groups: dict[str, list[Entry]] = {}
    for node in model_list.items if model_list else ():
        entry = read_entry(node, credentials, draft)
        if entry and groups.setdefault(entry.name, [entry])[0].is_embedding != entry.is_embedding:
            draft.tell(node, Fate.DROPPED, why="a model either answers or makes vectors")
        elif entry and groups[entry.name][0] is not entry:
            groups[entry.name].append(entry)
    if model_list and groups:
        _switch_off(groups, model_list, draft)
    keyless = [entry for entries in groups.values() for entry in entries if entry.key is None]
    draft.reserved |= {entry.home.variable for entry in keyless if entry.home.variable}
    places, tiers = Places(draft), _built_in_tiers()
    for name, entries in groups.items():
        model = _Model(name, sorted(entries, key=lambda entry: entry.order), draft, prices)
        model.put([places.of(entry) for entry in model.entries], tiers)
    draft.models = list(groups)


def milliseconds(node: Node) -> int | None:
    """Seconds as whole milliseconds; None for what is no number."""
    return None if node.number is None else int(node.number * 1000)


def _switch_off(groups: Mapping[str, list[Entry]], node: Node, draft: Draft) -> None:
    """What LiteLLM's file does not offer is not offered here, though a key for it may be there."""
    for key in built_in().values:
        if key[0] == "models" and key[2] == "tier" and key[1] not in groups:
            draft.add(("models", key[1], "enabled"), False, node, "a built-in model that the old file does not offer")


class _Model:
    """One model, from all entries of its name; of what they say of it, the first word counts."""

    def __init__(self, name: str, entries: list[Entry], draft: Draft, prices: PriceTable) -> None:
        self.entries = entries
        self._draft = draft
        self._prices = prices
        self._key = ("models", name)
        self._listed: ModelPrices | None = None
        self._will_be_found = False
        """By the names that its deployments have here, in the price table."""

    def put(self, providers: list[str], tiers: Mapping[str, Tier]) -> None:
        """Put it into the draft; `providers` has the one of each entry, `tiers` what is known of deployments."""
        places = [f"{provider}/{entry.upstream}" for provider, entry in zip(providers, self.entries, strict=True)]
        self._draft.put((*self._key, "deployments"), list(dict.fromkeys(places)), self.entries[0].params["model"])
        self._look_up(providers)
        self._put_prices()
        if self.entries[0].is_embedding:
            self._put_embedding()
        else:
            self._put_tier(tiers)
            self._put_limits()
            self._put_capabilities()
        for entry in self.entries:
            self._put_first_event(entry.params.get("stream_timeout"))
            name = f"model-{self._key[1]}" if len(self.entries) == 1 else ""
            put_budget(entry.params, f"model:{self._key[1]}", name, self._draft)
            self._tell_rest(entry)

    def _look_up(self, providers: list[str]) -> None:
        for provider, entry in zip(providers, self.entries, strict=True):
            if found := self._prices.lookup(provider, entry.upstream):
                self._listed, self._will_be_found = found, True
                return
        for entry in self.entries:
            for name in filter(None, (text_of(entry.info.get("base_model")), entry.upstream)):
                plain = name.removeprefix(f"{entry.home.name}/")
                self._listed = self._listed or self._prices.lookup(entry.home.name, plain)

    def _put_embedding(self) -> None:
        key, entry = (*self._key, "embedding"), self.entries[0]
        if mode := entry.info.get("mode"):
            self._draft.put(key, True, mode)
        else:
            self._draft.add(key, True, entry.node, "by its name, it makes vectors")

    def _put_tier(self, tiers: Mapping[str, Tier]) -> None:
        key = (*self._key, "tier")
        places = (f"{entry.home.name}/{entry.upstream}" for entry in self.entries)
        known = [tiers[place] for place in places if place in tiers]
        usd = self._output_usd()
        if known:
            tier, why = known[0], "as the built-in model"
        elif all(entry.is_local for entry in self.entries):
            tier, why = Tier.BULK, "assumed of a local model"
        elif usd is None:
            tier, why = Tier.STANDARD, "assumed"
        else:
            tier = Tier.COMPLEX if usd > COMPLEX_ABOVE else Tier.STANDARD if usd >= STANDARD_FROM else Tier.BULK
            why = "by its price"
        self._draft.add(key, tier.value, self.entries[0].node, f"{why}; what `auto` may use it for")

    def _output_usd(self) -> Decimal | None:
        said = self._draft.settings.get((*self._key, "price", "output"))
        if said is not None and isinstance(said.value, Decimal):
            return said.value
        listed = self._listed
        return Decimal(_dearest(listed).output) / _PER_MILLION if listed and listed.standard else None

    def _put_prices(self) -> None:
        """What the first entry says that has both input and output; else the table's, if it is not found there."""
        said = next((entry for entry in self.entries if self._has_price(entry)), None)
        for entry in self.entries:
            for name, token_class in _COSTS.items():
                node = _cost(entry, name)
                if node and entry is said:
                    key, usd = (*self._key, "price", token_class), _usd_per_million(node)
                    fate, why = (Fate.CHANGED, "of all its deployments") if len(self.entries) > 1 else (Fate.KEPT, "")
                    self._draft.put(key, usd, node, fate=fate, why=why)
                elif node:
                    why = "a model has one price, of its first deployment" if said else _NO_PRICE
                    self._draft.tell(node, Fate.DROPPED, why=why)
        if said is None and self._listed and self._listed.standard and not self._will_be_found:
            price, why = _dearest(self._listed), f"the dearest list price of {self._listed.id}"
            for token_class in ("input", "output", "cache_read", "cache_write"):
                usd = Decimal(getattr(price, token_class)) / _PER_MILLION
                self._draft.add((*self._key, "price", token_class), usd, self.entries[0].node, why)

    def _has_price(self, entry: Entry) -> bool:
        """Whether it says what input and output cost, and both can be."""
        nodes = [(_cost(entry, name), token_class) for name, token_class in list(_COSTS.items())[:2]]
        return all(node and admits((*self._key, "price", kind), _usd_per_million(node)) for node, kind in nodes)

    def _put_limits(self) -> None:
        window, longest = (*self._key, "context_window"), (*self._key, "max_output_tokens")
        for entry in self.entries:
            for name, limit in _LIMITS.items():
                if node := entry.info.get(name):
                    self._draft.put_once((*self._key, limit), node.value, node)
        if window not in self._draft.settings and not self._has_window:
            known = self._listed.context_window if self._listed else None
            why = "from the price table" if known else "assumed: the old file does not say, nor does the price table"
            self._draft.add(window, known or ASSUMED_WINDOW, self.entries[0].node, why)
        settings = self._draft.settings
        if {window, longest} <= settings.keys() and _whole(settings[longest]) > _whole(settings[window]):
            settings[window] = settings[longest]  # it holds input and output together

    @property
    def _has_window(self) -> bool:
        """Whether the context window will be known without being written."""
        is_listed = self._will_be_found and self._listed is not None and self._listed.context_window is not None
        return is_listed or all(entry.is_local for entry in self.entries)

    def _put_capabilities(self) -> None:
        key, can = (*self._key, "capabilities"), dict.fromkeys(_ASSUMED, True)
        for entry in self.entries:
            for name, capability in _CAPABILITIES.items():
                node = entry.info.get(name)
                if node and isinstance(node.value, bool):
                    can[capability] = node.value
                    self._draft.tell(node, Fate.KEPT, to=toml_key(key))
        names = [capability.value for capability, is_there in can.items() if is_there]
        why = "what the old file does not deny: LiteLLM sends everything to every model"
        self._draft.add(key, names, self.entries[0].node, why)

    def _put_first_event(self, node: Node | None) -> None:
        if node:
            self._draft.put_once((*self._key, "first_event_timeout_ms"), milliseconds(node), node)

    def _tell_rest(self, entry: Entry) -> None:
        told, params = toml_key(self._key), entry.node.table["litellm_params"].table
        for node in (entry.node.table["model_name"], entry.params["model"]):
            self._draft.tell(node, Fate.KEPT, to=told)
        for name in ("custom_llm_provider", "litellm_credential_name"):
            if name in params:
                self._draft.tell(params[name], Fate.KEPT, to=told)
        if "order" in params:
            why = "the order of its deployments; among those of one price, load decides"
            self._draft.tell(params["order"], Fate.CHANGED, to=told, why=why)
        if "base_model" in entry.info:
            why = "prices and context window were looked up by it"
            self._draft.tell(entry.info["base_model"], Fate.CHANGED, to=told, why=why)
        for name, node in params.items():
            self._draft.tell(node, Fate.DROPPED, why=IN_PARAMS.get(name, IN_PARAMS["*"]))
        for name, node in entry.info.items():
            self._draft.tell(node, Fate.DROPPED, why=IN_INFO.get(name, IN_INFO["*"]))


def _cost(entry: Entry, name: str) -> Node | None:
    return entry.params.get(name) or entry.info.get(name)


def _usd_per_million(node: Node) -> Decimal | None:
    return None if node.number is None else node.number * _PER_MILLION


def _dearest(listed: ModelPrices) -> Price:
    assert listed.standard is not None
    return max(listed.standard.prices, key=lambda price: (price.output, price.input))


def _built_in_tiers() -> Mapping[str, Tier]:
    """Deployment → the tier of the built-in model that is there."""
    values: Mapping[Any, Any] = built_in().values
    return {
        place: Tier(values[(*key[:2], "tier")])
        for key, places in values.items()
        if key[0] == "models" and key[2] == "deployments"
        for place in places
    }


def _whole(setting: Setting) -> int:
    assert isinstance(setting.value, int)
    return setting.value
