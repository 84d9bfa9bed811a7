"""Addresses and keys of LiteLLM's entries → providers.

There, every deployment has an address and a key of its own. Here, they belong to a provider; so each combination of
them becomes one: `openai`, `openai_2`, …
"""

from typing import TypeAlias

from routewright.migration.draft import Draft, Fate, toml_key
from routewright.migration.litellm_entries import BY_REFERENCE, Entry, text_of
from routewright.migration.litellm_providers import ours
from routewright.migration.yaml_reading import Node

_SHARED = ("api_key", "api_base", "base_url", "max_parallel_requests")

_NO_KEYS = ("none", "None", "null", "empty", "EMPTY", "fake", "fake-key", "dummy", "anything", "not-needed")
"""What people write where a key is asked for and none is needed."""

_Place: TypeAlias = tuple[str, ...]
"""How such a provider is called, and what the entry says of address, key and limit."""


class Places:
    """The providers so far."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._names: dict[_Place, str] = {}

    def of(self, entry: Entry) -> str:
        """The name of the entry's provider, which is put into the draft when it is new."""
        said = (entry.params.get(name) for name in _SHARED)
        first = _first_name(entry)
        place = (first, *(repr(node.value) if node else "" for node in said))
        if place not in self._names:
            number = 1 + sum(other[0] == first for other in self._names)
            name = self._names[place] = first if number == 1 else f"{first}_{number}"
            self._put(name, entry, is_known=entry.home.is_built_in and name == entry.home.name)
        name = self._names[place]
        for node in filter(None, map(entry.params.get, _SHARED)):
            self._draft.tell(node, Fate.KEPT, to=toml_key(("providers", name)), why="the same as before")
        return name

    def _put(self, name: str, entry: Entry, *, is_known: bool) -> None:
        """`is_known`: address, key and dialect that are not said are our own defaults."""
        draft, home, section = self._draft, entry.home, ("providers", name)
        if entry.address is not None:
            self._put_address(name, entry, entry.address)
        elif not is_known:
            draft.add((*section, "base_url"), home.base_url, entry.node, "where LiteLLM calls it")
        if not is_known and home.dialect != "openai_chat":
            draft.add((*section, "dialect"), home.dialect, entry.node, "what it speaks")
        if entry.is_local:
            draft.add(
                (*section, "local"), True, entry.node, "a server of your own: asked for its models, costs nothing"
            )
        self._put_key(name, entry, is_known=is_known)
        if limit := entry.params.get("max_parallel_requests"):
            draft.put((*section, "concurrency"), limit.value, limit)

    def _put_address(self, name: str, entry: Entry, address: Node) -> None:
        key, text = ("providers", name, "base_url"), text_of(address) or ""
        if text.startswith(BY_REFERENCE):
            variable = f"ROUTEWRIGHT_PROVIDERS__{name.upper()}__BASE_URL"
            self._draft.variables[variable] = key
            why = f"an address is no reference: set {variable} to it"
            self._draft.tell(address, Fate.CHANGED, to=toml_key(key), why=why)
            return
        url = ours(entry.home, text)
        is_same = url == text.rstrip("/")
        why = "" if is_same else "what comes before /chat/completions or /v1/messages"
        self._draft.put(key, url, address, fate=Fate.KEPT if is_same else Fate.CHANGED, why=why)

    def _put_key(self, name: str, entry: Entry, *, is_known: bool) -> None:
        key, usual = ("providers", name, "api_key"), entry.home.variable
        if entry.is_local and entry.key is not None and entry.key.value in _NO_KEYS:
            self._draft.tell(entry.key, Fate.DROPPED, why="no key, as it seems, and none is needed there")
        elif entry.key is not None:
            self._draft.put_reference(key, entry.key, f"{name.upper()}_API_KEY")
        elif usual and is_known:
            self._draft.variables[usual] = key
        elif usual and not entry.is_local:
            self._draft.add(key, f"env:{usual}", entry.node, "where LiteLLM takes the key from")
            self._draft.variables[usual] = key


def _first_name(entry: Entry) -> str:
    """The name for the first provider of this kind; a well-known one is only for what is really there."""
    home, address = entry.home, text_of(entry.address)
    if home.is_local or not home.is_built_in or address is None or ours(home, address) == home.base_url:
        return home.name
    return f"{home.name}_{'local' if entry.is_local else 'compatible'}"
