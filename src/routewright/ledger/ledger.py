"""The ledger's vocabulary and its narrow door.

Everything that happens to money is an event that is only ever appended. An attempt's hold (`Reserved`) is written
before a byte is sent and is durable before the client sees one; it is closed by exactly one `Settled` or `Released`.
`(attempt_id, kind)` is unique, so an event delivered twice counts once. A request's own row (`RequestRecorded`) is
written when it is over, refusals included. How well its answer turned out (`OutcomeRecorded`) is learned later, if at
all, and may be told more than once: a newer opinion stands beside the older one.
"""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from routewright.call import Attempt
from routewright.reply import AttemptReport
from routewright.route import Route
from routewright.usage import NO_INPUT, InputParts, Usage

NANOSECONDS = 1_000_000_000
"""In a second: times in the ledger are UTC nanoseconds since 1970."""


JOB_PREFIX = "batch_"
JOB_HOLDS_LAST_NS = 2 * 86_400 * NANOSECONDS
"""Longer than any provider works on a batch, or waits for it."""


def is_job(holder: str) -> bool:
    """Whether a hold is a job's, and no process's: it lasts until somebody resumes the job, or for two days."""
    return holder.startswith(JOB_PREFIX)


class Charge(Struct, frozen=True, array_like=True, cache_hash=True):
    """A budget that an attempt counts against, in the period in which it was held: a later period owes nothing."""

    budget: str
    starts_ns: int
    """When the period began: UTC nanoseconds since 1970; 0 for a budget for ever."""


class Reserved(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="reserved"):
    """A hold: the dearest the attempt can cost, written before a byte is sent."""

    attempt_id: str
    request_id: str
    at_ns: int
    """UTC, nanoseconds since 1970."""
    boot: str
    """Which writing process: one that is gone cannot settle any more."""
    model: str
    deployment: str
    cause: str
    amount_nanousd: int | None
    """None for a model without a price."""
    price_version: str
    key: str = ""
    """The virtual key that pays; empty without one, as team."""
    team: str = ""
    tags: tuple[str, ...] = ()
    tier: str = ""
    charges: tuple[Charge, ...] = ()
    """The budgets it is held against."""


class Settled(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="settled"):
    """What the attempt really cost, with the tokens it was computed from."""

    attempt_id: str
    request_id: str
    at_ns: int
    model: str
    deployment: str
    served_model: str
    cause: str
    outcome: str
    usage: Usage
    cost_nanousd: int | None
    price_version: str
    is_estimated: bool
    """The provider did not say what it used: the cost is a conservative estimate."""
    first_event_ms: int | None
    """Milliseconds from sending to the first event."""
    total_ms: int
    boot: str = ""
    """Who wrote the hold."""
    held_nanousd: int | None = None
    """What was held; None for a model without a price."""
    service_tier: str = ""
    """How it was served, where that has a price of its own: `batch`, `flex`, `priority`, …; empty for the usual way."""
    key: str = ""
    """The virtual key that pays; empty without one, as team."""
    team: str = ""
    tags: tuple[str, ...] = ()
    tier: str = ""
    charges: tuple[Charge, ...] = ()
    """The budgets it is held against."""


class Released(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="released"):
    """The attempt provably cost nothing: unsent, or answered with an error."""

    attempt_id: str
    request_id: str
    at_ns: int
    model: str
    deployment: str
    cause: str
    outcome: str
    total_ms: int
    boot: str = ""
    """Who wrote the hold."""
    held_nanousd: int | None = None
    """What was held; None for a model without a price."""
    key: str = ""
    """The virtual key that pays; empty without one, as team."""
    team: str = ""
    tags: tuple[str, ...] = ()
    tier: str = ""
    charges: tuple[Charge, ...] = ()
    """The budgets it is held against."""


