"""What providers are expected to have in their prompt caches, of which conversation, and for how long.

`decision.session` compares and reckons; here is the memory of what was sent, which the engine keeps over reloads, and
the view that one snapshot's settings and catalog have of it.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.catalog.registry import MAX_ATTEMPTS, Registry
from routewright.clock import Clock
from routewright.decision.eligibility import NOTHING_WARM
from routewright.decision.session import (
    COLD,
    FEWEST_TOKENS,
    Belief,
    Prefix,
    Sent,
    Trace,
    cached_tokens,
    session_of,
    trace_of,
    warm_prefix,
)
from routewright.reply import Ending, Reply

MAX_SESSIONS = 10_000


class Sessions:
    """What was sent last in each conversation, to each deployment, and how far each model's cache is believed in.

    Beyond `limit` the conversation that was silent for longest is forgotten; of one conversation, beyond
    `MAX_ATTEMPTS` deployments, the one that was asked first. An entry is a kilobyte.
    """

    def __init__(self, limit: int = MAX_SESSIONS) -> None:
        self._limit = limit
        self._sent: dict[str, dict[str, Sent]] = {}
        self._beliefs: dict[str, Belief] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, session: str) -> Iterable[Sent]:
        """What each deployment was sent last, the latest at the end."""
        return self._sent.get(session, {}).values()

    def last_sent(self, session: str, deployment: str) -> Sent | None:
        """What this deployment was sent last."""
        return self._sent.get(session, {}).get(deployment)

    def remember(self, session: str, sent: Sent) -> None:
        """Keep what was sent in place of what the same deployment was sent before."""
        conversation = self._sent.pop(session, {})
        conversation.pop(sent.deployment, None)
        conversation[sent.deployment] = sent
        if len(conversation) > MAX_ATTEMPTS:
            del conversation[next(iter(conversation))]
        self._sent[session] = conversation
        if len(self._sent) > self._limit:
            del self._sent[next(iter(self._sent))]

    def believed_share(self, model: str) -> float:
        """Of the tokens that should be warm at this model, the share to count on."""
        return self._beliefs.get(model, Belief()).share

    def observe(self, model: str, share: float) -> None:
        """Take note of the share of expected tokens that was read from the model's cache."""
        self._beliefs[model] = self._beliefs.get(model, Belief()).after(share)


class Conversation(Struct, frozen=True):
    """A call that belongs to a session, as it stood when it was decided about."""

    session: str
    call: Call
    trace: Trace
    at_s: float
    """Monotonic seconds."""


class PromptCaches:
    """One snapshot's view of what is warm: `Warmth`. A reload makes a new one over the same `Sessions`."""

    def __init__(self, sessions: Sessions, registry: Registry, clock: Clock, *, lifetime_s: float) -> None:
        self._sessions = sessions
        self._registry = registry
        self._clock = clock
        self._lifetime_s = lifetime_s

    def follow(self, call: Call, input_tokens: int) -> Conversation | None:
        """The call as a part of its conversation; None for one that is in no session or too short for any cache."""
        if input_tokens < FEWEST_TOKENS:
            return None
        session = session_of(call)
        return Conversation(session, call, trace_of(call), self._clock.monotonic()) if session else None

    def warm_tokens(self, conversation: Conversation | None, resting: Mapping[str, str]) -> Mapping[str, int]:
        """Input tokens to count on as warm, by model, where the deployment that has them can be called.

        `resting` has the ids of deployments that will not be called now.
        """
        if conversation is None:
            return NOTHING_WARM
        warm = {}
        for sent in self._sessions.sent(conversation.session):
            if self._can_be_called(sent, resting):
                tokens = self._prefix(conversation, sent).tokens
                if tokens:
                    warm[sent.model] = round(tokens * self._sessions.believed_share(sent.model))
        return warm

    def warm_place(self, call: Call, model: str) -> str | None:
        """See `WarmPlaces`. The last one that was sent to, where several are warm."""
        conversation = self.follow(call, FEWEST_TOKENS)
        if conversation is None:
            return None
        every = [sent for sent in self._sessions.sent(conversation.session) if sent.model == model]
        warm = [sent for sent in every if self._prefix(conversation, sent).tokens]
        return max(warm, key=lambda sent: sent.at_s).deployment if warm else None

    def warm_messages(self, call: Call, model: str) -> int:
        """See `Warmth`. 0 for a model whose cache saves nothing, or has mostly not been read when it should have."""
        conversation = self.follow(call, FEWEST_TOKENS)
        if conversation is None or not self._is_worth_keeping(model):
            return 0
        every = self._sessions.sent(conversation.session)
        return max((self._prefix(conversation, sent).messages for sent in every if sent.model == model), default=0)

    def learn(self, conversation: Conversation, reply: Reply) -> None:
        """Remember what was sent, and how much of what should have been warm was read.

        Only a whole answer with its usage teaches something: of others it is not known what the provider kept.
        """
        attempt, usage = reply.attempt, reply.usage
        if reply.ending is not Ending.COMPLETE or usage is None:
            return
        if attempt.call.messages is not conversation.call.messages:  # they were shortened on the way
            conversation = replace(conversation, trace=trace_of(attempt.call))
        before = self._sessions.last_sent(conversation.session, attempt.deployment.id)
        if before is not None and (expected := self._prefix(conversation, before).tokens):
            self._sessions.observe(attempt.model.name, usage.cache_read / expected)
        cached = cached_tokens(attempt.deployment.dialect, usage)
        if cached < FEWEST_TOKENS:
            return
        sent = Sent(
            model=attempt.model.name,
            deployment=attempt.deployment.id,
            trace=conversation.trace.tail,
            tokens=usage.input_total,
            cached_tokens=cached,
            at_s=conversation.at_s,
        )
        self._sessions.remember(conversation.session, sent)

    def _prefix(self, conversation: Conversation, sent: Sent) -> Prefix:
        is_warm = conversation.at_s - sent.at_s <= self._lifetime_s
        return warm_prefix(conversation.trace, sent) if is_warm else COLD

    def _can_be_called(self, sent: Sent, resting: Mapping[str, str]) -> bool:
        model = self._registry.models.get(sent.model)
        places = () if model is None else model.deployments
        return sent.deployment not in resting and any(place.id == sent.deployment for place in places)

    def _is_worth_keeping(self, name: str) -> bool:
        model = self._registry.models[name]
        if model.prices is None or self._sessions.believed_share(name) < 0.5:
            return False
        rates = model.prices.rates_at(self._clock.time_ns() // 1_000_000_000, FEWEST_TOKENS)
        return rates.cache_read < rates.input
