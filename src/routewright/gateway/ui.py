"""`/ui`: the dashboard over HTTP.

Pages are made in threads of their own, few at a time and within a time limit, so that whoever looks makes nobody wait
who asks models; and what fails here is told here.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

from routewright.access.directory import Directory
from routewright.access.keys import Role
from routewright.clock import Clock
from routewright.dashboard.assets import assets
from routewright.dashboard.pages import PAGES, Page
from routewright.dashboard.parameters import Parameters, read_form
from routewright.engine import Engine
from routewright.errors import (
    InvalidRequest,
    Overloaded,
    PageTooSlow,
    RouteNotFound,
    RoutewrightError,
    Unauthorized,
)
from routewright.gateway.door import Door, check_own_page, has_key
from routewright.gateway.headers import error_headers
from routewright.gateway.http import JSON_TYPE, Handler, RawHeaders, Request, Send, respond
from routewright.gateway.ui_sessions import UiSessions, ended
from routewright.ledger.drift import Key
from routewright.ledger.store import Store

if TYPE_CHECKING:  # what pages are made of is loaded when somebody looks
    from routewright.dashboard.listing import Listing
    from routewright.dashboard.view import View

log = logging.getLogger(__name__)

UI = "/ui"
AT_ONCE = 2
"""Pages that are made at a time."""
MOST_WAITING = 32
"""Pages that wait for their turn."""
PAGE_TIMEOUT_S = 10.0
"""For a page, its wait included."""
KEPT_S = 2.0
"""A page that was made for one reader is given to others who ask for the same, so long."""
MOST_KEPT = 64
MOST_FORM_BYTES = 64 * 1024
KINDS = ("", ".json", ".csv")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default"
)
SAFETY: RawHeaders = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE = (b"cache-control", b"no-store")
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_CSV = (b"content-type", b"text/csv; charset=utf-8")
T = TypeVar("T")
_KeptKey = tuple[str, bytes, bytes, str, frozenset[Role]]


class Ui:
    """The handlers. `ledger` opens a connection that only reads, once somebody looks."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        door: Door,
        sessions: UiSessions,
        *,
        directory: Directory,
        ledger: Callable[[], Store],
        drift: Callable[[], Mapping[Key, bool]],
        prices_date: Callable[[], str],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._door = door
        self._sessions = sessions
        self._directory = directory
        self._open = ledger
        self._drift = drift
        self._prices_date = prices_date
        self._started_ns = clock.time_ns()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="dashboard")
        self._waiting = 0
        self._ledger: asyncio.Future[Store] | None = None
        self._kept: dict[_KeptKey, tuple[float, asyncio.Task[bytes]]] = {}

    # ---- pages

    def page(self, page: Page) -> Handler:
        """What answers at the address of a page, and of its JSON and CSV."""
        return partial(self._show, page)

    async def _show(self, page: Page, request: Request, send: Send) -> None:
        kind = next(each for each in reversed(KINDS) if request.path.endswith(each))
        part = request.path.removeprefix(f"{UI}/{page.name.removesuffix('*')}").removesuffix(kind)
        asked = Parameters(request.query, (*page.known, "table"), part)
        body = await self._kept_or_made(request, partial(self._make, page, kind, asked))
        headers = {"": _HTML, ".json": JSON_TYPE, ".csv": _CSV}
        file = f'attachment; filename="{page.name.partition("/")[0]}.csv"'
        named = [(b"content-disposition", file.encode())] if kind == ".csv" else []
        await respond(send, 200, [headers[kind], _NO_STORE, *SAFETY, *named], body)

    async def _kept_or_made(self, request: Request, make: Callable[[Request], Callable[[Store], bytes]]) -> bytes:
        """The same page for all who ask at about the same time."""
        host, caller = request.headers.get(b"host", b""), request.caller  # both stand in the page
        key = (request.path, request.query, host, caller.tenant.key, caller.roles)
        kept = self._kept.get(key)
        now = self._clock.monotonic()
        if kept is not None and now - kept[0] < KEPT_S and not _has_failed(kept[1]):
            return await asyncio.shield(kept[1])
        task = asyncio.ensure_future(self.in_thread(make(request)))
        task.add_done_callback(_look_at)
        self._kept.pop(key, None)  # so that it stands behind all that are older
        self._kept[key] = (now, task)
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return await asyncio.shield(task)

    async def in_thread(self, make: Callable[[Store], T]) -> T:
        """What is made of the ledger. Raises Overloaded, PageTooSlow, and what `make` raises."""
        if self._waiting >= AT_ONCE + MOST_WAITING:
            raise Overloaded("too many pages of the dashboard are asked for", retry_after_s=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                store = await self._store()
                return await asyncio.get_running_loop().run_in_executor(self._threads, make, store)
        except TimeoutError as error:
            raise PageTooSlow(f"this page took over {PAGE_TIMEOUT_S:.0f} s", hint="ask for a shorter time") from error
        finally:
            self._waiting -= 1

    async def _store(self) -> Store:
        """Opened once; after a failure, again by the next page."""
        if self._ledger is None or _has_failed(self._ledger):
            self._ledger = asyncio.get_running_loop().run_in_executor(self._threads, self._open)
            self._ledger.add_done_callback(_look_at)
        return await asyncio.shield(self._ledger)

    def _make(self, page: Page, kind: str, asked: Parameters, request: Request) -> Callable[[Store], bytes]:
        """What is done in the thread; what only the event loop may look at is looked at here, before."""
        from routewright.dashboard.listing import document
        from routewright.dashboard.view import Desk

        desk = partial(
            Desk,
            engine=self._engine,
            clock=self._clock,
            now_ns=self._clock.time_ns(),
            started_ns=self._started_ns,
            directory=self._directory,
            budgets=self._engine.budgets(),
            breakers=self._engine.breakers(),
            drift=self._drift(),
            prices_date=self._prices_date(),
            address=_address(request),
            roles=request.caller.roles,
        )
        frame, name = self._frame(request, page.within or page.name), page.name.replace("*", asked.part)

        def make(store: Store) -> bytes:
            view = page.read(desk(ledger=store), asked)
            if kind == ".json":
                return document(name, asked.query, _chosen(view, asked))
            if kind == ".csv":
                return _chosen(view, asked)[0].as_csv().encode()
            return render(view.template, {**frame, "title": view.title, "query": asked.query, **view.values})

        return make

    def _frame(self, request: Request, page: str) -> dict[str, object]:
        """What stands around every page."""
        is_signed_in = (
            b"cookie" in request.headers and self._sessions.caller(request.header(b"cookie") or "") is not None
        )
        caller = request.caller
        return {
            "page": page,
            "navigation": [each for each in PAGES if each.title],
            "who": (caller.tenant.key or "operator") if is_signed_in else "",
            "needs_login": self._door.has_keys,
            "may_act": Role.ADMIN in caller.roles,
        }

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        return self._clock.time_ns()

    # ---- signing in

    async def home(self, request: Request, send: Send) -> None:
        """`GET /ui`."""
        await redirect(send, f"{UI}/{PAGES[0].name}")

    async def login_page(self, request: Request, send: Send) -> None:
        """`GET /ui/login`."""
        asked = read_form(request.query, ("next",))
        await self._login_form(request, send, 200, "", asked.get("next", UI))

    async def login(self, request: Request, send: Send) -> None:
        """`POST /ui/login`: a key for a session."""
        check_own_page(request)
        fields = await self.form(request, "key", "next")
        onward = fields.get("next", UI)
        try:
            caller = self._door.holder(fields.get("key", ""))
        except Unauthorized:
            await self._login_form(request, send, 401, "This is no valid key.", onward)
            return
        if Role.READ not in caller.roles:
            await self._login_form(request, send, 403, "This key has neither the role read nor admin.", onward)
            return
        header = await asyncio.to_thread(self._sessions.begin, caller)
        await redirect(send, onward if _is_ours(onward) else UI, (b"set-cookie", header))

    async def logout(self, request: Request, send: Send) -> None:
        """`POST /ui/logout`."""
        check_own_page(request)
        await redirect(send, UI, (b"set-cookie", ended()))

    async def _login_form(self, request: Request, send: Send, status: int, told: str, onward: str) -> None:
        values = {**self._frame(request, "login"), "title": "Sign in", "told": told, "next": onward}
        await respond(send, status, [_HTML, _NO_STORE, *SAFETY], await asyncio.to_thread(render, "login.html", values))

    async def show(self, request: Request, send: Send, template: str, values: Mapping[str, object]) -> None:
        """A page that answers a form, and has no address of its own."""
        body = await asyncio.to_thread(render, template, {**self._frame(request, ""), "query": "", **values})
        await respond(send, 200, [_HTML, _NO_STORE, *SAFETY], body)

    async def go_on(self, send: Send, address: str) -> None:
        """After something was changed: to the page that shows it, made anew."""
        self._kept.clear()
        await redirect(send, address)

    async def fields(self, request: Request, *known: str, texts: Sequence[str] = ()) -> Parameters:
        """A form that was sent, read as strictly as an address; `texts` may have lines. Raises InvalidRequest."""
        kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise InvalidRequest("this is no form of a page", hint="send application/x-www-form-urlencoded")
        self._kept.clear()  # what is changed is seen at once
        return Parameters(await request.body(MOST_FORM_BYTES), known, texts=texts)

    async def form(self, request: Request, *known: str) -> Mapping[str, str]:
        """The same as plain values."""
        return (await self.fields(request, *known)).values

    # ---- the rest

    async def static(self, request: Request, send: Send) -> None:
        """`GET /ui/static/{hash}/{name}`: it never changes."""
        asset = assets().get(request.path.rpartition("/")[2])
        if asset is None or asset.address != request.path:
            raise RouteNotFound(f"there is nothing at {request.path[:100]!r}")
        kind = (b"content-type", asset.content_type.encode())
        await respond(send, 200, [kind, _FOR_EVER, *SAFETY], asset.content)

    async def refuse(self, request: Request, send: Send, error: RoutewrightError) -> None:
        """A page that says why there is none; whoever is not signed in is sent to do so."""
        if isinstance(error, Unauthorized) and request.method == "GET" and not has_key(request):
            target = request.path + (f"?{request.query.decode('latin-1')}" if request.query else "")
            await redirect(send, f"{UI}/login?next={quote(target[:400], safe='')}")
            return
        values = {
            **self._frame(request, ""),
            "title": _TITLES.get(error.http_status, "This did not work"),
            "told": error.message,
            "hint": error.hint or "",
            "number": error.number,
            "request_id": request.id,
        }
        headers = [_HTML, _NO_STORE, *SAFETY, *error_headers(request, error)]
        await respond(send, error.http_status, headers, await asyncio.to_thread(render, "message.html", values))

    def close(self) -> None:
        """Let go of the ledger and the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._ledger is not None and self._ledger.done() and not _has_failed(self._ledger):
            self._ledger.result().close()


_TITLES = {
    400: "This address is not understood",
    403: "Not allowed",
    404: "Not found",
    405: "Not so",
    503: "Not now",
    504: "Too slow",
}


def is_for_people(path: str) -> bool:
    """Whether errors at this address are told in a page."""
    return path == UI or (path.startswith(f"{UI}/") and not path.endswith(KINDS[1:]))


def render(template: str, values: Mapping[str, object]) -> bytes:
    """A whole page. In a thread, as the first one takes its time."""
    from routewright.dashboard.rendering import render as rendered

    return rendered(template, values)


def _chosen(view: "View", asked: Parameters) -> "Sequence[Listing]":
    """The table that is asked for by its name, or all."""
    names = [listing.name for listing in view.listings]
    wanted = asked.choice("table", names, "")
    return [listing for listing in view.listings if wanted in ("", listing.name)]


def _address(request: Request) -> str:
    """By which the reader reaches us. Over TLS a proxy stands in front, so only https is ever forwarded."""
    scheme = "https" if request.header(b"x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{request.header(b'host') or 'localhost'}"


def _is_ours(address: str) -> bool:
    """Whether an address to go on to is a page of the dashboard, and nobody else's."""
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc and (parts.path == UI or parts.path.startswith(f"{UI}/"))


async def redirect(send: Send, address: str, *more: tuple[bytes, bytes]) -> None:
    """On to a page, by GET."""
    await respond(send, 303, [(b"location", address.encode()), _NO_STORE, *SAFETY, *more], b"")


def _has_failed(task: "asyncio.Future[bytes] | asyncio.Future[Store]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _look_at(task: "asyncio.Future[bytes] | asyncio.Future[Store]") -> None:
    """Its failure is told to whoever waits; that nobody does any more is no news."""
    if not task.cancelled():
        task.exception()
