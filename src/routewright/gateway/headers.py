"""Headers of our own: what a caller may ask of the router, and what the router says of its answer."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import ceil

from msgspec import Struct

from routewright.call import Attempt, JsonObject, Options
from routewright.dialects.anthropic_messages import FORWARDED_HEADERS, VERSION_HEADER, VERSIONS
from routewright.dialects.options import read_options as options_from
from routewright.dialects.session import hashed_session
from routewright.errors import (
    AllAttemptsFailed,
    InvalidRequest,
    MethodNotAllowed,
    OperatorError,
    Overloaded,
    RateLimited,
    RequestInProgress,
    RequestTimeout,
    RoutewrightError,
)
from routewright.gateway.aliases import PREFIXES as ALIAS_PREFIXES
from routewright.gateway.aliases import SESSIONS, read_aliases
from routewright.gateway.http import RawHeaders, Request, header_text
from routewright.layers.key_quota import Standing
from routewright.money import exact_usd
from routewright.reply import Reply
from routewright.route import Strategy
from routewright.trace import SpanContext, read_parent

_PREFIX = b"x-routewright-"
_PREFIXES = (_PREFIX, *ALIAS_PREFIXES)
_NO_OPTIONS = Options()
_FORWARDED = [(name.encode(), name) for name in FORWARDED_HEADERS]
_VERSION = VERSION_HEADER.encode()
_SESSION = (b"x-session-id", b"x-conversation-id", b"x-claude-code-session-id", *SESSIONS)
_ASIDE = frozenset((_VERSION, b"traceparent", *_SESSION, *(raw for raw, _ in _FORWARDED)))
_PASSING = (RateLimited, RequestInProgress, RequestTimeout, OperatorError)
"""What is worth trying again. Where our own attempts, budget or deadline are spent, it is not: retries multiply."""


class Aside(Struct, frozen=True):
    """What headers say about a call, beside its body and its options."""

    session: str = ""
    headers: Mapping[str, str] = {}
    trace: SpanContext | None = None


_NOTHING = Aside()


def read_aside(request: Request) -> Aside:
    """What becomes `Call.session`, `Call.headers` and `Call.trace`. Raises InvalidRequest."""
    if request.headers.keys().isdisjoint(_ASIDE):  # as of most requests
        return _NOTHING
    check_version(request)
    return Aside(read_session(request.headers), read_forwarded(request), read_trace(request))


def read_options(headers: Mapping[bytes, bytes]) -> Options:
    """The caller's wishes from `x-routewright-…` headers, and what other gateways call them. Raises InvalidRequest for
    one we cannot read."""
    names = b"\n".join(headers)
    if not [prefix for prefix in _PREFIXES if prefix in names]:  # as of most requests
        return _NO_OPTIONS
    said = {name: value for name, value in headers.items() if name.startswith(_PREFIXES)}
    fields = read_aliases(said)
    for name, value in said.items():
        if name.startswith(_PREFIX):
            _add(fields, name[len(_PREFIX) :].decode("latin-1"), header_text(value).strip())
    return options_from(fields, at="x-routewright-") if fields else Options()


def _add(fields: JsonObject, name: str, value: str) -> None:
    if name == "deadline-ms" and value.isascii() and value.isdigit():
        fields["deadline_ms"] = int(value)
    elif name == "no-log" and value in ("0", "1"):
        fields["no_log"] = value == "1"
    elif name in ("tags", "drop", "checks"):
        fields[name] = [each.strip() for each in value.split(",")]
    else:
        fields[name.replace("-", "_")] = value


def read_session(headers: Mapping[bytes, bytes]) -> str:
    """`Call.session` by the first header that names a conversation; empty without one. Others are passed over."""
    for name in _SESSION:
        if name in headers and (session := hashed_session(headers[name].decode("latin-1"))):
            return session
    return ""


def read_trace(request: Request) -> SpanContext | None:
    """`Call.trace`; None without a header that names one span."""
    parent = request.header(b"traceparent")
    if parent is None or b"traceparent" in request.repeated:
        return None
    state = None if b"tracestate" in request.repeated else request.header(b"tracestate")
    return read_parent(parent, state or "")


def check_version(request: Request) -> None:
    """A client that says which version of Anthropic's API it speaks must say one that is known here.

    Raises InvalidRequest. Who does not say it is taken to speak the first one, though Anthropic itself would refuse.
    """
    version = request.header(_VERSION)
    if version is not None and version not in VERSIONS:
        raise InvalidRequest(
            f"{VERSION_HEADER} {version[:40]!r} is not spoken here",
            param=VERSION_HEADER,
            hint=f"send {' or '.join(VERSIONS)}",
        )


def read_forwarded(request: Request) -> Mapping[str, str]:
    """`Call.headers`. Raises InvalidRequest for one that came twice, as only one could go on, or is not plain text."""
    forwarded = {}
    for raw, name in _FORWARDED:
        value = request.header(raw)
        if value is None:
            continue
        if raw in request.repeated or not (value.isascii() and value.isprintable()):
            hint = "send it once, in printable ASCII, its values joined by commas"
            raise InvalidRequest(f"{name} cannot be passed on as it came", param=name, hint=hint)
        forwarded[name] = value
    return forwarded


def answer_headers(request: Request, reply: Reply) -> RawHeaders:
    """What the router did. The cost is there once the reply has ended; a stream tells it in its last chunk."""
    attempt, route = reply.attempt, reply.route
    told: RawHeaders = [
        *_ids(attempt.call.id, request.client_id),
        *_choice(attempt.model.name, route.tier, route.reason, attempt.price_version),
        (b"x-routewright-attempts", b"%d" % attempt.number),
    ]
    if route.confidence is not None:
        told.append((b"x-routewright-confidence", b"%.2f" % route.confidence))
    if dropped := _dropped(attempt):
        told.append((b"x-routewright-dropped", _listed(dropped, ", ")))
    if route.context:
        told.append((b"x-routewright-context", _listed(route.context)))
    if route.spending:
        told.append((b"x-routewright-spending", _listed(route.spending)))
    if route.cascade:
        told.append((b"x-routewright-cascade", _listed(route.cascade)))
    if route.strategy is not None and (checks := _checks(route.strategy, reply)):
        told.append((b"x-routewright-checks", _written(checks)))
    if route.max_output_tokens is not None:
        told.append((b"x-routewright-max-tokens", b"%d" % route.max_output_tokens))
    if reply.cached is not None:
        told.append((b"x-routewright-cache", _written(reply.cached.state)))
        if reply.cached.age_s is not None:
            told.append((b"age", b"%d" % reply.cached.age_s))
    if reply.budget_remaining_nanousd is not None:
        told.append((b"x-routewright-budget-remaining-usd", exact_usd(reply.budget_remaining_nanousd).encode()))
    if reply.receipt is not None:
        told.append((b"x-routewright-cost-usd", exact_usd(reply.receipt.cost_nanousd).encode()))
        if reply.receipt.baseline_cost_nanousd is not None:
            told.append((b"x-routewright-baseline-cost-usd", exact_usd(reply.receipt.baseline_cost_nanousd).encode()))
        if reply.receipt.overhead_s is not None:
            told.append((b"x-routewright-overhead-ms", b"%.2f" % (reply.receipt.overhead_s * 1000)))
    return told


@lru_cache(maxsize=1_000)
def _choice(model: str, tier: str, reason: str, price_version: str) -> tuple[tuple[bytes, bytes], ...]:
    """Which model, and why: the same for many answers."""
    return (
        (b"x-routewright-model", _written(model)),
        (b"x-routewright-tier", _written(tier)),
        (b"x-routewright-reason", _written(reason)),
        (b"x-routewright-price-version", _written(price_version)),
    )


def _dropped(attempt: Attempt) -> Sequence[str]:
    for candidate in attempt.routed.route.written:
        if candidate.model == attempt.model.name:
            return candidate.dropped_fields
    return ()


def _written(text: str) -> bytes:
    return text.encode("ascii", "replace")


def _listed(texts: Iterable[str], separator: str = "; ") -> bytes:
    return _written(separator.join(texts))


def _checks(strategy: Strategy, reply: Reply) -> str:
    """`json_schema=ok, english=failed`; `later` for those of a stream that is checked when it has ended."""
    if not reply.findings and strategy.streams == "record":
        return ", ".join(f"{name}=later" for name in strategy.checks)
    return ", ".join(f"{finding.check}={'ok' if finding.is_ok else 'failed'}" for finding in reply.findings)


def id_headers(request: Request) -> RawHeaders:
    """By which id to find a request again (`routewright ledger show`): the client's own for it, and ours."""
    return _ids(request.id, request.client_id)


