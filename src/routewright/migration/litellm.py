"""The settings of LiteLLM's proxy → ours.

What has a counterpart goes there; everything else is named with the reason why it has none. Nothing is guessed about
money: a price or a budget is taken over exactly, or the account says what it became.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from routewright.catalog.sources import PriceTable
from routewright.errors import SettingsError
from routewright.migration.draft import Draft, Fate, toml_key
from routewright.migration.litellm_budgets import put_budget
from routewright.migration.litellm_cache import put_cache, put_redis
from routewright.migration.litellm_entries import is_name
from routewright.migration.litellm_models import milliseconds, put_models
from routewright.migration.litellm_reasons import REASONS
from routewright.migration.yaml_reading import Node
from routewright.settings.places import KeyPath
from routewright.settings.schema import PolicySettings
from routewright.settings.sources import built_in

_SECTIONS = ("model_list", "litellm_settings", "router_settings", "general_settings")
_DEADLINE_MS = PolicySettings().deadline_ms
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
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
    ("policy", "response_timeout_ms"),
    milliseconds,
    Fate.CHANGED,
    "of an unstreamed answer; the last model may take longer",
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
    put_models(root.table.get("model_list"), _credentials(root, draft), draft, prices)
    migration = _Migration(root, draft)
    migration.aliases()
    migration.fallbacks()
    migration.rules()
    migration.server()
    migration.money()
    put_redis(migration.router, "redis_", draft)
    put_cache(migration.library, draft)
    migration.environment()
    migration.rest()
    return draft


class _Migration:
    """The sections beside the models, one method for each concern."""

    def __init__(self, root: Node, draft: Draft) -> None:
        self._root = root
        self._draft = draft
        self.router = self._section("router_settings")
        self.library = self._section("litellm_settings")
        self._general = self._section("general_settings")
        self._answering = [name for name in draft.models if ("models", name, "embedding") not in draft.settings]
        self._taken = {key[1] for key in (*built_in().values, *draft.settings) if key[0] == "models"}

    def _section(self, name: str) -> Mapping[str, Node]:
        return self._root.table[name].table if name in self._root.table else _NOTHING

    def aliases(self) -> None:
        """`model_group_alias`."""
        for alias, node in nodes_of(self.router.get("model_group_alias")):
            target = node.table.get("model", node)
            if target.text not in self._draft.models or alias in self._taken or not is_name(alias):
                self._draft.tell(node, Fate.DROPPED, why="it is no free name for a model that is there")
                continue
            self._draft.put(("aliases", alias), target.text, target)
            self._draft.tell(node, Fate.DROPPED, why="every alias may be asked for, and none is hidden")

    def fallbacks(self) -> None:
        """All lists of fallbacks; here a model has one, for whatever another model can mend."""
        lists: dict[str, list[Node]] = {}
        for name in _FALLBACKS:
            for section in (self.router, self.library):
                for model, node in nodes_of(section.get(name)):
                    self._add_fallbacks(lists, self._target(model), node, is_plain=name == "fallbacks")
        for section in (self.router, self.library):
            if everybodys := section.get("default_fallbacks"):
                self._add_fallbacks(lists, "*", everybodys, is_plain=False)
        for model in self._answering:
            nodes = [node for node in lists.get(model, lists.get("*", ())) if self._target(node.text or "") != model]
            if nodes:
                others = list(dict.fromkeys(self._target(node.text or "") for node in nodes))
                self._draft.set(("models", model, "fallbacks"), others, nodes[0])

    def _add_fallbacks(self, lists: dict[str, list[Node]], model: str, node: Node, *, is_plain: bool) -> None:
        """The fallbacks of one model, or of all that have none (`*`)."""
        to = toml_key(("models", "NAME" if model == "*" else model, "fallbacks"))
        for item in node.items or (node,):
            if model not in ("*", *self._answering) or self._target(item.text or "") not in self._answering:
                self._draft.tell(item, Fate.DROPPED, why="there is no model of that name that answers")
                continue
            lists.setdefault(model, []).append(item)
            fate, why = (Fate.KEPT, "") if is_plain else (Fate.CHANGED, "tried after whatever another model can mend")
            self._draft.tell(item, fate, to=to, why=why)

    def _target(self, name: str) -> str:
        """The model behind an alias."""
        setting = self._draft.settings.get(("aliases", name))
        return str(setting.value) if setting else name

    def rules(self) -> None:
        """What means one setting of ours; and more time for all, where one answer may take more than that."""
        for (section, name), rule in _RULES.items():
            if node := self._section(section).get(name):
                self._draft.put_once(rule.key, rule.read(node), node, fate=rule.fate, why=rule.why)
                patience = self._draft.settings.get(_TIMEOUT.key)
                if rule is _TIMEOUT and patience and int(str(patience.value)) > _DEADLINE_MS:
                    self._draft.add(
                        ("policy", "deadline_ms"), patience.value, node, "no shorter than one answer's time"
                    )

    def server(self) -> None:
        """The operator's key, and who is told of budgets."""
        if (key := self._general.get("master_key")) and key.value not in (None, ""):
            self._draft.put_reference(("server", "api_key"), key, "LITELLM_MASTER_KEY")
        for node in self._general["alerting"].items if "alerting" in self._general else ():
            if node.text == "slack":
                self._draft.refer(("alerts", "slack_webhook"), "SLACK_WEBHOOK_URL", node)
                why = "it tells what budgets reach; all else is in the log"
                self._draft.tell(node, Fate.CHANGED, to="alerts.slack_webhook", why=why)
            else:
                self._draft.tell(node, Fate.DROPPED, why="alerts go to the log, a webhook and Slack")

    def money(self) -> None:
        """Budgets of all together, and of tags."""
        put_budget(self.library, "total", "litellm", self._draft)
        for tag, node in nodes_of(self.library.get("tag_budget_config")):
            put_budget(node.table, f"tag:{tag}", f"tag-{tag}", self._draft)

    def environment(self) -> None:
        """`environment_variables`: what is set there must be set outside."""
        for name, node in self._section("environment_variables").items():
            why = f"settings set no variables: set {name} where routewright is started"
            self._draft.tell(node, Fate.DROPPED, why=why, is_secret=True)

    def rest(self) -> None:
        """What has a known reason to have no counterpart."""
        for path, (fate, why) in REASONS.items():
            section, _, key = path.rpartition(".")
            table = self._section(section) if section else self._root.table
            if key in table:
                self._draft.tell(table[key], fate, why=why)


def _credentials(root: Node, draft: Draft) -> Mapping[str, Node]:
    """`credential_list`: name → its values."""
    found = {}
    for node in root.table["credential_list"].items if "credential_list" in root.table else ():
        name, values = node.table.get("credential_name"), node.table.get("credential_values")
        if name and values and name.text:
            found[name.text] = values
            draft.tell(name, Fate.CHANGED, to="providers", why="put where the entries are that name it")
    return found


def nodes_of(tables: Node | None) -> Iterator[tuple[str, Node]]:
    """The names and values in a table, or in a list of tables: LiteLLM takes both."""
    for table in (tables.items or (tables,)) if tables else ():
        yield from table.table.items()
