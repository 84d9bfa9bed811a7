"""OpenAI's and Anthropic's batch APIs, as their providers have them: batches take their time, by the simulator's clock.

Written apart from `dialects`, so that each tests the other.
"""

from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes
from random import Random
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from routewright.call import JsonObject
from routewright.clock import Clock
from routewright.dialects.wire import WireRequest

_ANTHROPIC = "/messages/batches"
_NS = 1_000_000_000


class BatchPlan(Struct, frozen=True, kw_only=True):
    """How batches fare; the shares are probabilities for each request."""

    takes_s: float = 60.0
    """From when a batch is made until it has ended."""
    expired: float = 0.0
    """Requests that were not asked in time."""
    failed: float = 0.0
    """Requests that end in an error of the provider's."""
    refused: bool = False
    """OpenAI finds every file unfit for a batch."""


QUICK = BatchPlan()


class Answered(Struct, frozen=True):
    """What one request of a batch gets."""

    status: int
    body: bytes


Ask = Callable[[str, bytes], Answered]
"""A request's path and body; the same request gets the same answer."""


class _Batch(Struct, kw_only=True):
    id: str
    made_at: float
    requests: list[JsonObject]
    wish: JsonObject
    input_file_id: str = ""
    cancelled_at: float | None = None
    outcomes: list[tuple[str, Answered | None]] | None = None
    """By custom_id, once it has ended; None for what was not asked in time."""


