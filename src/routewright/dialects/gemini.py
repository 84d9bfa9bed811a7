"""Gemini's own API, the side that faces Google: `…:generateContent` and `…:streamGenerateContent`."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from routewright.call import Attempt, Call, Document, Image, Part, ToolResult
from routewright.dialects.carrying import (
    HINTS,
    LOGPROBS,
    asks_for_nothing,
    nothing_said,
    unsaid_parts,
    unsayable_part,
)
from routewright.dialects.decoding import StreamDecoder, WholeDecoder
from routewright.dialects.gemini_errors import read_failure
from routewright.dialects.gemini_generations import EFFORTS
from routewright.dialects.gemini_media import is_document, is_image
from routewright.dialects.gemini_schemas import unenforced
from routewright.dialects.gemini_stream import AnswerReader
from routewright.dialects.gemini_thinking import DIALECT
from routewright.dialects.gemini_writing import names_of_calls, seed_of, write_body
from routewright.dialects.wire import Decoder, WireRequest
from routewright.errors import ProviderError

_MOST_STOPS = 5
_MOST_CHOICES = 8
_HINTS = HINTS | {"prediction", "seed"}


class Gemini:
    """Translates generated content: `Upstream`."""

    @property
    def name(self) -> str:
        """`gemini`."""
        return DIALECT

    def cannot_carry(self, call: Call) -> str | None:
        """The first field of the call that changes the answer and has no counterpart."""
        if len(call.stop) > _MOST_STOPS or "" in call.stop:
            return "stop"
        if call.choices > _MOST_CHOICES:
            return "n"
        if call.max_output_tokens == 0:
            return "max_tokens"
        if call.reasoning_effort is not None and call.reasoning_effort not in EFFORTS:
            return "reasoning_effort"
        if call.tools and call.parallel_tool_calls is False:
            return "parallel_tool_calls"
        form = call.output_format
        if form.is_strict and form.schema is not None and (keyword := unenforced(form.schema)):
            return f"response_format ({keyword})"
        for tool in call.tools:
            if tool.is_strict and (keyword := unenforced(tool.parameters)):
                return f"tools ({keyword})"
        for field in call.extra_fields:
            if field not in _HINTS and field not in LOGPROBS and not asks_for_nothing(call, field):
                return field
        return _unsayable_message(call)

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """Hints without a counterpart, details and names of pictures and files, and others' thoughts."""
        return tuple(_unsaid(call))

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/models/{model}:generateContent`; the key is in a header, as addresses end up in logs."""
        deployment, stream = attempt.deployment, attempt.call.stream
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            "x-attempt-id": attempt.id,
        }
        if deployment.key is not None:
            headers["x-goog-api-key"] = deployment.key.reveal()
        return WireRequest(
            url=f"{deployment.base_url.rstrip('/')}/models/{quote(deployment.upstream_model, safe='')}:{verb}",
            headers=headers,
            body=write_body(attempt),
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of chunks, or of a whole answer."""
        reader = AnswerReader(attempt.id, attempt.call.choices)
        return StreamDecoder(reader) if attempt.call.stream else WholeDecoder(reader.read_whole)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return read_failure(status, headers, body, now_s)


def _unsayable_message(call: Call) -> str | None:
    if silence := nothing_said(call):
        return silence
    for index, message in enumerate(call.messages):
        if message.role in ("assistant", "system") and any(
            isinstance(part, Image | Document) for part in message.parts
        ):
            return f"messages[{index}] (picture or file of the {message.role}'s)"
    names = names_of_calls(call.messages)

    def says(part: Part) -> bool:
        match part:
            case Image(url):
                return is_image(url)
            case Document(url):
                return is_document(url)
            case ToolResult(call_id, images=images):
                return call_id in names and all(
                    image.url.startswith("data:") and is_image(image.url) for image in images
                )
        return True

    return unsayable_part(call, says)


def _unsaid(call: Call) -> Iterator[str]:
    for field in call.extra_fields:
        if field in _HINTS and not (field == "seed" and seed_of(call) is not None):
            yield field
    parts = [part for message in call.messages for part in message.parts]
    if any(isinstance(part, Image) and part.detail not in (None, "auto") for part in parts):
        yield "image_url.detail"
    if any(isinstance(part, Document) and part.name for part in parts):
        yield "filename"
    yield from unsaid_parts(call, DIALECT)
