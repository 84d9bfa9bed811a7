"""What flows down: `Call` (what was asked) → `Routed` (what we decided) → `Attempt` (one try).

Each value contains the one before it, so what a function needs is in its signature and a stage reached too early does
not type-check. A `Call` holds the request twice: `body`, the client's own fields as they came, which a provider of the
same dialect gets back untouched; and the canonical fields, which the decision reads and every other dialect is
written from.
"""

import math
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from routewright.catalog.registry import Deployment, Model, Tier
from routewright.check import Check
from routewright.route import Route
from routewright.tenant import NOBODY, Tenant
from routewright.trace import SpanContext

JsonObject: TypeAlias = dict[str, Any]
"""Parsed JSON. The one place where `Any` is honest: its shape is the client's."""


class Text(Struct, frozen=True, tag="text"):
    """Words."""

    text: str


class Image(Struct, frozen=True, tag="image"):
    """A picture, by `https:` or `data:` URL. It is passed on and never fetched."""

    url: str
    detail: str | None = None


class Document(Struct, frozen=True, tag="document"):
    """A file to be read, by `https:` or `data:` URL. It is passed on and never fetched."""

    url: str
    name: str = ""


class Thinking(Struct, frozen=True, tag="thinking"):
    """What a model thought in an earlier turn, to be given back to it as it came."""

    text: str
    """Empty when the provider hides it."""
    seal: str = ""
    """By which the provider knows it as its own (a signature, or all of it encrypted); unsealed is not taken back."""
    dialect: str = ""
    """Whose seal it is: no other dialect can carry it, and to leave it out changes no question."""


class CacheMark(Struct, frozen=True, tag="cache_mark"):
    """All that stands before it may be kept by the provider, for `5m` or `1h`: a hint, where there is no such word."""

    lifetime: str = "5m"


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A model's wish to use a tool; `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """What a tool gave back."""

    call_id: str
    text: str
    is_error: bool = False
    images: tuple[Image, ...] = ()


class Opaque(Struct, frozen=True, tag="opaque"):
    """A part that only the client's own dialect can carry, by its kind (`input_audio`, `file`, …)."""

    kind: str


Part: TypeAlias = Text | Image | Document | Thinking | CacheMark | ToolCall | ToolResult | Opaque
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


def utf8_length(text: str) -> int:
    """In bytes; what tokenizers cannot exceed."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


class Message(Struct, frozen=True):
    """One turn."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words of all text parts, joined by line breaks."""
        if len(self.parts) == 1 and type(only := self.parts[0]) is Text:  # as most are
            return only.text
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(Struct, frozen=True):
    """A function the model may ask for; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: JsonObject
    is_strict: bool | None = None
    """Arguments must fit `parameters` exactly; None when that was not said."""
    cache_mark: CacheMark | None = None
    """This tool and all before it may be kept by the provider."""


class ToolChoice(Struct, frozen=True):
    """Whether a tool may (`auto`), must not (`none`) or must (`required`) be used; `name` forces that one."""

    mode: Literal["auto", "none", "required"]
    name: str | None = None


class OutputFormat(Struct, frozen=True):
    """The form of answer asked for."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    schema: JsonObject | None = None
    is_strict: bool | None = None
    """The answer must fit `schema` exactly; None when that was not said."""
    description: str = ""
    """What the answer is for, where the client said so beside the schema."""

    @property
    def described_schema(self) -> JsonObject | None:
        """The schema with the description in it, for dialects that have no other place for that."""
        if self.schema is None or not self.description:
            return self.schema
        return {"description": self.description, **self.schema}


class Options(Struct, frozen=True, kw_only=True):
    """What the caller asks of the router itself: `x-routewright-…` headers, or `routewright: {…}` in a body."""

    tier: Tier | None = None
    max_cost_nanousd: int | None = None
    min_quality: float | None = None
    """The least probability of a good answer, 0 to 1, that a model must have."""
    deadline_s: float | None = None
    tags: tuple[str, ...] = ()
    user: str | None = None
    no_log: bool = False
    """Nothing of the content may be kept, whatever the settings allow."""
    drop: tuple[str, ...] = ()
    """What may be left out where a provider has no word for it: names of the client's fields, and kinds of parts."""
    checks: tuple[Check | str, ...] = ()
    """What the answer is checked for, beside what the settings say: checks, or names of theirs."""
    agreement: str = ""
    """In which form answers may be compared (`choice`, `number`, `text`, `json`), or `off`; empty for what the request
    looks like."""
    cache: bool = True
    """Where the settings allow it, an answer may be one that was kept, and is kept."""
    policy: str = ""
    """The named policy to decide by; empty for the one that the roll-out gives. Set also by the roll-out."""
    shadow: bool = True
    """Where the settings allow it, other models may be asked the same, to compare them."""


