import asyncio

import pytest
from msgspec.structs import replace

from builders import Below, attempt, call, message, model, registry, route
from routewright.call import Call, Options, Routed
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.decision.audit import text_hash
from routewright.decision.features import extract
from routewright.errors import InvalidRequest, ProviderFailed
from routewright.layers.budget import Budget
from routewright.layers.record import Record
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.ledger import RequestRecorded, encode_event
from routewright.reply import Reply
from routewright.testing import FakeClock, MemoryLog
from routewright.usage import NO_INPUT

DEAR = model("dear", prices=PriceSchedule((Price(input=10_000_000, output=20_000_000),)))
REGISTRY = registry(model(), DEAR)


class House:
    """Record over budget over a scripted provider."""

    def __init__(self, below: Below, *, logs_requests: bool = False, logs_content: bool = False) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog()
        self.ledger = JournaledLedger(self.log, boot="boot-1", clock=self.clock)
        self._record = Record(self.ledger, REGISTRY, self.clock, logs_requests=logs_requests, logs_content=logs_content)
        self._budget = Budget(self.ledger, self.clock)
        self._below = below

    async def ask(self, asked: Call) -> Reply:
        """Through both layers."""

        async def decided(given: Call) -> Reply:
            chosen = route(baseline_model="dear", input_parts=extract(given).input_parts)
            return await self._budget(attempt(given, routed=Routed(given, chosen)), self._below)

        return await self._record(asked, decided)

    @property
    def row(self) -> RequestRecorded:
        """The one row of the one request."""
        (event,) = [event for event in self.log.events if isinstance(event, RequestRecorded)]
        return event


async def test_an_answered_request_leaves_its_row_with_cost_and_baseline() -> None:
    house = House(Below())
    answer = await (await house.ask(call(options=Options(tags=("team-a",), user="u1")))).read()
    assert house.row.cost_nanousd == 50_000
    assert house.row.baseline_cost_nanousd == 10 * 10_000 + 20 * 20_000
    assert (house.row.outcome, house.row.model, house.row.attempts) == ("complete", "swift", 1)
    assert (house.row.tags, house.row.user) == (("team-a",), "u1")
    assert answer.receipt.cost_nanousd == 50_000
    assert answer.receipt.attempts[0].deployment == "acme/swift"


async def test_the_row_comes_after_the_settlement_it_counts() -> None:
    house = House(Below())
    (await house.ask(call())).close()
    assert [type(event).__name__ for event in house.log.events] == ["Reserved", "Settled", "RequestRecorded"]


async def test_a_refusal_is_in_the_ledger_too() -> None:
    house = House(Below(InvalidRequest("bad")))
    with pytest.raises(InvalidRequest):
        await house.ask(call())
    assert (house.row.outcome, house.row.model) == ("invalid_request", None)


async def test_a_failed_attempt_is_told_with_the_route_that_led_to_it() -> None:
    house = House(Below(ProviderFailed("500")))
    with pytest.raises(ProviderFailed):
        await house.ask(call())
    assert house.row.outcome == "upstream_failed"
    assert house.row.tier == "standard"
    assert house.row.route is not None


async def test_a_client_that_leaves_before_the_first_event_leaves_a_row() -> None:
    class Endless(Below):
        async def __call__(self, request: object) -> Reply:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    house = House(Endless())
    asking = asyncio.ensure_future(house.ask(call()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert house.row.outcome == "abandoned"


async def test_a_bug_leaves_a_row_and_no_open_account() -> None:
    class Broken(Below):
        async def __call__(self, request: object) -> Reply:
            raise ZeroDivisionError

    house = House(Broken())
    with pytest.raises(ZeroDivisionError):
        await house.ask(call())
    assert house.row.outcome == "internal_error"
    with pytest.raises(KeyError):
        house.ledger.account(house.row.request_id)
    assert house.row.is_estimated


@pytest.mark.parametrize("logs_requests", [True, False])
async def test_a_request_is_logged_where_that_is_wanted_and_without_its_words(
    caplog: pytest.LogCaptureFixture, logs_requests: bool
) -> None:
    caplog.set_level("INFO")
    house = House(Below(), logs_requests=logs_requests)
    await (await house.ask(call("a word that must not be told"))).read()
    assert [(vars(line)["request_id"], vars(line)["cost_nanousd"]) for line in caplog.records] == (
        [("request-1", 50_000)] if logs_requests else []
    )
    assert "must not be told" not in str([vars(line) for line in caplog.records])


async def test_the_account_of_a_request_is_forgotten_when_it_is_over() -> None:
    house = House(Below())
    (await house.ask(call())).close()
    with pytest.raises(KeyError):
        house.ledger.account("request-1")


# ---- what the input consists of

PROMPT = "You are the support desk of Acme. " * 20
PROMPTED = call(messages=(message(PROMPT, "system"), message("Hello, who are you?")))


async def test_input_is_split_and_adds_up_to_what_was_counted() -> None:
    house = House(Below())
    await (await house.ask(PROMPTED)).read()
    parts = house.row.input_parts
    assert parts.total == 10
    assert parts.system > parts.user > 0
    assert not house.row.input_is_estimated
    assert house.row.input_cost_nanousd == 10_000
    assert house.row.system_cost_nanousd == 1_000 * parts.system


async def test_without_an_answer_the_estimate_stands_for_itself() -> None:
    house = House(Below(ProviderFailed("500")))
    with pytest.raises(ProviderFailed):
        await house.ask(PROMPTED)
    assert house.row.input_parts == extract(PROMPTED).input_parts
    assert house.row.input_is_estimated
    assert (house.row.input_cost_nanousd, house.row.system_cost_nanousd) == (None, None)


async def test_of_a_request_that_nobody_was_asked_nothing_is_said() -> None:
    log = MemoryLog()
    ledger = JournaledLedger(log, boot="boot-1", clock=FakeClock())

    async def refused(_: Call) -> Reply:
        raise InvalidRequest("bad")

    with pytest.raises(InvalidRequest):
        await Record(ledger, REGISTRY, FakeClock(), logs_content=True)(PROMPTED, refused)
    (row,) = log.events
    assert isinstance(row, RequestRecorded)
    assert (row.input_parts, row.system_hash, row.system_preview) == (NO_INPUT, "", "")
    assert b"input_parts" not in encode_event(row)


@pytest.mark.parametrize(
    ("logs_content", "no_log", "kept"), [(False, False, ""), (True, True, ""), (True, False, PROMPT[:200])]
)
async def test_how_the_system_prompt_begins_is_kept_only_where_it_may(
    logs_content: bool, no_log: bool, kept: str
) -> None:
    house = House(Below(), logs_content=logs_content)
    await (await house.ask(replace(PROMPTED, options=Options(no_log=no_log)))).read()
    assert house.row.system_preview == kept
    assert (house.row.system_hash, house.row.system_chars) == (text_hash(PROMPT), len(PROMPT))
    assert house.row.system_opening == text_hash(PROMPT[:200])
