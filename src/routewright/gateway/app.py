"""The gateway, a handler of all addresses: one table of them, each with who may call it, and one border for errors."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.access.directory import Directory
from routewright.access.keyring import Keyring
from routewright.clock import Clock
from routewright.dashboard.pages import PAGES
from routewright.dialects.anthropic_messages import VERSION_HEADER, AnthropicMessages
from routewright.dialects.known import DOWNSTREAMS
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.wire import Downstream
from routewright.engine import Engine
from routewright.errors import (
    LedgerUnavailable,
    MethodNotAllowed,
    RouteNotFound,
    RoutewrightError,
    ShuttingDown,
    StoreUnavailable,
)
from routewright.gateway.admin_api import KEYS, AdminKeys
from routewright.gateway.batches_api import BATCHES, Batches
from routewright.gateway.batches_kept import KeptBatches
from routewright.gateway.batches_running import BatchWork, JobRunner
from routewright.gateway.budgets_api import AdminBudgets, ShowBudgets, no_budgets
from routewright.gateway.counting import CountTokens
from routewright.gateway.door import Access, Door
from routewright.gateway.feedback import Feedback, PayerOf
from routewright.gateway.files_api import FILES, Files
from routewright.gateway.files_kept import KeptFiles
from routewright.gateway.generation import NO_MEMORY, Generation, Memory
from routewright.gateway.headers import error_headers, id_headers, limit_headers
from routewright.gateway.http import (
    JSON_TYPE,
    ClientLeft,
    Departure,
    Handler,
    Kept,
    Message,
    Request,
    Send,
    respond,
    whole_answer,
)
from routewright.gateway.idempotency import Idempotent
from routewright.gateway.metrics import Metrics
from routewright.gateway.models_api import Models, RouteOnly
from routewright.gateway.openapi import Described
from routewright.gateway.overload import Workload
from routewright.gateway.policies_api import POLICIES, AdminPolicies
from routewright.gateway.responses_api import RESPONSES, Conversations
from routewright.gateway.siblings import Siblings
from routewright.gateway.ui import KINDS, UI, Ui, is_for_people
from routewright.gateway.ui_forms import UiForms
from routewright.gateway.ui_playground import UiPlayground
from routewright.gateway.ui_requests import UiRequests
from routewright.gateway.ui_sessions import UiSessions
from routewright.ledger.drift import Key
from routewright.policies.following import PolicyFollower
from routewright.settings import is_loopback
from routewright.stores import open_to_look

log = logging.getLogger(__name__)

_OPENAI = DOWNSTREAMS["openai_chat"]
_ANTHROPIC = AnthropicMessages()

_encode = msgspec.json.Encoder().encode


class Endpoint(Struct, frozen=True):
    """One address; every field is needed, so none can forget to say who may call it.

    In a path, `*` stands for one part of it and `**` for all that is left.
    """

    method: str
    path: str
    access: Access
    handler: Handler
    dialect: Downstream | None = None
    """In which a refusal is written; None for the one that the client shows to speak."""

    def __post_init__(self) -> None:
        if not isinstance(self.access, Access):
            raise TypeError(f"{self.method} {self.path} does not say who may call it")


class Gateway:
    """The application. `is_draining` is set when the process is told to stop; readiness then answers 503."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        keyring: Keyring,
        directory: Directory,
        jobs: JobRunner,
        policies: PolicyFollower,
        payer_of: PayerOf,
        backlog_bytes: Callable[[], int] = lambda: 0,
        budgets: ShowBudgets = no_budgets,
        alerts: Callable[[], Mapping[str, int]] = dict,
        drift: Callable[[], Mapping[Key, bool]] = dict,
        prices_date: Callable[[], str] = str,
        siblings: Siblings | None = None,
    ) -> None:
        """`backlog_bytes` is what the journal has not handed over yet; `budgets` how each of them stands; `alerts` how
        many each has raised since the start, by name; `drift` what models are watched for; `prices_date` the day of the
        prices in force; `siblings` are the other workers of this gateway, if there are any."""
        self.is_draining = False
        self._engine = engine
        self.workload = Workload()
        self._finishing: set[Departure] = set()
        sessions = UiSessions(
            directory,
            clock,
            signer=keyring.installation_signer,
            operator_key=lambda: engine.settings.server_key,
        )
        self._door = Door(engine, directory, sessions, is_local=is_loopback(engine.settings.server.host))
        self.ui = Ui(
            engine,
            clock,
            self._door,
            sessions,
            directory=directory,
            ledger=lambda: open_to_look(engine.settings),
            drift=drift,
            prices_date=prices_date,
        )
        self._siblings = siblings
        metrics = Metrics(
            engine, backlog_bytes=backlog_bytes, budgets=budgets, alerts=alerts, drift=drift, siblings=siblings
        )
        self.files = KeptFiles(
            engine.settings.ledger.path / "files",
            clock,
            engine.mint_id,
            lambda: engine.settings.server.max_files_bytes,
        )
        kept = KeptBatches(engine.settings.ledger.path / "batches", jobs.store, self.files, clock)
        self.batch_work = BatchWork(kept, self.files, jobs, clock)
        self.endpoints: Sequence[Endpoint] = (
            *self._public(clock, payer_of),
            *self._filing(Files(engine, self.files)),
            *self._batching(Batches(kept, self.batch_work, clock)),
            *self._admin(AdminKeys(keyring, directory, clock), budgets),
            *self._policies(AdminPolicies(engine, policies)),
            *self._dashboard(self.ui),
            *self._acting(
                UiForms(
                    self.ui, keyring=keyring, directory=directory, policies=policies, batches=kept, work=self.batch_work
                ),
                UiPlayground(self.ui, engine, clock),
            ),
            *self._operations(metrics),
            *self._described(),
        )
        self._by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.endpoints:
            self._by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        self._patterns = [(_pattern(path), methods) for path, methods in self._by_path.items() if "*" in path]

    def _public(self, clock: Clock, payer_of: PayerOf) -> tuple[Endpoint, ...]:
        models = Models(self._engine)
        earlier = Conversations(clock)
        return (
            self._generation("/v1/chat/completions", _OPENAI, clock),
            self._generation(RESPONSES, DOWNSTREAMS["openai_responses"], clock, earlier),
            Endpoint("GET", f"{RESPONSES}/*", Access.USE, self._remembered(earlier.show)),
            Endpoint("DELETE", f"{RESPONSES}/*", Access.USE, self._remembered(earlier.delete)),
            Endpoint("GET", f"{RESPONSES}/*/input_items", Access.USE, self._remembered(earlier.input_items)),
            self._generation("/v1/messages", _ANTHROPIC, clock),
            Endpoint(
                "POST", "/v1/messages/count_tokens", Access.USE, CountTokens(self._engine, _ANTHROPIC), _ANTHROPIC
            ),
            self._generation("/v1/embeddings", OpenAIEmbeddings(), clock),
            Endpoint("POST", "/v1/route", Access.USE, RouteOnly(self._engine, _OPENAI)),
            Endpoint("POST", "/v1/feedback", Access.USE, Feedback(self._engine, payer_of)),
            Endpoint("GET", "/v1/models", Access.USE, models),
            Endpoint("GET", "/v1/models/**", Access.USE, models),
        )

    def _filing(self, files: Files) -> tuple[Endpoint, ...]:
        return (
            Endpoint("POST", FILES, Access.USE, files.create, _OPENAI),
            Endpoint("GET", FILES, Access.USE, files.list, _OPENAI),
            Endpoint("GET", f"{FILES}/*", Access.USE, files.show, _OPENAI),
            Endpoint("DELETE", f"{FILES}/*", Access.USE, files.delete, _OPENAI),
            Endpoint("GET", f"{FILES}/*/content", Access.USE, files.content, _OPENAI),
        )

    def _batching(self, batches: Batches) -> tuple[Endpoint, ...]:
        return (
            Endpoint("POST", BATCHES, Access.USE, batches.create, _OPENAI),
            Endpoint("GET", BATCHES, Access.USE, batches.list, _OPENAI),
            Endpoint("GET", f"{BATCHES}/*", Access.USE, batches.show, _OPENAI),
            Endpoint("POST", f"{BATCHES}/*/cancel", Access.USE, batches.cancel, _OPENAI),
        )

    def _generation(self, path: str, dialect: Downstream, clock: Clock, memory: Memory = NO_MEMORY) -> Endpoint:
        handler = Idempotent(Generation(self._engine, dialect, clock, self._finishing, memory), self._engine, clock)
        return Endpoint("POST", path, Access.USE, self._remembered(handler, is_kept=memory is not NO_MEMORY), dialect)

    def _remembered(self, handler: Handler, *, is_kept: bool = True) -> Handler:
        """Where there are several workers, in the one that remembers it."""
        return handler if self._siblings is None else self._siblings.remembering(handler, is_kept=is_kept)

    def _admin(self, keys: AdminKeys, budgets: ShowBudgets) -> tuple[Endpoint, ...]:
        return (
            Endpoint("GET", KEYS, Access.READ, keys.list),
            Endpoint("POST", KEYS, Access.ADMIN, keys.create),
            Endpoint("GET", f"{KEYS}/*", Access.READ, keys.show),
            Endpoint("PATCH", f"{KEYS}/*", Access.ADMIN, keys.change),
            Endpoint("DELETE", f"{KEYS}/*", Access.ADMIN, keys.revoke),
            Endpoint("POST", f"{KEYS}/*/rotate", Access.ADMIN, keys.rotate),
            Endpoint("GET", "/admin/budgets", Access.READ, AdminBudgets(budgets)),
        )

    def _policies(self, policies: AdminPolicies) -> tuple[Endpoint, ...]:
        return (
            Endpoint("GET", POLICIES, Access.READ, policies.list),
            Endpoint("POST", POLICIES, Access.ADMIN, policies.apply),
            Endpoint("PATCH", POLICIES, Access.ADMIN, policies.switch),
            Endpoint("GET", f"{POLICIES}/*", Access.READ, policies.show),
            Endpoint("POST", f"{POLICIES}/*/rollback", Access.ADMIN, policies.rollback),
        )

    def _dashboard(self, ui: Ui) -> tuple[Endpoint, ...]:
        requests = UiRequests(ui, self._engine, is_draining=lambda: self.is_draining)
        pages = [
            Endpoint("GET", f"{UI}/{page.name}{kind}", Access.SEE, ui.page(page))
            for page in PAGES
            for kind in ([""] if page.name.endswith("*") else KINDS)
        ]
        return (
            Endpoint("GET", UI, Access.SEE, ui.home),
            Endpoint("GET", f"{UI}/static/*/*", Access.OPEN, ui.static),
            Endpoint("GET", f"{UI}/login", Access.OPEN, ui.login_page),
            Endpoint("POST", f"{UI}/login", Access.OPEN, ui.login),
            Endpoint("POST", f"{UI}/logout", Access.OPEN, ui.logout),
            Endpoint("GET", f"{UI}/requests/tail", Access.SEE, requests.tail),
            Endpoint("POST", f"{UI}/requests/*/feedback", Access.SAY, requests.feedback),
            *pages,
        )

    def _acting(self, forms: UiForms, playground: UiPlayground) -> tuple[Endpoint, ...]:
        return (
            Endpoint("POST", f"{UI}/keys", Access.ACT, forms.create_key),
            Endpoint("POST", f"{UI}/keys/*/revoke", Access.ACT, forms.revoke_key),
            Endpoint("POST", f"{UI}/keys/*/limits", Access.ACT, forms.limit_key),
            Endpoint("POST", f"{UI}/keys/*/budget", Access.ACT, forms.budget_key),
            Endpoint("POST", f"{UI}/policies/rollback", Access.ACT, forms.roll_back),
            Endpoint("POST", f"{UI}/batches/*/cancel", Access.ACT, forms.cancel_batch),
            Endpoint("POST", f"{UI}/batches/*/resume", Access.ACT, forms.resume_batch),
            Endpoint("POST", f"{UI}/playground", Access.SAY, playground),
        )

    def _operations(self, metrics: Metrics) -> tuple[Endpoint, ...]:
        return (
            Endpoint("GET", "/metrics", Access.LOCAL, metrics),
            Endpoint("GET", "/healthz", Access.OPEN, self._health),
            Endpoint("GET", "/health", Access.OPEN, self._health),
            Endpoint("GET", "/health/liveliness", Access.OPEN, self._health),
            Endpoint("GET", "/readyz", Access.OPEN, self._ready),
            Endpoint("GET", "/health/readiness", Access.OPEN, self._ready),
        )

    def _described(self) -> tuple[Endpoint, ...]:
        described = Described(lambda: self.endpoints)
        return (
            Endpoint("GET", "/openapi.json", Access.OPEN, described.json),
            Endpoint("GET", "/docs", Access.OPEN, described.html),
        )

    async def __call__(self, request: Request, send: Send) -> None:
        """Answer a request, whatever becomes of it."""
        request = replace(request, id=self._engine.mint_id())
        if request.method == "HEAD":  # as GET; that the body of its answer stays away is the connection's business
            request = replace(request, method="GET")
        sent = _Sent(send, request)
        try:
            endpoint = self._find(request)
            request = replace(request, caller=self._door.admit(request, endpoint.access))
            if endpoint.access is not Access.USE:  # operators look in also when there is too much to do
                await endpoint.handler(request, sent)
                return
            tenant = request.caller.tenant.key
            self.workload.admit(tenant, request.work)
            try:
                await endpoint.handler(request, sent)
            finally:
                self.workload.leave(tenant, request.work)
        except ClientLeft:
            return
        except RoutewrightError as error:
            await self._refuse(request, sent, error)
        except asyncio.CancelledError:
            if request.work.error is not None:
                await self._refuse(request, sent, request.work.error)
            elif self.is_draining:
                await self._refuse(request, sent, ShuttingDown("the gateway ended before this answer was there"))
            else:
                raise
        except Exception:  # the outermost edge: a bug must not leave a client without an answer
            log.exception("bug while answering %s %s", request.method, request.path)
            await self._refuse(request, sent, RoutewrightError("an internal error; the log has the details"))

    def write_refusal(self, error: RoutewrightError) -> bytes:
        """The whole answer, as it goes out, to what never became a request; the connection ends with it."""
        nothing = Request("", "", {}, Kept(), self._engine.mint_id())
        headers = [JSON_TYPE, *error_headers(nothing, error), (b"connection", b"close")]
        return whole_answer(error.http_status, headers, _OPENAI.write_error(error, nothing.id))

    def _dialect_for(self, request: Request) -> Downstream:
        spoken = _ANTHROPIC if VERSION_HEADER.encode() in request.headers else _OPENAI
        return next((endpoint.dialect for endpoint in self._methods(request.path).values()), None) or spoken

    def _methods(self, path: str) -> dict[str, Endpoint]:
        """What is at an address; empty when there is nothing."""
        methods = self._by_path.get(path)
        if methods is None:
            methods = next((found for pattern, found in self._patterns if pattern.fullmatch(path)), {})
        return methods

    def _find(self, request: Request) -> Endpoint:
        methods = self._methods(request.path)
        if not methods:
            hint = "begin at /ui" if is_for_people(request.path) else f"there is: {self._addresses()}"
            raise RouteNotFound(f"there is nothing at {request.path[:100]!r}", hint=hint)
        endpoint = methods.get(request.method)
        if endpoint is None:
            allowed = [name for method in methods for name in ((method, "HEAD") if method == "GET" else (method,))]
            raise MethodNotAllowed(f"{request.path} takes {', '.join(allowed)}, not {request.method}", allowed=allowed)
        return endpoint

    def _addresses(self) -> str:
        return ", ".join(self._by_path)

    async def _refuse(self, request: Request, sent: "_Sent", error: RoutewrightError) -> None:
        if sent.has_begun:
            log.error("an answer broke off after its head was sent: %s", error.message)
            return
        if is_for_people(request.path):
            await self.ui.refuse(request, sent, _for_clients(error))
            return
        body = self._dialect_for(request).write_error(_for_clients(error), request.id)
        limits = limit_headers(self._engine.standing(request.caller.tenant))
        await respond(sent, error.http_status, [JSON_TYPE, *error_headers(request, error), *limits], body)

    async def _health(self, request: Request, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], _encode(self._engine.health()))

    async def _ready(self, request: Request, send: Send) -> None:
        status = {"status": "draining" if self.is_draining else "ready"}
        await respond(send, 503 if self.is_draining else 200, [JSON_TYPE], _encode(status))


def _for_clients(error: RoutewrightError) -> RoutewrightError:
    """What a client may read: which files and addresses the installation has is for the log."""
    if isinstance(error, LedgerUnavailable | StoreUnavailable):
        return type(error)("the ledger cannot take this request now", hint="try again later; the log has the reason")
    return error


def _pattern(path: str) -> re.Pattern[str]:
    parts = {"**": ".+", "*": "[^/]+"}
    return re.compile("/".join(parts.get(part, re.escape(part)) for part in path.split("/")))


class _Sent:
    """A `Send` that remembers whether the head of an answer is out, and sees that it names its request."""

    def __init__(self, send: Send, request: Request) -> None:
        self.has_begun = False
        self._send = send
        self._request = request

    def __call__(self, message: Message) -> Awaitable[None]:
        if not self.has_begun:
            self.has_begun = True
            assert not isinstance(message, bytes)  # an answer begins with its head
            headers = message["headers"]
            for name, _ in headers:  # it is among the first
                if name == b"x-request-id":
                    break
            else:
                message = {**message, "headers": [*headers, *id_headers(self._request)]}
        return self._send(message)
