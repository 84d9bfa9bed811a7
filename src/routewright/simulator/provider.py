"""The simulated provider, where the transport would stand: requests in, bytes out, at a believable pace."""

import asyncio
from collections.abc import Iterator, Mapping
from hashlib import sha256
from random import Random
from urllib.parse import urlsplit

from msgspec import structs

from routewright.clock import Clock, SystemClock
from routewright.dialects.wire import WireRequest
from routewright.errors import StreamCut
from routewright.http1.pulled import Pulled
from routewright.simulator.answers import Ask, Completion, choose
from routewright.simulator.anthropic_messages import AnthropicMessages
from routewright.simulator.batches import QUICK, Answered, Batches, BatchPlan
from routewright.simulator.chance import generator
from routewright.simulator.faults import NO_FAULTS, FaultPlan, Mishap
from routewright.simulator.gemini import ENDS as GEMINI
from routewright.simulator.gemini import Gemini
from routewright.simulator.openai_chat import OpenAIChat
from routewright.simulator.openai_embeddings import OpenAIEmbeddings
from routewright.simulator.openai_responses import OpenAIResponses
from routewright.simulator.profiles import PROFILES, ModelProfile, Pace
from routewright.simulator.schema import SchemaError
from routewright.simulator.wire import Chunk, Reason, Refusal, WireFormat
from routewright.usage import Usage

REMEMBERED = 4096
"""How many requests and prompt prefixes are remembered."""

_CLOCK = SystemClock()
_OPENAI_CHAT = OpenAIChat()
_WIRES: Mapping[str, WireFormat] = {
    "/chat/completions": _OPENAI_CHAT,
    "/responses": OpenAIResponses(),
    "/messages": AnthropicMessages(),
    "/embeddings": OpenAIEmbeddings(),
}
"""What it speaks, by how an address ends."""
_ENDS = (*_WIRES, *GEMINI)


class _Memory:
    """How often something was met lately; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._met: dict[str, int] = {}

    def note(self, key: str) -> int:
        """How often `key` was noted before."""
        times = self._met.pop(key, 0)
        self._met[key] = times + 1
        if len(self._met) > REMEMBERED:
            del self._met[next(iter(self._met))]
        return times


class SimulatedResponse(Pulled):
    """An answer on its way: bytes, each after its own wait."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        pieces: Iterator[tuple[float, bytes]],
        *,
        cut_at: int | None = None,
    ) -> None:
        """`pieces` are seconds to wait and bytes; after `cut_at` bytes the connection breaks."""
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._left = cut_at
        self._is_aborted = False

    async def next(self) -> bytes:
        """The next bytes; empty at the proper end. Raises StreamCut when the answer breaks off, and after `abort`."""
        if self._left == 0:
            raise StreamCut("the simulated provider broke off its answer, as its fault plan says")
        wait_s, data = next(self._pieces, (0.0, b""))
        try:
            await _wait(wait_s)
        except asyncio.CancelledError:  # the piece is lost, so what follows must not pass for a whole answer
            self.abort()
            raise
        if self._is_aborted:
            raise StreamCut("the answer of the simulated provider was given up by us")
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def abort(self) -> None:
        """Generate nothing more."""
        self._is_aborted = True
        self._pieces = iter(())