class RequestRecorded(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="request"):
    """One request as a whole, when it is over."""

    request_id: str
    at_ns: int
    dialect: str
    requested_model: str
    model: str | None
    """Who answered; None when nobody did."""
    tier: str | None
    confidence: float | None
    reason: str
    outcome: str
    """`complete`, `abandoned`, or an error's code."""
    cost_nanousd: int
    is_estimated: bool
    baseline_model: str | None
    baseline_cost_nanousd: int | None
    attempts: int
    stream: bool
    total_ms: int
    overhead_us: int | None
    """Our own time before the first byte went upstream, in microseconds."""
    route: Route | None
    """The whole decision; None when there was none, or no attempt was made of it."""
    tags: tuple[str, ...] = ()
    user: str | None = None
    key: str = ""
    """The virtual key that pays; empty without one, as team."""
    team: str = ""
    input_parts: InputParts = NO_INPUT
    """What the input consists of, as in the attempt that answered: its counted tokens, split by our estimate. Without
    an answer, the estimate as it is; nothing when nobody was asked."""
    input_is_estimated: bool = False
    """`input_parts` add up to an estimate, as nobody reported the input."""
    input_cost_nanousd: int | None = None
    """What that input cost, cached or not; None without an answer or a price."""
    system_cost_nanousd: int | None = None
    """Of that, the system prompt's share, by tokens."""
    system_hash: str = ""
    """Of the system prompt; empty without one, as the rest."""
    system_opening: str = ""
    """The same of how it begins (200 characters): a prompt that is edited further down keeps it."""
    system_chars: int = 0
    system_preview: str = ""
    """Its beginning; empty unless content may be kept (`ledger.log_content`)."""
    cache: str = ""
    """`hit` or `stale` for an answer that was kept, `miss` for a new one; empty without the response cache."""
    cache_saved_nanousd: int | None = None
    """What an answer that was kept cost when it was made; None for all others, and without a price."""
    session: str = ""
    """Which conversation it belongs to, hashed (`decision.session.session_of`); empty where there is none."""


OutcomeSource: TypeAlias = Literal["feedback", "check", "shadow", "judge"]
"""Who says how an answer turned out: whoever used it, a check of its form, a comparison with another model, a judge."""

MOST_TRUSTED_LAST: tuple[OutcomeSource, ...] = ("check", "shadow", "judge", "feedback")
"""When several say something of the same answer, the most trusted is believed."""


def is_believed_over(newer: OutcomeSource, older: OutcomeSource) -> bool:
    """Whether what is said of an answer takes the place of what was said of it before."""
    return MOST_TRUSTED_LAST.index(newer) >= MOST_TRUSTED_LAST.index(older)


class OutcomeRecorded(Struct, frozen=True, kw_only=True, tag_field="kind", tag="outcome"):
    """How well an answer turned out, in one number, and what who says so has to add."""

    outcome_id: str
    request_id: str
    at_ns: int
    model: str = ""
    """Whose answer it was; empty for the model that answered the request."""
    source: OutcomeSource
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """0 is useless, 1 is as good as can be."""
    check: str = ""
    """Of source `check`: the check's name."""
    comment: str = ""
    """Why, in the words of who says so; only with feedback."""
    correction: str = ""
    """What should have been answered: content, so it is only given where content is kept (`ledger.log_content`)."""


ComparisonResult: TypeAlias = Literal["win", "loss", "tie", "different", "failed"]
"""Of the shadow: better than the answer that was given, worse, as good, not the same and not judged, or none came."""


class ComparisonRecorded(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="comparison"):
    """What another model made of a request, beside the answer that was given."""

    comparison_id: str
    request_id: str
    at_ns: int
    model: str
    """Whose answer was given."""
    shadow: str
    """The other model."""
    result: ComparisonResult
    decided_by: str
    """`checks`, `agreement`, `judge`, or an error's code; empty for what nobody decided."""
    judge: str = ""
    """The model that judged."""
    is_same: bool = False
    """Both say the same, in other words perhaps."""
    cost_nanousd: int | None
    """Of the answer that was given, with all attempts; None without a price, as the next two."""
    shadow_cost_nanousd: int | None
    judge_cost_nanousd: int | None = None
    total_ms: int
    """From asking to the end of the answer that was given."""
    shadow_ms: int
    answer: str = ""
    """What was answered; empty unless content may be kept (`ledger.log_content`), as the next."""
    shadow_answer: str = ""


