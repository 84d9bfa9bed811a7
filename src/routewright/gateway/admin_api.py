"""`/admin/keys`: keys are made, changed, revoked and rotated by whoever has the role for it.

A key's text is in the answer that makes it, and never again. Fields that are not known are refused.
"""

import asyncio
import logging
from functools import partial
from typing import Any

import msgspec

from routewright.access.description import changed, read_wish, told
from routewright.access.directory import Directory
from routewright.access.keyring import Issued, Keyring
from routewright.access.keys import VirtualKey
from routewright.clock import Clock
from routewright.dialects.fields import number
from routewright.dialects.strict_json import read_object
from routewright.errors import InvalidRequest, StoreUnavailable
from routewright.gateway.http import JSON_TYPE, Request, Send, respond

log = logging.getLogger(__name__)

KEYS = "/admin/keys"
MAX_BODY_BYTES = 64 * 1024
LONGEST_GRACE_S = 30 * 86_400

_NO_STORE = (b"cache-control", b"no-store")
_encode = msgspec.json.Encoder().encode


class AdminKeys:
    """The handlers of `/admin/keys`. The store may wait for a disk or a network, so it is asked from a thread."""

    def __init__(self, keyring: Keyring, directory: Directory, clock: Clock) -> None:
        self._keyring = keyring
        self._directory = directory
        self._clock = clock

    async def list(self, request: Request, send: Send) -> None:
        """`GET /admin/keys`."""
        keys = await asyncio.to_thread(self._keyring.list)
        await _answer(send, 200, {"object": "list", "data": [self._told(key) for key in keys]})

    async def create(self, request: Request, send: Send) -> None:
        """`POST /admin/keys`."""
        wish = read_wish(await _fields(request))
        issued = await asyncio.to_thread(self._keyring.create, wish)
        await self._answer_issued(send, 201, issued)

    async def show(self, request: Request, send: Send) -> None:
        """`GET /admin/keys/{id}`."""
        await _answer(send, 200, self._told(await asyncio.to_thread(self._keyring.get, _key_id(request))))

    async def change(self, request: Request, send: Send) -> None:
        """`PATCH /admin/keys/{id}`: the fields that are sent take the place of those there were."""
        fields = await _fields(request)
        key = await asyncio.to_thread(self._keyring.change, _key_id(request), partial(changed, fields=fields))
        await self._answer_key(send, key)

    async def revoke(self, request: Request, send: Send) -> None:
        """`DELETE /admin/keys/{id}`: out of use, for ever; it stays in the list."""
        await self._answer_key(send, await asyncio.to_thread(self._keyring.revoke, _key_id(request)))

    async def rotate(self, request: Request, send: Send) -> None:
        """`POST /admin/keys/{id}/rotate`, with `{"grace_s": 3600}` to have the old text taken for an hour more."""
        fields = await _fields(request)
        for name in fields:
            if name != "grace_s":
                raise InvalidRequest(f"{name} is not known here", param=name, hint="there is grace_s")
        grace_s = number(fields, "grace_s", 0, LONGEST_GRACE_S) or 0
        issued = await asyncio.to_thread(self._keyring.rotate, _key_id(request), grace_s)
        await self._answer_issued(send, 200, issued)

    async def _answer_key(self, send: Send, key: VirtualKey) -> None:
        await self._follow()
        await _answer(send, 200, self._told(key))

    async def _answer_issued(self, send: Send, status: int, issued: Issued) -> None:
        await self._follow()
        await _answer(send, status, {**self._told(issued.key), "key": issued.text.reveal()})

    async def _follow(self) -> None:
        """Have it in force here at once; elsewhere, and here if this fails, it is within a second."""
        try:
            await asyncio.to_thread(self._directory.refresh)
        except StoreUnavailable:  # what was done is done, and a key's text must not be lost
            log.warning("a change of the keys is in the store, and will be read from there as soon as it answers")

    def _told(self, key: VirtualKey) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.to_builtins(told(key, self._clock.time_ns()))
        return shown


async def _fields(request: Request) -> dict[str, Any]:
    body = await request.body(MAX_BODY_BYTES)
    return read_object(body) if body else {}


def _key_id(request: Request) -> str:
    """The part of the path that names a key; whether it can be one is the keyring's to say."""
    return request.path.removeprefix(KEYS + "/").removesuffix("/rotate")


async def _answer(send: Send, status: int, value: object) -> None:
    await respond(send, status, [JSON_TYPE, _NO_STORE], _encode(value))
