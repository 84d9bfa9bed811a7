"""What the workers of one gateway do for each other, over a Unix socket each: pass requests on, and tell their metrics.

Some things are remembered by a process: the answer to an `Idempotency-Key`, responses to go on from, what a key has
used of its limits. Each of these has one worker that remembers it, found by a hash of whose it is; whichever worker
such a request comes to passes it on to that one. So these promises hold as they do in a single process. All other
requests are answered where they come.
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import httptools
from msgspec import Struct

from routewright.errors import Overloaded
from routewright.gateway.http import Departure, Handler, RawHeaders, Request, Send
from routewright.gateway.idempotency import HEADER as IDEMPOTENCY
from routewright.gateway.workers import Worker
from routewright.tenant import Tenant

MARK = b"x-worker-token"
"""Of a request from a sibling, with the token that only they know: whoever gets it keeps it."""
METRICS_S = 1.0
"""How long a sibling may take to tell its metrics."""
PIECE_BYTES = 64 * 1024
PAUSE_S = 1.0
"""A worker that died is back within it, as a rule."""
_OF_A_CONNECTION = frozenset((b"connection", b"date", b"expect", b"transfer-encoding", b"upgrade"))


def socket_path(folder: Path, number: int) -> Path:
    """Where a worker listens for its siblings."""
    return folder / f"{number}.sock"


class Siblings:
    """The other workers, as one of them sees them."""

    def __init__(self, worker: Worker, *, max_body_bytes: Callable[[], int], counts_keys: bool) -> None:
        """`counts_keys` says whether requests and tokens of keys are counted in this gateway alone: without Redis."""
        self._worker = worker
        self._max_body_bytes = max_body_bytes
        self._counts_keys = counts_keys

    def remembering(self, handler: Handler, *, is_kept: bool = False) -> Handler:
        """The handler of an address, for the requests that are remembered here; `is_kept` says that all of them are."""

        async def handle(request: Request, send: Send) -> None:
            number = self._home(request, is_kept=is_kept)
            if number == self._worker.number or self._is_passed_on(request):
                await handler(request, send)
            else:
                await self._pass_on(number, request, send)

        return handle

    def _home(self, request: Request, *, is_kept: bool) -> int:
        """The number of the worker that answers."""
        tenant = request.caller.tenant
        key = request.headers.get(IDEMPOTENCY)
        if is_kept or self._is_counted(tenant):
            return self._worker_of(tenant.key.encode())
        return self._worker.number if key is None else self._worker_of(tenant.key.encode() + b" " + key)

    def _worker_of(self, name: bytes) -> int:
        return crc32(name) % self._worker.count + 1

    def _is_counted(self, tenant: Tenant) -> bool:
        """Whether a limit of this key is counted by a process alone."""
        rates = (tenant.requests_per_minute, tenant.tokens_per_minute) if self._counts_keys else ()
        return tenant.concurrency is not None or any(rate is not None for rate in rates)

    def _is_passed_on(self, request: Request) -> bool:
        mark = request.headers.get(MARK)
        return mark is not None and hmac.compare_digest(mark, self._worker.token.encode())

    async def _pass_on(self, number: int, request: Request, send: Send) -> None:
        """Have a sibling answer. Raises Overloaded while it is away."""
        body = await request.body(self._max_body_bytes())
        with Departure(request):
            try:
                async with aclosing(self._ask(number, request, body)) as parts:
                    async for part in parts:
                        if isinstance(part, _Head):
                            await send({"status": part.status, "headers": part.headers})
                        else:
                            await send(part)
            except (OSError, EOFError, httptools.HttpParserError) as error:
                raise Overloaded(
                    f"worker {number}, which remembers this, is away ({str(error) or 'it hung up'})",
                    retry_after_s=PAUSE_S,
                ) from error
        await send({"body": b""})

    async def _ask(self, number: int, request: Request, body: bytes = b"") -> AsyncGenerator["_Head | bytes", None]:
        """The head of a sibling's answer, and its body as it comes. Raises OSError, EOFError, HttpParserError."""
        reader, writer = await asyncio.open_unix_connection(socket_path(self._worker.folder, number))
        try:
            writer.write(_written(request, self._worker.token, body))
            answer = _Answer()
            while not answer.is_complete:
                data = await reader.read(PIECE_BYTES)
                if not data:
                    raise EOFError
                answer.feed(data)
                for part in answer.take():
                    yield part
        finally:
            writer.close()

    # ---- metrics ------------------------------------------------------------------------------------------------

    async def metrics(self, request: Request, own: str) -> str:
        """What all workers tell, each sample labelled with its worker; `own` is this one's."""
        if self._is_passed_on(request):
            return own
        numbers = range(1, self._worker.count + 1)
        told = await asyncio.gather(*(self._told(number, request, own) for number in numbers))
        return merged(dict(zip(numbers, told, strict=True)))

    async def _told(self, number: int, request: Request, own: str) -> str | None:
        """The metrics of one; None while it does not answer."""
        if number == self._worker.number:
            return own
        try:
            async with asyncio.timeout(METRICS_S):
                parts = [part async for part in self._ask(number, request)]
        except (OSError, EOFError, httptools.HttpParserError):  # a time-out is an OSError
            return None
        return b"".join(part for part in parts if isinstance(part, bytes)).decode()


