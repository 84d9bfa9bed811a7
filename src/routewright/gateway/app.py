"""The gateway as an ASGI application: one table of endpoints, each with who may call it, and one border for errors."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from routewright.clock import Clock
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import (
    ForeignOrigin,
    MethodNotAllowed,
    Overloaded,
    RouteNotFound,
    RoutewrightError,
    Unauthorized,
)
from routewright.gateway.feedback import Feedback
from routewright.gateway.headers import error_headers
from routewright.gateway.http import JSON_TYPE, ClientLeft, Message, Receive, Request, Scope, Send, respond
from routewright.gateway.openai_api import ChatCompletions, Models, RouteOnly
from routewright.settings import is_loopback

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 10_000
"""Requests worked on at once; the next one is told to come back."""
OVERLOAD_PAUSE_S = 1.0

_encode = msgspec.json.Encoder().encode


class Access(Enum):
    """Who may call an endpoint."""

    OPEN = "open"
    """Anybody who reaches the port: says nothing but whether we live."""
    CLIENT = "client"
    """Holders of the gateway's key, if it has one."""


Handler: TypeAlias = Callable[[Request, Send], Awaitable[None]]


class Endpoint(Struct, frozen=True):
    """One address; every field is needed, so none can forget to say who may call it."""

    method: str
    path: str
    access: Access
    handler: Handler


class Gateway:
    """The application. `is_draining` is set when the process is told to stop; readiness then answers 503."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.is_draining = False
        self._engine = engine
        self._in_flight = 0
        self._dialect: Downstream = OpenAIChat()
        self._endpoints = self._table(clock)
        self._by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self._endpoints:
            self._by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint

    def _table(self, clock: Clock) -> tuple[Endpoint, ...]:
        chat = ChatCompletions(self._engine, self._dialect, clock)
        models = Models(self._engine)
        return (
            Endpoint("POST", "/v1/chat/completions", Access.CLIENT, chat),
            Endpoint("POST", "/v1/route", Access.CLIENT, RouteOnly(self._engine, self._dialect)),
            Endpoint("POST", "/v1/feedback", Access.CLIENT, Feedback(self._engine)),
            Endpoint("GET", "/v1/models", Access.CLIENT, models),
            Endpoint("GET", "/v1/models/*", Access.CLIENT, models),
            Endpoint("GET", "/healthz", Access.OPEN, self._health),
            Endpoint("GET", "/health", Access.OPEN, self._health),
            Endpoint("GET", "/health/liveliness", Access.OPEN, self._health),
            Endpoint("GET", "/readyz", Access.OPEN, self._ready),
            Endpoint("GET", "/health/readiness", Access.OPEN, self._ready),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope, receive)
        sent = _Sent(send)
        try:
            await self._answer(request, sent)
        except ClientLeft:
            return
        except RoutewrightError as error:
            await self._refuse(request, sent, error)
        except Exception:  # the outermost edge: a bug must not leave a client without an answer
            log.exception("bug while answering %s %s", request.method, request.path)
            await self._refuse(request, sent, RoutewrightError("an internal error; the log has the details"))

    async def _answer(self, request: Request, send: Send) -> None:
        endpoint = self._find(request)
        if endpoint.access is Access.CLIENT:
            self._authorise(request)
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Overloaded(f"{self._in_flight} requests are in flight already", retry_after_s=OVERLOAD_PAUSE_S)
        self._in_flight += 1
        try:
            await endpoint.handler(request, send)
        finally:
            self._in_flight -= 1

    def _find(self, request: Request) -> Endpoint:
        methods = self._by_path.get(request.path)
        if methods is None and request.path.startswith("/v1/models/"):
            methods = self._by_path["/v1/models/*"]
        if methods is None:
            raise RouteNotFound(f"there is nothing at {request.path[:100]!r}", hint=f"there is: {self._addresses()}")
        endpoint = methods.get(request.method)
        if endpoint is None:
            raise MethodNotAllowed(f"{request.path} takes {', '.join(methods)}, not {request.method}")
        return endpoint

    def _addresses(self) -> str:
        return ", ".join(endpoint.path for endpoint in self._endpoints)

    def _authorise(self, request: Request) -> None:
        wanted = self._engine.settings.server_key
        if wanted is None:
            _refuse_foreign_pages(request)
            return
        scheme, _, token = (request.header(b"authorization") or "").partition(" ")
        given = token if scheme.lower() == "bearer" else request.header(b"x-api-key") or ""
        if not hmac.compare_digest(given.encode(), wanted.reveal().encode()):
            raise Unauthorized("no valid API key", hint="send the gateway's key as Authorization: Bearer …")

    async def _refuse(self, request: Request, sent: "_Sent", error: RoutewrightError) -> None:
        if sent.has_begun:
            log.error("an answer broke off after its head was sent: %s", error.message)
            return
        body = self._dialect.write_error(error)
        await respond(sent, error.http_status, [JSON_TYPE, *error_headers(request, error)], body)

    async def _health(self, request: Request, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], _encode(self._engine.health()))

    async def _ready(self, request: Request, send: Send) -> None:
        status = {"status": "draining" if self.is_draining else "ready"}
        await respond(send, 503 if self.is_draining else 200, [JSON_TYPE], _encode(status))


def _refuse_foreign_pages(request: Request) -> None:
    """Without a key the loopback address is all that protects us, and a page in this machine's browser reaches it too.

    Such a page says where it is from in `Origin`; one that pointed its own name at us (DNS rebinding), in `Host`.
    """
    for name in (b"origin", b"host"):
        address = request.header(name)
        if address is not None and not is_loopback(_host_of(address)):
            raise ForeignOrigin(
                f"{address[:100]!r} is not this machine, and this gateway has no key",
                hint="call it by 127.0.0.1 or localhost, or give it a key: server.api_key",
            )


def _host_of(address: str) -> str:
    """The host in an `Origin` or `Host`; empty when there is none that one could understand."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:  # such as an open bracket
        return ""


class _Sent:
    """A `Send` that remembers whether the head of an answer is out."""

    def __init__(self, send: Send) -> None:
        self.has_begun = False
        self._send = send

    def __call__(self, message: Message) -> Awaitable[None]:
        self.has_begun = True
        return self._send(message)
