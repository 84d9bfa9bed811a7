"""What is done at the pages of requests: an opinion is given, and the latest ones are followed as they come."""

import asyncio
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import TypeAlias

import msgspec

from routewright.access.keys import Caller, Role
from routewright.dashboard.pages import FILTERS
from routewright.dashboard.parameters import Parameters
from routewright.engine import Engine
from routewright.errors import InvalidRequest, Overloaded, RequestNotFound, RoutewrightError
from routewright.gateway.http import STREAM_HEADERS, Departure, Request, Send
from routewright.gateway.ui import SAFETY, UI, Ui, redirect
from routewright.ids import is_uuid7
from routewright.ledger.browsing import Brief, Filter, Place, newest
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.store import Store
from routewright.text import one_line

MOST_FOLLOWERS = 32
LOOK_EVERY_S = 1.0
OVERLAP_NS = 5 * NANOSECONDS
"""So far back each look begins before the one before it: requests do not arrive quite in the order of their time."""
MOST_AT_ONCE = 200
"""Requests told in one look; of more, the latest."""
FOLLOWED_S = 600
"""Then a browser asks again, and is let in again or not."""
Told: TypeAlias = tuple[Brief, bytes]
"""A request, and how those who follow are told of it."""


class News:
    """What one look found. What of it a filter takes is worked out once for all who follow by that."""

    def __init__(self, told: Sequence[Told]) -> None:
        self._told = told
        self._taken: dict[Filter, bytes] = {}

    def of(self, wanted: Filter) -> bytes:
        """The events for those who follow by this filter; empty without any."""
        if wanted not in self._taken:
            self._taken[wanted] = b"".join(event for row, event in self._told if wanted.takes(row))
        return self._taken[wanted]


class UiRequests:
    """The handlers."""

    def __init__(self, ui: Ui, engine: Engine, *, is_draining: Callable[[], bool]) -> None:
        self._ui = ui
        self._engine = engine
        self._is_draining = is_draining
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._news: asyncio.Future[News] | None = None

    async def feedback(self, request: Request, send: Send) -> None:
        """`POST /ui/requests/{id}/feedback`: whether an answer was good."""
        fields = await self._ui.form(request, "good")
        if fields.get("good") not in ("0", "1"):
            raise InvalidRequest("good is missing", param="good", hint="it is 1 or 0")
        request_id = request.path.removeprefix(f"{UI}/requests/").removesuffix("/feedback")
        if not is_uuid7(request_id) or not await self._ui.in_thread(
            partial(_may_judge, request_id=request_id, caller=request.caller)
        ):
            raise RequestNotFound(f"no request {request_id[:64]!r} is recorded")
        self._engine.observe(request_id, float(fields["good"]))
        await redirect(send, f"{UI}/requests/{request_id}")

    async def tail(self, request: Request, send: Send) -> None:
        """`GET /ui/requests/tail`: requests like those that are asked for, as server-sent events, as they come."""
        from routewright.dashboard.requests import filter_of

        wanted = filter_of(Parameters(request.query, FILTERS), self._ui.now_ns())
        if self._followers >= MOST_FOLLOWERS:
            raise Overloaded(f"{MOST_FOLLOWERS} readers follow requests already", retry_after_s=10)
        self._followers += 1
        try:
            with Departure(request):
                await send({"status": 200, "headers": [*STREAM_HEADERS, *SAFETY]})
                await send(b": following\n\n")
                for _ in range(int(FOLLOWED_S / LOOK_EVERY_S)):
                    if self._is_draining():
                        break
                    await send((await self._next()).of(wanted) or b":\n\n")
                await send({"body": b""})
        finally:
            self._followers -= 1
            if not self._followers and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _next(self) -> News:
        """What the next look finds: one look for all who follow."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._news)

    async def _look(self) -> None:
        begin, seen = self._ui.now_ns(), frozenset[str]()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            news: Sequence[Told] = ()
            try:
                news, seen = await self._ui.in_thread(partial(_newest, after_ns=begin - OVERLAP_NS, seen=seen))
            except RoutewrightError:
                continue  # the ledger does not answer now; whoever follows waits for the next look
            finally:
                self._tell(news)
            begin = max([begin, *(row.at_ns for row, _ in news)])

    def _tell(self, news: Sequence[Told]) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(News(news))


def _newest(store: Store, after_ns: int, seen: Set[str]) -> tuple[Sequence[Told], frozenset[str]]:
    """What was not seen before, written for all who follow; and all that is seen now."""
    found = newest(store.database, Place(after_ns, ""), MOST_AT_ONCE)
    news = [(row, _event(row)) for row in found if row.request_id not in seen]
    return news, frozenset(row.request_id for row in found)


def _may_judge(store: Store, request_id: str, caller: Caller) -> bool:
    """Whether there is such a request, and it is the caller's to judge: all are an administrator's."""
    found = store.request(request_id)
    tenant = caller.tenant
    if found is None or found.request is None:
        return False
    is_theirs = tenant.key == found.request.key or tenant.team == found.request.team != ""
    return not tenant.key or Role.ADMIN in caller.roles or is_theirs


def _event(row: Brief) -> bytes:
    from routewright.dashboard.listing import shown
    from routewright.dashboard.requests import COLUMNS, line_of

    cells = [one_line(shown(column.kind, cell)) for column, cell in zip(COLUMNS, line_of(row), strict=True)]
    figures = [column.is_figure for column in COLUMNS]
    data = msgspec.json.encode({"cells": cells, "figures": figures, "link": f"{UI}/requests/{row.request_id}"})
    return b"event: request\ndata: " + data + b"\n\n"
