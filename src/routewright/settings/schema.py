"""What can be set: each section's keys with their type, range and default. `docs/settings.md` lists the same."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from routewright.call import Cause
from routewright.catalog.pricing import parse_usd, parse_usd_per_million
from routewright.catalog.registry import Capability, Tier
from routewright.check import CheckKind
from routewright.decision.agreement import Task
from routewright.decision.cascading import CascadeStep
from routewright.decision.context import ContextPolicy, ContextStep
from routewright.decision.drift import Quantity
from routewright.decision.intent import Match
from routewright.decision.schemas import read_schema
from routewright.ledger.budgets import Period, Scope, WhenFull, zone_of
from routewright.money import MOST_USD
from routewright.patterns import read_pattern
from routewright.settings.keys import DatabaseAddress, RedisAddress, read_reference
from routewright.settings.places import KeyPath
from routewright.tenant import WhenLeft

COST_ALERT = "cost_alert_threshold"
"""The name of the budget that `policy.cost_alert_threshold` makes."""
MIB = 1024 * 1024
DAY_MS = 86_400_000
YEAR_S = 365 * 86_400


class Read(Struct, frozen=True):
    """Marks a type that is read by a function of our own: `parse(value, path)`, which raises ValueError beginning with
    the path; `allowed` is for messages and for the documentation."""

    parse: Callable[[object, str], object]
    allowed: str


def dotted(path: KeyPath) -> str:
    """A key path as TOML writes it: `models."gpt-5.5".tier`."""
    return ".".join(part if part.replace("-", "").replace("_", "").isalnum() else f'"{part}"' for part in path)


def _read_usd(value: object, path: str) -> Decimal:
    usd = parse_usd(_number(value, path), path)
    if usd > MOST_USD:
        raise ValueError(f"{path}: {usd:f} USD is above {MOST_USD:,}; check the unit")
    return usd


def _read_price(value: object, path: str) -> Decimal:
    parse_usd_per_million(_number(value, path), path)
    return parse_usd(_number(value, path), path)


def _number(value: object, path: str) -> Decimal | int | str:
    if isinstance(value, float):  # a flag; the text of a float is what was typed
        return repr(value)
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(f"{path}: {value!r} is not an amount; write a number like 0.27")
    return value


def _read_base_url(value: object, path: str) -> str:
    if value == "simulator:":
        return "simulator:"
    scheme, _, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if scheme not in ("http", "https") or not rest or rest.startswith("/"):
        raise ValueError(f'{path}: {value!r} is not an address; write it like "https://api.openai.com/v1"')
    if "@" in rest:
        raise ValueError(f"{path}: holds a password; give it as api_key, by reference")
    if any(character in "?#" or not character.isprintable() or character.isspace() for character in rest):
        raise ValueError(f"{path}: {value!r} has more than a host and a path")
    return f"{scheme}://{rest}".rstrip("/")


def _read_webhook(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.startswith(("http:", "https:")):
        return read_reference(value, path)
    try:
        return _read_base_url(value, path)
    except ValueError as error:
        raise ValueError(f"{path}: is not a plain address; if it holds a token, give it by reference") from error


def _read_path(value: object, path: str) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError(f"{path}: {value!r} is not the path of a folder")
    return Path(value).expanduser()


def _read_scope(value: object, path: str) -> str:
    kind, colon, subject = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == Scope.CAUSE and subject and subject not in tuple(Cause):
        raise ValueError(f"{path}: {subject!r} is no cause of an attempt; there are {', '.join(Cause)}")
    if kind == Scope.CAUSE and subject and (purse := Cause(subject).purse) != subject:
        raise ValueError(f'{path}: {subject!r} is paid for by "cause:{purse}"; write that')
    has_subject = bool(colon and subject.strip() and kind in tuple(Scope) and kind != Scope.TOTAL)
    if not has_subject and value not in (Scope.TOTAL, Scope.KEY, Scope.TEAM, Scope.TAG):
        raise ValueError(f"{path}: {value!r} is not {_SCOPE}")
    return str(value)


def _read_zone(value: object, path: str) -> str:
    try:
        zone_of(str(value))
    except (KeyError, ValueError, OSError):
        pass
    else:
        return str(value)
    from zoneinfo import available_timezones

    missing = "" if available_timezones() else "; this machine has no time zones: `pip install tzdata`"
    raise ValueError(f'{path}: {value!r} is not a time zone; write it like "Europe/Berlin"{missing}') from None


_SCOPE = '"total", "KIND:NAME" (team, key, tag, model or cause), or "team", "key" or "tag" for each its own'
_WISH = re.compile(r"match (\S+) within (\d{1,2}(?:\.\d+)?) ?%")


def _read_wish(value: object, path: str) -> Match:
    found = _WISH.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{path}: {value!r} is not understood; write it like "match claude-opus-4.7 within 2 %"')
    return Match(found[1], float(found[2]) / 100)


def _read_schema(value: object, path: str) -> str:
    """The text of a JSON Schema: itself, or what is in the file of that name."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{path}: {value!r} is not {_SCHEMA}")
    text = value
    if not value.lstrip().startswith("{"):
        try:
            text = Path(value).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: the schema {value!r} cannot be read: {error}") from error
    read_schema(text, path, is_trusted=True)
    return text


