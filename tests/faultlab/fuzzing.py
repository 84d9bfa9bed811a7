"""F11: a gateway is given damaged input of every kind, and must answer each as documented.

Three ways in, each from a corpus of good input beside this file (`fuzz/`):

* `wire`: bytes, cut anywhere, into the HTTP connection itself; no socket is needed for that;
* `request`: bodies and headers to every endpoint, by callers without a key, with a wrong one, with two low roles, and
  by the operator;
* `answer`: what a provider says, whole or streamed, in both dialects, its status and headers included.

Each case is drawn from the seed and its number, so that any of them can be made again, and a run that was interrupted
goes on at `first`. A case is a *finding* if it ends in a 5xx that is not documented for it, in an exception, in an
error of another shape, an answer without `x-request-id`, an endpoint that lets in whom it should not, a stream that
neither ends nor fails, or nothing for a second (twice, since the machine may be busy).
"""

import asyncio
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import chain, repeat
from pathlib import Path
from random import Random
from typing import Any

from documented import Finding, answers_in, judge, judge_stream
from msgspec import Struct
from mutators import encode, mutate_bytes, mutate_json, pieces

from lobby import GOOD, OPERATOR_KEY, Answered, Lobby, lobby
from routewright import errors
from routewright.access.format import new_id, write_key
from routewright.access.keys import Role
from routewright.dialects.wire import WireRequest
from routewright.gateway.app import Endpoint
from routewright.gateway.door import Access
from routewright.gateway.http import Request, Send
from routewright.gateway.server import limits_of, make_server
from routewright.simulator import Simulator
from routewright.simulator.provider import SimulatedResponse

CORPUS = Path(__file__).with_name("fuzz")
ROUND = 500
"""Cases that meet one gateway; the next ones meet a new one."""
SLOW_S = 1.0
MOST_TOLD = 20
REST_S = 200.0
"""Between two cases, by the gateway's clock: longer than any circuit or credential rests."""

