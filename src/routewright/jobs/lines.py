"""Pure: from one record of an input (a line, a row) to what is asked, in OpenAI's form.

What is wrong with a single record is a `Malformed` in its place: it is told with its number and ends in the error file.
What is wrong with the input as a whole (an address that is not served, a template whose field is nowhere) is raised,
as it would be wrong with every record.
"""

import string
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call, JsonObject, Options, Priority
from routewright.check import Check, CheckKind
from routewright.dialects.known import DOWNSTREAMS
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.wire import Downstream
from routewright.errors import BadInput
from routewright.jobs.job import CHAT

EMBEDDINGS = "/v1/embeddings"
DIALECTS: Mapping[str, Downstream] = {
    CHAT: DOWNSTREAMS["openai_chat"],
    "/v1/responses": DOWNSTREAMS["openai_responses"],
    "/v1/messages": DOWNSTREAMS["anthropic_messages"],
    EMBEDDINGS: OpenAIEmbeddings(),
}
"""The addresses that a record may name, and the dialect in which its body is read."""
ITEM = "item"
"""The field of a template for a whole line of text."""
LONGEST_ID = 512
_DIGEST_BYTES = 16
_RECORD_FIELDS = ("model", "system", "max_tokens", "temperature", "response_format", "messages")
"""What a record with a prompt may say beside it, as in the body of a chat completion."""

Row: TypeAlias = Mapping[str, Any]


class Question(Struct, frozen=True):
    """What one record asks."""

    custom_id: str
    url: str
    body: JsonObject


class Malformed(Struct, frozen=True):
    """What is wrong with one record; nothing is asked."""

    custom_id: str
    reason: str


Entry: TypeAlias = Question | Malformed


class Template:
    """A prompt with `{fields}` that each record fills in; `{{` and `}}` are braces."""

    def __init__(self, text: str) -> None:
        """Raises BadInput for a text without a field, or with more than names in its braces."""
        self.text = text
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise BadInput(f"the template cannot be read: {error}", hint="write {{ and }} for braces") from error
        self.fields = tuple(dict.fromkeys(name for _, name, _, _ in parts if name is not None))
        odd = [name for name in self.fields if not name or set(name) & set(".[]")]
        if odd or any(spec or conversion for _, _, spec, conversion in parts):
            raise BadInput(
                "a template has names of fields in its braces, and nothing else",
                hint='as in "Document this: {item}"; write {{ and }} for braces',
            )
        if not self.fields:
            raise BadInput("the template has no field, so it would ask the same of all", hint='as in "… {item}"')
        self._parts = parts

    def fill(self, row: Row) -> str:
        """The prompt for one record. Raises KeyError with the field that it does not have."""
        return "".join(literal + ("" if name is None else _written(row[name])) for literal, name, _, _ in self._parts)

    def require(self, columns: object, where: str) -> None:
        """Raises BadInput when columns lack a field of this template."""
        names = set(columns)  # type: ignore[call-overload]
        missing = [name for name in self.fields if name not in names]
        if missing:
            raise BadInput(
                f"the template has a field {{{missing[0]}}}, which {where} does not have",
                hint=f"it has {', '.join(sorted(map(str, names)))}",
            )


