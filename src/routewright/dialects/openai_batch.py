"""OpenAI's Batch API: a file is uploaded, a batch made of it, and up to two files have its answers and its errors."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Deployment
from routewright.dialects.batch import Result, Stage, Standing, checked, read_as
from routewright.dialects.provider_errors import sanitised
from routewright.dialects.wire import WireRequest

NAME = "routewright"
"""The key of a batch's metadata that has our name for it."""

_WINDOW = "24h"
_BOUNDARY = "routewright-batch-7d5c0f1e9a"
"""No line can have it in a form's place: JSON has no line break in it."""
_STAGES = {
    "failed": Stage.REFUSED,
    "completed": Stage.ENDED,
    "expired": Stage.ENDED,
    "cancelled": Stage.ENDED,
}


class _Counts(Struct, frozen=True):
    completed: int = 0
    failed: int = 0


class _Error(Struct, frozen=True):
    code: str | None = None
    message: str | None = None


class _Errors(Struct, frozen=True):
    data: list[_Error] = []


class _Batch(Struct, frozen=True):
    id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, str] | None = None


class _Batches(Struct, frozen=True):
    data: list[_Batch]


class _File(Struct, frozen=True):
    id: str


class _Response(Struct, frozen=True):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Line(Struct, frozen=True):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class OpenAIBatch:
    """Implements `BatchDialect`; its requests are chat completions, responses or embeddings."""

    most_requests = 50_000
    most_bytes = 200 * 1000 * 1000
    keeps_names = True

    def line(self, custom_id: str, request: WireRequest, base_url: str) -> bytes:
        """`{"custom_id", "method", "url", "body"}`, with the body as it is."""
        url = "/v1" + request.url.removeprefix(base_url.rstrip("/"))
        head = msgspec.json.encode({"custom_id": custom_id, "method": "POST", "url": url})
        return head[:-1] + b',"body":' + request.body + b"}\n"

    def upload(self, place: Deployment, name: str, lines: Sequence[bytes]) -> WireRequest | None:
        """`POST …/files`, as a form."""
        head = (
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}.jsonl"\r\n'
            "content-type: application/jsonl\r\n\r\n"
        )
        body = b"".join((head.encode(), *lines, f"\r\n--{_BOUNDARY}--\r\n".encode()))
        return _request(place, "/files", body=body, content_type=f"multipart/form-data; boundary={_BOUNDARY}")

    def uploaded(self, body: bytes) -> str:
        """The file's id."""
        return read_as(body, _File).id

    def create(self, place: Deployment, name: str, lines: Sequence[bytes], upload_id: str) -> WireRequest:
        """`POST …/batches`; all lines have the address of the first."""
        url: str = msgspec.json.decode(lines[0])["url"]
        wish = {
            "input_file_id": upload_id,
            "endpoint": url,
            "completion_window": _WINDOW,
            "metadata": {NAME: name},
        }
        return _request(place, "/batches", body=msgspec.json.encode(wish))

    def retrieve(self, place: Deployment, batch_id: str) -> WireRequest:
        """`GET …/batches/{id}`."""
        return _request(place, f"/batches/{checked(batch_id)}")

    def cancel(self, place: Deployment, batch_id: str) -> WireRequest:
        """`POST …/batches/{id}/cancel`."""
        return _request(place, f"/batches/{checked(batch_id)}/cancel", body=b"")

    def latest(self, place: Deployment) -> WireRequest:
        """`GET …/batches`."""
        return _request(place, "/batches?limit=100")

    def fetch(self, place: Deployment, where: str) -> WireRequest:
        """`GET …/files/{id}/content`."""
        return _request(place, f"/files/{checked(where)}/content")

    def standing(self, body: bytes) -> Standing:
        """Of one batch."""
        return _standing(read_as(body, _Batch))

    def standings(self, body: bytes) -> tuple[Standing, ...]:
        """Of a list."""
        return tuple(map(_standing, read_as(body, _Batches).data))

    def result(self, line: bytes) -> Result:
        """A line of the output or of the error file; what expired or was cancelled has an error and no response."""
        found = read_as(line, _Line)
        if found.response is None:
            return Result(custom_id=found.custom_id, status=0)
        return Result(custom_id=found.custom_id, status=found.response.status_code, body=bytes(found.response.body))


def _standing(batch: _Batch) -> Standing:
    counts = batch.request_counts or _Counts()
    errors = batch.errors.data if batch.errors else []
    return Standing(
        id=batch.id,
        name=(batch.metadata or {}).get(NAME, ""),
        stage=_STAGES.get(batch.status, Stage.RUNNING),
        results=tuple(name for name in (batch.output_file_id, batch.error_file_id) if name),
        done=counts.completed + counts.failed,
        reason=sanitised("; ".join(error.message or error.code or "" for error in errors[:3])),
    )


def _request(
    place: Deployment, path: str, *, body: bytes | None = None, content_type: str = "application/json"
) -> WireRequest:
    headers = {"accept": "application/json"}
    if body is not None:
        headers["content-type"] = content_type
    if place.key is not None:
        headers["authorization"] = f"Bearer {place.key.reveal()}"
    url = place.base_url.rstrip("/") + path
    return WireRequest(url=url, headers=headers, body=body or b"", method="GET" if body is None else "POST")