class Batches:
    """All batches and files of a simulated provider, in memory."""

    def __init__(self, ask: Ask, clock: Clock, chance: Callable[..., Random], plan: BatchPlan) -> None:
        self._ask = ask
        self._clock = clock
        self._chance = chance
        self._plan = plan
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}

    def answer(self, request: WireRequest) -> Answered | None:
        """The answer to a request; None for one that is not about batches."""
        path = urlsplit(request.url).path
        try:
            if _ANTHROPIC in path:
                return self._anthropic(request, path.partition(_ANTHROPIC)[2].strip("/"))
            for kind, handle in (("/files", self._file), ("/batches", self._openai)):
                head, mark, rest = path.partition(kind)
                if mark and "/" not in head.strip("/"):
                    return handle(request, rest.strip("/"))
        except KeyError as missing:
            return _said(404, {"error": {"type": "invalid_request_error", "message": f"No such object: {missing}"}})
        return None

    # -- OpenAI

    def _file(self, request: WireRequest, rest: str) -> Answered:
        if request.method == "POST":
            file_id = f"file-{len(self._files)}"
            self._files[file_id] = _file_in(request)
            return _said(200, {"id": file_id, "object": "file", "purpose": "batch"})
        return Answered(200, self._files[rest.removesuffix("/content")])

    def _openai(self, request: WireRequest, rest: str) -> Answered:
        name, _, verb = rest.partition("/")
        if request.method == "POST" and not name:
            wish: JsonObject = msgspec.json.decode(request.body)
            lines = self._files[wish["input_file_id"]].splitlines()
            batch = self._begin("batch_", [msgspec.json.decode(line) for line in lines], wish)
            return _said(200, self._openai_batch(batch))
        if not name:
            return _said(200, {"object": "list", "data": [self._openai_batch(each) for each in self._newest("batch_")]})
        batch = self._batches[name]
        if verb == "cancel":
            batch.cancelled_at = self._now_s()
        return _said(200, self._openai_batch(batch))

    def _openai_batch(self, batch: _Batch) -> JsonObject:
        said: JsonObject = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.wish["endpoint"],
            "input_file_id": batch.wish["input_file_id"],
            "completion_window": "24h",
            "metadata": batch.wish.get("metadata"),
            "created_at": int(batch.made_at),
            "status": "in_progress",
            "request_counts": {"total": len(batch.requests), "completed": 0, "failed": 0},
        }
        if self._plan.refused:
            return said | {
                "status": "failed",
                "errors": {"data": [{"code": "invalid_file", "message": "It is unfit."}]},
            }
        outcomes = self._outcomes(batch)
        if outcomes is None:
            return said
        right = [_openai_line(name, found) for name, found in outcomes if found and found.status == 200]
        wrong = [_openai_line(name, found) for name, found in outcomes if not found or found.status != 200]
        for field, lines in (("output_file_id", right), ("error_file_id", wrong)):
            if lines:
                said[field] = f"{field[:5]}-{batch.id}"
                self._files[said[field]] = b"".join(lines)
        is_late = any(found is None for _, found in outcomes)
        status = "cancelled" if batch.cancelled_at is not None else "expired" if is_late else "completed"
        counts = {"total": len(outcomes), "completed": len(right), "failed": len(wrong)}
        return said | {"status": status, "request_counts": counts}

    # -- Anthropic

    def _anthropic(self, request: WireRequest, rest: str) -> Answered:
        name, _, verb = rest.partition("/")
        if request.method == "POST" and not name:
            wish: JsonObject = msgspec.json.decode(request.body)
            return _said(200, self._anthropic_batch(self._begin("msgbatch_", wish["requests"], {})))
        if not name:
            return _said(200, {"data": [self._anthropic_batch(each) for each in self._newest("msgbatch_")]})
        batch = self._batches[name]
        if verb == "cancel":
            batch.cancelled_at = self._now_s()
        if verb == "results":
            return Answered(200, b"".join(_anthropic_line(*each) for each in self._outcomes(batch) or ()))
        return _said(200, self._anthropic_batch(batch))

    def _anthropic_batch(self, batch: _Batch) -> JsonObject:
        outcomes = self._outcomes(batch)
        statuses = [0 if found is None else found.status for _, found in outcomes or ()]
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "in_progress" if outcomes is None else "ended",
            "request_counts": {
                "processing": len(batch.requests) - len(statuses),
                "succeeded": statuses.count(200),
                "expired": statuses.count(0),
                "errored": len(statuses) - statuses.count(200) - statuses.count(0),
                "canceled": 0,
            },
            "results_url": None if outcomes is None else f"https://simulator.invalid/{batch.id}/results",
        }

    # -- both

    def _now_s(self) -> float:
        return self._clock.time_ns() / _NS

    def _begin(self, prefix: str, requests: list[JsonObject], wish: JsonObject) -> _Batch:
        batch = _Batch(id=f"{prefix}{len(self._batches)}", made_at=self._now_s(), requests=requests, wish=wish)
        self._batches[batch.id] = batch
        return batch

    def _newest(self, prefix: str) -> Iterator[_Batch]:
        return (batch for name, batch in reversed(self._batches.items()) if name.startswith(prefix))

    def _outcomes(self, batch: _Batch) -> list[tuple[str, Answered | None]] | None:
        """What became of its requests; None as long as it is worked on."""
        if batch.outcomes is None and self._now_s() >= batch.made_at + self._plan.takes_s:
            batch.outcomes = [(each["custom_id"], self._outcome(each)) for each in batch.requests]
        if batch.outcomes is None and batch.cancelled_at is not None:
            batch.outcomes = [(each["custom_id"], None) for each in batch.requests]
        return batch.outcomes

    def _outcome(self, request: JsonObject) -> Answered | None:
        drawn = self._chance("batch", request["custom_id"]).random()
        if drawn < self._plan.expired:
            return None
        if drawn < self._plan.expired + self._plan.failed:
            return _said(500, {"type": "error", "error": {"type": "api_error", "message": "Simulated failure."}})
        path, body = ("/messages", request["params"]) if "params" in request else (request["url"], request["body"])
        return self._ask(path, msgspec.json.encode(body))


def _said(status: int, body: Mapping[str, object]) -> Answered:
    return Answered(status, msgspec.json.encode(body))


def _file_in(request: WireRequest) -> bytes:
    """The file of a form, by the standard library's reader of mail."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    form = message_from_bytes(head + request.body)
    [file] = [part for part in form.get_payload() if part.get_filename()]  # type: ignore[union-attr]
    content = file.get_payload(decode=True)  # type: ignore[union-attr]
    assert isinstance(content, bytes)
    return content


def _openai_line(custom_id: str, found: Answered | None) -> bytes:
    line: JsonObject = {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": None, "error": None}
    if found is None:
        line["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
    else:
        line["response"] = {"status_code": found.status, "request_id": "req", "body": msgspec.Raw(found.body)}
    return msgspec.json.encode(line) + b"\n"


def _anthropic_line(custom_id: str, found: Answered | None) -> bytes:
    result: JsonObject = {"type": "expired"}
    if found is not None and found.status == 200:
        result = {"type": "succeeded", "message": msgspec.Raw(found.body)}
    elif found is not None:
        result = {"type": "errored", "error": msgspec.Raw(found.body)}
    return msgspec.json.encode({"custom_id": custom_id, "result": result}) + b"\n"
