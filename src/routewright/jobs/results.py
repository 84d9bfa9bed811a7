"""Pure: the lines of an output and of an error file, as OpenAI's batches have them."""

import msgspec

from routewright.call import JsonObject
from routewright.catalog.registry import Tier
from routewright.dialects.known import DOWNSTREAMS
from routewright.dialects.wire import Downstream
from routewright.errors import RoutewrightError
from routewright.reply import NOT_CHARGED, Draft, Event, Reply

_encode = msgspec.json.Encoder().encode


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer whose attempt is not settled yet: what is kept of it."""

    request_id: str
    model: str
    tier: Tier
    body: bytes
    """JSON, in the dialect in which it was asked for."""
    failed: str = ""
    """Which checks it did not pass, and why; empty if it passed all."""


def answered_of(reply: Reply, events: tuple[Event, ...], now_s: int) -> Answered:
    """What is kept of an unstreamed reply and all its events; `now_s` is the time for a dialect that tells it."""
    call = reply.attempt.call
    if reply.speaks(call.dialect):
        body = b"".join([event.raw for event in events])
    else:
        draft = Draft()
        draft.hear(events)
        body = DOWNSTREAMS[call.dialect].write_answer(reply, draft.answer(reply, NOT_CHARGED), now_s)
    return Answered(
        request_id=call.id,
        model=reply.attempt.model.name,
        tier=reply.route.tier,
        body=body,
        failed="; ".join(f"{finding.check}: {finding.reason}" for finding in reply.findings if not finding.is_ok),
    )


def answer_line(custom_id: str, request_id: str, body: bytes) -> bytes:
    """The line of an answer; `body` is JSON, as the client's dialect has it."""
    if b"\n" in body or b"\r" in body:
        body = msgspec.json.format(body, indent=-1)
    response = b'{"status_code":200,"request_id":%b,"body":%b}' % (_encode(request_id), body)
    return _line(custom_id, request_id, response, b"null")


def failure_line(custom_id: str, request_id: str, error: RoutewrightError, dialect: Downstream) -> bytes:
    """The line of an item that was asked, or would have been, and failed."""
    body = dialect.write_error(error, request_id)
    response = b'{"status_code":%d,"request_id":%b,"body":%b}' % (error.http_status, _encode(request_id), body)
    return _line(custom_id, request_id, response, b"null")


def refusal_line(custom_id: str, request_id: str, code: str, message: str) -> bytes:
    """The line of an item of which nothing was asked; `request_id` makes its id."""
    error: JsonObject = {"code": code, "message": message}
    return _line(custom_id, request_id, b"null", _encode(error))


def _line(custom_id: str, request_id: str, response: bytes, error: bytes) -> bytes:
    name = f"batch_req_{request_id.replace('-', '')}"
    return b'{"id":%b,"custom_id":%b,"response":%b,"error":%b}\n' % (
        _encode(name),
        _encode(custom_id),
        response,
        error,
    )


class _Response(msgspec.Struct):
    request_id: str = ""


class WrittenError(msgspec.Struct):
    """Why nothing was asked."""

    code: str = ""


class WrittenLine(msgspec.Struct):
    """What of a line tells whose it is; its body is not read."""

    custom_id: str
    response: _Response | None = None
    error: WrittenError | None = None


read_written = msgspec.json.Decoder(WrittenLine).decode
"""Raises msgspec.DecodeError."""


def renamed(line: bytes, custom_id: str, request_id: str) -> bytes:
    """The same line for another item, which takes the same answer."""
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return _line(custom_id, request_id, bytes(fields["response"]), bytes(fields["error"]))