def _read_pattern(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{path}: {value!r} is not {_PATTERN}")
    read_pattern(value, path)
    return value


_SCHEMA = "the file of a JSON Schema, or the schema itself"
_PATTERN = "a pattern in RE2's syntax"
JsonSchema = Annotated[str, Read(_read_schema, _SCHEMA)]
Pattern = Annotated[str, Read(_read_pattern, _PATTERN)]


def _read_flags(value: object, path: str) -> str:
    kind, _, place = value.partition(":") if isinstance(value, str) else ("", "", "")
    module, _, name = place.rpartition(":")
    if kind != "openfeature" or not module or not name.isidentifier():
        raise ValueError(f'{path}: {value!r} is no provider of flags; write it like "openfeature:package.module:Class"')
    return f"{kind}:{module}:{name}"


KeyReference = Annotated[str, Read(read_reference, '"env:NAME" or "keys:NAME"')]
DatabaseUrl = Annotated[
    DatabaseAddress,
    Read(DatabaseAddress.read, '"env:NAME", "keys:NAME" or an address like "postgresql://user@host/database"'),
]
RedisUrl = Annotated[
    RedisAddress, Read(RedisAddress.read, '"env:NAME", "keys:NAME" or an address like "redis://host:6379/0"')
]
Usd = Annotated[Decimal, Read(_read_usd, "an amount of USD of at least 0")]
UsdPerMillion = Annotated[Decimal, Read(_read_price, "USD per million tokens, from 0 to 10000")]
BaseUrl = Annotated[str, Read(_read_base_url, 'an address like "https://host/v1"')]
Webhook = Annotated[str, Read(_read_webhook, 'an address like "https://host/path", "env:NAME" or "keys:NAME"')]
Folder = Annotated[Path, Read(_read_path, "a folder")]
File = Annotated[Path, Read(_read_path, "a file")]
Wish = Annotated[Match, Read(_read_wish, 'a wish like "match claude-opus-4.7 within 2 %"')]
BudgetScope = Annotated[str, Read(_read_scope, _SCOPE)]
TimeZone = Annotated[str, Read(_read_zone, 'a time zone like "Europe/Berlin"')]
FlagProvider = Annotated[str, Read(_read_flags, 'a class like "openfeature:package.module:Class"')]
Share = Annotated[float, Meta(ge=0, le=100)]
Percent = Annotated[int, Meta(ge=1, le=1000)]
Milliseconds = Annotated[int, Meta(ge=1, le=DAY_MS)]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class ServerSettings(Struct, frozen=True, kw_only=True):
    """`[server]`: where the gateway listens, and the bounds of what it reads."""

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8484
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    api_key: KeyReference | None = None
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1024 * MIB)] = 10 * MIB
    max_file_bytes: Annotated[int, Meta(ge=1024, le=1024 * MIB)] = 200 * MIB
    max_files_bytes: Annotated[int, Meta(ge=MIB, le=1024 * 1024 * MIB)] = 10 * 1024 * MIB
    max_header_bytes: Annotated[int, Meta(ge=4096, le=MIB)] = 32 * 1024
    header_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 10_000
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    max_connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    max_memory_mb: Annotated[int, Meta(ge=0, le=16 * MIB)] = 0
    drain_seconds: Annotated[int, Meta(ge=0, le=3600)] = 120
    linger_seconds: Annotated[int, Meta(ge=0, le=300)] = 0
    when_left: WhenLeft = WhenLeft.CANCEL
    when_left_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    when_left_bytes: Annotated[int, Meta(ge=1024, le=1024 * MIB)] = MIB
    when_left_at_once: Annotated[int, Meta(ge=1, le=10_000)] = 100
    log_requests: bool = False


