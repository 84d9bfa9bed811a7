"""Anthropic's Messages API, the side that faces providers."""

from collections.abc import Mapping

from routewright.call import Attempt, Call
from routewright.dialects.anthropic_request import unsaid_fields, unsayable_field, write_body
from routewright.dialects.anthropic_stream import MessageReader, read_message
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.wire import Decoder, WireRequest
from routewright.errors import ProviderError

API_VERSION = "2023-06-01"


class AnthropicMessages:
    """Translates messages: `Upstream`."""

    @property
    def name(self) -> str:
        """`anthropic_messages`."""
        return "anthropic_messages"

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of the call that changes the answer and has no counterpart."""
        return unsayable_field(call)

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """Hints without a counterpart; also `temperature` and `top_p`, which only models up to Claude 4.6 are sent."""
        return unsaid_fields(call)

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/v1/messages`."""
        deployment = attempt.deployment
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if attempt.call.stream else "application/json",
            "anthropic-version": API_VERSION,
            "x-attempt-id": attempt.id,
        }
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
