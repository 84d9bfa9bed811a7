"""A whole engine in a fake time, before providers that are down, slow or overloaded as they are told."""

import asyncio
import json
from pathlib import Path
from random import Random

from builders import message
from desk import Desk
from routewright.call import Call, Options
from routewright.detection import Found
from routewright.dialects.wire import WireRequest
from routewright.engine import Engine
from routewright.errors import RoutewrightError
from routewright.ids import uuid7
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.balances import Balances
from routewright.reply import Answer
from routewright.settings.catalog import build_catalog
from routewright.testing import FakeClock, MemoryLog, ScriptedResponse, ScriptedTransport

SETTINGS = """
[policy]
classifier = "heuristic"
[providers.one]
base_url = "https://one.example/v1"
[providers.two]
base_url = "https://two.example/v1"
[providers.three]
base_url = "https://three.example/v1"
[models.swift]
tier = "standard"
deployments = ["one/swift", "two/swift"]
context_window = 100_000
price = { input = "1", output = "2" }
[models.wide]
tier = "standard"
deployments = ["one/wide", "two/wide", "three/wide"]
context_window = 100_000
price = { input = "1", output = "2" }
[models.lone]
tier = "standard"
deployments = ["one/lone"]
context_window = 100_000
price = { input = "1", output = "2" }
"""
BODY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
).encode()
STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)


USUAL_S = 0.1


class House:
    """An engine before three providers; `down` maps those that fail to what comes of them."""

    def __init__(self, folder: Path, seed: int = 1, **flags: object) -> None:
        self.clock, self.random = FakeClock(), Random(seed)
        self.down: dict[str, ScriptedResponse | RoutewrightError] = {}
        self.took_s = {"one": USUAL_S, "two": USUAL_S, "three": USUAL_S}
        """How long each takes to answer."""
        self.failing_share = 1.0
        """Of the requests to those that are down."""
        self.seconds: list[float] = []
        """How long each request of the latest traffic took."""
        self.asked: list[tuple[float, str]] = []
        desk = Desk(folder)
        desk.write(SETTINGS)
        settings = desk.load(flags={f"policy.{name}": value for name, value in flags.items()})
        self.log = log = MemoryLog()
        self.engine = Engine(
            settings,
            build_catalog(settings, Found()),
            ledger=JournaledLedger(log, boot="boot", clock=self.clock, balances=Balances()),
            transport=ScriptedTransport(self.answer),
            clock=self.clock,
            random=self.random,
        )

    def answer(self, request: WireRequest) -> ScriptedResponse | RoutewrightError:
        """The provider's."""
        name = request.url.split("/")[2].partition(".")[0]
        self.asked.append((self.clock.monotonic(), name))
        if name in self.down and self.random.random() < self.failing_share:
            return self.down[name]
        return ScriptedResponse(200, [self.took_s[name], STREAM if b'"stream":true' in request.body else BODY])

    async def ask(self, model: str = "swift", *, stream: bool = False, **options: float) -> Answer | RoutewrightError:
        """What comes of a request."""
        call = Call(
            id=uuid7(self.clock.time_ns(), self.random),
            dialect="library",
            model=model,
            messages=(message("Hello"),),
            body={},
            stream=stream,
            options=Options(**options),  # type: ignore[arg-type]  # floats only
        )
        try:
            return await (await self.engine.ask(call)).read()
        except RoutewrightError as error:
            return error

    async def traffic(self, seconds: float, model: str = "swift") -> list[tuple[float, Answer | RoutewrightError]]:
        """Twenty requests a second; when each began, and what came of it."""
        results: list[tuple[float, Answer | RoutewrightError]] = []
        self.seconds = []

        async def one() -> None:
            began_at = self.clock.monotonic()
            results.append((began_at, await self.ask(model)))
            self.seconds.append(self.clock.monotonic() - began_at)

        async with asyncio.TaskGroup() as group:
            for _ in range(round(seconds * 20)):
                group.create_task(one())
                await asyncio.sleep(0.05)
        return results


def down() -> ScriptedResponse:
    """A failure of the provider's own."""
    return ScriptedResponse(500, [])
