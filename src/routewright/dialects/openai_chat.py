"""OpenAI's chat completions, the dialect that most clients and most providers speak; both sides of it."""

from collections.abc import Mapping, Sequence

from routewright.call import Attempt, Call, Document, Message, Options, Part
from routewright.catalog.registry import Capability
from routewright.dialects.carrying import HINTS, LOGPROBS, unsaid_parts, unsayable_part
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.openai_answer import stream_writer, write_completion, write_error
from routewright.dialects.openai_request import MOST_STOPS, read_call, with_messages
from routewright.dialects.openai_stream import ChunkReader, read_completion
from routewright.dialects.openai_writing import DIALECT, write_body
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.wire import Decoder, EventWriter, WireRequest
from routewright.errors import ProviderError, RoutewrightError
from routewright.reply import Answer, Reply


class OpenAIChat:
    """Translates chat completions: `Upstream`, `Downstream` and `Rewriter`."""

    @property
    def name(self) -> str:
        """`openai_chat`."""
        return DIALECT

    # ---- towards providers --------------------------------------------------------------------------------------

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of a call in another dialect that this one has no word for."""
        if call.dialect == DIALECT and call.body:
            return None
        if len(call.stop) > MOST_STOPS:
            return "stop_sequences"
        if call.max_output_tokens == 0:
            return "max_tokens"
        for field in call.extra_fields:
            if field not in HINTS and field not in LOGPROBS:
                return field
        return unsayable_part(call, _says)

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """The hints of another dialect, and what messages hold that is of use to its own providers only."""
        if call.dialect == DIALECT:
            return ()
        return (*(field for field in call.extra_fields if field in HINTS), *unsaid_parts(call, DIALECT))

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/chat/completions`."""
        deployment, call = attempt.deployment, attempt.routed.call
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            "x-attempt-id": attempt.id,
        }
        if deployment.key is not None:
            headers["authorization"] = f"Bearer {deployment.key.reveal()}"
        return WireRequest(
            url=deployment.base_url.rstrip("/") + "/chat/completions",
            headers=headers,
            body=write_body(
                call,
                deployment.upstream_model,
                deployment.provider,
                can_reason=Capability.REASONING in attempt.model.capabilities,
            ),
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of chunks, or of a whole completion."""
        call = attempt.routed.call
        return StreamDecoder(ChunkReader(call.choices)) if call.stream else WholeDecoder(read_completion)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return provider_error(status, headers, said_in(body), now_s=now_s)

    # ---- towards clients ----------------------------------------------------------------------------------------

    def read(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The call that a body means; `options` came by header and go before those in the body.

        Raises InvalidJson and InvalidRequest.
        """
        return read_call(body, request_id, options)

    def with_messages(self, call: Call, messages: Sequence[Message], sources: Sequence[int | None]) -> Call:
        """The call with other messages, in its body too."""
        return with_messages(call, messages, sources)

    def write_answer(self, reply: Reply, answer: Answer, created_s: int) -> bytes:
        """The `chat.completion` for an answer that came in another dialect."""
        return write_completion(reply, answer, created_s)

    def writer(self, reply: Reply, created_s: int) -> EventWriter:
        """A writer of chunks."""
        return stream_writer(reply, created_s)

    def write_error(self, error: RoutewrightError, request_id: str) -> bytes:
        """`{"error": {…}}`, in which the request has no id."""
        return write_error(error)


def _says(part: Part) -> bool:
    """A file comes with its contents here, never by its address."""
    return not isinstance(part, Document) or part.url.startswith("data:")
