"""F10: secrets that are easy to find are put in wherever there are secrets, and looked for in all that comes out.

A gateway is asked, well and badly, before a provider that repeats the key it was sent; it is killed and started again;
then an operator's verbs are run over what is left. Another one, in this process, logs all there is, in both forms,
while bugs are planted in it. What is said and written is kept by its place: a *surface*. A secret counts as found in
any form that one could turn back: as it is, half of it, in Base64, in hexadecimal, or percent-encoded.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

from click.testing import CliRunner
from msgspec import Struct

from lobby import lobby
from routewright.cli.logs import JsonLines, Pretty
from routewright.cli.program import program
from routewright.dialects.wire import WireRequest
from routewright.errors import ProviderFailed
from routewright.gateway.http import Kept, Request
from routewright.simulator import Simulator
from routewright.simulator.provider import SimulatedResponse
from served import Served

PROVIDER_KEY = "sk-canaryprovider0123456789abcdef"
STORED_KEY = "canarystored9876543210fedcba"
"""Without the looks of a key."""
SERVER_KEY = "canaryserverkey0123456789"
HOOK = "canaryhook5d41402abc4b2a76"
PASSWORD = "canarypassword7f83b1657f"
REDIS_PASSWORD = "canaryredis2c26b46b68ffc"
ACCESS_SECRET = "canaryaccess" * 4
PROMPT = "canaryprompt quetzalcoatlus"
ANSWER = "canaryanswer hippopotamus"
CANARIES: Mapping[str, str] = {
    "provider key": PROVIDER_KEY,
    "stored provider key": STORED_KEY,
    "server key": SERVER_KEY,
    "webhook token": HOOK,
    "database password": PASSWORD,
    "Redis password": REDIS_PASSWORD,
    "access secret": ACCESS_SECRET,
    "prompt": PROMPT,
    "answer": ANSWER,
}
CONTENT = {"prompt", "answer"}
"""What whoever asked may see, also in an error about it, and nobody else."""

MODEL = """
[models.{provider}-{name}]
tier = "standard"
deployments = ["{provider}/{name}"]
context_window = 1000
price = {{ input = "1", output = "2" }}
"""
SETTINGS = """
[server]
api_key = "env:GATEWAY_KEY"
log_requests = true

[access]
secret = "env:ACCESS_SECRET"

[policy]
classifier = "heuristic"
max_retry_attempts = 0

[alerts]
webhook = "env:HOOK_URL"

[redis]
url = "env:REDIS"

[budgets.told]
scope = "total"
limit_usd = "0.000001"
kind = "soft"

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:PROVIDER_KEY"