class PolicySettings(Struct, frozen=True, kw_only=True):
    """`[policy]`: how models are chosen, and how much patience and money a request gets."""

    name: Name = "default"
    classifier: Name = "learned"
    artefact: File | None = None
    confidence_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.7
    quality: Wish | None = None
    min_quality: Annotated[float, Meta(ge=0, le=1)] | None = None
    success_value_usd: Usd | None = None
    caution: Annotated[float, Meta(ge=0, le=10)] = 0.5
    exploration: Annotated[float, Meta(ge=0, le=1)] = 0.0
    max_retry_attempts: Annotated[int, Meta(ge=0, le=10)] = 2
    batch_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 5
    batch_max_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 64
    hedge_after_ms: Milliseconds | None = None
    hedge_max_usd: Usd = Decimal("0.01")
    fallback_timeout_ms: Milliseconds = 3000
    response_timeout_ms: Milliseconds = 60_000
    cost_alert_threshold: Usd = Decimal("100.0")
    deadline_ms: Milliseconds = 600_000
    connect_timeout_ms: Milliseconds = 3000
    idle_timeout_ms: Milliseconds = 30_000
    max_reply_bytes: Annotated[int, Meta(ge=1024, le=1024 * MIB)] = 32 * MIB
    baseline: Name | None = None
    prompt_cache_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 300
    session_evidence: bool = True
    drop_unsupported: tuple[Name, ...] = ()

    @property
    def cost_alert_nanousd(self) -> int:
        """`cost_alert_threshold` in nano-USD."""
        return int(self.cost_alert_threshold * 10**9)