class Simulator:
    """A provider that needs no network, no key and no money. It has the methods of a transport.

    It answers `…/chat/completions`, `…/responses` and `…/embeddings` in OpenAI's wire formats, `…/messages` in
    Anthropic's and `…:generateContent` in Gemini's; and it has OpenAI's and Anthropic's batch APIs (`batches`).
    Everything is drawn from `seed` and the request. When the same request comes again, its text is the same, but its
    pace and its faults are drawn anew, so that a retry or a hedge can help; and a long prompt prefix is billed as
    cached.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        time_scale: float = 0.1,
        faults: FaultPlan = NO_FAULTS,
        models: Mapping[str, ModelProfile] = PROFILES,
        clock: Clock = _CLOCK,
        batches: BatchPlan = QUICK,
    ) -> None:
        """`time_scale` multiplies all latencies: 1 is lifelike, 0 is no wait at all. `clock` dates the answers, and by
        it batches come to their end, as `batches` says."""
        self._seed = seed
        self._time_scale = time_scale
        self._faults = faults
        self.models = models
        """The models it has; may be replaced when the catalog is."""
        self._clock = clock
        self._requests = _Memory()
        self._prefixes = _Memory()
        self._batches = Batches(self._answer_in_batch, clock, self._chance, batches)

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> SimulatedResponse:
        """Answer a request. The headers of an unstreamed answer come with its body, of a streamed one at once."""
        digest = sha256(request.url.encode() + request.body).hexdigest()
        turn = f"{digest} {self._requests.note(digest)}"
        if (found := self._batches.answer(request)) is not None:
            return SimulatedResponse(found.status, {"content-type": "application/json"}, iter([(0.0, found.body)]))
        path = urlsplit(request.url).path
        known = _wire(path)
        wire = known or _OPENAI_CHAT
        headers = {
            wire.request_id_header: f"sim{self._chance('request', turn).getrandbits(96):024x}",
            "x-simulated": "true",
        }
        try:
            if known is None:
                raise Refusal(Reason.NOT_FOUND, f"The simulator has no {path}; it has {', '.join(_ENDS)}")
            return await self._answer(wire, wire.read(request.body), turn, headers)
        except SchemaError as error:
            return _refused(wire, Refusal(Reason.INVALID, f"No answer can satisfy the schema: {error}"), headers)
        except Refusal as refusal:
            return _refused(wire, refusal, headers)

    async def close(self) -> None:
        """Nothing is held that needs closing."""

    def _chance(self, *key: str) -> Random:
        return generator(self._seed, *key)

    async def _answer(self, wire: WireFormat, ask: Ask, turn: str, headers: dict[str, str]) -> SimulatedResponse:
        profile = self.models.get(ask.model)
        if profile is None:
            raise Refusal(Reason.NOT_FOUND, f"The simulator has no {ask.model!r}; it has {', '.join(self.models)}")
        mishap = self._faults.draw(ask.model, self._chance("mishap", turn))
        self._refuse(mishap, ask.model)
        completion = self._complete(ask, turn)
        pace = self._pace(profile, completion.usage, mishap, turn)
        if ask.is_streamed:
            headers["content-type"] = "text/event-stream; charset=utf-8"
            pieces = _paced(wire.stream(completion, with_usage=ask.wants_usage), pace)
        else:
            headers["content-type"] = "application/json"
            await _wait(pace.first_token_s + pace.s_per_token * max(choice.tokens for choice in completion.choices))
            pieces = iter([(0.0, wire.whole(completion))])
        if mishap is Mishap.CUT:
            return _cut_somewhere(headers, list(pieces), self._chance("cut", turn))
        return SimulatedResponse(200, headers, pieces)

    def _answer_in_batch(self, path: str, body: bytes) -> Answered:
        """What a request of a batch gets: no pace, and none of the faults of live calls."""
        wire = _wire(path) or _OPENAI_CHAT
        try:
            ask = wire.read(body)
            if ask.model not in self.models:
                raise Refusal(Reason.NOT_FOUND, f"The simulator has no {ask.model!r}; it has {', '.join(self.models)}")
            return Answered(200, wire.whole(self._complete(ask, sha256(body).hexdigest())))
        except SchemaError as error:
            return Answered(*wire.refuse(Refusal(Reason.INVALID, f"No answer can satisfy the schema: {error}"), "sim"))
        except Refusal as refusal:
            return Answered(*wire.refuse(refusal, "sim"))

    def _refuse(self, mishap: Mishap | None, model: str) -> None:
        match mishap:
            case Mishap.RATE_LIMITED:
                pause_s = self._faults.retry_after_s
                message = f"Simulated rate limit of {model}. Try again in {pause_s} s."
                raise Refusal(Reason.RATE_LIMITED, message, retry_after_s=pause_s)
            case Mishap.FAILED:
                raise Refusal(Reason.FAILED, f"Simulated failure of {model}.")
            case Mishap.OVERLOADED:
                raise Refusal(Reason.OVERLOADED, f"Simulated overload of {model}.")
            case Mishap.SLOW | Mishap.CUT | None:
                return

    def _complete(self, ask: Ask, turn: str) -> Completion:
        choices = tuple(choose(ask, self._seed, index) for index in range(ask.choices))
        is_known = ask.prefix is not None and self._prefixes.note(f"{ask.model} {ask.prefix.key}") > 0
        sent = ask.input_usage(is_prefix_known=is_known)
        return Completion(
            id=f"sim{self._chance('completion', turn).getrandbits(96):024x}",
            model=ask.model,
            created_s=self._clock.time_ns() // 1_000_000_000,
            choices=choices,
            usage=structs.replace(sent, output=sum(choice.tokens for choice in choices)),
            ask=ask,
            service_tier=ask.service_tier,
        )

    def _pace(self, profile: ModelProfile, usage: Usage, mishap: Mishap | None, turn: str) -> Pace:
        drawn = profile.pace(self._chance("pace", turn), usage.input_total - usage.cache_read)
        pace = drawn.scaled(self._time_scale)
        return structs.replace(pace, first_token_s=self._faults.slow_s) if mishap is Mishap.SLOW else pace


def _wire(path: str) -> WireFormat | None:
    """What is spoken at this address; None where there is nothing."""
    if path.endswith(GEMINI):
        return Gemini(path)
    return next((wire for end, wire in _WIRES.items() if path.endswith(end)), None)


def _refused(wire: WireFormat, refusal: Refusal, headers: dict[str, str]) -> SimulatedResponse:
    status, body = wire.refuse(refusal, headers[wire.request_id_header])
    headers["content-type"] = "application/json"
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    return SimulatedResponse(status, headers, iter([(0.0, body)]))


def _cut_somewhere(headers: dict[str, str], pieces: list[tuple[float, bytes]], chance: Random) -> SimulatedResponse:
    length = sum(len(data) for _, data in pieces)
    return SimulatedResponse(200, headers, iter(pieces), cut_at=chance.randrange(length))


def _paced(chunks: Iterator[Chunk], pace: Pace) -> Iterator[tuple[float, bytes]]:
    """Each chunk after the time its token takes, the first one after the time to first token."""
    is_first = True
    for chunk in chunks:
        wait_s = pace.first_token_s if is_first else pace.s_per_token if chunk.takes_a_token else 0.0
        is_first = False
        yield wait_s, chunk.data


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
