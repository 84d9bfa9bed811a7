"""`/v1/files`: what batches are made of, and what they made, in the shape of OpenAI's API."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from routewright.dialects.fields import wrong
from routewright.dialects.multipart import Form
from routewright.engine import Engine
from routewright.errors import InvalidRequest
from routewright.gateway.files_kept import KEPT_S, LEAST_KEPT_S, KeptFile, KeptFiles
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.gateway.listing import page, query_of, read_limit

FILES = "/v1/files"

_FORM_BYTES = 65_536
"""What a form may have around its file."""
_SPILL_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024
_LONGEST_NAME = 512
_LONGEST_PAGE = 10_000


class Files:
    """The endpoints; every file belongs to the key that sent it, and to nobody else there is one."""

    def __init__(self, engine: Engine, kept: KeptFiles) -> None:
        self._engine = engine
        self._kept = kept

    async def create(self, request: Request, send: Send) -> None:
        """`POST /v1/files`: a form with `file` and `purpose`, written to the disk as it comes."""
        owner, form = request.caller.tenant.key, Form(request.header(b"content-type") or "")
        path = await asyncio.to_thread(self._kept.upload, owner)
        try:
            with path.open("xb") as file:
                await self._receive(request, form, owner, file)
            said = form.end()
            kept_s = _read_kept_s(said)
            filename = _read_name(form)
            file_id = self._kept.mint_id()
            kept = await asyncio.to_thread(self._kept.add, owner, file_id, filename, "batch", path, kept_s)
        finally:
            path.unlink(missing_ok=True)
        await _show(send, kept)

    async def list(self, request: Request, send: Send) -> None:
        """`GET /v1/files`."""
        asked = query_of(request)
        limit = read_limit(asked, _LONGEST_PAGE, _LONGEST_PAGE)
        if (order := asked.get("order", "desc")) not in ("asc", "desc"):
            raise wrong("order", '"asc" or "desc"', order)
        found = await asyncio.to_thread(self._kept.all, request.caller.tenant.key)
        found = [kept for kept in found if asked.get("purpose", kept.purpose) == kept.purpose]
        shown = page(found if order == "desc" else found[::-1], limit=limit, after=asked.get("after"))
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(shown))

    async def show(self, request: Request, send: Send) -> None:
        """`GET /v1/files/{id}`."""
        kept = await asyncio.to_thread(self._kept.find, request.caller.tenant.key, request.path.split("/")[3])
        await _show(send, kept)

    async def delete(self, request: Request, send: Send) -> None:
        """`DELETE /v1/files/{id}`."""
        file_id = request.path.split("/")[3]
        await asyncio.to_thread(self._kept.delete, request.caller.tenant.key, file_id)
        gone = {"id": file_id, "object": "file", "deleted": True}
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(gone))

    async def content(self, request: Request, send: Send) -> None:
        """`GET /v1/files/{id}/content`: its bytes, read as the client takes them."""
        path = await asyncio.to_thread(self._kept.path, request.caller.tenant.key, request.path.split("/")[3])
        with await asyncio.to_thread(path.open, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size)]
            await send({"status": 200, "headers": headers})
            while data := await asyncio.to_thread(file.read, _PIECE_BYTES):
                await send(data)
        await send({"body": b""})

    async def _receive(self, request: Request, form: Form, owner: str, file: BinaryIO) -> None:
        limit = self._engine.settings.server.max_file_bytes
        waiting = bytearray()
        async for piece in request.pieces(limit + _FORM_BYTES, "server.max_file_bytes"):
            for content in form.feed(piece):
                waiting += content
            if len(waiting) >= _SPILL_BYTES:
                await asyncio.to_thread(self._spill, owner, file, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(self._spill, owner, file, bytes(waiting))
        await asyncio.to_thread(os.fsync, file.fileno())

    def _spill(self, owner: str, file: BinaryIO, data: bytes) -> None:
        """Look for room first: several files may be on their way."""
        self._kept.check_room(owner, len(data))
        file.write(data)
        file.flush()


def _read_kept_s(said: Mapping[str, str]) -> int:
    for name in said:
        if name not in ("purpose", "expires_after[anchor]", "expires_after[seconds]"):
            raise InvalidRequest(f"{name[:100]} is not known here", param=name[:100])
    if said.get("purpose") != "batch":
        raise wrong("purpose", '"batch"', said.get("purpose"))
    if said.get("expires_after[anchor]", "created_at") != "created_at":
        raise wrong("expires_after.anchor", '"created_at"', said["expires_after[anchor]"])
    seconds = said.get("expires_after[seconds]", str(KEPT_S))
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 9 and LEAST_KEPT_S <= int(seconds) <= KEPT_S):
        raise wrong("expires_after.seconds", f"a whole number from {LEAST_KEPT_S} to {KEPT_S}", seconds)
    return int(seconds)


def _read_name(form: Form) -> str:
    assert form.file is not None, "a form without a file has been refused"
    name = Path((form.file.filename or "").replace("\\", "/")).name
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"a filename is printable, and up to {_LONGEST_NAME} characters", param="file")
    return "file" if name in ("", "..") else name


async def _show(send: Send, kept: KeptFile) -> None:
    await respond(send, 200, [JSON_TYPE], msgspec.json.encode(kept))
