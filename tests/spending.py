"""Gateways in memory that share budgets: a whole engine each, a provider that answers by a script, one escrow."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec

from desk import Desk
from routewright.call import Call, JsonObject, Options
from routewright.detection import Found
from routewright.dialects.openai_chat import OpenAIChat
from routewright.engine import Engine
from routewright.errors import RoutewrightError
from routewright.ids import uuid7
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Grant
from routewright.ledger.keeper import Keeper
from routewright.ledger.ledger import Charge, LedgerEvent, Released, Reserved, Settled
from routewright.reply import Answer
from routewright.settings.budgets import budgets_of
from routewright.settings.catalog import build_catalog
from routewright.tenant import NOBODY, Tenant
from routewright.testing import FakeClock, MemoryEscrow, MemoryLog, Script, ScriptedResponse, ScriptedTransport

MODELS = """
[policy]
cost_alert_threshold = 0
[providers.acme]
base_url = "https://acme.example/v1"
[models.dear]
tier = "complex"
deployments = ["acme/dear"]
context_window = 100_000
max_output_tokens = 1000
price = { input = "10", output = "50" }
[models.cheap]
tier = "bulk"
deployments = ["acme/cheap"]
context_window = 100_000
max_output_tokens = 1000
fallbacks = ["dear"]
price = { input = "1", output = "2" }
"""


def completion(output_tokens: int, after_s: float = 0.1, input_tokens: int = 10) -> ScriptedResponse:
    """A whole answer that reports its usage, after so many seconds."""
    usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
    return ScriptedResponse(200, [after_s, msgspec.json.encode(body)], {"content-type": "application/json"})


class DrainedLog(MemoryLog):
    """A log whose settlements arrive in the escrow at once, and that has every event booked."""

    def __init__(self, escrow: MemoryEscrow, boot: str, book: Callable[[LedgerEvent], None]) -> None:
        super().__init__()
        self._escrow = escrow
        self._boot = boot
        self._book = book

    def append(self, *payloads: bytes, closing: bool = False) -> int:
        """Keep, post, book."""
        before = len(self.events)
        position = super().append(*payloads, closing=closing)
        for event in self.events[before:]:
            if isinstance(event, Settled):
                self._escrow.post(self._boot, event.charges, event.cost_nanousd or 0, event.held_nanousd or 0)
            self._book(event)
        return position


class Gateways:
    """`count` processes of one installation, all in one event loop."""

    def __init__(
        self, folder: Path, settings: str, script: Script, *, count: int = 1, seed: int = 1, retries: int = 0
    ) -> None:
        self.clock = FakeClock()
        self.escrow = MemoryEscrow()
        self.random = Random(seed)
        desk = Desk(folder)
        desk.write(MODELS + settings)
        self.settings = desk.load(flags={"policy.max_retry_attempts": retries})
        self.registry = build_catalog(self.settings, Found())
        self.transport = ScriptedTransport(script)
        self.used: dict[Charge, int] = {}
        """What is settled or held of each window, by all processes."""
        self._holds: dict[str, Reserved] = {}
        self.logs: list[DrainedLog] = []
        self.keepers: list[Keeper] = []
        self.engines = [self._open(f"boot-{number}") for number in range(count)]
        self.limits = {budget.name: budget.limit_nanousd for budget in budgets_of(self.settings) if budget.is_hard}

    def _open(self, boot: str) -> Engine:
        balances = Balances()
        keeper = Keeper(balances, self.escrow, boot=boot, clock=self.clock, aside=_inline)
        log = DrainedLog(self.escrow, boot, self.book)
        self.logs.append(log)
        self.keepers.append(keeper)
        engine = Engine(
            self.settings,
            self.registry,
            ledger=JournaledLedger(log, boot=boot, clock=self.clock, balances=balances),
            transport=self.transport,
            clock=self.clock,
            random=self.random,
            keeper=keeper,
        )
        keeper.claim_blocking()
        return engine

    def call(self, tenant: Tenant = NOBODY, **body: object) -> Call:
        """A chat request as a client sends it."""
        fields: JsonObject = {"model": "dear", "messages": [{"role": "user", "content": "Hello"}], **body}
        request_id = uuid7(self.clock.time_ns(), self.random)
        asked = OpenAIChat().read(msgspec.json.encode(fields), request_id=request_id, options=Options())
        return msgspec.structs.replace(asked, tenant=tenant)

    async def ask(self, call: Call, at: int = 0) -> Answer | RoutewrightError:
        """What comes of it, at one of the processes."""
        try:
            return await (await self.engines[at].ask(call)).read()
        except RoutewrightError as error:
            return error

    # -- the books

    @property
    def events(self) -> Sequence[LedgerEvent]:
        """Of all processes."""
        return [event for log in self.logs for event in log.events]

    @property
    def pending(self) -> int:
        """Holds that are not closed."""
        return len(self._holds)

    def book(self, event: LedgerEvent) -> None:
        """Count an event. No budget may ever be overshot; one that each subject has, by nobody."""
        if isinstance(event, Reserved):
            self._holds[event.attempt_id] = event
            self._charge(event, event.amount_nanousd or 0)
        elif isinstance(event, Settled | Released):
            held = self._holds.pop(event.attempt_id)
            assert (event.charges, event.held_nanousd) == (held.charges, held.amount_nanousd)
            cost = event.cost_nanousd if isinstance(event, Settled) else 0
            self._charge(held, (cost or 0) - (held.amount_nanousd or 0))

    def _charge(self, hold: Reserved, amount: int) -> None:
        for charge in hold.charges:
            self.used[charge] = self.used.get(charge, 0) + amount
            limit = self.limits.get(charge.budget.split("/")[0])
            assert limit is None or self.used[charge] <= limit, f"{charge.budget} is overshot: {self.used[charge]}"

    @property
    def held_nanousd(self) -> int:
        """By all processes, as their balances have it."""
        return sum(standing.held_nanousd for engine in self.engines for standing in engine.budgets())


async def _inline(work: Callable[[], Grant]) -> Grant:
    """The escrow in memory does not block, and a thread would not keep to the fake clock."""
    return work()
