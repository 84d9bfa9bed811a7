"""What a batch consists of: a job, its items, and what became of each. Plain values and one table of transitions."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from routewright.catalog.registry import Tier

CHAT = "/v1/chat/completions"
"""The endpoint of an item that does not name one."""


class JobState(StrEnum):
    """Where a job is; the words are those of OpenAI's batches."""

    VALIDATING = "validating"
    """Its items are read; nothing was asked yet."""
    IN_PROGRESS = "in_progress"
    """Its items are asked, or can be: a process that died, ran out of budget or was stopped leaves it here."""
    FINALIZING = "finalizing"
    """All is answered; twins and the order of the output are left."""
    COMPLETED = "completed"
    """Every item has its line, in the output or in the error file."""
    FAILED = "failed"
    """The input cannot be used, or what it can cost has no room where it must be held for; nothing more is asked."""
    EXPIRED = "expired"
    """Its time was up before all was asked; with another deadline it can go on."""
    CANCELLING = "cancelling"
    """What is in flight is still awaited."""
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Nothing of it will be asked any more."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.VALIDATING: frozenset({JobState.IN_PROGRESS, JobState.FAILED, JobState.CANCELLED}),
    JobState.IN_PROGRESS: frozenset(
        {JobState.FINALIZING, JobState.FAILED, JobState.EXPIRED, JobState.CANCELLING, JobState.CANCELLED}
    ),
    JobState.FINALIZING: frozenset({JobState.COMPLETED, JobState.CANCELLED}),
    JobState.EXPIRED: frozenset({JobState.IN_PROGRESS, JobState.CANCELLED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""What may follow on what."""


class Job(Struct, frozen=True, kw_only=True):
    """One batch. Times are UTC nanoseconds since 1970."""

    id: str
    """`batch_` and a UUIDv7 without hyphens."""
    number: int = 0
    """By which its items know it; given by the store."""
    created_at_ns: int
    state: JobState = JobState.VALIDATING
    endpoint: str = CHAT
    source: str
    """Where its items come from: the path of a file."""
    output: str
    """The path of the file that answers go to."""
    errors: str
    """The path of the file that failures go to."""
    fingerprint: str
    """Of the input and of all that decides what is asked: another one is another job."""
    spec: str = "{}"
    """What else its face said, as JSON; the store does not look at it."""
    key: str = ""
    """The virtual key that pays; empty without one."""
    limit_nanousd: int | None = None
    """The most that all of it may cost; None for no bound of its own."""
    deadline_ns: int | None = None
    total: int = 0
    """Its items; 0 until all were read."""
    output_bytes: int = 0
    """How much of the output file is told by `ItemResult`s in the store; as with `error_bytes`."""
    error_bytes: int = 0
    begun_at_ns: int | None = None
    ended_at_ns: int | None = None
    summary: str | None = None
    """What became of its items, as the JSON of a `JobSummary`, once their rows are gone or going."""

    @property
    def tag(self) -> str:
        """The tag of all its calls: by it the ledger tells what the job cost, and its budget knows its attempts."""
        return self.id


class Item(Struct, frozen=True):
    """One of a job's questions, without its words: these stay in the input."""

    position: int
    """In the input, from 0."""
    custom_id: str
    digest: bytes | None = None
    """Of what is asked, where equal questions are to be answered once."""


class ItemResult(Struct, frozen=True, kw_only=True):
    """What became of one item."""

    position: int
    outcome: str
    """`complete`, or the code of the error."""
    request_id: str = ""
    """Under which the ledger has it; empty when nothing was asked."""
    model: str = ""
    """Who answered; empty when nobody did."""
    tier: Tier | None = None
    cost_nanousd: int = 0
    """Over all attempts, failed ones included."""
    is_estimated: bool = False
    baseline_nanousd: int | None = None
    """What the same tokens cost at the baseline model; None without an answer or a baseline."""
    offset: int
    """Where its line begins in the output file, or in the error file if it failed."""
    length: int
    """Of the line, with its line feed."""

    @property
    def is_ok(self) -> bool:
        """It has its answer."""
        return self.outcome == COMPLETE


COMPLETE = "complete"
"""The outcome of an item that has its answer, as in the ledger."""


REOPENED = -1
"""The `error_bytes` of a job whose failures are to be asked again, as long as they still stand in its error file."""


class Counts(Struct, frozen=True):
    """How far a job is."""

    completed: int
    failed: int
    cost_nanousd: int

    @property
    def done(self) -> int:
        """Those that are decided, well or not."""
        return self.completed + self.failed


class Share(Struct, frozen=True, kw_only=True):
    """What one model did of a job."""

    model: str
    """Empty for what nobody answered."""
    tier: str
    completed: int
    failed: int
    twins: int
    """Of the completed, those that took the answer of an equal question."""
    cost_nanousd: int
    baseline_nanousd: int
    """Of those whose baseline is known."""
    compared_nanousd: int
    """What those cost for which a baseline is known."""
    saved_nanousd: int
    """What twins would have cost, had they been asked."""


class JobSummary(Struct, frozen=True):
    """What is told of a job when nothing is known of its items any more."""

    counts: Counts
    shares: list[Share]