class EmbeddingRecorded(Struct, frozen=True, kw_only=True, tag_field="kind", tag="embedding"):
    """What a request was like, as a vector: similar requests have similar ones."""

    request_id: str
    at_ns: int
    embedder: str
    """Who made it; vectors of different embedders cannot be compared."""
    vector: bytes
    """Little-endian float16."""


LedgerEvent: TypeAlias = (
    Reserved | Settled | Released | RequestRecorded | OutcomeRecorded | EmbeddingRecorded | ComparisonRecorded
)

encode_event = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(LedgerEvent).decode


class EmbeddedOutcome(Struct, frozen=True, kw_only=True):
    """How well an answer turned out, beside what its request was like."""

    sequence: int
    """The outcome's place in the ledger: what to go on after."""
    request_id: str
    model: str
    """Whose answer it was."""
    source: OutcomeSource
    score: float
    """From 0 to 1."""
    vector: bytes
    """Little-endian float16."""
    check: str = ""
    """Of source `check`: the check's name."""


class Hold(Protocol):
    """An attempt's reservation, closed exactly once: closing it again does nothing."""

    @property
    def remaining_nanousd(self) -> int | None:
        """What is left now of the hard budget that has the least left, this attempt taken off; None without any."""
        ...

    def durable(self) -> Awaitable[None]:
        """Wait until the hold would survive a power cut. Raises LedgerUnavailable."""
        ...

    def settle(
        self,
        *,
        outcome: str,
        served_model: str,
        usage: Usage,
        is_estimated: bool,
        first_event_ms: int | None,
        service_tier: str = "",
        ends_request: bool = False,
    ) -> None:
        """Replace the hold by the real cost: that of the model that answered, in the tier in which it did.

        `ends_request` says that the request's own row follows at once, without a wait in between: both are then one
        write.
        """
        ...

    def release(self, *, outcome: str) -> None:
        """Give the hold back: the attempt cost nothing."""
        ...


class Account(Protocol):
    """What an open request has done so far."""

    @property
    def reports(self) -> Sequence[AttemptReport]:
        """The attempts that are closed, in order of closing."""
        ...

    @property
    def route(self) -> Route | None:
        """The decision about the request itself, once an attempt was made of it."""
        ...

    @property
    def opened_at(self) -> float:
        """Monotonic seconds."""
        ...

    @property
    def first_hold_at(self) -> float | None:
        """Monotonic seconds; all before it is our own overhead."""
        ...


class Ledger(Protocol):
    """The few verbs that the layers use; none of them waits."""

    @property
    def trouble(self) -> str | None:
        """Why nothing new is admitted now, in words without a path; None while all is well."""
        ...

    def open(self, request_id: str) -> None:
        """Begin a request's running account."""
        ...

    def hold(self, attempt: Attempt, input_tokens_ub: int) -> Hold:
        """Write the dearest cost of an attempt before it is sent, if all of its budgets have room for it.

        Raises HoldRefused, UnpricedModel, Overloaded and LedgerUnavailable; nothing is held then.
        """
        ...

    def account(self, request_id: str) -> Account:
        """The running account of an open request."""
        ...

    def record(self, request: RequestRecorded) -> None:
        """Write a request's own row and close its account. Raises LedgerUnavailable."""
        ...

    def close(self, request_id: str) -> None:
        """Close the account of what was asked beside a request that has its row."""
        ...

    def compare(self, comparison: ComparisonRecorded) -> None:
        """Write how another model did beside the one that answered. Raises LedgerUnavailable."""
        ...

    def observe(self, outcome: OutcomeRecorded) -> None:
        """Write how well an answer turned out; the request need not be open any more. Raises LedgerUnavailable."""
        ...

    def remember(self, embedding: EmbeddingRecorded) -> None:
        """Write what a request was like. Raises LedgerUnavailable."""
        ...


class Experiences(Protocol):
    """Where to read how embedded requests went."""

    def embedded_outcomes(self, embedder: str, after: int, limit: int) -> Sequence[EmbeddedOutcome]:
        """The latest `limit` outcomes, oldest first, of requests with a vector of this embedder, above `after`.

        Raises StoreUnavailable.
        """
        ...
