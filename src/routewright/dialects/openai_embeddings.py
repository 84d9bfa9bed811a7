"""OpenAI's embeddings, which most servers of models speak: texts in, a vector for each out.

It is a dialect like any other, so that an embedding is an attempt like any other: held, priced, retried, bounded. No
other dialect has vectors, so what a client asks goes to a provider as it came, and the answer comes back so.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from routewright.call import Attempt, Call, JsonObject, Message, Options, Text
from routewright.catalog.registry import VIRTUAL_MODELS
from routewright.dialects import options as router_options
from routewright.dialects.decoding import WholeDecoder
from routewright.dialects.fields import required_text, whole_number, wrong
from routewright.dialects.openai_answer import write_error
from routewright.dialects.provider_errors import provider_error, said_in
from routewright.dialects.strict_json import UNREADABLE, read_object
from routewright.dialects.wire import Decoder, EventWriter, WireRequest
from routewright.errors import InvalidRequest, InvalidResponse, ProviderError, RoutewrightError
from routewright.reply import Answer, Event, Reply
from routewright.usage import Usage

DIALECT = "openai_embeddings"
MOST_TEXTS = 2_048
"""Of a request, as at OpenAI."""
MOST_DIMENSIONS = 65_536


class _Usage(Struct):
    prompt_tokens: int = 0


class _Answer(Struct):
    data: list[Raw]
    model: str = ""
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def _any(body: bytes) -> None:
    """Every answer will do."""


class OpenAIEmbeddings:
    """Passes texts and vectors on: `Upstream` and `Downstream`. Nothing is streamed."""

    def __init__(self, check: Callable[[bytes], object] = _any) -> None:
        """`check` raises InvalidResponse for an answer that will not do, as long as there may be another try."""
        self._check = check

    @property
    def name(self) -> str:
        """`openai_embeddings`."""
        return DIALECT

    # ---- towards providers --------------------------------------------------------------------------------------

    def cannot_carry(self, call: Call) -> str | None:
        """Nobody's question: there are no words in an answer here."""
        return None if call.dialect == DIALECT else "messages"

    def dropped_fields(self, call: Call) -> tuple[str, ...]:
        """None."""
        return ()

    def write_request(self, attempt: Attempt) -> WireRequest:
        """`POST …/embeddings` with the client's own fields, or with the words of a call of ours."""
        deployment, call = attempt.deployment, attempt.call
        headers = {"content-type": "application/json", "accept": "application/json", "x-attempt-id": attempt.id}
        if deployment.key is not None:
            headers["authorization"] = f"Bearer {deployment.key.reveal()}"
        asked = call.body or {"input": "\n".join(message.text for message in call.messages)}
        return WireRequest(
            url=deployment.base_url.rstrip("/") + "/embeddings",
            headers=headers,
            body=msgspec.json.encode({**asked, "model": deployment.upstream_model}),
        )

    def decoder(self, attempt: Attempt) -> Decoder:
        """A decoder of the whole answer: its one event has the body in `raw`."""
        texts = len(attempt.call.messages) if attempt.call.body else 1
        return WholeDecoder(partial(self._read_answer, texts))

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> ProviderError:
        """The error that a provider's answer with this status means."""
        return provider_error(status, headers, said_in(body), now_s=now_s)

    def _read_answer(self, texts: int, body: bytes) -> tuple[Event, ...]:
        try:
            answer = _decode(body)
        except UNREADABLE as error:
            raise InvalidResponse(f"the provider's embedding cannot be read: {error}") from None
        if len(answer.data) != texts:
            raise InvalidResponse(f"the provider sent {len(answer.data)} embeddings for {texts} texts")
        self._check(body)
        usage = None if answer.usage is None else Usage(input=max(0, answer.usage.prompt_tokens))
        return (Event(raw=body, finish="stop", usage=usage, model=answer.model),)

    # ---- towards clients ----------------------------------------------------------------------------------------

    def read(self, body: bytes, *, request_id: str, options: Options) -> Call:
        """The call that a body means; `options` came by header and go before those in the body.

        Raises InvalidJson and InvalidRequest.
        """
        fields = read_object(body)
        if router_options.KEY in fields:
            options = router_options.with_body_options(options, fields.pop(router_options.KEY))
        texts = _texts(fields.get("input"))
        if fields.get("encoding_format") not in (None, "float", "base64"):
            raise wrong("encoding_format", '"float" or "base64"', fields["encoding_format"])
        whole_number(fields, "dimensions", 1, MOST_DIMENSIONS)
        return Call(
            id=request_id,
            dialect=DIALECT,
            model=_model(fields),
            messages=tuple(Message("user", (Text(text),)) for text in texts),
            body=fields,
            max_output_tokens=1,  # a vector is no output that is billed, and a hold needs a bound
            extra_fields=("input",),  # which no other dialect knows
            options=options,
        )

    def write_answer(self, reply: Reply, answer: Answer, created_s: int) -> bytes:
        """Never asked for: who answers speaks this dialect, so its answer is passed on."""
        raise NotImplementedError

    def writer(self, reply: Reply, created_s: int) -> EventWriter:
        """Never asked for: vectors are not streamed."""
        raise NotImplementedError

    def write_error(self, error: RoutewrightError, request_id: str) -> bytes:
        """`{"error": {…}}`, in which the request has no id."""
        return write_error(error)


def _model(fields: JsonObject) -> str:
    name = required_text(fields, "model")
    if name in VIRTUAL_MODELS:
        raise InvalidRequest(
            f"{name} does not choose among embedding models: vectors of different models cannot be compared",
            param="model",
            hint="name the model",
        )
    return name


def _texts(given: Any) -> list[str]:
    """The texts of a request. Of one that comes in tokens only their number is known: a word stands for each."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise wrong("input", "a string or an array that is not empty", given)
    if all(type(token) is int for token in given):
        return ["a " * len(given)]
    if len(given) > MOST_TEXTS:
        raise InvalidRequest(f"input has {len(given):,} texts, at most {MOST_TEXTS:,} are taken", param="input")
    texts = []
    for index, text in enumerate(given):
        if isinstance(text, list) and text and all(type(token) is int for token in text):
            texts.append("a " * len(text))
        elif isinstance(text, str):
            texts.append(text)
        else:
            raise wrong(f"input[{index}]", "a string or an array of tokens", text)
    return texts