def _written(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


class Asking(Struct, frozen=True, kw_only=True):
    """What is asked of every record, beside its own words."""

    template: Template | None = None
    model: str | None = None
    """Instead of what records say; without either it is `auto`."""
    system: str | None = None
    """Of prompts; what is a conversation already has its own."""
    max_tokens: int | None = None
    schema: JsonObject | None = None
    """A JSON Schema that answers are asked to fit, and must."""


def read_line(data: bytes, number: int, asking: Asking) -> Entry:
    """A line of JSON: one of OpenAI's batches, or a record with a prompt or with a template's fields.

    `number` is the line's, from 1. Raises BadInput for an address that is not served.
    """
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(usual_id(number), f"line {number} is not JSON: {error}")
    if not isinstance(fields, dict):
        return Malformed(usual_id(number), f"line {number} is no JSON object")
    if "body" in fields or "url" in fields:
        return _read_request(fields, number, asking)
    return read_row(fields, number, asking)


def _read_request(fields: JsonObject, number: int, asking: Asking) -> Entry:
    custom_id = _custom_id(fields, number)
    url, body = fields.get("url"), fields.get("body")
    if url is not None and url not in DIALECTS:
        raise BadInput(
            f"line {number} is for {str(url)[:80]!r}, which batches do not serve", hint=f"use {', '.join(DIALECTS)}"
        )
    if custom_id is None:
        return Malformed(usual_id(number), f"line {number}: custom_id must be a text of 1 to {LONGEST_ID} characters")
    if fields.get("method", "POST") != "POST":
        return Malformed(custom_id, f"line {number}: method must be POST")
    if not isinstance(body, dict):
        return Malformed(custom_id, f"line {number}: body must be an object")
    if url == EMBEDDINGS:
        return Question(custom_id, url, body if asking.model is None else {**body, "model": asking.model})
    return Question(custom_id, url or CHAT, _completed(body, asking))


def read_row(fields: Row, number: int, asking: Asking) -> Entry:
    """A record by its columns: a prompt in one of them, or a template that they fill in."""
    custom_id = _custom_id(fields, number)
    if custom_id is None:
        return Malformed(usual_id(number), f"record {number}: custom_id must be 1 to {LONGEST_ID} characters")
    body: JsonObject = {name: fields[name] for name in _RECORD_FIELDS if fields.get(name) is not None}
    system = body.pop("system", asking.system)
    if asking.template is not None:
        try:
            prompt: object = asking.template.fill(fields)
        except KeyError as error:
            return Malformed(custom_id, f"record {number} has no {error.args[0]!r}, which the template names")
        body.pop("messages", None)
    else:
        prompt = fields.get("prompt")
    if "messages" not in body:
        if not isinstance(prompt, str) or not prompt:
            return Malformed(custom_id, f"record {number} has no prompt")
        body["messages"] = [{"role": "user", "content": prompt}]
    if system is not None and isinstance(body["messages"], list):
        body["messages"] = [{"role": "system", "content": system}, *body["messages"]]
    return Question(custom_id, CHAT, _completed(body, asking))


def read_text(text: str, number: int, asking: Asking) -> Entry:
    """A line of plain text: the prompt itself, or the template's `{item}`."""
    return read_row({ITEM: text, "prompt": text}, number, asking)


def usual_id(number: int) -> str:
    """The custom_id of a record that has none."""
    return f"item-{number}"


def _custom_id(fields: Row, number: int) -> str | None:
    custom_id = fields.get("custom_id")
    if custom_id is None:
        return usual_id(number)
    if isinstance(custom_id, int) and not isinstance(custom_id, bool):
        return str(custom_id)
    return custom_id if isinstance(custom_id, str) and 0 < len(custom_id) <= LONGEST_ID else None


def _completed(body: JsonObject, asking: Asking) -> JsonObject:
    body.pop("stream", None)
    body.pop("stream_options", None)
    if asking.model is not None:
        body["model"] = asking.model
    body.setdefault("model", "auto")
    if asking.max_tokens is not None:
        body.setdefault("max_tokens", asking.max_tokens)
    if asking.schema is not None:
        name = asking.schema.get("title")
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": _schema_name(name), "schema": asking.schema},
        }
    return body


def _schema_name(title: object) -> str:
    """As OpenAI takes it: letters, digits, hyphens and underscores, 64 at most."""
    name = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in str(title or ""))
    return name[:64] or "answer"


def checks_of(asking: Asking) -> tuple[Check, ...]:
    """What every answer must pass."""
    if asking.schema is None:
        return ()
    schema = msgspec.json.encode(asking.schema).decode()
    return (Check(name="schema", kind=CheckKind.JSON_SCHEMA, schema=schema, is_trusted=True),)


def call_of(question: Question, *, request_id: str, options: Options) -> Call:
    """The call that a question means. Raises CallerError."""
    body = msgspec.json.encode(question.body)
    call = DIALECTS[question.url].read(body, request_id=request_id, options=options)
    return replace(call, priority=Priority.BATCH)


_canonical: Callable[[object], bytes] = msgspec.json.Encoder(order="deterministic").encode


def digest_of(question: Question) -> bytes:
    """Equal for questions that ask the same in the same way."""
    return blake2b(_canonical([question.url, question.body]), digest_size=_DIGEST_BYTES).digest()