class Overlay(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`[policies.NAME]`: what a named policy changes of `[policy]`, and of the models. What it does not say stays."""

    confidence_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    quality: Wish | None = None
    min_quality: Annotated[float, Meta(ge=0, le=1)] | None = None
    success_value_usd: Usd | None = None
    caution: Annotated[float, Meta(ge=0, le=10)] | None = None
    exploration: Annotated[float, Meta(ge=0, le=1)] | None = None
    session_evidence: bool | None = None
    hedge_after_ms: Milliseconds | None = None
    hedge_max_usd: Usd | None = None
    baseline: Name | None = None
    models: tuple[Name, ...] = ()
    tiers: dict[str, Tier] = {}
    fallbacks: dict[str, tuple[Name, ...]] = {}


class RolloutSettings(Struct, frozen=True, kw_only=True):
    """`[rollout]`: which named policy gets which share of the requests."""

    enabled: bool = True
    by: Literal["session", "key"] = "session"
    shares: dict[str, Share] = {}


class FlagSettings(Struct, frozen=True, kw_only=True):
    """`[flags]`: who is asked for each request whether there are other policies, and which."""

    provider: FlagProvider | None = None


class ContextSettings(Struct, frozen=True, kw_only=True):
    """`[context]`: whether and how long input is shortened."""

    enabled: bool = False
    threshold_tokens: Tokens = 8_000
    steps: tuple[ContextStep, ...] = (ContextStep.TIDY, ContextStep.CAP_TOOLS)
    tool_result_tokens: Tokens = 4_000
    keep_turns: Annotated[int, Meta(ge=1, le=1000)] = 4
    summary_tokens: Annotated[int, Meta(ge=50, le=8000)] = 400
    summary_timeout_ms: Milliseconds = 20_000
    summaries_kept: Annotated[int, Meta(ge=1, le=100_000)] = 256
    expected_turns: Annotated[int, Meta(ge=1, le=1000)] = 1

    @property
    def policy(self) -> ContextPolicy:
        """What the decision needs of it."""
        return ContextPolicy(
            threshold_tokens=self.threshold_tokens,
            steps=self.steps,
            tool_result_tokens=self.tool_result_tokens,
            keep_turns=self.keep_turns,
            summary_tokens=self.summary_tokens,
            expected_turns=self.expected_turns,
        )


class SecondOpinionSettings(Struct, frozen=True, kw_only=True):
    """`[second_opinion]`: who is asked when the classifier is unsure."""

    kind: Literal["none", "judge", "neighbours"] = "none"
    timeout_ms: Milliseconds = 1500
    model: Name = "auto:cheap"
    max_output_tokens: Annotated[int, Meta(ge=1, le=1000)] = 8
    embeddings: Name | None = None
    onnx: File | None = None
    tokenizer: File | None = None
    k: Annotated[int, Meta(ge=1, le=1000)] = 16
    least_similarity: Annotated[float, Meta(ge=0, le=0.99)] = 0.6
    max_entries: Annotated[int, Meta(ge=1, le=100_000)] = 50_000


class ShadowSettings(Struct, frozen=True, kw_only=True):
    """`[shadow]`: which models are asked the same beside the one that answers, to compare them."""

    models: tuple[Name, ...] = ()
    share: Annotated[float, Meta(ge=0, le=1)] = 0.05
    daily_usd: Usd = Decimal("1.0")
    judge: Name | None = None
    timeout_ms: Milliseconds = 120_000


class CacheSettings(Struct, frozen=True, kw_only=True):
    """`[cache]`: whose answers are kept and given again to who asks the same."""

    routes: tuple[Name, ...] = ()
    keys: tuple[Name, ...] = ()
    store: Literal["memory", "sqlite", "redis"] = "memory"
    ttl_s: Annotated[int, Meta(ge=1, le=YEAR_S)] = 3600
    stale_if_error_s: Annotated[int, Meta(ge=0, le=YEAR_S)] = 0
    shared: bool = False
    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    max_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024 * MIB)] = 64 * MIB
    max_answer_bytes: Annotated[int, Meta(ge=1024, le=32 * MIB)] = MIB

    @property
    def is_used(self) -> bool:
        """Whether any answer is kept."""
        return bool(self.routes or self.keys)


class CheckSettings(Struct, frozen=True, kw_only=True):
    """`[checks.NAME]`: what answers must pass, and whose."""

    kind: CheckKind
    routes: tuple[Name, ...] = ()
    keys: tuple[Name, ...] = ()
    schema: JsonSchema | None = None
    pattern: Pattern | None = None
    forbidden: bool = False
    min_chars: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    max_chars: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    language: Name | None = None
    tool: Name | None = None
    plug_in: Name | None = None


class CascadeSettings(Struct, frozen=True, kw_only=True):
    """`[cascade]`: what is done about an answer that does not pass, and whether cheap answers are compared."""

    steps: tuple[CascadeStep, ...] = (CascadeStep.REPAIR, CascadeStep.REASK, CascadeStep.ESCALATE)
    max_turns: Annotated[int, Meta(ge=1, le=8)] = 3
    streams: Literal["buffer", "record"] = "buffer"
    agreement: tuple[Name, ...] = ()
    agreement_tasks: tuple[Task, ...] = (Task.CHOICE, Task.NUMBER, Task.TEXT, Task.JSON)
    agreement_tiers: tuple[Tier, ...] = (Tier.STANDARD, Tier.COMPLEX)


class BatchesSettings(Struct, frozen=True, kw_only=True):
    """`[batches]`: how the gateway's batches are answered, and what is known of batches afterwards."""

    via: Literal["auto", "live", "provider"] = "auto"
    kept_days: Annotated[int, Meta(ge=0, le=36_500)] = 30


class LedgerSettings(Struct, frozen=True, kw_only=True):
    """`[ledger]`: where the accounts are kept."""

    path: Folder
    database_url: DatabaseUrl | None = None
    max_journal_bytes: Annotated[int, Meta(ge=8 * MIB, le=1024 * 1024 * MIB)] = 256 * MIB
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    log_content: bool = False


class RedisSettings(Struct, frozen=True, kw_only=True):
    """`[redis]`: where gateways tell each other what may be lost."""

    url: RedisUrl | None = None


class AccessSettings(Struct, frozen=True, kw_only=True):
    """`[access]`: how virtual keys are kept."""

    secret: KeyReference | None = None


class AlertSettings(Struct, frozen=True, kw_only=True):
    """`[alerts]`: who is told, beside the log, what budgets reach."""

    webhook: Webhook | None = None
    slack_webhook: KeyReference | None = None


class DriftSettings(Struct, frozen=True, kw_only=True):
    """`[drift]`: whether it is noticed that a model is not any more what it was, and what is then done."""

    enabled: bool = True
    streams: tuple[Quantity, ...] = tuple(Quantity)
    reference: Annotated[int, Meta(ge=50, le=100_000)] = 2000
    budget: Annotated[float, Meta(ge=0.0001, le=100)] = 0.1
    rule: Literal["sequential", "classic"] = "sequential"
    smallest_change: Annotated[float, Meta(ge=0, le=100)] = 1.0
    deviation: Annotated[float, Meta(ge=0.1, le=100)] = 5.0
    take_out_of_auto: bool = False


class TelemetrySettings(Struct, frozen=True, kw_only=True):
    """`[telemetry]`: where traces go."""

    endpoint: BaseUrl | None = None
    headers: KeyReference | None = None
    service_name: Name = "routewright"
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    log_content: bool = False


class PriceDocumentSettings(Struct, frozen=True, kw_only=True):
    """`[prices]`: which price table applies to what has no price in the settings."""

    document: File | None = None


class SpendingSettings(Struct, frozen=True, kw_only=True):
    """`[spending]`: what is done when a request does not fit into its budgets."""

    when_full: tuple[WhenFull, ...] = (WhenFull.WAIT, WhenFull.CHEAPER, WhenFull.SHORTEN, WhenFull.REFUSE)
    wait_ms: Milliseconds = 1000
    least_output_tokens: Tokens = 256
    time_zone: TimeZone = "UTC"


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """`[budgets.NAME]`: how much may be spent, by whom, in which time."""

    scope: BudgetScope
    limit_usd: Usd
    period: Period = Period.MONTH
    kind: Literal["hard", "soft"] = "hard"
    alerts: tuple[Percent, ...] = (80, 100)
    time_zone: TimeZone | None = None


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """`[providers.NAME]`: a company or server that speaks one dialect."""

    base_url: BaseUrl
    dialect: Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini"] = "openai_chat"
    api_key: KeyReference | None = None
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    local: bool = False


class PriceSettings(Struct, frozen=True, kw_only=True):
    """`[models.NAME.price]`: USD per million tokens, by class of token."""

    input: UsdPerMillion
    output: UsdPerMillion
    cache_read: UsdPerMillion | None = None
    cache_write: UsdPerMillion | None = None
    cache_write_1h: UsdPerMillion | None = None
    reasoning: UsdPerMillion | None = None
    audio_input: UsdPerMillion | None = None
    audio_cache_read: UsdPerMillion | None = None
    audio_output: UsdPerMillion | None = None


class ModelSettings(Struct, frozen=True, kw_only=True):
    """`[models.NAME]`: a model, what it is good for, and where it can be called."""

    tier: Tier | None = None
    deployments: tuple[Name, ...] = ()
    context_window: Tokens | None = None
    max_output_tokens: Tokens | None = None
    capabilities: frozenset[Capability] = frozenset()
    fallbacks: tuple[Name, ...] = ()
    first_event_timeout_ms: Milliseconds | None = None
    embedding: bool = False
    enabled: bool = True
    needs_key: bool = False
    price: PriceSettings | None = None


class Sections(Struct, frozen=True, kw_only=True):
    """A settings file as a whole."""

    server: ServerSettings
    policy: PolicySettings
    second_opinion: SecondOpinionSettings
    context: ContextSettings
    shadow: ShadowSettings
    cache: CacheSettings
    checks: dict[str, CheckSettings]
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
    budgets: dict[str, BudgetSettings]
    providers: dict[str, ProviderSettings]
    models: dict[str, ModelSettings]
    aliases: dict[str, Name]
    policies: dict[str, Overlay]


class UnknownKey(Struct, frozen=True):
    """There is no key `name` below `section`, where there are `known` ones."""

    section: KeyPath
    name: str
    known: tuple[str, ...]


class NotATable(Struct, frozen=True):
    """What stands at `path` is a single value, so there can be no keys below it."""

    path: KeyPath


@cache  # msgspec resolves annotations anew each time, and this is asked for every value
def keys_of(section: type[Struct]) -> Mapping[str, FieldInfo]:
    """The keys of a section, in order."""
    return {field.name: field for field in fields(section)}


def type_at(path: KeyPath) -> Any:
    """The type of what stands at a path: a section, a `dict` of sections, or the annotated type of a value.

    Where nothing can stand, an UnknownKey or NotATable says why.
    """
    here: Any = Sections
    for depth, name in enumerate(path):
        if is_section(here):
            known = keys_of(here)
            if name not in known:
                return UnknownKey(path[:depth], name, tuple(known))
            here = without_none(known[name].type)
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            return NotATable(path[:depth])
    return here


def is_section(kind: object) -> bool:
    """Whether a type is a section of the settings."""
    return isinstance(kind, type) and issubclass(kind, Struct)


@cache  # asked for every value as well
def without_none(kind: Any) -> Any:
    """`X` for `X | None`, every other type as it is."""
    members = [member for member in get_args(kind) if member is not type(None)]
    return members[0] if type(None) in get_args(kind) else kind


def notes_of(kind: Any) -> tuple[Any, tuple[object, ...]]:
    """A type and what it is annotated with."""
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def allowed(kind: Any) -> str:
    """What a value may be, in words: `a number from 0 to 1`."""
    plain, notes = notes_of(kind)
    for note in notes:
        if isinstance(note, Read):
            return note.allowed
    if get_origin(plain) is Literal:
        return _one_of(get_args(plain))
    if get_origin(plain) in (tuple, frozenset):
        inner = get_args(plain)[0]
        if _is_closed(inner):
            return f"a list of {_one_of(tuple(inner))}"
        item, its_notes = notes_of(inner)
        return f"a list of whole numbers{_range(its_notes)}" if item is int else "a list of names"
    if plain is bool:
        return "true or false"
    if _is_closed(plain):
        return _one_of(tuple(plain))
    if plain is str:
        return "a text of 1 to 100 characters"
    return ("a whole number" if plain is int else "a number") + _range(notes)


def _is_closed(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _one_of(names: tuple[str, ...]) -> str:
    *most, last = (f'"{name}"' for name in names)
    return f"{', '.join(most)} or {last}"


def _range(notes: tuple[object, ...]) -> str:
    return "".join(f" from {note.ge} to {note.le}" for note in notes if isinstance(note, Meta))
