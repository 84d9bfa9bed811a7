"""Anthropic's Message Batches: the requests go along with their batch, and one stream of lines has all results."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Deployment
from routewright.dialects.anthropic_messages import VERSION_HEADER, VERSIONS
from routewright.dialects.batch import Result, Stage, Standing, checked, read_as
from routewright.dialects.wire import WireRequest

_PATH = "/v1/messages/batches"
_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_UNKNOWN_STATUS = 500


class _Counts(Struct, frozen=True):
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(Struct, frozen=True):
    id: str
    processing_status: str
    request_counts: _Counts = _Counts()


class _Batches(Struct, frozen=True):
    data: list[_Batch]


class _Kind(Struct, frozen=True):
    type: str = ""


class _Error(Struct, frozen=True):
    error: _Kind = _Kind()


class _Result(Struct, frozen=True):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"{}")
    error: msgspec.Raw = msgspec.Raw(b"{}")


class _Line(Struct, frozen=True):
    custom_id: str
    result: _Result


class AnthropicBatch:
    """Implements `BatchDialect`. A batch has no name there: its results tell whose they are."""

    most_requests = 100_000
    most_bytes = 256 * 1000 * 1000
    keeps_names = False

    def line(self, custom_id: str, request: WireRequest, base_url: str) -> bytes:
        """`{"custom_id", "params"}`, with the body as it is."""
        return b'{"custom_id":%b,"params":%b}' % (msgspec.json.encode(custom_id), request.body)

    def upload(self, place: Deployment, name: str, lines: Sequence[bytes]) -> WireRequest | None:
        """Nothing is uploaded."""
        return None

    def uploaded(self, body: bytes) -> str:
        """Nothing was uploaded."""
        return ""

    def create(self, place: Deployment, name: str, lines: Sequence[bytes], upload_id: str) -> WireRequest:
        """`POST …/v1/messages/batches`."""
        return _request(place, "", body=b'{"requests":[' + b",".join(lines) + b"]}")

    def retrieve(self, place: Deployment, batch_id: str) -> WireRequest:
        """`GET …/{id}`."""
        return _request(place, f"/{checked(batch_id)}")

    def cancel(self, place: Deployment, batch_id: str) -> WireRequest:
        """`POST …/{id}/cancel`."""
        return _request(place, f"/{checked(batch_id)}/cancel", body=b"")

    def latest(self, place: Deployment) -> WireRequest:
        """`GET …/v1/messages/batches`."""
        return _request(place, "?limit=100")

    def fetch(self, place: Deployment, where: str) -> WireRequest:
        """`GET …/{id}/results`: by the id, as our key goes to no address that somebody else names."""
        return _request(place, f"/{checked(where)}/results")

    def standing(self, body: bytes) -> Standing:
        """Of one batch."""
        return _standing(read_as(body, _Batch))

    def standings(self, body: bytes) -> tuple[Standing, ...]:
        """Of a list."""
        return tuple(map(_standing, read_as(body, _Batches).data))

    def result(self, line: bytes) -> Result:
        """A line of the results; what expired or was cancelled is not billed."""
        found = read_as(line, _Line)
        match found.result.type:
            case "succeeded":
                return Result(custom_id=found.custom_id, status=200, body=bytes(found.result.message))
            case "errored":
                error = bytes(found.result.error)
                kind = read_as(error, _Error).error.type
                status = _STATUSES.get(kind, _UNKNOWN_STATUS)
                return Result(custom_id=found.custom_id, status=status, body=error)
            case _:
                return Result(custom_id=found.custom_id, status=0)


def _standing(batch: _Batch) -> Standing:
    counts = batch.request_counts
    has_ended = batch.processing_status == "ended"
    return Standing(
        id=batch.id,
        stage=Stage.ENDED if has_ended else Stage.RUNNING,
        results=(batch.id,) if has_ended else (),
        done=counts.succeeded + counts.errored + counts.canceled + counts.expired,
    )


def _request(place: Deployment, path: str, *, body: bytes | None = None) -> WireRequest:
    headers = {"accept": "application/json", VERSION_HEADER: VERSIONS[0]}
    if body is not None:
        headers["content-type"] = "application/json"
    if place.key is not None:
        headers["x-api-key"] = place.key.reveal()
    url = place.base_url.rstrip("/") + _PATH + path
    return WireRequest(url=url, headers=headers, body=body or b"", method="GET" if body is None else "POST")
