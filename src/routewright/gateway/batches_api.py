"""`/v1/batches`: files of requests, answered in the background by whoever the router chooses, in OpenAI's shape."""

import asyncio
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from routewright.call import JsonObject
from routewright.clock import Clock
from routewright.dialects.fields import mapping, required_text, whole_number, wrong
from routewright.dialects.strict_json import read_object
from routewright.errors import FileNotKept, InvalidRequest, JobNotFound
from routewright.gateway.batches_checking import Problem
from routewright.gateway.batches_kept import KeptBatches, Wish, errors_id, output_id, wish_of
from routewright.gateway.batches_running import BatchWork
from routewright.gateway.files_kept import KEPT_S, LEAST_KEPT_S
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.gateway.listing import page, query_of, read_limit
from routewright.jobs.job import Job, JobState
from routewright.jobs.lines import DIALECTS

BATCHES = "/v1/batches"
MOST_BODY_BYTES = 65_536

_WINDOW = "24h"
_FIELDS = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
_MOST_METADATA, _LONGEST_NAME, _LONGEST_VALUE = 16, 64, 512
_USUAL_PAGE, _LONGEST_PAGE = 20, 100
_NS = 1_000_000_000


class _Problems(Struct, frozen=True):
    data: list[Problem]
    object: str = "list"


class Batch(Struct, frozen=True, kw_only=True):
    """A batch, as the API tells of it. Times are UTC in seconds since 1970."""

    id: str
    object: str = "batch"
    endpoint: str
    errors: _Problems | None
    input_file_id: str
    completion_window: str = _WINDOW
    status: JobState
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: dict[str, int]
    metadata: dict[str, str] | None


class Batches:
    """The endpoints; every batch belongs to the key that made it, and to nobody else there is one."""

    def __init__(self, kept: KeptBatches, work: BatchWork, clock: Clock) -> None:
        self._kept = kept
        self._work = work
        self._clock = clock

    async def create(self, request: Request, send: Send) -> None:
        """`POST /v1/batches`."""
        endpoint, wish = _read(read_object(await request.body(MOST_BODY_BYTES)))
        try:
            job = await asyncio.to_thread(self._kept.create, request.caller.tenant.key, endpoint, wish)
        except FileNotKept as error:
            error.param = "input_file_id"
            raise
        self._work.wake()
        await self._show(send, job)

    async def show(self, request: Request, send: Send) -> None:
        """`GET /v1/batches/{id}`."""
        await self._show(send, await self._find(request))

    async def cancel(self, request: Request, send: Send) -> None:
        """`POST /v1/batches/{id}/cancel`: what is in flight is awaited, and what is answered is kept."""
        job = await self._find(request)
        job = await asyncio.to_thread(self._kept.cancel, job)
        self._work.wake()
        await self._show(send, job)

    async def list(self, request: Request, send: Send) -> None:
        """`GET /v1/batches`."""
        asked = query_of(request)
        limit = read_limit(asked, _USUAL_PAGE, _LONGEST_PAGE)
        shown = await asyncio.to_thread(self._page, request.caller.tenant.key, limit, asked.get("after"))
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(shown))

    async def _find(self, request: Request) -> Job:
        return await asyncio.to_thread(self._kept.find, request.caller.tenant.key, request.path.split("/")[3])

    async def _show(self, send: Send, job: Job) -> None:
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(await asyncio.to_thread(self._batch, job)))

    def _page(self, owner: str, limit: int, after: str | None) -> Any:
        try:
            before = None if after is None else self._kept.find(owner, after).number
        except JobNotFound:
            raise wrong("after", "the id of one in the list", after) from None
        found = [self._batch(job) for job in islice(self._kept.all(owner, before), limit + 1)]
        return page(found, limit=limit, after=None)

    def _batch(self, job: Job) -> Batch:
        wish, counts, state = wish_of(job), self._kept.jobs.counts(job), self._kept.state(job)
        assert wish is not None, "only what was made here is found here"
        ended_at = _seconds(job.ended_at_ns)
        is_delivered = state is job.state
        problems = self._kept.problems(job)
        return Batch(
            id=job.id,
            endpoint=job.endpoint,
            errors=_Problems(problems) if problems else None,
            input_file_id=wish.input_file_id,
            status=state,
            output_file_id=output_id(job) if is_delivered and job.output_bytes and ended_at else None,
            error_file_id=errors_id(job) if is_delivered and job.error_bytes and ended_at else None,
            created_at=job.created_at_ns // _NS,
            in_progress_at=_seconds(job.begun_at_ns),
            expires_at=_seconds(job.deadline_ns),
            finalizing_at=ended_at if state is JobState.COMPLETED else None,
            completed_at=ended_at if state is JobState.COMPLETED else None,
            failed_at=ended_at if state is JobState.FAILED else None,
            expired_at=ended_at if state is JobState.EXPIRED else None,
            cancelling_at=ended_at if state is JobState.CANCELLED else None,
            cancelled_at=ended_at if state is JobState.CANCELLED else None,
            request_counts={"total": job.total, "completed": counts.completed, "failed": counts.failed},
            metadata=wish.metadata,
        )


def _read(fields: JsonObject) -> tuple[str, Wish]:
    """The endpoint, and all else. Raises InvalidRequest."""
    for name in fields:
        if name not in _FIELDS:
            raise InvalidRequest(
                f"{name[:100]} is not known here", param=name[:100], hint=f"there are {', '.join(_FIELDS)}"
            )
    endpoint = required_text(fields, "endpoint")
    if endpoint not in DIALECTS:
        raise wrong("endpoint", f"one of {', '.join(DIALECTS)}", endpoint)
    if (window := fields.get("completion_window")) != _WINDOW:
        raise wrong("completion_window", f'"{_WINDOW}"', window)
    return endpoint, Wish(
        input_file_id=required_text(fields, "input_file_id"),
        metadata=_read_metadata(fields),
        output_kept_s=_read_kept_s(fields),
    )


def _read_metadata(fields: JsonObject) -> dict[str, str] | None:
    metadata = mapping(fields, "metadata")
    if metadata is None:
        return None
    is_right = len(metadata) <= _MOST_METADATA and all(
        isinstance(value, str) and len(name) <= _LONGEST_NAME and len(value) <= _LONGEST_VALUE
        for name, value in metadata.items()
    )
    if not is_right:
        expected = f"up to {_MOST_METADATA} texts of {_LONGEST_VALUE} characters, with names of {_LONGEST_NAME}"
        raise wrong("metadata", expected, metadata)
    return metadata


def _read_kept_s(fields: JsonObject) -> int:
    after = mapping(fields, "output_expires_after")
    if after is None:
        return KEPT_S
    if (anchor := after.get("anchor")) != "created_at":
        raise wrong("output_expires_after.anchor", '"created_at"', anchor)
    seconds = whole_number(after, "seconds", LEAST_KEPT_S, KEPT_S, "output_expires_after.")
    if seconds is None:
        raise wrong("output_expires_after.seconds", f"a whole number from {LEAST_KEPT_S} to {KEPT_S}", None)
    return seconds


def _seconds(at_ns: int | None) -> int | None:
    return None if at_ns is None else at_ns // _NS
