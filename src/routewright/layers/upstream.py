"""The leaf: write the request in the provider's dialect, send it, return a reply once its first event is there."""

import asyncio
from collections.abc import Mapping
from math import inf

from msgspec import structs

from routewright.call import Attempt
from routewright.clock import Clock
from routewright.dialects.dropping import carried
from routewright.dialects.rate_limits import allowance
from routewright.dialects.wire import Decoder
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import DeadlineExceeded, IdleTimeout, InvalidResponse, ProviderError
from routewright.reply import Ended, Event, Reply, Taker
from routewright.transport import Transport, WireResponse

MAX_ERROR_BODY = 65_536
"""Bytes read of an error answer: enough for any message."""


class Upstream:
    """A `Service[Attempt]`: the one place where a request leaves the house."""

    def __init__(
        self,
        transport: Transport,
        dialects: Mapping[str, Dialect],
        clock: Clock,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
        max_reply_bytes: int,
    ) -> None:
        self._transport = transport
        self._dialects = dialects
        self.clock = clock
        self.idle_timeout_s = idle_timeout_s
        self.max_reply_bytes = max_reply_bytes
        self._connect_timeout_s = connect_timeout_s

    async def __call__(self, attempt: Attempt) -> Reply:
        dialect = self._dialects[attempt.deployment.dialect]
        request = dialect.write_request(_carried(attempt, dialect))
        if attempt.trace is not None:
            request = structs.replace(request, headers={**request.headers, **attempt.trace.headers})
        sent_at = self.clock.monotonic()
        response = await self._transport.send(request, connect_timeout_s=self._connect_timeout_s)
        try:
            if response.status >= 300:
                body = await _read_error_body(response)
                now_s = self.clock.time_ns() / 1e9
                raise dialect.read_error(response.status, response.headers, body, now_s=now_s)
            if "content-encoding" in response.headers:
                _check_encoding(attempt, response)
            source = Decoded(response, dialect.decoder(attempt), attempt, self)
            opening = await source.begin()
            reply = Reply(attempt, Ended() if source.has_ended else source, opening)
            reply.first_wait_s = self.clock.monotonic() - sent_at
            reply.allowance = allowance(response.headers, self.clock.time_ns() / 1e9)
            return reply if source.has_ended else reply.on_close(source.tell)
        except ProviderError as error:
            response.abort()
            _hide_key(error, attempt)
            raise
        except BaseException:
            response.abort()
            raise


class Decoded:
    """A reply's `Source`: the provider's bytes, decoded."""

    def __init__(self, response: WireResponse, decoder: Decoder, attempt: Attempt, upstream: Upstream) -> None:
        self._response = response
        self._decoder = decoder
        self._attempt = attempt
        self._clock = upstream.clock
        self._deadline_at = attempt.routed.call.deadline_at
        self._idle_timeout_s = upstream.idle_timeout_s
        self._max_bytes = upstream.max_reply_bytes
        self._size = 0
        self.has_ended = False
        """All has come."""
        self._waits_since = 0.0
        self._longest_pause_s = 0.0
        self._patience: _Patience | None = None
        """From the first wait on that is under the idle limit."""

    async def begin(self) -> tuple[Event, ...]:
        """All events up to the first that says something, so that nothing is committed to by a mere opening line.

        Not under the idle limit: the deadlines above are the bound on a beginning. Raises InvalidResponse on an answer
        without any event.
        """
        opening: tuple[Event, ...] = ()
        while not self.has_ended:
            data = await self._response.next()
            events = self._take(data) if data else self._end()
            if events:
                opening += events
                if _say_something(events):
                    return opening
        if not opening:
            raise InvalidResponse(f"{self._attempt.deployment.id} sent an empty answer")
        return opening

    async def relay(self, take: Taker) -> bool:
        """See `Source.relay`."""
        if self.has_ended:
            return True
        patience = self._patience
        if patience is None:
            patience = self._patience = _Patience(self._clock)
        self._waits_since = self._clock.monotonic()
        patience.begin(self._patient_until(self._waits_since))

        monotonic, deadline_at, idle_timeout_s = self._clock.monotonic, self._deadline_at, self._idle_timeout_s

        def decoded(data: bytes) -> bool:
            events = self._take(data)
            if not events:
                return True
            now = monotonic()
            if now - self._waits_since > self._longest_pause_s:
                self._longest_pause_s = now - self._waits_since
            if not take(events):
                return False
            self._waits_since = now
            ends_at = now + idle_timeout_s
            patience.ends_at = ends_at if ends_at < deadline_at else self._patient_until(now)
            return True

        try:
            if not await self._response.relay(decoded):
                return False
            events = self._end()
            return not events or take(events)
        except asyncio.CancelledError as error:
            if not patience.took_back():
                raise
            self._patient_until(self._clock.monotonic())  # raises, if it was the deadline
            raise IdleTimeout(f"{self._attempt.deployment.id} stopped sending") from error
        except ProviderError as error:
            _hide_key(error, self._attempt)
            raise
        finally:
            patience.end()
            self._longest_pause_s = max(self._longest_pause_s, self._clock.monotonic() - self._waits_since)

    def tell(self, reply: Reply) -> None:
        """How long the provider kept us waiting."""
        reply.longest_pause_s = self._longest_pause_s

    def abort(self) -> None:
        """Drop the connection."""
        self._stop_waiting()
        self._response.abort()

    def _take(self, data: bytes) -> tuple[Event, ...]:
        self._size += len(data)
        if self._size > self._max_bytes:
            raise InvalidResponse(f"{self._attempt.deployment.id} sent more than {self._max_bytes:,} bytes")
        return self._decoder.feed(data)

    def _patient_until(self, now: float) -> float:
        """When the next piece of a stream must be there. Raises DeadlineExceeded when the request's time is up."""
        if self._deadline_at <= now:
            raise DeadlineExceeded("the deadline passed while the answer was coming")
        return min(self._deadline_at, now + self._idle_timeout_s)

    def _end(self) -> tuple[Event, ...]:
        self.has_ended = True
        self._stop_waiting()
        return self._decoder.end()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.stop()