class _Head(Struct, frozen=True):
    """Of an answer; without what is about its connection."""

    status: int
    headers: RawHeaders


class _Answer:
    """Bytes → the parts of an answer."""

    def __init__(self) -> None:
        self.is_complete = False
        self._headers: RawHeaders = []
        self._parts: list[_Head | bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises HttpParserError."""
        self._parser.feed_data(data)

    def take(self) -> Iterable[_Head | bytes]:
        """What came since."""
        parts, self._parts = self._parts, []
        return parts

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _OF_A_CONNECTION:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._parts.append(_Head(self._parser.get_status_code(), self._headers))

    def on_body(self, piece: bytes) -> None:
        self._parts.append(piece)

    def on_message_complete(self) -> None:
        self.is_complete = True


def _written(request: Request, token: str, body: bytes) -> bytes:
    """A request as it goes to a sibling."""
    path = quote(request.path).encode() + (b"?" + request.query if request.query else b"")
    headers = {name: value for name, value in request.headers.items() if name not in _OF_A_CONNECTION}
    headers |= {MARK: token.encode(), b"connection": b"close", b"content-length": b"%d" % len(body)}
    lines = [b"%b: %b" % pair for pair in headers.items()]
    return b"\r\n".join([b"%b %b HTTP/1.1" % (request.method.encode(), path), *lines, b"", body])


def merged(told: Mapping[int, str | None]) -> str:
    """Prometheus texts of workers as one: each family once, each sample with the label `worker`.

    Nothing is summed: what can still be spent, or how a circuit stands, is each worker's own.
    """
    families: dict[str, list[str]] = {}
    """The samples of each, by its two lines of comment."""
    for number, text in told.items():
        heading = ""
        for line in (text or "").splitlines():
            if line.startswith("# HELP"):
                heading = line
            elif line.startswith("#"):
                heading += "\n" + line
                families.setdefault(heading, [])
            else:
                families[heading].append(_labelled(line, number))
    up = [f'routewright_worker_up{{worker="{number}"}} {int(text is not None)}' for number, text in told.items()]
    families["# HELP routewright_worker_up Whether this worker answers.\n# TYPE routewright_worker_up gauge"] = up
    return "".join(f"{heading}\n" + "".join(f"{line}\n" for line in lines) for heading, lines in families.items())


def _labelled(sample: str, worker: int) -> str:
    name, brace, rest = sample.partition("{")
    if not brace:
        name, _, value = sample.partition(" ")
        return f'{name}{{worker="{worker}"}} {value}'
    return f'{name}{{worker="{worker}",{rest}'
