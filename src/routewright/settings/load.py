"""All sources → one frozen `Settings`, or one error with all mistakes, each with its file and line."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from routewright.catalog.registry import VIRTUAL_MODELS, Tier
from routewright.errors import SettingsError
from routewright.ledger.budgets import BATCH_BUDGETS, KEY_BUDGETS
from routewright.secret import Secret
from routewright.settings.addresses import Fetched, is_loopback, shown_url
from routewright.settings.checks import check_mistakes
from routewright.settings.given import Given, did_you_mean, raise_if
from routewright.settings.keys import Address, KeyStore, resolve
from routewright.settings.places import KeyPath
from routewright.settings.schema import (
    COST_ALERT,
    AccessSettings,
    AlertSettings,
    BatchesSettings,
    BudgetSettings,
    CacheSettings,
    CascadeSettings,
    CheckSettings,
    ContextSettings,
    DriftSettings,
    FlagSettings,
    LedgerSettings,
    ModelSettings,
    Overlay,
    PolicySettings,
    PriceDocumentSettings,
    ProviderSettings,
    RedisSettings,
    RolloutSettings,
    SecondOpinionSettings,
    Sections,
    ServerSettings,
    ShadowSettings,
    SpendingSettings,
    TelemetrySettings,
    allowed,
    dotted,
    keys_of,
)
from routewright.settings.sources import (
    DEFAULT,
    ConfigPlace,
    FileStamp,
    Folders,
    Origin,
    Source,
    built_in,
    config_place,
    from_content,
    from_environment,
    from_file,
    from_flags,
    misspelt_variables,
    variable_of,
)

PRICES = "prices.json"
"""The price table beside the ledger."""

_BUDGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ALL_PERCENT = 100
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
"""Where OpenTelemetry has the headers, and we, if nothing else is said."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can say, read once."""

    server: ServerSettings
    policy: PolicySettings
    second_opinion: SecondOpinionSettings
    context: ContextSettings
    shadow: ShadowSettings
    cache: CacheSettings
    checks: Mapping[str, CheckSettings]
    cascade: CascadeSettings
    batches: BatchesSettings
    ledger: LedgerSettings
    redis: RedisSettings
    access: AccessSettings
    alerts: AlertSettings
    drift: DriftSettings
    telemetry: TelemetrySettings
    prices: PriceDocumentSettings
    spending: SpendingSettings
    rollout: RolloutSettings
    flags: FlagSettings
    budgets: Mapping[str, BudgetSettings]
    providers: Mapping[str, ProviderSettings]
    models: Mapping[str, ModelSettings]
    aliases: Mapping[str, str]
    policies: Mapping[str, Overlay]
    server_key: Secret | None
    """What the operator sends; None without `server.api_key`."""
    access_secret: Secret | None
    """What virtual keys are checked with; None for the one in a file beside the ledger."""
    database: Secret | None
    """The address of the PostgreSQL that has the ledger; None for a file."""
    shared: Secret | None
    """The address of the Redis that gateways share; None where each is alone."""
    webhook: Secret | None
    """Where alerts go; None for nowhere, as in the next."""
    slack_webhook: Secret | None
    telemetry_headers: Mapping[str, Secret]
    """What the collector of traces is told with each batch."""
    keys: Mapping[str, Secret]
    """Provider → its key."""
    unusable: Mapping[str, str]
    """Provider → why it cannot be called: the key it needs is not there."""
    origins: Mapping[KeyPath, Origin]
    """Where every value came from that is not a default."""
    files: Mapping[Path, FileStamp | None]
    """What was read, or would have been if it existed, each with its stamp from just before."""
    told_by: frozenset[Path]
    """Those of the files that say something."""

    def origin(self, *path: str) -> Origin:
        """Where a value came from: `settings.origin("policy", "confidence_threshold")`."""
        return self.origins.get(path, DEFAULT)

    def place(self, path: KeyPath) -> str:
        """` (routewright.toml:12:1)` for a value, or for the first in a section; nothing for a default."""
        exact = [origin.exact for other, origin in self.origins.items() if other[: len(path)] == path]
        return f" ({exact[0]})" if exact else ""

    @property
    def price_document(self) -> Path:
        """The price table in force if it exists, else the bundled one is; what `prices sync` writes."""
        return self.prices.document or self.ledger.path / PRICES

    @property
    def names_catalog(self) -> bool:
        """Whether the operator says anything about providers or models; then nothing is assumed beyond it."""
        return any(path[0] in ("providers", "models") for path in self.origins)

    @property
    def keyless(self) -> tuple[str, ...]:
        """The providers that the operator names and that cannot be called, as their key is not there."""
        named = {path[1] for path in self.origins if path[0] == "providers"}
        return tuple(name for name in self.unusable if name in named)

    @property
    def local_servers(self) -> Mapping[str, str]:
        """Provider → base URL of the servers to ask for their models: those named, or all known if nothing is named."""
        named = {path[1] for path in self.origins if path[0] == "providers"}
        return {
            name: provider.base_url
            for name, provider in self.providers.items()
            if provider.local and (name in named or not self.names_catalog)
        }

    def rows(self) -> Iterator[tuple[str, object, Origin]]:
        """Every setting as (dotted key, plain value, origin), for `config show`; of keys, only the references."""
        for name in keys_of(Sections):
            for path, value in _values_of(getattr(self, name), (name,)):
                yield dotted(path), msgspec.to_builtins(value, enc_hook=str, order="sorted"), self.origin(*path)


