"""LiteLLM's `model_list` → providers, models, their deployments, limits and prices.

There, every entry is a deployment with an address and a key of its own, and entries of one name are one model. Here,
address and key belong to a provider; so each combination of them becomes one (`openai`, `openai_2`, …).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from routewright.catalog.pricing import Price
from routewright.catalog.registry import VIRTUAL_MODELS, Capability, Tier
from routewright.catalog.sources import ModelPrices, PriceTable
from routewright.migration.draft import Draft, Fate
from routewright.migration.litellm_budgets import put_budget
from routewright.migration.litellm_providers import HOMES, Home, ours, split_model
from routewright.migration.yaml_reading import Node
from routewright.settings import is_loopback
from routewright.settings.sources import built_in

COMPLEX_ABOVE = Decimal(15)
STANDARD_FROM = Decimal(2)
"""USD per million output tokens: what a model costs says best, of all that is known of it, which work it is for."""
ASSUMED_WINDOW = 128_000
PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
CAPABILITIES = {
    "supports_function_calling": Capability.TOOLS,
    "supports_vision": Capability.VISION,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_reasoning": Capability.REASONING,
}
_ASSUMED = (Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA)
_CHATS = (None, "chat", "completion", "responses")
_PER_MILLION = Decimal(10**6)
_NO_HOME = (
    "routewright has neither an address nor a dialect for this provider; if it has an address that speaks as OpenAI "
    "does, make it a provider of your own (docs/settings.md)"
)
_PARAMS = {
    "rpm": "limits of a deployment are those that the provider tells in its headers and its 429s",
    "tpm": "limits of a deployment are those that the provider tells in its headers and its 429s",
    "weight": "deployments of one price are chosen by load and time to the first event",
    "timeout": "the time for a whole answer is policy.response_timeout_ms, for all models",
    "max_retries": "tries are policy.max_retry_attempts, for all models",
    "num_retries": "tries are policy.max_retry_attempts, for all models",
    "api_version": "the address that is called needs none",
    "drop_params": "what a model does not know is left out, and told in x-routewright-dropped",
    "mock_response": "answers are made up by `routewright serve --simulate` only",
    "tags": "a deployment has no tags; requests and keys have",
    "organization": "a provider's key says whose it is",
    "extra_headers": "no headers of one's own are sent to a provider",
    "headers": "no headers of one's own are sent to a provider",
}
_ASKED_BY_CLIENTS = "what is asked of a model is the client's word"
_INFO = {"id": "a deployment is called provider/model", "db_model": "models are in this file"}


class Entry(Struct, frozen=True):
    """One deployment as LiteLLM has it, and what it is called here."""

    node: Node
    name: str
    home: Home
    upstream: str
    base_url: str | None
    params: Mapping[str, Node]
    info: Mapping[str, Node]

    @property
    def order(self) -> Decimal:
        """LiteLLM's `order`; what has none comes last there."""
        node = self.params.get("order")
        number = node.number if node else None
        return Decimal("Infinity") if number is None else number


def put_models(entries_node: Node | None, credentials: Mapping[str, Node], draft: Draft, prices: PriceTable) -> list[str]:
    """Put all models of `model_list` into the draft; returns their names."""
    groups: dict[str, list[Entry]] = {}
    for node in entries_node.items if entries_node else ():
        entry = _read(node, credentials, draft)
        if entry is not None:
            groups.setdefault(entry.name, []).append(entry)
    if groups:
        _switch_off(groups, entries_node, draft)
    providers = _Providers(draft)
    for name, entries in groups.items():
        _Model(name, sorted(entries, key=lambda entry: entry.order), draft, prices).put(providers)
    return list(groups)


def _read(node: Node, credentials: Mapping[str, Node], draft: Draft) -> Entry | None:
    """An entry that can be a deployment here; None, and told why, for any other."""
    params = dict(node.table["litellm_params"].table) if "litellm_params" in node.table else {}
    info = node.table["model_info"].table if "model_info" in node.table else {}
    name, model = _text(node.table, "model_name"), _text(params, "model")
    if credential := _text(params, "litellm_credential_name"):
        params = {**(credentials[credential].table if credential in credentials else {}), **params}
    problem = _problem(name, model, _text(info, "mode"))
    split = None if problem or not model else split_model(model, _text(params, "custom_llm_provider"))
    if problem is None and split is None:
        problem = "it does not say which provider is meant: write provider/model"
    home = HOMES.get(split[0]) if split else None
    if problem is None and home is None:
        problem = _NO_HOME
    address = params.get("api_base") or params.get("base_url")
    if problem is None and home and home.base_url is None and address is None:
        problem = "it has no api_base, so nobody knows where it is"
    if problem or not name or not split or not home:
        draft.tell(node, Fate.DROPPED, why=problem or "")
        return None
    return Entry(node, name, home, split[1], _text(params, "api_base") or _text(params, "base_url"), params, info)


