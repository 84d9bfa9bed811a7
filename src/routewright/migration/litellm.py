"""The settings of LiteLLM's proxy → ours.

What has a counterpart goes there; everything else is named with the reason why it has none. Nothing is guessed about
money: a price or a budget is taken over exactly, or the account says what it became.
"""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from routewright.catalog.sources import PriceTable
from routewright.errors import SettingsError
from routewright.migration.draft import Draft, Fate
from routewright.migration.litellm_budgets import put_budget
from routewright.migration.litellm_models import milliseconds, nodes_of, put_models
from routewright.migration.litellm_reasons import REASONS
from routewright.migration.yaml_reading import Node
from routewright.settings.places import KeyPath

_SECTIONS = ("model_list", "litellm_settings", "router_settings", "general_settings")
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NOTHING: Mapping[str, Node] = {}


class Rule(Struct, frozen=True):
    """A key that means one setting of ours."""

    key: KeyPath
    read: Callable[[Node], object]
    fate: Fate = Fate.KEPT
    why: str = ""


def _plain(node: Node) -> object:
    return node.value


def _mebibytes(node: Node) -> object:
    return None if node.number is None else int(node.number * 1024 * 1024)


_RETRIES = Rule(("policy", "max_retry_attempts"), _plain)
_TIMEOUT = Rule(
    ("policy", "response_timeout_ms"), milliseconds, Fate.CHANGED, "of an unstreamed answer; the last model may take longer"
)
_RULES: Mapping[tuple[str, str], Rule] = {
    ("router_settings", "num_retries"): _RETRIES,
    ("litellm_settings", "num_retries"): _RETRIES,
    ("router_settings", "timeout"): _TIMEOUT,
    ("litellm_settings", "request_timeout"): _TIMEOUT,
    ("router_settings", "stream_timeout"): Rule(("policy", "fallback_timeout_ms"), milliseconds),
    ("general_settings", "max_request_size_mb"): Rule(("server", "max_body_bytes"), _mebibytes),
}
"""Of two that mean the same setting, the first counts: in LiteLLM, too, the router's word goes before the library's."""


def migrate(root: Node, shown_as: str, prices: PriceTable) -> Draft:
    """What becomes of LiteLLM's settings. Raises SettingsError for a file that is not LiteLLM's at all."""
    if not any(section in root.table for section in _SECTIONS):
        hint = f"it has none of {', '.join(_SECTIONS)}"
        raise SettingsError(f"{shown_as}: does not look like the settings of LiteLLM's proxy", hint=hint)
    draft = Draft(root, shown_as)
    migration = _Migration(root, draft)
    migration.names = put_models(root.table.get("model_list"), migration.credentials(), draft, prices)
    migration.aliases()
    migration.fallbacks()
    migration.rules()
    migration.server()
    migration.money()
    migration.cache()
    migration.environment()
    migration.rest()
    return draft