[providers.stored]
base_url = "http://127.0.0.1:{port}/v1"
api_key = "keys:stored"
"""
FAULTS = ("fails", "breaks", "page", "tells")
"""Models whose provider repeats the key: in a 500, in a stream, on a page of HTML, and at last in a 401, after which
the key rests."""

VERBS = (
    ("config", "show"), ("config", "show", "--origin"), ("config", "check"), ("doctor",), ("doctor", "--json"),
    ("keys", "list"), ("keys", "list", "--json"), ("report",), ("report", "--json"), ("report", "--by", "key"),
    ("ledger", "tail"), ("ledger", "tail", "--json"), ("ledger", "verify"),
    ("ledger", "export", "--output", "export.csv"), ("budgets", "list"), ("budgets", "list", "--json"),
    ("prices", "check"),
)  # fmt: skip


class Hunted(Struct, frozen=True, kw_only=True):
    """Where was looked, and what was found."""

    canaries: int
    surfaces: Mapping[str, int]
    """Bytes by surface."""
    reached: Mapping[str, int]
    """How often each secret was where it belongs, so that it could have been lost from there."""
    found: tuple[str, ...]
    """`surface: canary`; nothing should be."""
    seconds: float


class Telltale(BaseHTTPRequestHandler):
    """A provider that repeats the key, and a receiver of alerts."""

    met: Counter[str]
    raw_requestline: bytes

    def parse_request(self) -> bool:
        """Who takes it for a Redis sends the password, and gets an error of HTTP's."""
        if self.raw_requestline.startswith(b"*"):
            self.met["Redis password"] += REDIS_PASSWORD.encode() in self.rfile.peek(4096)  # type: ignore[attr-defined]
        return super().parse_request()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "messages" not in body:
            self.met["webhook token"] += HOOK in self.path
            self._send(204, b"")
            return
        sent = self.headers["authorization"] or ""
        self.met["provider key"] += PROVIDER_KEY in sent
        self.met["stored provider key"] += STORED_KEY in sent
        self.met["prompt"] += PROMPT in json.dumps(body)
        key = sent.removeprefix("Bearer ")
        message = f"Incorrect API key provided: {key} ({sent}) for {body['messages'][-1]['content']} {json.dumps(body)}"
        error = {"error": {"message": message, "type": key, "param": key, "code": key}}
        self.met[body["model"]] += 1
        match body["model"]:
            case "tells":
                self._send(401, json.dumps(error).encode())
            case "fails":
                self._send(500, json.dumps(error).encode())
            case "page":
                self._send(200, f"<html>{message}</html>".encode(), "text/html")
            case "breaks":
                self._send(200, _event(_piece("delta")) + _event(error), "text/event-stream")
            case _ if body.get("stream"):
                self._send(200, _event(_piece("delta")) + b"data: [DONE]\n\n", "text/event-stream")
            case _:
                self._send(200, json.dumps(_piece("message")).encode())

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-echo", self.headers["authorization"] or "")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _piece(part: str) -> dict[str, Any]:
    choice = {"index": 0, part: {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "ok", "choices": [choice]}


def _event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@contextmanager
def telltale() -> Iterator[tuple[int, Counter[str]]]:
    """The provider, for the length of a block: its port, and what it met."""
    met: Counter[str] = Counter()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Telltale", (Telltale,), {"met": met}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1], met
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Hunt:
    """The surfaces so far."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.surfaces: dict[str, bytes] = {}
        self.canaries = dict(CANARIES)
        self.met: Counter[str] = Counter()

    def keep(self, surface: str, said: str | bytes) -> None:
        """Something that came out."""
        data = said.encode() if isinstance(said, str) else said
        self.surfaces[surface] = self.surfaces.get(surface, b"") + data + b"\n"

    def keep_files(self, when: str) -> None:
        """Every file below the home folder but those where the operator put the secrets."""
        for file in sorted(self.home.rglob("*")):
            if file.is_file() and file.name not in ("keys.toml", "routewright.toml"):
                kind = "journal" if "journal" in file.parts else file.name
                self.keep(f"files {when}: {kind}", file.read_bytes())

    def found(self) -> tuple[str, ...]:
        """Which secrets are where they should not be."""
        return tuple(
            f"{surface}: {name}"
            for surface, said in self.surfaces.items()
            for name, secret in self.canaries.items()
            if not (name in CONTENT and surface == "answers to who asked")
            if any(form in said for form in forms(secret))
        )

    # ---- the gateway from outside -----------------------------------------------------------------------------

    def ask(self, served: Served, method: str, path: str, body: object = None, key: str | None = SERVER_KEY) -> str:
        """One exchange; what comes back is a surface, and the text returned."""
        connection = HTTPConnection("127.0.0.1", int(served.url.rpartition(":")[2]))
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        is_theirs = path == "/v1/chat/completions"
        self.met["answer"] += ANSWER in text
        if not (response.status in (200, 201) and method == "POST" and path.startswith("/admin/keys")):
            surface = "answers to who asked" if is_theirs else path
            self.keep(surface, f"{response.status} {response.getheaders()} {text}")
        return text

    def serve(self, environ: Mapping[str, str]) -> None:
        """A gateway until it is killed, and the next one until it ends."""
        served = Served(self.home, environ=environ).start()
        issued = json.loads(self.ask(served, "POST", "/admin/keys", {"name": "app"}))["key"]
        rotated = json.loads(self.ask(served, "POST", "/admin/keys", {"name": "turned"}))
        again = json.loads(self.ask(served, "POST", f"/admin/keys/{rotated['id']}/rotate", {}))["key"]
        self.canaries |= {"virtual key": issued, "rotated key": rotated["key"], "new key": again}
        self.exercise(served, issued)
        self.met["server key"] += 1
        deadline = time.monotonic() + 10
        while not self.met["webhook token"] and time.monotonic() < deadline:
            time.sleep(0.02)
        served.process.kill()
        self._keep_log(served)
        self.keep_files("after a kill")
        served.start()
        self.exercise(served, issued)
        served.process.terminate()
        self._keep_log(served)
        self.keep_files("after an end")

    def _keep_log(self, served: Served) -> None:
        assert served.process.stderr is not None
        self.keep("log", served.told + served.process.stderr.read())
        served.process.stderr.close()
        served.process.wait(30)

    def exercise(self, served: Served, virtual: str) -> None:
        """Everything that a gateway can be asked, by everybody."""
        chat = {
            "model": "mock-ok",
            "messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": PROMPT}],
        }
        for key in (virtual, SERVER_KEY):
            for provider, fault in product(("mock", "stored"), ("ok", *FAULTS)):
                asked = {**chat, "model": f"{provider}-{fault}", "stream": fault == "breaks"}
                self.ask(served, "POST", "/v1/chat/completions", asked, key)
            self.ask(served, "POST", "/v1/chat/completions", {**chat, "stream": True}, key)
            self.met["virtual key"] += key is virtual
        for wrong in (virtual[:-1], SERVER_KEY[:-1], PROVIDER_KEY, None):
            self.ask(served, "GET", "/v1/models", key=wrong)
        for path in ("/metrics", "/healthz", "/readyz", "/admin/keys", "/admin/budgets", "/v1/models", "/nothing"):
            self.ask(served, "GET", path)
        self.ask(served, "POST", "/v1/route", chat)
        self.ask(served, "POST", "/v1/feedback", {"request_id": SERVER_KEY, "good": True, "note": 1})
        for wrong_body in (
            {**chat, "n": 0, "user": PROMPT},
            {**chat, "messages": [PROMPT]},
            {**chat, "tools": [{"x": PROMPT}]},
        ):
            self.ask(served, "POST", "/v1/chat/completions", wrong_body)

    # ---- the operator's verbs -----------------------------------------------------------------------------------

    def run_verbs(self, environ: Mapping[str, str], when: str) -> None:
        """All that an operator's verbs say, and the traceback of those that end in a bug."""
        runner = CliRunner()
        with contextlib.chdir(self.home):
            for verb in VERBS:
                done = runner.invoke(program, list(verb), env={"HOME": str(self.home), **environ})
                self.keep(f"{' '.join(verb)}{when}", done.output)
                self.met[f"verbs{when}"] += done.exit_code == 0
                if done.exc_info is not None and done.exception is not None:
                    self.keep(f"crash of {verb[0]}{when}", "".join(traceback.format_exception(*done.exc_info)))

    # ---- the gateway from inside --------------------------------------------------------------------------------

    async def log_all(self) -> None:
        """Both forms of the log at their most talkative, while the code has bugs; and what values look like."""
        written = {"log, debug, JSON": io.StringIO(), "log, debug, pretty": io.StringIO()}
        root, before = logging.getLogger(), logging.getLogger().level
        forms_of_log: tuple[logging.Formatter, ...] = (JsonLines(), Pretty(is_coloured=True))
        handlers = [logging.StreamHandler(stream) for stream in written.values()]
        for handler, form in zip(handlers, forms_of_log, strict=True):
            handler.setFormatter(form)
            root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        folder = self.home / "inside"
        folder.mkdir()
        try:
            await self._with_bugs(folder)
        finally:
            root.setLevel(before)
            for handler in handlers:
                root.removeHandler(handler)
        for surface, stream in written.items():
            self.keep(surface, stream.getvalue())
            self.met[surface] += "bug while answering" in stream.getvalue()

    async def _with_bugs(self, folder: Path) -> None:
        settings = (
            '[server]\napi_key = "env:GATEWAY_KEY"\nlog_requests = true\n[providers.keyed]\nbase_url = "simulator:"\n'
        )
        settings += 'api_key = "env:PROVIDER_KEY"\n' + MODEL.format(name="keyed", provider="keyed")
        environ = {"GATEWAY_KEY": SERVER_KEY, "PROVIDER_KEY": PROVIDER_KEY}
        async with lobby(folder, settings, environ, simulator=Buggy()) as house:
            engine = house.runtime.engine
            messages = [{"role": "user", "content": PROMPT}]
            for _ in range(len(Buggy.ENDS)):
                answered = await house.ask(SERVER_KEY, model="keyed-keyed", messages=messages)
                self.keep("answers of a gateway with bugs", f"{answered.headers} {answered.body!r}")
                house.clock.advance(200)
            issued = house.key("inside")
            self.canaries["key made inside"] = issued.text.reveal()
            request = Request("POST", "/x", {b"authorization": SERVER_KEY.encode()}, Kept(), "an-id")
            for value in (engine.settings, engine.registry, issued, request, house.runtime.keyring, engine):
                self.keep("repr", f"{value!r} {value}")


class Buggy(Simulator):
    """A transport that fails in ways nobody expects, with the request in its hand."""

    ENDS = (RuntimeError, ProviderFailed, KeyError, None)

    def __init__(self) -> None:
        super().__init__(time_scale=0)
        self._calls = 0

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> SimulatedResponse:
        assert PROVIDER_KEY in str(dict(request.headers)), "the key is there to be lost"
        end = self.ENDS[self._calls % len(self.ENDS)]
        self._calls += 1
        if end is None:
            return await super().send(request, connect_timeout_s=connect_timeout_s)
        raise end(f"while sending {request} {request!r}")


def forms(secret: str) -> list[bytes]:
    """In what ways a secret may be written: whole, its second half, and three codes; Base64 at every offset."""
    raw = secret.encode()
    half = raw[len(raw) // 2 :]
    coded = [base64.b64encode(b"x" * skip + raw)[skip + 3 : -4] for skip in range(3)]
    return [raw, half, raw.hex().encode(), quote(secret, safe="").encode(), *coded]


def measure(home: Path) -> Hunted:
    """The whole hunt, in an empty folder."""
    began = time.monotonic()
    hunt = Hunt(home)
    places = product(("mock", "stored"), ("ok", *FAULTS))
    models = [MODEL.format(provider=provider, name=name) for provider, name in places]
    with telltale() as (port, met):
        hunt.met = met
        (home / "routewright.toml").write_text(SETTINGS.format(port=port) + "".join(models))
        store = home / ".config/routewright/keys.toml"
        store.parent.mkdir(parents=True, mode=0o700)
        store.write_text(f'stored = "{STORED_KEY}"\n')
        store.chmod(0o600)
        environ = {
            "GATEWAY_KEY": SERVER_KEY,
            "PROVIDER_KEY": PROVIDER_KEY,
            "ACCESS_SECRET": ACCESS_SECRET,
            "REDIS": f"redis://me:{REDIS_PASSWORD}@127.0.0.1:{port}/0",  # which answers, but not as Redis does
            "HOOK_URL": f"http://127.0.0.1:{port}/hooks/{HOOK}",
        }
        hunt.serve(environ)
        hunt.run_verbs(environ, "")
        database = {
            "ROUTEWRIGHT_LEDGER__DATABASE_URL": "env:DATABASE",
            "DATABASE": f"postgresql://me:{PASSWORD}@127.0.0.1:1/x",
        }
        hunt.run_verbs({**environ, **database}, ", no database")
        asyncio.run(hunt.log_all())
    return Hunted(
        canaries=len(hunt.canaries),
        surfaces={name: len(said) for name, said in hunt.surfaces.items()},
        reached=dict(hunt.met),
        found=hunt.found(),
        seconds=time.monotonic() - began,
    )