def _problem(name: str | None, model: str | None, mode: str | None) -> str | None:
    if name is None or model is None:
        return "it is no entry with a model_name and a litellm_params.model"
    if "*" in name or "*" in model:
        return "models are called by names that are known, with their prices: add an entry for each one that is used"
    if mode not in _CHATS:
        return "it does not answer chats, and routewright chooses among models that do"
    if not name.isprintable() or " " in name or len(name) > 100 or not model.isprintable() or len(model) > 90:
        return "names have up to 100 printable characters and no spaces"
    if name in VIRTUAL_MODELS:
        return "by this name, routewright chooses among all models; give it another one"
    return None


def _text(table: Mapping[str, Node], name: str) -> str | None:
    return table[name].text if name in table else None


def _switch_off(groups: Mapping[str, list[Entry]], node: Node | None, draft: Draft) -> None:
    """What LiteLLM's file does not offer is not offered here, though a key for it may be there."""
    assert node is not None
    for key in built_in().values:
        if key[0] == "models" and key[2] == "tier" and key[1] not in groups:
            draft.add(("models", key[1], "enabled"), False, node, "a built-in model that the old file does not offer")


class _Providers:
    """The providers so far: one for each address, key and limit."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._names: dict[tuple[str, str | None, str | None, str | None], str] = {}

    def of(self, entry: Entry) -> str:
        """The name of the entry's provider, put into the draft when it is new."""
        key, limit = entry.params.get("api_key"), entry.params.get("max_parallel_requests")
        what = (entry.home.name, entry.base_url, str(key.value) if key else None, str(limit.value) if limit else None)
        name = self._names.get(what)
        if name is None:
            number = 1 + sum(other[0] == entry.home.name for other in self._names)
            name = self._names[what] = entry.home.name if number == 1 else f"{entry.home.name}_{number}"
            self._put(name, entry, is_first=number == 1)
        else:
            self._tell_again(name, entry)
        return name

    def _put(self, name: str, entry: Entry, *, is_first: bool) -> None:
        draft, home, section = self._draft, entry.home, ("providers", name)
        is_known = home.is_built_in and is_first
        address = entry.params.get("api_base") or entry.params.get("base_url")
        if address is not None:
            self._put_address(name, entry, address)
        elif not is_known:
            draft.add((*section, "base_url"), home.base_url, entry.node, "where LiteLLM calls it")
        if not is_known and home.dialect != "openai_chat":
            draft.add((*section, "dialect"), home.dialect, entry.node, "what it speaks")
        if (home.is_local and not is_known) or _is_on_loopback(entry.base_url):
            draft.add((*section, "local"), True, entry.node, "a server of your own, which costs nothing")
        elif home.is_local and address is None:
            draft.add((*section, "local"), True, entry.node, "it is looked for where it usually is")
        self._put_key(name, entry, is_known=is_known)
        if limit := entry.params.get("max_parallel_requests"):
            draft.put((*section, "concurrency"), limit.value, limit)

    def _put_address(self, name: str, entry: Entry, address: Node) -> None:
        key = ("providers", name, "base_url")
        if address.text and address.text.startswith("os.environ/"):
            variable = f"ROUTEWRIGHT_PROVIDERS__{name.upper()}__BASE_URL"
            self._draft.variables[variable] = key
            self._draft.tell(
                address,
                Fate.CHANGED,
                to=f"environment {variable}",
                why=f"an address is no reference: set {variable} to it",
            )
            return
        url = ours(entry.home, address.text or "")
        is_same = url == address.text
        self._draft.put(
            key, url, address, fate=Fate.KEPT if is_same else Fate.CHANGED, why="" if is_same else "as it is called here"
        )

    def _put_key(self, name: str, entry: Entry, *, is_known: bool) -> None:
        key = ("providers", name, "api_key")
        node = entry.params.get("api_key")
        if node is not None and node.text:
            self._draft.put_reference(key, node, f"{name.upper()}_API_KEY")
        elif not is_known and entry.home.variable:
            self._draft.add(key, f"env:{entry.home.variable}", entry.node, "where LiteLLM takes the key from")
            self._draft.variables[entry.home.variable] = key
        elif is_known and entry.home.variable:
            self._draft.variables[entry.home.variable] = key

    def _tell_again(self, name: str, entry: Entry) -> None:
        for param in ("api_key", "api_base", "base_url", "max_parallel_requests"):
            if node := entry.params.get(param):
                self._draft.tell(node, Fate.KEPT, to=f"providers.{name}", why="the same as before")