class _Patience:
    """`asyncio.timeout` for many short waits in a row: one timer that looks, when it goes off, whether it is too early.

    To arm and disarm a timer for every chunk of a stream would be a quarter of what a chunk costs.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.ends_at = 0.0
        """Until when the wait that has begun may last, in monotonic seconds; it may be put off while it lasts."""
        self._goes_off_at = inf
        self._waiter: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._was_cancelled = False

    def begin(self, ends_at: float) -> None:
        """The current task waits from now on, at most until then, in monotonic seconds; then it is cancelled."""
        self.ends_at = ends_at
        self._waiter = asyncio.current_task(self._loop)
        if ends_at < self._goes_off_at:
            self._arm()

    def end(self) -> None:
        """It waits no more."""
        self._waiter = None

    def took_back(self) -> bool:
        """Take our cancellation back; False if the one just met was somebody else's, or theirs as well."""
        return self._was_cancelled and self._waiter is not None and self._waiter.uncancel() == 0

    def stop(self) -> None:
        """There will be no more waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._goes_off_at = None, inf

    def _arm(self) -> None:
        self.stop()
        self._goes_off_at = self.ends_at
        self._timer = self._loop.call_at(self.ends_at, self._look)

    def _look(self) -> None:
        self._timer, self._goes_off_at = None, inf
        if self._waiter is None:
            return
        if self._clock.monotonic() < self.ends_at:
            self._arm()
        else:
            self._was_cancelled = True
            self._waiter.cancel()


def _carried(attempt: Attempt, dialect: Dialect) -> Attempt:
    """Without what its client allows to be left out, where this dialect has no word for it."""
    if not attempt.routed.call.options.drop:
        return attempt
    call, _ = carried(attempt.routed.call, dialect)
    return structs.replace(attempt, routed=structs.replace(attempt.routed, call=call))


def _hide_key(error: ProviderError, attempt: Attempt) -> None:
    """Some providers repeat the key that they refuse, and not every key looks like one."""
    key = attempt.deployment.key
    if key is not None and key.reveal() in error.message:
        error.message = error.message.replace(key.reveal(), "***")
        error.args = (error.message,)


def _say_something(events: tuple[Event, ...]) -> bool:
    for event in events:  # noqa: SIM110 - a generator costs more than all that it asks
        if event.text or event.reasoning or event.refusal or event.tool_calls or event.finish:
            return True
    return False


def _check_encoding(attempt: Attempt, response: WireResponse) -> None:
    """Nothing is decompressed here: we ask for no compression, and a small answer could be one of any size.

    Raises InvalidResponse.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise InvalidResponse(
            f"{attempt.deployment.id} compressed its answer ({encoding[:20]}), which nobody asked for"
        )


async def _read_error_body(response: WireResponse) -> bytes:
    body = bytearray()
    while len(body) < MAX_ERROR_BODY and (data := await response.next()):
        body += data
    response.abort()
    return bytes(body[:MAX_ERROR_BODY])