class Priority(IntEnum):
    """Who goes first where calls wait for one another."""

    LIVE = 0
    """Somebody waits for the answer."""
    BATCH = 1
    SHADOW = 2
    """Nobody will see the answer."""


class Call(Struct, frozen=True, kw_only=True):
    """A request as the client meant it."""

    id: str
    """Minted by us (UUIDv7); a client's own request id is echoed but never used as identity."""
    dialect: str
    """The client's, e.g. `openai_chat`."""
    model: str
    """As asked for: `auto`, an alias, a model, or `provider/model`."""
    messages: tuple[Message, ...]
    body: JsonObject
    """The client's fields, without the `routewright` key; empty for a call made through the library."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat = OutputFormat()
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    logprobs: int | None = None
    """Log-probabilities are asked for, each with so many alternatives; None when they are not."""
    choices: int = 1
    """How many answers are asked for (`n`)."""
    stream: bool = False
    wants_usage: bool = False
    """The client asked for a usage chunk at the end of its stream."""
    extra_fields: tuple[str, ...] = ()
    """Names of body fields that the canonical form does not hold."""
    headers: Mapping[str, str] = {}
    """Of the request's headers those that a provider of their dialect gets as they came (`anthropic-beta`)."""
    options: Options = Options()
    service_tier: str = ""
    """The way of being served that is asked for, where it may have a price of its own (`flex`, `priority`, `auto`, …);
    empty for the usual one. `batch` is set by who sends batches, and by no field of a request."""
    priority: Priority = Priority.LIVE
    """Set by the face that knows, never by a field of the request."""
    max_retries: int | None = None
    """How often a model is tried again; None for what the settings say. Set by the face that knows."""
    lane: str = ""
    """Of which lane it takes a place (`layers.lanes`); empty for none. Set by the face that knows."""
    tenant: Tenant = NOBODY
    """Who pays; set by the face that knows, never by a field of the request."""
    session: str = ""
    """Which conversation the client says this belongs to, hashed; empty when it does not say. Never used to bill,
    limit or let in anybody."""
    deadline_at: float = math.inf
    """Monotonic seconds; set by the deadline layer."""
    trace: SpanContext | None = None
    """The client's span, by its header; below the trace layer, ours for this request."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Those of who pays, and the request's own; each once."""
        of_tenant, own = self.tenant.tags, self.options.tags
        return tuple(dict.fromkeys((*of_tenant, *own))) if of_tenant or own else ()


class Cause(StrEnum):
    """Why an attempt is made."""

    FIRST = "first"
    RETRY = "retry"
    FALLBACK = "fallback"
    HEDGE = "hedge"
    """The first attempt was slow to begin; whichever answers first is taken."""
    JUDGE = "judge"
    """A small model was asked how hard the request is."""
    SUMMARY = "summary"
    """Old turns were summarised to shorten the input."""
    SHADOW = "shadow"
    """Another model was asked the same, to compare it; nobody sees its answer."""
    COMPARISON = "comparison"
    """A model was asked which of two answers is better."""
    REASK = "reask"
    """The model's answer did not pass a check; it was told so, and asked again."""
    ESCALATION = "escalation"
    """A cheaper model's answer did not do."""
    AGREEMENT = "agreement"
    """A second answer was made to compare the first one with."""

    def __init__(self, word: str) -> None:
        self.is_errand = word in ("judge", "summary", "shadow", "comparison")
        """The attempt is not made for the answer itself, but for something beside it."""

    @property
    def purse(self) -> "Cause":
        """The cause whose budget pays: to compare shadows is part of what they cost."""
        return Cause.SHADOW if self is Cause.COMPARISON else self


class Routed(Struct, frozen=True):
    """A call and the decision made for it."""

    call: Call
    route: Route
    cause: Cause = Cause.FIRST
    """Why its first attempt is made; every attempt of an errand has the errand's own."""
    attempts_before: int = 0
    """How many were made for other answers to the same call."""
    is_turn: bool = False
    """Another answer may follow: the call is not over with this one."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One try of one deployment."""

    id: str
    """Minted by us (UUIDv7); sent upstream as `x-attempt-id` and the key of the ledger entry."""
    routed: Routed
    model: Model
    deployment: Deployment
    others: tuple[Deployment, ...] = ()
    """The model's further deployments, for the tries after this one."""
    number: int
    """1 for the request's first attempt."""
    cause: Cause
    is_last_model: bool
    """No other model is left to fall back to, so waiting is better than giving up early."""
    trace: SpanContext | None = None
    """Its span, which the provider is told of; None where nothing is traced."""

    @property
    def call(self) -> Call:
        """What was asked."""
        return self.routed.call

    @property
    def price_version(self) -> str:
        """Which prices it is held at: those of its place, where that has its own."""
        return self.model.price_version if self.deployment.tariff is None else self.deployment.price_version
