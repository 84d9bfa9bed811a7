"""Anthropic's Messages API, both sides of it."""

from collections.abc import Mapping, Sequence

from routewright.call import Attempt, Call, Message, Options
from routewright.dialects.anthropic_answer import stream_writer, write_error, write_message
from routewright.dialects.anthropic_reading import read_call
from routewright.dialects.anthropic_rewriting import with_messages
from routewright.dialects.anthropic_stream import MessageReader, read_message
from routewright.dialects.anthropic_thinking import DIALECT
from routewright.dialects.anthropic_writing import unsaid_fields, unsayable_field, write_body
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.wire import Decoder, EventWriter, WireRequest
from routewright.errors import ProviderError, RoutewrightError
from routewright.reply import Answer, Reply

VERSION_HEADER = "anthropic-version"
VERSIONS = ("2023-06-01", "2026-10-21")
"""They differ in what they refuse: the second takes no sampling parameters. What they answer has the same form."""
FORWARDED_HEADERS = (VERSION_HEADER, "anthropic-beta")
"""Headers of a request that a provider of this dialect gets as they came."""


class AnthropicMessages:
    """Translates messages: `Upstream`, `Downstream` and `Rewriter`."""

    @property
    def name(self) -> str:
        """`anthropic_messages`."""
        return DIALECT

    # ---- towards providers --------------------------------------------------------------------------------------

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of the call that changes the answer and has no counterpart."""
        return unsayable_field(call)

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """Hints without a counterpart; also `temperature` and `top_p`, which only models up to Claude 4.6 are sent."""
        return unsaid_fields(call)

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/v1/messages`."""
        deployment, call = attempt.deployment, attempt.call
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            VERSION_HEADER: VERSIONS[0],
            "x-attempt-id": attempt.id,
        }
        headers |= {name: value for name, value in call.headers.items() if name in FORWARDED_HEADERS}
        if deployment.key is not None:
            headers["x-api-key"] = deployment.key.reveal()
        return WireRequest(
            url=deployment.base_url.rstrip("/") + "/v1/messages", headers=headers, body=write_body(attempt)
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of a message's events, or of a whole message."""
        return StreamDecoder(MessageReader()) if attempt.call.stream else WholeDecoder(read_message)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return provider_error(status, headers, said_in(body), now_s=now_s)

    # ---- towards clients ----------------------------------------------------------------------------------------

    def read(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The call that a body means; `options` came by header and go before those in the body.

        Raises InvalidJson and InvalidRequest.
        """
        return read_call(body, request_id, options)

    def read_for_counting(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The same of a body whose tokens are only counted: it need not say how long the answer may be."""
        return read_call(body, request_id, options, is_counted_only=True)

    def with_messages(self, call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
        """The call with other messages, in its body too."""
        return with_messages(call, messages, sources)

    def write_answer(self, reply: Reply, answer: Answer, created_s: int) -> bytes:
        """The message for an answer that came in another dialect; it has no date."""
        return write_message(reply, answer)

    def writer(self, reply: Reply, created_s: int) -> EventWriter:
        """A writer of events."""
        return stream_writer(reply)

    def write_error(self, error: RoutewrightError, request_id: str) -> bytes:
        """`{"type": "error", "error": {…}, "request_id": …}`."""
        return write_error(error, request_id)