class _Migration:
    """The sections beside the models, one method for each concern."""

    def __init__(self, root: Node, draft: Draft) -> None:
        self.names: list[str] = []
        self._root = root
        self._draft = draft
        self._router = self._section("router_settings")
        self._library = self._section("litellm_settings")
        self._general = self._section("general_settings")

    def _section(self, name: str) -> Mapping[str, Node]:
        return self._root.table[name].table if name in self._root.table else _NOTHING

    def credentials(self) -> Mapping[str, Node]:
        """`credential_list`: name → its values."""
        found = {}
        for node in self._root.table["credential_list"].items if "credential_list" in self._root.table else ():
            name, values = node.table.get("credential_name"), node.table.get("credential_values")
            if name and values and name.text:
                found[name.text] = values
                self._draft.tell(name, Fate.KEPT, to="providers", why="with the entries that name it")
        return found

    def aliases(self) -> None:
        """`model_group_alias`."""
        for alias, node in nodes_of(self._router.get("model_group_alias")):
            target = node.table.get("model", node)
            is_name = alias.isprintable() and " " not in alias and 0 < len(alias) <= 100
            if target.text not in self.names or alias in self.names or not is_name:
                self._draft.tell(node, Fate.DROPPED, why="it is no other name for a model that is there")
                continue
            self._draft.put(("aliases", alias), target.text, target)
            self._draft.tell(node, Fate.DROPPED, why="an alias is not listed, and can be asked for")

    def fallbacks(self) -> None:
        """All lists of fallbacks; here a model has one, for whatever the next model can mend."""
        lists: dict[str, list[str]] = {}
        for name in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
            for section in (self._router, self._library):
                for model, node in nodes_of(section.get(name)):
                    self._add_fallbacks(lists, model, node, is_plain=name == "fallbacks")
        for section in (self._router, self._library):
            if node := section.get("default_fallbacks"):
                self._add_fallbacks(lists, "*", node, is_plain=False)
        everybodys = lists.pop("*", [])
        for model in self.names:
            others = [other for other in lists.get(model, everybodys) if other != model]
            if others:
                self._draft.add(("models", model, "fallbacks"), others, self._root, "all lists of fallbacks in one")

    def _add_fallbacks(self, lists: dict[str, list[str]], model: str, node: Node, *, is_plain: bool) -> None:
        model = self._target(model)
        if model != "*" and model not in self.names:
            self._draft.tell(node, Fate.DROPPED, why="there is no model of that name")
            return
        for item in node.items or (node,):
            target = self._target(item.text or "")
            if target not in self.names:
                self._draft.tell(item, Fate.DROPPED, why="there is no model of that name")
                continue
            if target not in lists.setdefault(model, []):
                lists[model].append(target)
            why = "" if is_plain else "tried after whatever another model may mend, not after one kind of error"
            self._draft.tell(item, Fate.KEPT if is_plain else Fate.CHANGED, to="models.NAME.fallbacks", why=why)

    def _target(self, name: str) -> str:
        """The model behind an alias."""
        setting = self._draft.settings.get(("aliases", name))
        return str(setting.value) if setting else name

    def rules(self) -> None:
        """What means one setting of ours."""
        for (section, name), rule in _RULES.items():
            node = self._section(section).get(name)
            if node is None:
                continue
            if rule.key in self._draft.settings:
                self._draft.tell(node, Fate.DROPPED, why=f"{'.'.join(rule.key)} was said before")
            else:
                self._draft.put(rule.key, rule.read(node), node, fate=rule.fate, why=rule.why)

    def server(self) -> None:
        """The operator's key, and who is told of budgets."""
        if (key := self._general.get("master_key")) and key.text:
            self._draft.put_reference(("server", "api_key"), key, "LITELLM_MASTER_KEY")
        for node in self._general["alerting"].items if "alerting" in self._general else ():
            if node.text == "slack":
                self._draft.refer(("alerts", "slack_webhook"), "SLACK_WEBHOOK_URL", node)
                self._draft.tell(
                    node, Fate.CHANGED, to="alerts.slack_webhook", why="tells what budgets reach; all else is in the log"
                )
            else:
                self._draft.tell(node, Fate.DROPPED, why="alerts go to the log, a webhook and Slack")

    def money(self) -> None:
        """Budgets of all together, and of tags."""
        put_budget(self._library, "total", "litellm", self._draft)
        for tag, node in nodes_of(self._library.get("tag_budget_config")):
            put_budget(node.table, f"tag:{tag}", f"tag-{tag}", self._draft)

    def cache(self) -> None:
        """The cache of answers, and Redis: the cache's, or the router's."""
        params = self._library["cache_params"].table if "cache_params" in self._library else _NOTHING
        self._redis(self._router, "redis_")
        switch = self._library.get("cache")
        if switch is None or switch.value is not True:
            return
        store = {"local": "memory", "disk": "sqlite", "redis": "redis"}.get(_word(params.get("type"), "redis"))
        if store == "redis":
            self._redis(params, "")
            if ("redis", "url") not in self._draft.settings:
                store = "memory"
        if store is None:
            self._draft.tell(switch, Fate.DROPPED, why="answers are kept in memory, in a file or in Redis, nowhere else")
            return
        if _word(params.get("mode"), "") == "default_off":
            self._draft.tell(switch, Fate.DROPPED, why="answers are kept by route or by key, not as each request asks")
            return
        self._draft.put(("cache", "routes"), ["all"], switch)
        node = params.get("type", switch)
        self._draft.put(("cache", "store"), store, node)
        if ttl := params.get("ttl"):
            self._draft.put(("cache", "ttl_s"), None if ttl.number is None else int(ttl.number), ttl)

    def _redis(self, table: Mapping[str, Node], prefix: str) -> None:
        """One address for all that is shared; what is built of several values, or has a password, is a reference."""
        key: KeyPath = ("redis", "url")
        url, host = table.get(f"{prefix}url"), table.get(f"{prefix}host")
        parts = [table[prefix + name] for name in ("host", "port", "password", "db", "ssl", "username") if prefix + name in table]
        if key in self._draft.settings or (url is None and host is None):
            for node in parts:
                self._draft.tell(node, Fate.DROPPED, why="there is one Redis for all that is shared")
            return
        if url is not None:
            self._draft.put_reference(key, url, "REDIS_URL", why="redis:// or rediss://; one database for routewright alone")
            return
        port = table.get(f"{prefix}port")
        is_plain = len(parts) == 1 + (port is not None) and host is not None and _is_host(host)
        if is_plain and host is not None and (port is None or isinstance(port.value, int)):
            address = f"redis://{host.text}:{port.value if port else 6379}"
            for node in parts:
                self._draft.put(key, address, node)
            return
        self._draft.refer(key, "REDIS_URL", parts[0])
        why = "set REDIS_URL to redis://:PASSWORD@HOST:PORT, made of these values"
        for node in parts:
            is_secret = node.path[-1] in ("password", "redis_password") and not (node.text or "").startswith("os.environ/")
            self._draft.tell(node, Fate.CHANGED, to="redis.url", why=why, is_secret=is_secret)

    def environment(self) -> None:
        """`environment_variables`: what is set there must be set outside."""
        for name, node in self._section("environment_variables").items():
            why = f"settings set no variables: set {name} where routewright is started"
            self._draft.tell(node, Fate.DROPPED, why=why, is_secret=True)

    def rest(self) -> None:
        """What has a known reason to have no counterpart."""
        for path, (fate, why) in REASONS.items():
            node: Node | None = self._root
            for name in path.split("."):
                node = node.table.get(name) if node else None
            if node is not None:
                self._draft.tell(node, fate, why=why)


def _word(node: Node | None, otherwise: str) -> str:
    return node.text or "" if node else otherwise


def _is_host(node: Node) -> bool:
    return bool(_HOST.fullmatch(node.text or ""))