def load_settings(
    *,
    environ: Mapping[str, str],
    cwd: Path,
    flags: Mapping[str, object] | None = None,
    config: ConfigPlace | Fetched | None = None,
) -> Settings:
    """Read all sources: flags > environment > `config` or `./routewright.toml` > the user's file > the built-in one.

    `config` is a path, an address, which is fetched, or what was fetched; $ROUTEWRIGHT_CONFIG stands for None. `flags`
    has dotted keys: `{"server.port": 9000}`. Raises SettingsError that tells all mistakes, one in a line.
    """
    folders = Folders.of(environ)
    place = config if isinstance(config, Fetched) else config_place(config, environ)
    if isinstance(place, str):
        from routewright.settings.remote import RemoteSettings

        place = RemoteSettings(place, folders).first()
    project_file = None if isinstance(place, Fetched) else cwd / (place or "routewright.toml")
    files = {path: FileStamp.of(path) for path in (project_file, folders.settings_file, folders.keys_file) if path}
    given = _built_in().copy()
    given.add(Source(values={("ledger", "path"): folders.data}, origins={}))
    told_by = {
        path
        for path, shown_as, is_required in (
            (folders.settings_file, str(folders.settings_file), False),
            (project_file, str(place or "routewright.toml"), place is not None),
        )
        if path is not None and _add_file(given, path, shown_as, is_required=is_required)
    }
    if isinstance(place, Fetched):
        shown_as, content = shown_url(place.url), place.content
        if not _add(given, lambda: from_content(content, shown_as)):
            given.mistakes.append(f"{shown_as}: is empty")
    given.add(from_environment(environ))
    given.mistakes += _misspelt(environ)
    given.add(from_flags(flags or {}))
    sections = given.sections()
    stored = KeyStore(folders.keys_file).load()
    keys = {
        name: _provider_key(name, provider.api_key, environ, stored, given.origins)
        for name, provider in sections.providers.items()
        if provider.api_key
    }
    settings = Settings(
        **{name: getattr(sections, name) for name in keys_of(Sections)},
        server_key=_needed_key(
            "server.api_key",
            sections.server.api_key,
            environ,
            stored,
            hint="without it everyone could use the gateway, so it does not start",
        ),
        access_secret=_needed_key(
            "access.secret",
            sections.access.secret,
            environ,
            stored,
            hint="virtual keys are checked with it; without the line, a secret of this machine's own is used",
        ),
        database=_address(
            "ledger.database_url",
            sections.ledger.database_url,
            environ,
            stored,
            hint="without it the ledger would be another one",
        ),
        shared=_address(
            "redis.url",
            sections.redis.url,
            environ,
            stored,
            hint="set it, or take the line away: each gateway then counts by itself",
        ),
        webhook=_webhook("webhook", sections.alerts.webhook, environ, stored),
        slack_webhook=_webhook("slack_webhook", sections.alerts.slack_webhook, environ, stored),
        telemetry_headers=_telemetry_headers(sections.telemetry, environ, stored),
        keys={name: key for name, key in keys.items() if isinstance(key, Secret)},
        unusable={name: reason for name, reason in keys.items() if isinstance(reason, str)},
        origins=given.origins,
        files=files,
        told_by=frozenset(told_by),
    )
    # Read by the catalog, later than this stamp is taken: a change in between is seen as one.
    files[settings.price_document] = FileStamp.of(settings.price_document)
    raise_if(
        chain(
            _check_names(settings),
            _check_budgets(settings),
            _check_models(settings),
            _check_neighbours(settings),
            _check_cache(settings),
            _check_checks(settings),
            _check_policies(settings),
        )
    )
    return settings


