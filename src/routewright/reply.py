"""What flows up: a `Reply`, which is a stream whose first event has arrived, and closes exactly once.

Before the first event a failure may be retried, hedged or sent elsewhere; after it the answer belongs to the client and
nothing is restarted. Closing (at the end, on an error, or because the client left) runs the callbacks that the layers
left behind, innermost first. Closing never awaits, so a cancelled request cannot leak a connection, a hold or an entry.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from msgspec import Raw, Struct

from routewright.call import Attempt, Thinking, ToolCall, utf8_length
from routewright.catalog.registry import LONGEST_NAME, Tier
from routewright.check import Finding
from routewright.errors import RoutewrightError
from routewright.route import Route
from routewright.usage import Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class ToolCallDelta(Struct, frozen=True):
    """A piece of a tool call; `id` and `name` come with the first piece of each `index`."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Event(Struct, frozen=True, kw_only=True):
    """One decoded piece of an answer. A whole, unstreamed answer is a single event."""

    raw: bytes = b""
    """The bytes as they came in the provider's dialect: one SSE event with its blank line, or the whole JSON body."""
    text: str = ""
    reasoning: str = ""
    seal: str = ""
    """Ends a stretch of reasoning (`Thinking.seal`); without reasoning before it, one that the provider hides."""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: Raw | None = None
    """Of its text: JSON, the list that a chat completion has in `logprobs.content`."""
    choice: int = 0
    """Which of `n` answers this belongs to."""
    finish: FinishReason | None = None
    stop_sequence: str = ""
    """Which of those asked for ended the answer, if the provider says so."""
    usage: Usage | None = None
    """Counts so far; the last one seen holds."""
    is_usage_partial: bool = False
    """What was generated is not counted in it yet."""
    is_usage_odd: bool = False
    """Counts were reported that cannot be: `usage` is without them."""
    is_usage_only: bool = False
    """Carries usage and nothing else: kept from clients that did not ask for it."""
    model: str = ""
    """The model id the provider says answered."""
    provider_id: str = ""
    """The provider's own id of the answer."""
    service_tier: str = ""
    """How the provider says it serves the answer; empty for the usual way."""
    unpriced: str = ""
    """What the provider charges for beside tokens, in words (`3 web searches`): no price table has that."""


Callback: TypeAlias = Callable[["Reply"], None]
Listener: TypeAlias = Callable[[tuple[Event, ...]], None]
Taker: TypeAlias = Callable[[tuple[Event, ...]], bool]
"""Is given events that arrived together; says whether it takes more. It is quick, and does not wait."""


class Source(Protocol):
    """Where a reply's events come from: the leaf of the stack."""

    async def relay(self, take: Taker) -> bool:
        """Give `take` the events as they arrive, until it returns False, or their proper end; whether they have ended.

        Raises ProviderError or DeadlineExceeded, and what `take` raises.
        """
        ...

    def abort(self) -> None:
        """Drop the connection now; does nothing after the end."""
        ...


class Ended:
    """The `Source` of a reply whose events are all there."""

    async def relay(self, take: Taker) -> bool:
        """Nothing more comes."""
        return True

    def abort(self) -> None:
        """There is nothing to drop."""


class Ending(StrEnum):
    """How a reply closed."""

    COMPLETE = "complete"
    CUT = "cut"
    ABANDONED = "abandoned"


class AttemptReport(Struct, frozen=True, kw_only=True):
    """What became of one attempt, and what it cost."""

    attempt_id: str
    model: str
    deployment: str
    cause: str
    outcome: str
    """`complete`, `abandoned`, or the `code` of the error that ended it."""
    cost_nanousd: int | None
    """None when the model has no price."""
    usage: Usage
    is_estimated: bool
    """The provider did not say what it used."""
    input_cost_nanousd: int | None = None
    """Of the cost, what the input made: all but output and a price per request. None when the model has no price."""


class Receipt(Struct, frozen=True, kw_only=True):
    """What a whole request cost, over all its attempts."""

    cost_nanousd: int
    is_estimated: bool
    attempts: tuple[AttemptReport, ...]
    baseline_model: str | None = None
    baseline_cost_nanousd: int | None = None
    """What the same tokens cost at the baseline model."""
    overhead_s: float | None = None
    """Our own time before the first attempt was sent, in seconds; None when nothing was."""


NOT_CHARGED = Receipt(cost_nanousd=0, is_estimated=False, attempts=())
"""Of what has not been settled yet."""


