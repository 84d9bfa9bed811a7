"""Context economics through the whole engine: the simulator answers, and the books are those of SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from routewright.call import Cause, JsonObject, Options
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.wire import WireRequest
from routewright.ids import uuid7
from routewright.ledger.ledger import Settled
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.simulator.faults import FaultPlan, FaultRates
from routewright.simulator.provider import SimulatedResponse

SETTINGS = """
[context]
enabled = true
threshold_tokens = 1000
steps = ["tidy", "summarise"]
summary_tokens = 60
[policy]
max_retry_attempts = 0
[providers.acme]
base_url = "simulator:"
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
price = { input = "5", output = "25" }
[models.bulky]
tier = "bulk"
deployments = ["acme/bulky"]
context_window = 100_000
price = { input = "0.1", output = "0.4" }
"""
CONVERSATION: list[JsonObject] = [
    {"role": "system", "content": "You are terse."},
    *(
        {"role": role, "content": f"{role} {number}" + ": the contract has many terms, and they matter" * 20}
        for number in range(8)
        for role in ("user", "assistant")
    ),
    {"role": "user", "content": "What about the last one?"},
]


class Watched(Simulator):
    """Keeps what was sent."""

    def __init__(self, **said: FaultPlan) -> None:
        super().__init__(time_scale=0, **said)  # type: ignore[arg-type]
        self.bodies: list[JsonObject] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> SimulatedResponse:
        """As a simulator does."""
        self.bodies.append(msgspec.json.decode(request.body))
        return await super().send(request, connect_timeout_s=connect_timeout_s)


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
async def runtime(source: SettingsSource) -> AsyncIterator[Runtime]:
    runtime = Runtime.open(source, simulator=Watched())
    yield runtime
    await runtime.close()


async def ask(runtime: Runtime, *, stream: bool = False, messages: list[JsonObject] = CONVERSATION) -> Answer:
    body = {"model": "strong", "messages": messages, "max_tokens": 50, "stream": stream}
    call = OpenAIChat().read(msgspec.json.encode(body), request_id=uuid7(1, Random()), options=Options())
    return await (await runtime.engine.ask(call)).read()


def sent(runtime: Runtime) -> list[JsonObject]:
    simulator = runtime._transport._simulator
    assert isinstance(simulator, Watched)
    return simulator.bodies


@pytest.mark.parametrize("stream", [False, True])
async def test_a_long_conversation_is_summarised_and_every_nano_dollar_of_it_is_in_the_books(
    runtime: Runtime, stream: bool
) -> None:
    answer = await ask(runtime, stream=stream)
    await runtime.flush()
    errand, question = sent(runtime)
    assert (errand["model"], question["model"]) == ("bulky", "strong")
    assert (errand["max_tokens"], errand.get("stream")) == (60, None)
    assert len(question["messages"]) < len(CONVERSATION)
    assert question["messages"][0] == CONVERSATION[0]
    assert question["messages"][-7:] == CONVERSATION[-7:]

    record = runtime.store.request(answer.request_id)
    assert record is not None
    closes = [attempt.close for attempt in record.attempts]
    assert [close.cause for close in closes if close] == [Cause.SUMMARY, Cause.FIRST]
    costs = [close.cost_nanousd for close in closes if isinstance(close, Settled)]
    assert len(costs) == 2
    assert record.request is not None
    assert record.request.cost_nanousd == sum(cost or 0 for cost in costs) == answer.receipt.cost_nanousd
    assert all(costs)
    assert runtime.store.totals().cost_nanousd == answer.receipt.cost_nanousd
    assert record.request.attempts == 2

    assert record.request.route is not None
    assert record.request.route.chosen.model == "strong"
    assert record.request.route.context == answer.route.context
    assert answer.route.context[0].startswith("summarised 4 old turns: -")
    assert answer.model == "strong"


async def test_the_next_request_of_the_conversation_uses_the_same_summary(runtime: Runtime) -> None:
    await ask(runtime)
    answer = await ask(runtime, messages=[*CONVERSATION[:-1], {"role": "user", "content": "And the first?"}])
    assert [body["model"] for body in sent(runtime)] == ["bulky", "strong", "strong"]
    assert sent(runtime)[1]["messages"][:-1] == sent(runtime)[2]["messages"][:-1]
    assert answer.attempts == 1


async def test_a_summary_that_fails_leaves_the_request_as_it_came(source: SettingsSource) -> None:
    plan = FaultPlan(by_model={"bulky": FaultRates(failed=1.0)})
    runtime = Runtime.open(source, simulator=Watched(faults=plan))
    answer = await ask(runtime)
    await runtime.flush()
    assert sent(runtime)[-1]["messages"] == CONVERSATION
    assert answer.route.context == ("not summarised: all_attempts_failed",)
    assert [report.cause for report in answer.receipt.attempts] == [Cause.SUMMARY, Cause.FIRST]
    assert answer.receipt.attempts[0].cost_nanousd == 0
    await runtime.close()


async def test_it_is_off_unless_enabled(source: SettingsSource, tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.replace("enabled = true", ""))
    runtime = Runtime.open(source, simulator=Watched())
    answer = await ask(runtime)
    assert [body["messages"] for body in sent(runtime)] == [CONVERSATION]
    assert answer.route.context == ()
    await runtime.close()
