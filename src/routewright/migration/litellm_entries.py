"""An entry of LiteLLM's `model_list`: what it says, and whether it can be a deployment here."""

import re
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from routewright.catalog.registry import VIRTUAL_MODELS
from routewright.migration.draft import Draft, Fate, admits
from routewright.migration.litellm_providers import HOMES, Home, ours, split_model
from routewright.migration.yaml_reading import Node
from routewright.settings import is_loopback

LONGEST_UPSTREAM = 75
"""With the provider's name before it, a deployment has 100 characters at most."""
BY_REFERENCE = "os.environ/"

_MODES = (None, "chat", "completion", "responses", "embedding")
_HOST = re.compile(r"https?://(\[[^\]/]*\]|[^:/]*)")


class Entry(Struct, frozen=True):
    """One deployment as LiteLLM has it, and what it is called here."""

    node: Node
    name: str
    home: Home
    upstream: str
    params: Mapping[str, Node]
    info: Mapping[str, Node]

    @property
    def address(self) -> Node | None:
        """Where it says that it is."""
        return self.params.get("api_base") or self.params.get("base_url")

    @property
    def key(self) -> Node | None:
        """The key, or a reference to it; None for an empty one too."""
        node = self.params.get("api_key")
        return node if node and node.value not in (None, "") else None

    @property
    def is_embedding(self) -> bool:
        """Whether it makes vectors, as it says or as its name does."""
        mode = text_of(self.info.get("mode"))
        return mode == "embedding" or (mode is None and "embed" in self.upstream.lower())

    @property
    def is_local(self) -> bool:
        """Whether it is a server of one's own, which costs nothing."""
        host = _HOST.match(text_of(self.address) or "")
        return self.home.is_local or bool(host and is_loopback(host[1].strip("[]")))

    @property
    def order(self) -> Decimal:
        """LiteLLM's `order`; what has none comes last there."""
        node = self.params.get("order")
        number = node.number if node else None
        return Decimal("Infinity") if number is None else number


def read_entry(node: Node, credentials: Mapping[str, Node], draft: Draft) -> Entry | None:
    """What an entry says; None, and the reason told, if it cannot be a deployment."""
    params = _table(node, "litellm_params")
    info = _table(node, "model_info")
    name, model = text_of(node.table.get("model_name")), text_of(params.get("model"))
    if (credential := text_of(params.get("litellm_credential_name"))) in credentials:
        params = {**credentials[credential or ""].table, **params}
    split = split_model(model, text_of(params.get("custom_llm_provider"))) if model else None
    home = HOMES.get(split[0]) if split else None
    problem = _problem(name, model, text_of(info.get("mode"))) or _problem_of_home(split, home)
    if problem is None and name and home and split:
        entry = Entry(node, name, home, split[1], params, info)
        problem = _problem_of_address(entry)
        if entry.is_embedding and home.dialect != "openai_chat":
            problem = "vectors are made where OpenAI's dialect is spoken"
        if problem is None:
            return entry
    draft.tell(node, Fate.DROPPED, why=problem or "")
    return None


def text_of(node: Node | None) -> str | None:
    """The text at a node, if there is one."""
    return node.text if node else None


def is_name(name: str) -> bool:
    """Whether a model or an alias can be called so."""
    return name.isprintable() and " " not in name and 0 < len(name) <= 100 and name not in VIRTUAL_MODELS


def _table(node: Node, name: str) -> Mapping[str, Node]:
    return node.table[name].table if name in node.table else {}


def _problem(name: str | None, model: str | None, mode: str | None) -> str | None:
    if name is None or model is None:
        return "it is no entry with a model_name and a litellm_params.model"
    if "*" in name or "*" in model:
        return "models are called by names that are known, with their prices: add an entry for each one that is used"
    if mode not in _MODES:
        return "it neither answers chats nor makes vectors"
    if name in VIRTUAL_MODELS:
        return "by this name, routewright chooses among all models: give it another one"
    if not is_name(name) or not model.isprintable() or len(model) > LONGEST_UPSTREAM:
        return f"a name has 1 to 100 printable characters and no spaces, the provider's own at most {LONGEST_UPSTREAM}"
    return None


def _problem_of_home(split: tuple[str, str] | None, home: Home | None) -> str | None:
    if split is None or not split[1]:
        return "it does not say which provider is meant: write provider/model"
    if home is None:
        return (
            "routewright has no dialect for this provider; if it has an address where OpenAI's is spoken, "
            "make it a provider of your own (docs/settings.md)"
        )
    return None


def _problem_of_address(entry: Entry) -> str | None:
    if entry.address is None:
        return None if entry.home.base_url else "it has no api_base, so nobody knows where it is"
    address = text_of(entry.address)
    if address is not None and address.startswith(BY_REFERENCE):
        return None
    if address is None or not admits(("providers", "it", "base_url"), ours(entry.home, address)):
        return "its api_base is no address of a host and a path alone"
    return None