class Cached(Struct, frozen=True):
    """What the response cache has to do with a reply."""

    state: Literal["hit", "stale", "miss"]
    """`stale`: an old answer, as nobody gives a new one; `miss`: a new one, which may be kept."""
    age_s: int | None = None
    """How old the answer is; None for a new one, as the next."""
    saved_nanousd: int | None = None
    """What it cost when it was made; None also for a model without a price."""

    @property
    def is_kept(self) -> bool:
        """The answer was kept, and nobody was asked for it."""
        return self.state != "miss"


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer, with what it took to get it."""

    request_id: str
    text: str
    reasoning: str
    thinking: tuple[Thinking, ...]
    """The reasoning in its stretches, each with its seal: what goes back to the provider in the next turn."""
    refusal: str
    tool_calls: tuple[ToolCall, ...]
    logprobs: tuple[Raw, ...]
    """JSON lists that follow one another, as in `Event.logprobs`; empty unless asked for."""
    finish: FinishReason | None
    stop_sequence: str
    model: str
    """The model that answered, by our name for it."""
    served_model: str
    """The id the provider gave."""
    tier: Tier
    confidence: float | None
    usage: Usage
    receipt: Receipt
    route: Route
    cached: Cached | None = None
    """None where the response cache is not used."""
    findings: tuple[Finding, ...] = ()
    """What its checks found; empty where nothing is checked."""

    @property
    def content(self) -> str:
        """The visible text."""
        return self.text

    @property
    def cost_usd(self) -> Decimal:
        """What the request cost in US dollars, exact, over all attempts."""
        return Decimal(self.receipt.cost_nanousd).scaleb(-9)

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self.receipt.attempts)


class Allowance(Struct, frozen=True):
    """How many more calls a deployment takes; times are in seconds from now, 0 to 120."""

    calls: int
    next_in_s: float
    """Beyond these, one more call in this time, and one more after as long again: where a limit refills evenly."""
    resets_in_s: float
    """By then all is as if nothing had been called."""


class Reply:
    """A stream of events that has begun, the attempt that won it, and what is known of it so far."""

    # What most replies do not have is the class's own until it is noted.
    usage: Usage | None = None
    is_usage_partial = False
    """`usage` does not have all of what was generated, and nothing better was reported."""
    is_usage_odd = False
    """Counts were reported that cannot be."""
    finish: FinishReason | None = None
    served_model = ""
    provider_id = ""
    service_tier = ""
    unpriced = ""
    text_bytes = 0
    """Length in UTF-8 of all that was generated so far (text, reasoning, tool arguments): for an estimate, if need."""
    ending: Ending | None = None
    error: RoutewrightError | None = None
    receipt: Receipt | None = None
    budget_remaining_nanousd: int | None = None
    """What was left of the hard budget with the least left, once this attempt was held, and once it was settled."""
    allowance: Allowance | None = None
    """How much more the deployment takes, if it said so; from the leaf."""
    first_wait_s = 0.0
    """How long the provider took to begin, in seconds; from the leaf."""
    longest_pause_s = 0.0
    """The longest of its silences after that; known when the reply has closed."""
    cached: Cached | None = None
    """None where the cache is not used."""
    findings: tuple[Finding, ...] = ()
    """What its checks found; of a stream that is checked at its end, known then."""
    tokens_before = 0
    """Used for other answers to the same call, which were not delivered."""
    is_spare = False
    """Another one is the answer: the request goes on when this one closes."""
    is_rewritten = False
    """Its text is not the provider's own: its events have no bytes to pass on."""

    def __init__(self, attempt: Attempt, source: Source, first: tuple[Event, ...]) -> None:
        self.attempt = attempt
        self.route = attempt.routed.route
        """The decision behind this reply."""
        self._source = source
        self._callbacks: list[Callback] = []
        self._waiting = first
        self._note(first)

    def speaks(self, dialect: str) -> bool:
        """Whether the bytes of its events are in this dialect, and can be passed on."""
        return self.attempt.deployment.dialect == dialect and not self.is_rewritten

    def on_close(self, callback: Callback) -> "Reply":
        """Have `callback(self)` called once, when the reply closes; callbacks run in the order they were added."""
        self._callbacks.append(callback)
        return self

    def overhear(self, listener: Listener) -> None:
        """Have `listener` hear all events; to be called before any was read."""
        listener(self._waiting)
        self._source = _Overheard(self._source, listener)

    async def next(self) -> tuple[Event, ...]:
        """The events that arrived together; empty once the reply has ended.

        Raises ProviderError when the answer breaks off and DeadlineExceeded when its time is up; the reply is then
        closed.
        """
        arrived: tuple[Event, ...] = ()

        def take(events: tuple[Event, ...]) -> bool:
            nonlocal arrived
            arrived = events
            return False

        await self.relay(take)
        return arrived

    async def relay(self, take: Taker) -> bool:
        """Give `take` the events as they arrive, until it returns False or the reply has ended; whether it has.

        It is what `next` in a loop is, but for waking nobody in between: a socket's events are taken as part of reading
        them. Raises as `next` does, and what `take` raises; the reply is then closed.
        """
        if self._waiting:
            events, self._waiting = self._waiting, ()
            if not take(events):
                return False
        if self.ending is not None:
            return True
        if isinstance(self._source, Ended):  # as of most answers that are not streamed
            self._close(Ending.COMPLETE)
            return True

        def noted(events: tuple[Event, ...]) -> bool:
            self._note(events)
            return take(events)

        try:
            has_ended = await self._source.relay(noted)
        except RoutewrightError as error:
            self._close(Ending.CUT, error)
            raise
        except BaseException:  # cancelled, or a bug: either way the connection, the hold and the entry are settled
            self.close()
            raise
        if has_ended:
            self._close(Ending.COMPLETE)
        return has_ended

    async def __aiter__(self) -> AsyncIterator[Event]:
        while events := await self.next():
            for event in events:
                yield event

    async def read(self) -> Answer:
        """Read to the end and put the pieces together."""
        draft = Draft()

        def take(events: tuple[Event, ...]) -> bool:
            draft.hear(events)
            return True

        try:
            await self.relay(take)
        finally:
            self.close()
        return draft.answer(self)

    def close(self) -> None:
        """Give up what is still to come, if anything is; safe to call twice and from anywhere."""
        self._close(Ending.ABANDONED)

    def _close(self, ending: Ending, error: RoutewrightError | None = None) -> None:
        if self.ending is not None:
            return
        self.ending, self.error = ending, error
        if ending is not Ending.COMPLETE:
            self._source.abort()
        callbacks = iter(self._callbacks)
        try:
            for callback in callbacks:
                callback(self)
        finally:
            for callback in callbacks:  # one has raised; what others hold is given back all the same
                callback(self)

    def _note(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if text := event.text:
                self.text_bytes += len(text) if text.isascii() else utf8_length(text)  # spares a call
            if event.reasoning:
                self.text_bytes += utf8_length(event.reasoning)
            if event.refusal:
                self.text_bytes += utf8_length(event.refusal)
            for delta in event.tool_calls:
                self.text_bytes += utf8_length(delta.name) + utf8_length(delta.arguments)
            if event.usage is not None:
                self.usage, self.is_usage_partial = event.usage, event.is_usage_partial
            if event.is_usage_odd:
                self.is_usage_odd = True
            if event.finish is not None:
                self.finish = event.finish
            if event.model:
                self.served_model = event.model[:LONGEST_NAME]
            if event.provider_id:
                self.provider_id = event.provider_id
            if event.service_tier:
                self.service_tier = event.service_tier
            if event.unpriced:
                self.unpriced = event.unpriced

    @property
    def outcome(self) -> str:
        """`complete`, `abandoned`, or the code of the error that cut it."""
        if self.error is not None:
            return self.error.code
        return str(self.ending or "open")


class _Overheard:
    """A `Source` that somebody listens to."""

    def __init__(self, source: Source, listener: Listener) -> None:
        self._source = source
        self._listener = listener

    async def relay(self, take: Taker) -> bool:
        def overheard(events: tuple[Event, ...]) -> bool:
            self._listener(events)
            return take(events)

        return await self._source.relay(overheard)

    def abort(self) -> None:
        self._source.abort()


class _DraftCall:
    """One tool call, as far as it has come."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class Draft:
    """The answer of the first choice, as far as it has come."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.seals: list[tuple[int, str]] = []
        """Each with how many pieces of reasoning had come before it."""
        self.logprobs: list[Raw] = []
        self.stop_sequence = ""
        self.refusal: list[str] = []
        self.calls: dict[int, _DraftCall] = {}

    def hear(self, events: Iterable[Event]) -> None:
        """Add events that arrived together: what `Reply.overhear` may be given."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        if event.choice:
            return
        self.text.append(event.text)
        self.reasoning.append(event.reasoning)
        if event.seal:
            self.seals.append((len(self.reasoning), event.seal))
        if event.logprobs is not None:
            self.logprobs.append(event.logprobs)
        self.stop_sequence = event.stop_sequence or self.stop_sequence
        self.refusal.append(event.refusal)
        for delta in event.tool_calls:
            call = self.calls.setdefault(delta.index, _DraftCall())
            call.id = call.id or delta.id
            call.name = call.name or delta.name
            call.arguments.append(delta.arguments)

    def answer(self, reply: Reply, receipt: Receipt | None = None) -> Answer:
        """`receipt` stands in for that of a reply that has not closed yet."""
        receipt = reply.receipt or receipt
        assert receipt is not None, "the record layer gives every closed reply its receipt"
        calls = (ToolCall(call.id, call.name, "".join(call.arguments)) for _, call in sorted(self.calls.items()))
        return Answer(
            request_id=reply.attempt.call.id,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            thinking=tuple(self._thinking(reply.attempt.deployment.dialect)),
            refusal="".join(self.refusal),
            tool_calls=tuple(calls),
            logprobs=tuple(self.logprobs),
            finish=reply.finish,
            stop_sequence=self.stop_sequence,
            model=reply.attempt.model.name,
            served_model=reply.served_model,
            tier=reply.route.tier,
            confidence=reply.route.confidence,
            usage=reply.usage or Usage(),
            receipt=receipt,
            route=reply.route,
            cached=reply.cached,
            findings=reply.findings,
        )

    def _thinking(self, dialect: str) -> Iterator[Thinking]:
        begin = 0
        for end, seal in self.seals:
            yield Thinking("".join(self.reasoning[begin:end]), seal, dialect)
            begin = end
        if unsealed := "".join(self.reasoning[begin:]):
            yield Thinking(unsealed, dialect=dialect)