SETTINGS = """
[server]
api_key = "env:DOOR"
[providers.claudes]
base_url = "simulator:"
dialect = "anthropic_messages"
[models.claude]
tier = "standard"
deployments = ["claudes/claude"]
context_window = 100_000
price = { input = "1", output = "2" }
"""
ENVIRON = {
    "DOOR": OPERATOR_KEY,
    "ROUTEWRIGHT_POLICY__MAX_RETRY_ATTEMPTS": "0",
    "ROUTEWRIGHT_POLICY__DEADLINE_MS": "500",
}
CALLERS: Mapping[str, frozenset[Role]] = {
    "none": frozenset(),
    "wrong": frozenset(),
    "use": frozenset({Role.USE}),
    "read": frozenset({Role.READ}),
    "operator": frozenset(Role),
}
NEEDED = {Access.USE: Role.USE, Access.READ: Role.READ, Access.ADMIN: Role.ADMIN}
HEADERS = (
    ("x-routewright-tier", "bulk"), ("x-routewright-tags", "a,b"), ("x-routewright-max-cost-usd", "0.01"),
    ("x-request-id", "mine"), ("x-routewright-min-quality", "0.9"), ("x-routewright-no-log", "1"),
    ("x-routewright-shadow", "off"), ("idempotency-key", "one"), ("x-session-id", "s"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("content-length", "5"),
    ("origin", "http://evil.example"), ("content-type", "text/plain"), ("accept-encoding", "gzip"),
)  # fmt: skip
PROVIDER_HEADERS = (
    ("content-type", "text/html"), ("content-type", ""), ("content-encoding", "gzip"), ("retry-after", "0"),
    ("retry-after", "7"), ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after-ms", "-5"),
    ("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m6.0s"),
    ("x-ratelimit-limit-tokens", "9" * 30), ("anthropic-ratelimit-tokens-reset", "soon"),
    ("location", "http://169.254.169.254/"), ("set-cookie", "a=b"), ("x-should-retry", "true"),
    ("x-request-id", "theirs\r\nx: y"),
)  # fmt: skip
BAD_STATUSES = (0, 100, 201, 204, 301, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 501, 502, 503, 504, 529, 599)
OF_US = {errors.DeadlineExceeded.code, errors.TooLate.code}
"""The only 5xx that a caller can bring about."""


class Fuzzed(Struct, frozen=True, kw_only=True):
    """What was tried, and what was found."""

    cases: int
    seed: int
    ways: Mapping[str, int]
    """Cases by their way in."""
    statuses: Mapping[str, int]
    """Answers by way and status: `wire 400`."""
    upstream: int
    """Damaged answers that reached the gateway."""
    found: int
    findings: tuple[str, ...]
    """The first of them, each with the number of its case."""
    slowest_s: float
    seconds: float


class Damaged(Simulator):
    """A provider that says what it is given to say."""

    def __init__(self) -> None:
        super().__init__(time_scale=0)
        self.script: Callable[[], SimulatedResponse] | None = None
        self.said = 0

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> SimulatedResponse:
        if self.script is None:
            return await super().send(request, connect_timeout_s=connect_timeout_s)
        self.said += 1
        return self.script()


class Pipe(asyncio.Transport):
    """A connection's other end without a socket: keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8484)})
        self.written = bytearray()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Nobody reads: pieces are pushed."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


# ---- the ways in ----------------------------------------------------------------------------------------------------


class Fuzzer:
    """One gateway, and the corpus."""

    def __init__(self, house: Lobby, provider: Damaged, statuses: Counter[str]) -> None:
        self.house = house
        self.provider = provider
        self.statuses = statuses
        self.methods: list[str] = []
        """Of the requests that got through the connection of a case."""
        self.http = [file.read_bytes() for file in sorted((CORPUS / "http").iterdir())]
        self.bodies: dict[str, list[Any]] = json.loads((CORPUS / "bodies.json").read_text())
        endpoints = [each for each in house.gateway.endpoints if not each.path.endswith("/tail")]  # which goes on
        self.places = [*endpoints, *(endpoint for endpoint in endpoints for _ in self.bodies.get(endpoint.path, ()))]
        """Every endpoint, and those that read bodies more often."""
        self.answers = {file.stem: file.read_bytes() for file in sorted((CORPUS / "answers").iterdir())}
        self.streams = {file.stem: file.read_bytes() for file in sorted((CORPUS / "streams").iterdir())}
        self.keys = {
            "wrong": write_key(new_id(b"0" * 16), b"1" * 32),
            "use": house.key("use", roles=["use"]).text.reveal(),
            "read": house.key("read", roles=["read"]).text.reveal(),
            "operator": OPERATOR_KEY,
        }
        self.target = house.key("target").key.id
        self.server = make_server(house.runtime, lambda _: None, limits_of(house.runtime.engine.settings.server))
        self.server.config.load()
        gateway = self.server.config.loaded_app

        async def noting(request: Request, send: Send) -> None:
            self.methods.append(request.method)
            await gateway(request, send)

        self.server.config.loaded_app = noting

    def _note(self, way: str, answered: Answered) -> None:
        self.statuses[f"{way} {answered.status}"] += 1

    async def wire(self, chance: Random) -> None:
        """Bytes into a connection, which then ends."""
        data = mutate_bytes(chance.choice(self.http), chance, self.http)
        self.methods.clear()
        pipe, state = Pipe(), self.server.server_state
        protocol: Any = self.server.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.server.config, server_state=state, app_state={}
        )
        protocol.connection_made(pipe)
        for piece in pieces(data, chance):
            if pipe.is_closed:
                break
            protocol.data_received(piece)
            if chance.random() < 0.1:
                await asyncio.sleep(0)
        turns = 0
        while state.tasks and (turns < 5 or not protocol.exchange.has_more):
            await asyncio.sleep(0 if turns < 50 else 0.0005)
            turns += 1
        whole = len(self.methods) - (protocol.exchange is not None and protocol.exchange.has_more)
        protocol.connection_lost(None)
        while state.tasks:  # noqa: ASYNC110 whoever waited for more is told that none will come
            await asyncio.sleep(0)
        answers = answers_in(bytes(pipe.written), self.methods)
        if len(answers) < whole:
            raise Finding(f"{whole} whole requests, and {len(answers)} answers: {data[:200]!r}")
        for method, answered in zip(chain(self.methods, repeat("")), answers, strict=False):
            self._note("wire", answered)
            if method != "HEAD":
                judge(answered, lambda _, code: code in OF_US)

    async def request(self, chance: Random) -> None:
        """A damaged body and damaged headers, at any endpoint, from anybody."""
        endpoint, who = chance.choice(self.places), chance.choice(list(CALLERS))
        path = endpoint.path.replace("/**", "/swift")
        if "*" in path:
            odd = mutate_bytes(self.target.encode(), chance, [b"/rotate"]).decode("latin-1")
            odd = re.sub("[/?]", "_", odd) or "_"
            path = path.replace("*", self.target if chance.random() < 0.5 else odd)
        good = chance.choice(self.bodies.get(endpoint.path, [{}]))
        body = encode(mutate_json(good, chance), chance)
        if chance.random() < 0.1:
            body = mutate_bytes(body, chance, [b"{}"])
        sent = {name.encode(): value.encode() for name, value in chance.sample(HEADERS, chance.choice((0, 0, 1, 2)))}
        sent = {
            name: mutate_bytes(value, chance, [b"x"]) if chance.random() < 0.5 else value
            for name, value in sent.items()
        }
        answered = await self.house.call(
            endpoint.method, path, body, key=self.keys.get(who), raw_headers=tuple(sent.items())
        )
        self._note("request", answered)
        if endpoint.path.startswith("/ui"):
            judge_page(answered, path)
            return
        judge(answered, lambda _, code: code in OF_US, path)
        self._judge_entry(endpoint, who, answered, is_foreign=b"origin" in sent)
        if answered.status == 200 and answered.headers["content-type"].startswith("text/event-stream"):
            judge_stream(answered.body)

    def _judge_entry(self, endpoint: Endpoint, who: str, answered: Answered, *, is_foreign: bool) -> None:
        """Whatever is sent, an endpoint lets in whom it says, and nobody else."""
        access = Access.READ if endpoint.access is Access.LOCAL and is_foreign else endpoint.access
        needed = NEEDED.get(access)
        if needed is None or needed in CALLERS[who]:
            if answered.status in (401, 403):
                raise Finding(f"{who} is kept out of {endpoint.method} {endpoint.path}: {answered.body[:200]!r}")
            return
        due = 403 if CALLERS[who] else 401
        if answered.status != due:
            raise Finding(f"{who} gets {answered.status} at {endpoint.method} {endpoint.path}")

    async def answer(self, chance: Random) -> None:
        """A damaged answer of a provider to a good request."""
        is_stream = chance.random() < 0.6
        dialect = chance.choice(("openai", "anthropic"))
        corpus = self.streams if is_stream else self.answers
        good = {name: data for name, data in corpus.items() if name.startswith(dialect)}
        data, status = chance.choice(list(good.values())), 200 if chance.random() < 0.6 else chance.choice(BAD_STATUSES)
        if chance.random() < 0.5:
            data = mutate_bytes(data, chance, list(good.values()))
        elif is_stream:
            data = _mutate_events(data, chance)
        else:
            data = encode(mutate_json(json.loads(data), chance), chance)
        headers = {"content-type": "text/event-stream" if is_stream else "application/json"}
        headers.update(chance.sample(PROVIDER_HEADERS, chance.choice((0, 0, 0, 1, 2))))
        script = [(0.0, piece) for piece in pieces(data, chance) if piece]
        cut_at = len(data) if chance.random() < 0.1 else None
        self.provider.script = lambda: SimulatedResponse(status, headers, iter(script), cut_at=cut_at)
        model = "claude" if dialect == "anthropic" else "swift"
        body = {**GOOD, "model": model, "stream": is_stream, "n": chance.choice((1, 1, 2))}
        if chance.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        try:
            answered = await self.house.call("POST", "/v1/chat/completions", body, key=OPERATOR_KEY)
        finally:
            self.provider.script = None
        self._note("answer", answered)
        judge(answered, lambda status, code: status in (502, 503, 504))
        if answered.status == 200 and is_stream:
            judge_stream(answered.body)
        elif answered.status == 200 and not isinstance(json.loads(answered.body), dict):
            raise Finding(f"an answer that is none: {answered.body[:200]!r}")


def judge_page(answered: Answered, path: str) -> None:
    """A page, or one that says in our words why there is none; under the dashboard's policy, whatever was sent."""
    if answered.status not in (200, 303, 400, 401, 403, 404, 405, 413):
        raise Finding(f"{path}: {answered.status}")
    if not path.endswith((".json", ".csv")) and "default-src 'none'" not in answered.headers["content-security-policy"]:
        raise Finding(f"{path}: {answered.status} without its policy")


def _mutate_events(data: bytes, chance: Random) -> bytes:
    """One event's JSON changed, gone, doubled, or moved."""
    mark = b"\r\n\r\n" if b"\r\n" in data else b"\n\n"
    events = data.split(mark)[:-1]
    at = chance.randrange(len(events))
    head, name, body = events[at].partition(b"data: ")
    match chance.randrange(5):
        case 0:
            del events[at]
        case 1:
            events.insert(at, events[at])
        case 2:
            events.insert(chance.randrange(len(events)), events.pop(at))
        case _ if body.startswith(b"{"):
            events[at] = head + name + encode(mutate_json(json.loads(body), chance), chance)
        case _:
            events[at:] = []
    return b"".join(event + mark for event in events)


# ---- a run ----------------------------------------------------------------------------------------------------------


WAYS = ("wire",) * 4 + ("request",) * 4 + ("answer",) * 2


class Run:
    """What a run has seen so far."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.ways: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.findings: list[str] = []
        self.upstream = 0
        self.slowest_s = 0.0

    async def round(self, numbers: range) -> None:
        """Cases that meet one gateway."""
        provider = Damaged()
        loose: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loose.append(repr(context)[:300]))
        with tempfile.TemporaryDirectory() as folder:
            async with lobby(Path(folder), SETTINGS, ENVIRON, simulator=provider) as house:
                fuzzer = Fuzzer(house, provider, self.statuses)
                for number in numbers:
                    way = WAYS[number % len(WAYS)]
                    self.ways[way] += 1
                    house.clock.advance(REST_S)
                    await self._case(number, way, fuzzer)
                    self.findings += [f"case {number} ({way}): left behind: {told}" for told in loose]
                    loose.clear()
        self.upstream += provider.said

    async def _case(self, number: int, way: str, fuzzer: Fuzzer) -> None:
        case: Callable[[Random], Awaitable[None]] = getattr(fuzzer, way)
        took_s = []
        for _ in range(2):
            began = time.perf_counter()
            try:
                await asyncio.wait_for(case(Random(f"{self.seed}/{number}")), 10 * SLOW_S)
            except Exception as reason:  # noqa: BLE001 whatever it is, it is the case's finding
                self.findings.append(f"case {number} ({way}): {type(reason).__name__}: {reason}")
            took_s.append(time.perf_counter() - began)
            if took_s[-1] < SLOW_S:
                break
        self.slowest_s = max(self.slowest_s, min(took_s))
        if min(took_s) >= SLOW_S:
            self.findings.append(f"case {number} ({way}): took {min(took_s):.1f} s")


def measure(cases: int, seed: int, first: int = 0, told: Callable[[int], None] = lambda done: None) -> Fuzzed:
    """Run the cases from number `first` on; `told` hears after each round how many are done."""
    run, began = Run(seed), time.monotonic()
    for start in range(first, first + cases, ROUND):
        asyncio.run(run.round(range(start, min(start + ROUND, first + cases))))
        told(start - first + ROUND)
    return Fuzzed(
        cases=cases,
        seed=seed,
        ways=dict(run.ways),
        statuses=dict(sorted(run.statuses.items())),
        upstream=run.upstream,
        found=len(run.findings),
        findings=tuple(run.findings[:MOST_TOLD]),
        slowest_s=run.slowest_s,
        seconds=time.monotonic() - began,
    )