def _is_on_loopback(base_url: str | None) -> bool:
    host = (base_url or "").partition("://")[2].partition("/")[0].rpartition(":")
    return bool(base_url) and is_loopback(host[0] or host[2])


class _Model:
    """One model, from all entries of its name; what they say of it counts by the first that says it."""

    def __init__(self, name: str, entries: list[Entry], draft: Draft, prices: PriceTable) -> None:
        self._name = name
        self._entries = entries
        self._draft = draft
        self._prices = prices
        self._key = ("models", name)

    def put(self, providers: _Providers) -> None:
        """Put it into the draft, and tell of everything in its entries."""
        draft, first = self._draft, self._entries[0]
        places = [(entry, providers.of(entry)) for entry in self._entries]
        deployments = list(dict.fromkeys(f"{provider}/{entry.upstream}" for entry, provider in places))
        draft.put((*self._key, "deployments"), deployments, first.params["model"])
        listed = self._listed(places)
        self._put_prices(places, listed)
        tier, why = self._tier(listed)
        draft.add((*self._key, "tier"), tier, first.node, why)
        self._put_limits(listed)
        self._put_capabilities()
        self._put_rest()

    def _listed(self, places: list[tuple[Entry, str]]) -> tuple[ModelPrices | None, bool]:
        """What the price table has of it, and whether it will be found by the names that it has here."""
        for entry, provider in places:
            if found := self._prices.lookup(provider, entry.upstream):
                return found, True
        for entry in self._entries:
            for upstream in filter(None, (_text(entry.info, "base_model"), entry.upstream)):
                plain = upstream.removeprefix(f"{entry.home.name}/")
                if found := self._prices.lookup(entry.home.name, plain) or self._prices.lookup("openai", plain):
                    return found, False
        return None, False

    def _tier(self, listed: tuple[ModelPrices | None, bool]) -> tuple[Tier, str]:
        for entry in self._entries:
            if known := _built_in_tier(entry.home.name, entry.upstream):
                return known, "as the built-in model of that name"
        usd = self._output_usd(listed[0])
        if all(entry.home.is_local or _is_on_loopback(entry.base_url) for entry in self._entries):
            return Tier.BULK, "assumed of a local model; what `auto` may use it for"
        if usd is None:
            return Tier.STANDARD, "assumed; what `auto` may use it for"
        tier = Tier.COMPLEX if usd > COMPLEX_ABOVE else Tier.STANDARD if usd >= STANDARD_FROM else Tier.BULK
        return tier, "by its price; what `auto` may use it for"

    def _output_usd(self, listed: ModelPrices | None) -> Decimal | None:
        said = self._draft.settings.get((*self._key, "price", "output"))
        if said is not None and isinstance(said.value, Decimal):
            return said.value
        return Decimal(_dearest(listed).output) / _PER_MILLION if listed and listed.standard else None

    def _put_prices(self, places: list[tuple[Entry, str]], listed: tuple[ModelPrices | None, bool]) -> None:
        """Prices that an entry states, both of input and output; else those of the table, if it will not be found."""
        said = next((entry for entry in self._entries if all(_cost(entry, name) for name in tuple(PRICES)[:2])), None)
        for entry in self._entries:
            for name, token_class in PRICES.items():
                node = _cost(entry, name)
                if node is not None and entry is said:
                    usd = node.number
                    self._draft.put((*self._key, "price", token_class), None if usd is None else usd * _PER_MILLION, node)
                elif node is not None:
                    why = "a model has one price" if said else "a price has both input and output"
                    self._draft.tell(node, Fate.DROPPED, why=why)
        if said is None and listed[0] and listed[0].standard and not listed[1]:
            price = _dearest(listed[0])
            for token_class in ("input", "output", "cache_read", "cache_write"):
                usd = Decimal(getattr(price, token_class)) / _PER_MILLION
                why = f"the dearest list price of {listed[0].id}"
                self._draft.add((*self._key, "price", token_class), usd, self._entries[0].node, why)

    def _put_limits(self, listed: tuple[ModelPrices | None, bool]) -> None:
        window, limit = (*self._key, "context_window"), (*self._key, "max_output_tokens")
        for entry in self._entries:
            for name, key in (("max_input_tokens", window), ("max_output_tokens", limit), ("max_tokens", limit)):
                node = entry.info.get(name)
                if node is None:
                    continue
                if key in self._draft.settings:
                    self._draft.tell(node, Fate.DROPPED, why=f"{key[-1]} was said before")
                else:
                    self._draft.put(key, node.value, node)
        if window not in self._draft.settings and not self._has_window(listed):
            known = listed[0].context_window if listed[0] else None
            why = "from the price table" if known else "assumed, as the old file does not say"
            self._draft.add(window, known or ASSUMED_WINDOW, self._entries[0].node, why)
        self._fit_limit(window, limit)

    def _has_window(self, listed: tuple[ModelPrices | None, bool]) -> bool:
        """Whether the window is known without being written."""
        is_local = all(entry.home.is_local or _is_on_loopback(entry.base_url) for entry in self._entries)
        return is_local or bool(listed[1] and listed[0] and listed[0].context_window)

    def _fit_limit(self, window: tuple[str, ...], limit: tuple[str, ...]) -> None:
        """An answer is no longer than what holds input and output together."""
        said, longest = self._draft.settings.get(window), self._draft.settings.get(limit)
        if said and longest and int(str(longest.value)) > int(str(said.value)):
            self._draft.settings[window] = longest

    def _put_capabilities(self) -> None:
        can: dict[Capability, bool] = dict.fromkeys(_ASSUMED, True)
        key = (*self._key, "capabilities")
        for entry in self._entries:
            for name, capability in CAPABILITIES.items():
                node = entry.info.get(name)
                if node is not None and isinstance(node.value, bool):
                    can[capability] = node.value
                    self._draft.tell(node, Fate.KEPT, to=f"{'.'.join(key[:1])} capabilities of {self._name}")
        names = [capability.value for capability, is_there in can.items() if is_there]
        why = "what the old file does not deny, as LiteLLM sends everything to every model"
        self._draft.add(key, names, self._entries[0].node, why)

    def _put_rest(self) -> None:
        draft, several = self._draft, len(self._entries) > 1
        for entry in self._entries:
            told = f'models."{self._name}"'
            for node in filter(None, (entry.node.table.get("model_name"), entry.params.get("model"))):
                draft.tell(node, Fate.KEPT, to=told)
            self._put_first_event(entry)
            put_budget(entry.params, f"model:{self._name}", "" if several else self._name, draft)
            for name in ("custom_llm_provider", "litellm_credential_name"):
                if node := entry.params.get(name):
                    draft.tell(node, Fate.KEPT, to=told)
            if node := entry.params.get("order"):
                draft.tell(node, Fate.CHANGED, to=told, why="the order of its deployments; among those of one price, load decides")
            for node, reasons, otherwise in (
                (entry.node.table["litellm_params"], _PARAMS, _ASKED_BY_CLIENTS),
                (entry.node.table.get("model_info"), _INFO, "only what a model can do, hold and cost is kept"),
            ):
                for name, below in (node.table if node else {}).items():
                    draft.tell(below, Fate.DROPPED, why=reasons.get(name, otherwise))

    def _put_first_event(self, entry: Entry) -> None:
        node, key = entry.params.get("stream_timeout"), (*self._key, "first_event_timeout_ms")
        if node is None:
            return
        if key in self._draft.settings:
            self._draft.tell(node, Fate.DROPPED, why="a model has one such time")
        else:
            self._draft.put(key, milliseconds(node), node)


def milliseconds(node: Node) -> int | None:
    """Seconds as whole milliseconds; None for what is no number."""
    return None if node.number is None else int(node.number * 1000)


def _cost(entry: Entry, name: str) -> Node | None:
    return entry.params.get(name) or entry.info.get(name)


def _dearest(listed: ModelPrices) -> Price:
    assert listed.standard is not None
    return max(listed.standard.prices, key=lambda price: (price.output, price.input))


def _built_in_tier(provider: str, upstream: str) -> Tier | None:
    values: Mapping[Any, Any] = built_in().values
    for key, places in values.items():
        if key[0] == "models" and key[2] == "deployments" and f"{provider}/{upstream}" in places:
            return Tier(values[(*key[:2], "tier")])
    return None


def nodes_of(tables: Node | None) -> Iterator[tuple[str, Node]]:
    """The names and values in a table, or in a list of tables: LiteLLM writes fallbacks both ways."""
    for table in (tables.items or (tables,)) if tables else ():
        yield from table.table.items()