def _ids(own: str, of_client: str | None) -> RawHeaders:
    raw = own.encode()
    return [
        (b"x-request-id", raw if of_client is None else of_client.encode()),
        (b"request-id", raw),  # where Anthropic's SDK looks for it
        (b"x-routewright-request-id", raw),
    ]


def error_headers(request: Request, error: RoutewrightError) -> RawHeaders:
    """By which id to find it again, and whether and when it makes sense to come back."""
    headers = id_headers(request)
    pause_s = error.retry_after_s if isinstance(error, AllAttemptsFailed | RateLimited | Overloaded) else None
    if pause_s is not None:
        headers.append((b"retry-after", b"%d" % ceil(pause_s)))
        headers.append((b"retry-after-ms", b"%d" % ceil(pause_s * 1000)))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    headers.append((b"x-should-retry", b"true" if isinstance(error, _PASSING) else b"false"))
    return headers


def limit_headers(standing: Standing | None) -> RawHeaders:
    """OpenAI's `x-ratelimit-…` for a key with limits; none for others."""
    headers: RawHeaders = []
    if standing is None:
        return headers
    for kind, allowance in (("requests", standing.requests), ("tokens", standing.tokens)):
        if allowance is not None:
            headers.append((f"x-ratelimit-limit-{kind}".encode(), b"%d" % allowance.limit))
            headers.append((f"x-ratelimit-remaining-{kind}".encode(), b"%d" % allowance.remaining))
            headers.append((f"x-ratelimit-reset-{kind}".encode(), _duration(allowance.resets_in_s).encode()))
    return headers


def _duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `1.5s`, `1m6s`."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{f'{minutes}m' if minutes else ''}{rest / 1000:g}s"
