"""Pure: the lines of an output and of an error file, as OpenAI's batches have them."""

import msgspec

from routewright.call import JsonObject
from routewright.dialects.wire import Downstream
from routewright.errors import RoutewrightError

_encode = msgspec.json.Encoder().encode


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
