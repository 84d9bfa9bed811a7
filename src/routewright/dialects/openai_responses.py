"""OpenAI's Responses API, the dialect of agents that keep items; both sides of it."""

from collections.abc import Mapping, Sequence

from routewright.call import Attempt, Call, Message, Options
from routewright.catalog.registry import Capability
from routewright.dialects.carrying import HINTS, LOGPROBS, asks_for_nothing, unsaid_parts, unsayable_part
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.openai_answer import write_error
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.responses_answer import write_response
from routewright.dialects.responses_items import DIALECT
from routewright.dialects.responses_request import has_thoughts_of_others, read_call, with_messages, write_body
from routewright.dialects.responses_stream import ResponseReader, read_response
from routewright.dialects.responses_writer import stream_writer
from routewright.dialects.wire import Decoder, EventWriter, WireRequest
from routewright.errors import ProviderError, RoutewrightError
from routewright.reply import Answer, Reply

_OF_CHAT = frozenset(
    {
        "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "user",
        "verbosity",
    }
)  # fmt: skip
"""Fields that a chat completion has too: they are sent on."""
_HINTS = HINTS | {"prediction", "seed"}


class OpenAIResponses:
    """Translates responses: `Upstream`, `Downstream` and `Rewriter`."""

    @property
    def name(self) -> str:
        """`openai_responses`."""
        return DIALECT

    # ---- towards providers --------------------------------------------------------------------------------------

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of a call in another dialect that this one has no word for."""
        if call.dialect == DIALECT and call.body:
            return None
        if call.choices > 1:
            return "n"
        if call.stop:
            return "stop" if "stop" in call.body else "stop_sequences"
        if call.max_output_tokens == 0:
            return "max_tokens"
        for field in call.extra_fields:
            if field not in _HINTS and field not in LOGPROBS and not asks_for_nothing(call, field):
                return field
        return unsayable_part(call)

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """Hints without a counterpart, and what messages hold that no provider of this dialect can read."""
        if call.dialect == DIALECT:
            return ("thinking",) if has_thoughts_of_others(call.body) else ()
        carried = _OF_CHAT if call.dialect == "openai_chat" else frozenset[str]()
        hints = (field for field in call.extra_fields if field in _HINTS - carried)
        return (*hints, *unsaid_parts(call, DIALECT))

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/responses`."""
        deployment, call = attempt.deployment, attempt.call
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            "x-attempt-id": attempt.id,
        }
        if deployment.key is not None:
            headers["authorization"] = f"Bearer {deployment.key.reveal()}"
        return WireRequest(
            url=deployment.base_url.rstrip("/") + "/responses",
            headers=headers,
            body=write_body(
                call, deployment.upstream_model, can_reason=Capability.REASONING in attempt.model.capabilities
            ),
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of semantic events, or of a whole response."""
        return StreamDecoder(ResponseReader()) if attempt.call.stream else WholeDecoder(read_response)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return provider_error(status, headers, said_in(body), now_s=now_s)

    # ---- towards clients ----------------------------------------------------------------------------------------

    def read(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The call that a body means; `options` came by header and go before those in the body.

        What `previous_response_id` stands for is not in it yet. Raises InvalidJson and InvalidRequest.
        """
        return read_call(body, request_id, options)

    def with_messages(self, call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
        """The call with other messages, in its body too."""
        return with_messages(call, messages, sources)

    def write_answer(self, reply: Reply, answer: Answer, created_s: int) -> bytes:
        """The `response` for an answer that came in another dialect."""
        return write_response(reply, answer, created_s)

    def writer(self, reply: Reply, created_s: int) -> EventWriter:
        """A writer of semantic events."""
        return stream_writer(reply, created_s)

    def write_error(self, error: RoutewrightError, request_id: str) -> bytes:
        """`{"error": {…}}`, in which the request has no id."""
        return write_error(error)