@cache
def _built_in() -> Given:
    """What the file that comes with the package says, each value checked once in a process."""
    given = Given()
    given.add(built_in())
    return given


def _add_file(given: Given, path: Path, shown_as: str, *, is_required: bool) -> bool:
    """Whether it says anything."""
    return _add(given, lambda: from_file(path, shown_as, is_required=is_required))


def _add(given: Given, read: Callable[[], Source]) -> bool:
    try:
        source = read()
    except SettingsError as error:
        given.mistakes.append(f"{error.message} — {error.hint}" if error.hint else error.message)
        return True
    given.add(source)
    return bool(source.values)


def _provider_key(
    name: str,
    reference: str,
    environ: Mapping[str, str],
    stored: Mapping[str, Secret],
    origins: Mapping[KeyPath, Origin],
) -> Secret | str:
    """A provider's key, or why there is none; a built-in provider also takes the key stored under its own name."""
    key = resolve(reference, environ, stored)
    if isinstance(key, Secret) or ("providers", name, "api_key") in origins:
        return key
    return stored.get(name) or f"{key} (or run `routewright keys set {name}`)"


def _needed_key(
    path: str, reference: str | None, environ: Mapping[str, str], stored: Mapping[str, Secret], *, hint: str
) -> Secret | None:
    """The key that a reference means, None without a reference; it is not done without one that is named."""
    if reference is None:
        return None
    key = resolve(reference, environ, stored)
    if isinstance(key, str):
        raise SettingsError(f"{path}: {key}", hint=hint)
    return key


def _address(
    path: str, given: Address | None, environ: Mapping[str, str], stored: Mapping[str, Secret], *, hint: str
) -> Secret | None:
    """The address of a server, None where none is given; it is not done without one that is named."""
    if given is None:
        return None
    address = given.resolve(environ, stored)
    if isinstance(address, str):
        raise SettingsError(f"{path}: {address}", hint=hint)
    return address


def _webhook(name: str, given: str | None, environ: Mapping[str, str], stored: Mapping[str, Secret]) -> Secret | None:
    """An address to tell alerts to. Raises SettingsError if it cannot be had: nobody would notice the silence."""
    if given is None:
        return None
    address = Secret(given) if given.startswith("http") else resolve(given, environ, stored)
    if isinstance(address, Secret) and not address.reveal().startswith(("http://", "https://")):
        address = f"what {given} holds is not an address"
    if isinstance(address, str):
        raise SettingsError(f"alerts.{name}: {address}", hint="set it, or take the line away: alerts stay in the log")
    return address


