"""`/admin/policies`: which policies are in force, their versions, and what puts another one in force."""

import asyncio
from typing import Any

import msgspec

from routewright.dialects.fields import boolean, mapping, number, required_text, text, whole_number
from routewright.dialects.strict_json import read_object
from routewright.engine import Engine
from routewright.errors import InvalidRequest, PolicyNotFound, PolicyRefused, SettingsError
from routewright.gateway.admin_api import MAX_BODY_BYTES
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.policies.following import PolicyFollower
from routewright.policies.overlay import read_overlay
from routewright.policies.store import MOST_VERSIONS
from routewright.policies.telling import check, told, told_change, told_version

POLICIES = "/admin/policies"
LONGEST_REASON = 1000

_NO_STORE = (b"cache-control", b"no-store")
_encode = msgspec.json.Encoder().encode


class AdminPolicies:
    """The handlers. The store may wait for a disk or a network, so it is asked from a thread."""

    def __init__(self, engine: Engine, follower: PolicyFollower) -> None:
        self._engine = engine
        self._store = follower.store
        self._follower = follower

    async def list(self, request: Request, send: Send) -> None:
        """`GET /admin/policies`."""
        await self._answer_all(send)

    async def apply(self, request: Request, send: Send) -> None:
        """`POST /admin/policies`: `{"name": …, "changes": {…}}` in the words of `[policies.NAME]`, put in force."""
        fields = await _fields(request, "name", "changes", "share", "reason", "evidence")
        name = required_text(fields, "name")
        try:
            overlay = read_overlay(mapping(fields, "changes") or {}, name=name, shown_as="changes")
        except SettingsError as error:
            raise PolicyRefused(error.message, param="changes") from error
        share = number(fields, "share", 0, 100)
        if share is not None and name == self._engine.settings.policy.name:
            raise PolicyRefused("the base has no share of its own: it gets what the others leave", param="share")
        check(name, overlay, self._engine.settings, self._engine.registry)
        version = await asyncio.to_thread(
            self._store.apply,
            name,
            overlay,
            author=_author(request),
            evidence=mapping(fields, "evidence"),
            share=share,
            reason=_reason(fields),
        )
        await asyncio.to_thread(self._follower.refresh)
        await _answer(send, 201, told_version(version))

    async def switch(self, request: Request, send: Send) -> None:
        """`PATCH /admin/policies`: `{"enabled": false}` is the kill switch."""
        fields = await _fields(request, "enabled", "reason")
        on = boolean(fields, "enabled")
        if on is None:
            raise InvalidRequest("enabled is missing", param="enabled", hint="it is true or false")
        await asyncio.to_thread(self._store.switch, on=on, author=_author(request), reason=_reason(fields))
        await asyncio.to_thread(self._follower.refresh)
        await self._answer_all(send)

    async def show(self, request: Request, send: Send) -> None:
        """`GET /admin/policies/{name}`: its versions, and what of it was in force when."""
        name = request.path.removeprefix(POLICIES + "/")
        versions = await asyncio.to_thread(self._store.versions, name)
        known = {each.name: each for each in told(self._engine.plan)}
        if name not in known and not versions:
            raise PolicyNotFound(f"no policy is called {name[:64]!r}")
        history = await asyncio.to_thread(self._store.history)
        await _answer(
            send,
            200,
            {
                "policy": known.get(name),
                "versions": [told_version(version) for version in versions],
                "history": [told_change(change) for change in history if change.name in (name, "")],
            },
        )

    async def rollback(self, request: Request, send: Send) -> None:
        """`POST /admin/policies/{name}/rollback`: to the version before, or `{"to": 3}`; 0 is what the settings say."""
        fields = await _fields(request, "to", "reason")
        name = request.path.removeprefix(POLICIES + "/").removesuffix("/rollback")
        to = whole_number(fields, "to", 0, MOST_VERSIONS)
        change = await asyncio.to_thread(
            self._store.rollback, name, author=_author(request), to=to, reason=_reason(fields)
        )
        await asyncio.to_thread(self._follower.refresh)
        await _answer(send, 200, told_change(change))

    async def _answer_all(self, send: Send) -> None:
        plan = self._engine.plan
        await _answer(send, 200, {"object": "list", "enabled": not plan.is_off, "data": told(plan)})


async def _fields(request: Request, *known: str) -> dict[str, Any]:
    body = await request.body(MAX_BODY_BYTES)
    fields = read_object(body) if body else {}
    for name in fields:
        if name not in known:
            raise InvalidRequest(
                f"{name[:100]} is not known here", param=name[:100], hint=f"there is {', '.join(known)}"
            )
    return fields


def _author(request: Request) -> str:
    return request.caller.tenant.key or "operator"


def _reason(fields: dict[str, Any]) -> str:
    reason = text(fields, "reason") or ""
    if len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"reason is over {LONGEST_REASON:,} characters", param="reason")
    return reason


async def _answer(send: Send, status: int, value: object) -> None:
    await respond(send, status, [JSON_TYPE, _NO_STORE], _encode(value))
