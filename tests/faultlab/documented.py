"""What a documented answer is: the one place where fuzzing has it from."""

import json
import re
from collections.abc import Callable, Mapping

from lobby import Answered
from routewright import errors
from routewright.errors import RoutewrightError


def _documented() -> dict[str, type[RoutewrightError]]:
    found, left = {}, [RoutewrightError]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        found[kind.code] = kind
    return found


DOCUMENTED = _documented()
_MESSAGES = "/v1/messages"
"""Where Anthropic's dialect is spoken, which has another shape of errors and ends streams by an event of their own."""
_LINE_END = re.compile("\r\n|\r")
_ENDS = ("message_stop", "response.completed", "response.incomplete")
"""The last event of a whole stream, where that is not `[DONE]`."""
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Finding(Exception):
    """A case that ended as it must not; the text says how."""


def judge(answered: Answered, allowed: Callable[[int, str], bool], path: str = "") -> None:
    """Raises Finding for an answer from `path` that is not a documented one; `allowed` says which errors of 5xx are."""
    if not answered.headers.get("x-request-id"):
        raise Finding(f"{answered.status} without x-request-id")
    if answered.status < 400:
        return
    shown = answered.body[:200]
    if answered.headers.get("content-type") != "application/json" or "x-should-retry" not in answered.headers:
        raise Finding(f"{answered.status} with headers {answered.headers}")
    try:
        body = json.loads(answered.body)
        error = body["error"]
        members = {"type", "error", "request_id"} if path.startswith(_MESSAGES) else {"error"}
        is_right = set(body) == members and all(isinstance(error[name], str) for name in ("message", "type", "code"))
        is_right &= isinstance(error["param"], str | None)
    except (ValueError, LookupError, TypeError) as reason:
        raise Finding(f"{answered.status} of another shape: {shown!r}") from reason
    kind = DOCUMENTED.get(error["code"])
    if not is_right or kind is None or kind is RoutewrightError:
        raise Finding(f"{answered.status} of another shape or code: {shown!r}")
    if answered.status != kind.status and kind is not errors.AllAttemptsFailed:
        raise Finding(f"{answered.status} for {kind.code}, which is {kind.status}")
    if answered.status >= 500 and not allowed(answered.status, error["code"]):
        raise Finding(f"an unspecified {answered.status}: {shown!r}")


def judge_stream(body: bytes) -> None:
    """Raises Finding unless it is events of JSON, and ends in one of the two ways."""
    text = _LINE_END.sub("\n", body.decode())
    if not text.endswith("\n\n"):
        raise Finding(f"a stream that ends within an event: {text[-100:]!r}")
    said = []
    for event in text.split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:")]
        said += ["\n".join(lines)] if lines else []
    ends = [number for number, event in enumerate(said) if event == "[DONE]" or json.loads(event).get("type") in _ENDS]
    failures = [event for event in said if event != "[DONE]" and "error" in json.loads(event)]
    if ends not in ([], [len(said) - 1]) or bool(ends) == bool(failures):
        raise Finding(f"a stream with {len(ends)} ends and {len(failures)} failures: {text[-200:]!r}")


def answers_in(data: bytes, methods: list[str]) -> list[Answered]:
    """The answers on a connection. Raises Finding where it is not HTTP."""
    found: list[Answered] = []
    left = iter(methods)
    while data:
        head = _HEAD.match(data)
        if head is None:
            raise Finding(f"no HTTP: {data[:100]!r}")
        status, lines = int(head[1]), head[2].decode("latin-1").split("\r\n")[:-1]
        headers = dict(line.split(": ", 1) for line in lines)
        data = data[head.end() :]
        if status == 100:
            continue
        body, data = (b"", data) if next(left, "") == "HEAD" else _body(headers, data)
        found.append(Answered(status, headers, body))
    return found


def _body(headers: Mapping[str, str], data: bytes) -> tuple[bytes, bytes]:
    if "content-length" in headers:
        length = int(headers["content-length"])
        return data[:length], data[length:]
    body = b""
    while True:
        size, mark, rest = data.partition(b"\r\n")
        if not mark:
            return body, b""
        length = int(size, 16)
        body, data = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, data