def _telemetry_headers(
    telemetry: TelemetrySettings, environ: Mapping[str, str], stored: Mapping[str, Secret]
) -> Mapping[str, Secret]:
    """As OpenTelemetry writes them: `name=value,name=value`, values percent-encoded. Raises SettingsError."""
    reference = telemetry.headers
    if reference is None and environ.get(HEADERS_VARIABLE):
        reference = f"env:{HEADERS_VARIABLE}"
    if reference is None or telemetry.endpoint is None:
        return {}
    held = resolve(reference, environ, stored)
    hint = "write it without spaces, like authorization=Bearer%20KEY,x-scope=mine"
    if isinstance(held, str):
        raise SettingsError(f"telemetry.headers: {held}", hint=hint)
    headers = {}
    for pair in filter(None, held.reveal().split(",")):
        name, equals, value = pair.partition("=")
        value = unquote(value)
        if not (equals and _HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            message = f"telemetry.headers: what {reference} holds is not name=value,name=value"
            raise SettingsError(message, hint=hint)
        headers[name] = Secret(value)
    return headers


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    sections: dict[str, type[Struct]] = {
        "server": ServerSettings,
        "policy": PolicySettings,
        "second_opinion": SecondOpinionSettings,
        "context": ContextSettings,
        "shadow": ShadowSettings,
        "cache": CacheSettings,
        "cascade": CascadeSettings,
        "ledger": LedgerSettings,
        "redis": RedisSettings,
        "access": AccessSettings,
        "alerts": AlertSettings,
        "telemetry": TelemetrySettings,
        "prices": PriceDocumentSettings,
        "spending": SpendingSettings,
        "rollout": RolloutSettings,
        "flags": FlagSettings,
    }
    # …_API_KEY and …_SECRET with one underscore are good names for variables that hold just that.
    secret = ("api_key", "secret")
    settings = [(name, key) for name, section in sections.items() for key in keys_of(section) if key not in secret]
    known = [variable_of(path) for path in settings]
    for name, right in misspelt_variables(environ, known):
        yield f"environment {name}: the name of this setting is {right}, with two underscores between section and key"


def _check_names(settings: Settings) -> Iterator[str]:
    for name in settings.providers:
        if not _PROVIDER_NAME.fullmatch(name):
            yield _told(settings, ("providers", name), "a name has small letters, digits, and _ . - between them")
    for kind, names in (("models", settings.models), ("aliases", settings.aliases)):
        for name in names:
            if name in VIRTUAL_MODELS:
                yield _told(settings, (kind, name), "this name lets routewright choose; take another")
            elif not name.isprintable() or " " in name or not 0 < len(name) <= 100:
                yield _told(settings, (kind, name), "a name has 1 to 100 characters and no spaces")
            elif kind == "aliases" and name in settings.models:
                yield _told(settings, (kind, name), "there is a model of that name")


def _check_budgets(settings: Settings) -> Iterator[str]:
    for name in settings.budgets:
        if name == COST_ALERT:
            yield _told(settings, ("budgets", name), f"policy.{COST_ALERT} has this name; take another")
        elif not _BUDGET_NAME.fullmatch(name):
            yield _told(settings, ("budgets", name), "a name has letters, digits, and _ . - between them")
        elif name in (KEY_BUDGETS, BATCH_BUDGETS):
            told = "those that single keys and batches have are named like this; take another"
            yield _told(settings, ("budgets", name), told)


def _check_models(settings: Settings) -> Iterator[str]:
    for name, model in settings.models.items():
        path = ("models", name)
        if model.deployments and model.tier is None and not model.embedding:
            yield _told(settings, path, f"tier is missing; it is {allowed(Tier)}")
        limit, window = model.max_output_tokens, model.context_window
        limit_path = (*path, "max_output_tokens")
        if limit and window and limit > window and settings.origin(*limit_path) != DEFAULT:
            problem = (
                f"{limit} tokens are more than the context window of {window}, which holds input and output together"
            )
            yield _told(settings, limit_path, problem)
        for deployment in model.deployments:
            provider, slash, upstream = deployment.partition("/")
            if not slash or not upstream:
                yield _told(settings, (*path, "deployments"), f'"{deployment}" is not "provider/model"')
            elif provider not in settings.providers:
                near = did_you_mean(provider, settings.providers)
                yield _told(settings, (*path, "deployments"), f'no provider is called "{provider}"') + near


def _check_neighbours(settings: Settings) -> Iterator[str]:
    """Someone has to make the vectors, and only one."""
    second, path = settings.second_opinion, ("second_opinion",)
    if second.kind != "neighbours":
        return
    if (second.embeddings is None) == (second.onnx is None):
        problem = 'neighbours need either embeddings = "provider/model", or onnx and tokenizer'
        yield _told(settings, path, problem)
    elif second.onnx is not None and second.tokenizer is None:
        yield _told(settings, (*path, "onnx"), "the tokenizer.json that belongs to it is missing: set tokenizer")
    elif second.embeddings is not None:
        yield from _check_embeddings(settings, second.embeddings)


def _check_cache(settings: Settings) -> Iterator[str]:
    if settings.cache.is_used and settings.cache.store == "redis" and settings.redis.url is None:
        yield _told(settings, ("cache", "store"), '"redis" needs to know which one: set redis.url')


def _check_checks(settings: Settings) -> Iterator[str]:
    for path, problem in check_mistakes(settings.checks, settings.cascade):
        yield _told(settings, path, problem)


def _check_policies(settings: Settings) -> Iterator[str]:
    for name in settings.policies:
        if not POLICY_NAME.fullmatch(name):
            yield _told(settings, ("policies", name), "a name has small letters, digits, and _ . - between them")
        elif name == settings.policy.name:
            yield _told(settings, ("policies", name), "this is the name of [policy] itself; take another")
    shares, path = settings.rollout.shares, ("rollout", "shares")
    if settings.policy.name in shares:
        yield _told(settings, (*path, settings.policy.name), "this is the base, which gets what the others leave")
    if sum(shares.values()) > ALL_PERCENT:
        yield _told(settings, path, f"together they are {sum(shares.values()):g} percent, more than all there is")


def _check_embeddings(settings: Settings, embeddings: str) -> Iterator[str]:
    path = ("second_opinion", "embeddings")
    provider, _, upstream = embeddings.partition("/")
    if not upstream:
        yield _told(settings, path, f'"{embeddings}" is not "provider/model"')
    elif provider not in settings.providers:
        near = did_you_mean(provider, settings.providers)
        yield _told(settings, path, f'no provider is called "{provider}"') + near
    elif settings.providers[provider].dialect not in ("openai_chat", "openai_responses"):
        yield _told(settings, path, f"{provider} does not speak OpenAI's dialect, and so has no /embeddings")
    elif provider in settings.unusable:
        yield _told(settings, path, f"{provider} cannot be called: {settings.unusable[provider]}")


def _told(settings: Settings, path: KeyPath, problem: str) -> str:
    return f"{dotted(path)}: {problem}{settings.place(path)}"


def check_binding(settings: Settings, *, has_keys: bool) -> None:
    """Raises SettingsError if the gateway would be open to other machines while nobody needs a key to use it.

    `has_keys` says whether there are virtual keys; they are in the ledger, and so not known where settings are read.
    """
    host = settings.server.host
    if settings.server_key is not None or has_keys or is_loopback(host):
        return
    raise SettingsError(
        f'server.host: "{host}" is open to other machines, and without a key everyone there could spend your money'
        f"{settings.place(('server', 'host'))}",
        hint="make a key for each who is to use it, `routewright keys create NAME`; or one for all, "
        '`routewright keys set server`, and add api_key = "keys:server" to [server] '
        f"(or set {variable_of(('server', 'api_key'))}=keys:server)",
    )


def _values_of(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """All values in a section and below it that are set, with their paths."""
    if isinstance(value, Struct):
        value = {name: getattr(value, name) for name in keys_of(type(value))}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values_of(inner, (*path, name))
    elif value is not None:
        yield path, value
