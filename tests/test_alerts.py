import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from databases import open_database
from entries import settled
from routewright.alerts import (
    FIRST_PAUSE_S,
    MAX_AT_ONCE,
    MAX_TRIES,
    MOST_NEWS,
    AlertWatcher,
    News,
    in_json,
    in_slack,
    in_words,
    incident_news,
)
from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed, RoutewrightError, StoreUnavailable
from routewright.layers.incidents import Incident, Kind
from routewright.ledger.alerts import Alert, AlertBook, Notice, Way
from routewright.ledger.budgets import ALL_TIME, Budget, Period, Scope, window_at
from routewright.ledger.database import Database
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.ledger import Charge, encode_event
from routewright.ledger.store import Store
from routewright.secret import Secret
from routewright.testing import FakeClock, Script, ScriptedResponse, ScriptedTransport
from routewright.transport import HttpTransport

DOLLAR = 10**9
NOW_NS = 1_800_000_000 * DOLLAR  # 2027-01-15
BUDGET = Budget(
    name="teams/research",
    scope=Scope.TEAM,
    subject="research",
    limit_nanousd=100 * DOLLAR,
    period=Period.MONTH,
    is_hard=False,
)
WINDOW = window_at(Period.MONTH, "UTC", NOW_NS)
HOOK = "https://hooks.example/T0/B0/token"
ALERT = Alert(
    budget="teams/research",
    scope=Scope.TEAM,
    subject="research",
    period=Period.MONTH,
    starts_ns=WINDOW.starts_ns,
    ends_ns=WINDOW.ends_ns,
    percent=80,
    overruns=0,
    is_frozen=False,
    spent_nanousd=80 * DOLLAR + 1,
    limit_nanousd=100 * DOLLAR,
    at_ns=NOW_NS,
)


def ok(_: object) -> ScriptedResponse:
    return ScriptedResponse(200, [b"ok"])


class Desk:
    """One ledger, and the processes that watch it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(NOW_NS)
        self.budgets: list[Budget] = [BUDGET]
        self.ways: dict[Way, Secret] = {}
        self.transport = ScriptedTransport(ok)
        self._attempts = 0

    def watcher(self, book: AlertBook | None = None) -> AlertWatcher:
        """Another process."""
        return AlertWatcher(
            book or AlertBook(self.database),
            DatabaseEscrow(self.database),
            budgets=lambda: self.budgets,
            ways=lambda: self.ways,
            transport=self.transport,
            clock=self.clock,
        )

    def spend(self, dollars: int, *, held: int | None = None) -> None:
        """An attempt of the budget's team is settled."""
        self._attempts += 1
        event = settled(
            str(self._attempts),
            team="research",
            at_ns=NOW_NS,
            cost_nanousd=dollars * DOLLAR,
            held_nanousd=(dollars if held is None else held) * DOLLAR,
            charges=(Charge(BUDGET.name, WINDOW.starts_ns),),
        )
        Store(self.database).absorb([encode_event(event)])

    def look(self, watcher: AlertWatcher) -> None:
        """One look, and telling what it found."""
        self.clock.run(self._tell(watcher, watcher.look(self.budgets)))

    async def _tell(self, watcher: AlertWatcher, notices: Sequence[Notice]) -> None:
        for notice in notices:
            await watcher.tell(notice)

    @property
    def sent(self) -> list[Any]:
        """The bodies that were posted."""
        return [msgspec.json.decode(request.body) for request in self.transport.requests]


@pytest.fixture
def desk(place: Path | str) -> Iterator[Desk]:
    with closing(open_database(place)) as database:
        yield Desk(database)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# ---- once


def test_a_crossing_is_told_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    watcher = desk.watcher()
    desk.look(watcher)
    desk.spend(79)
    desk.look(watcher)
    assert told(caplog) == []
    desk.spend(1)
    desk.look(watcher)
    desk.spend(1)
    desk.look(watcher)
    assert told(caplog) == [
        "budget 'teams/research' has reached 80 % of its limit: 80.00 of 100.00 USD spent "
        "(month, until 2027-02-01T00:00:00Z)"
    ]
    assert watcher.raised == {"teams/research": 1}


def test_each_share_is_an_alert_of_its_own(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spend(101)
    desk.look(desk.watcher())
    assert [("80 %" in line, "100 %" in line) for line in told(caplog)] == [(True, False), (False, True)]


def test_a_restart_tells_nothing_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spend(80)
    desk.look(desk.watcher())
    desk.look(desk.watcher())
    assert len(told(caplog)) == 1


def test_of_two_processes_one_tells_it(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spend(80)
    one, other = desk.watcher(), desk.watcher()
    notices = one.look(desk.budgets)
    desk.look(other)
    desk.clock.run(desk._tell(one, notices))
    desk.look(other)
    assert len(told(caplog)) == 1
    assert (one.raised.total(), other.raised.total()) == (1, 0)


def test_what_was_spent_before_anybody_watched_counts(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spend(50)
    Store(desk.database).absorb(
        [encode_event(settled("uncharged", team="research", at_ns=NOW_NS, cost_nanousd=30 * DOLLAR))]
    )
    desk.look(desk.watcher())
    assert len(told(caplog)) == 1


def test_the_next_window_is_told_anew(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.budgets = [replace(BUDGET, limit_nanousd=0, alerts_percent=(100,))]
    desk.spend(1)
    watcher = desk.watcher()
    desk.look(watcher)
    desk.clock.advance(31 * 86_400)
    desk.look(watcher)
    assert len(told(caplog)) == 1
    february = (Charge(BUDGET.name, int(WINDOW.ends_ns or 0)),)
    Store(desk.database).absorb(
        [encode_event(settled("later", at_ns=desk.clock.time_ns(), cost_nanousd=1, charges=february))]
    )
    desk.look(watcher)
    assert len(told(caplog)) == 2


def test_m04_overruns_are_told_as_they_grow(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    hard = replace(BUDGET, is_hard=True)
    desk.budgets = [hard]
    DatabaseEscrow(desk.database).claim(hard, WINDOW, boot="a", granted_nanousd=0, needed_nanousd=0)
    watcher = desk.watcher()
    for _ in range(2):
        desk.spend(2, held=1)
        desk.look(watcher)
        desk.look(watcher)
    first, second = told(caplog)
    assert "has attempts that cost more than was held for them, 1 by now: 2.00 of 100.00 USD" in first
    assert "2 by now" in second
    assert "frozen: nothing is admitted until you have looked" in second


# ---- ways


def test_the_webhook_gets_json_and_slack_its_own_shape(desk: Desk) -> None:
    desk.ways = {Way.WEBHOOK: Secret("https://example.com/alerts"), Way.SLACK: Secret(HOOK)}
    desk.spend(80)
    desk.look(desk.watcher())
    sent = dict(zip([request.url for request in desk.transport.requests], desk.sent, strict=True))
    assert sent["https://example.com/alerts"] == {
        "budget": "teams/research",
        "scope": "team",
        "subject": "research",
        "percent": 80,
        "overruns": 0,
        "is_frozen": False,
        "spent_usd": "80.00",
        "limit_usd": "100.00",
        "period": "month",
        "starts": "2027-01-01T00:00:00Z",
        "ends": "2027-02-01T00:00:00Z",
        "time": "2027-01-15T08:00:00Z",
    }
    assert list(sent[HOOK]) == ["text"]


def test_words_and_json_are_exact() -> None:
    assert in_json(ALERT)["spent_usd"] == "80.000000001"
    endless = replace(ALERT, ends_ns=None, period=Period.FOREVER, starts_ns=ALL_TIME.starts_ns)
    assert (in_json(endless)["starts"], in_json(endless)["ends"]) == (None, None)
    assert in_words(endless).endswith("(forever, it does not end)")
    overrun = replace(ALERT, percent=0, overruns=1)
    assert in_json(overrun)["percent"] is None
    assert "frozen" not in in_words(overrun)


def test_what_slack_would_take_for_markup_stays_text() -> None:
    assert "&lt;!channel&gt; &amp;" in in_slack(in_words(replace(ALERT, budget="<!channel> &")))["text"]


def test_a_line_feed_in_a_name_makes_no_second_line() -> None:
    assert "\n" not in in_words(replace(ALERT, budget="tags/a\nERROR forged"))


# ---- failing


def test_what_fails_is_tried_again_with_growing_pauses(desk: Desk) -> None:
    desk.ways = {Way.WEBHOOK: Secret(HOOK)}
    answers: list[RoutewrightError | ScriptedResponse | float] = [
        ConnectFailed("no connection"),
        ScriptedResponse(500, []),
        10.0,
        ScriptedResponse(204, []),
    ]
    desk.transport = ScriptedTransport(lambda _: answers.pop(0))
    desk.spend(80)
    watcher = desk.watcher()
    desk.look(watcher)
    assert len(desk.transport.requests) == 4
    assert desk.clock.monotonic() == pytest.approx(FIRST_PAUSE_S * (1 + 2 + 4) + 5.0)
    desk.look(watcher)
    assert len(desk.transport.requests) == 4


@pytest.mark.parametrize("failure", [ConnectFailed("no connection"), ScriptedResponse(300, []), 10.0])
def test_what_cannot_be_delivered_is_kept_for_the_next_start(
    desk: Desk, caplog: pytest.LogCaptureFixture, failure: RoutewrightError | ScriptedResponse | float
) -> None:
    desk.ways = {Way.SLACK: Secret(HOOK)}
    desk.transport = ScriptedTransport(lambda _: failure)
    desk.spend(80)
    watcher = desk.watcher()
    desk.look(watcher)
    desk.look(watcher)
    assert len(desk.transport.requests) == MAX_TRIES
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "was not delivered to slack: " in record.getMessage()
    desk.transport = ScriptedTransport(ok)
    desk.look(desk.watcher())
    desk.look(desk.watcher())
    assert len(desk.transport.requests) == 1


def test_e10_no_message_has_the_address(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk.ways = {Way.SLACK: Secret(HOOK)}
    desk.transport = ScriptedTransport(lambda _: ConnectFailed(f"no connection to {HOOK}"))
    desk.spend(80)
    desk.look(desk.watcher())
    assert "T0/B0/token" not in caplog.text
    assert "upstream_connect_failed" in caplog.text


def test_a_way_that_is_taken_away_meanwhile_is_not_used(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.ways = {Way.SLACK: Secret(HOOK)}
    desk.spend(80)
    watcher = desk.watcher()
    notices = watcher.look(desk.budgets)
    desk.ways = {}
    desk.clock.run(desk._tell(watcher, notices))
    assert desk.transport.requests == []
    assert "its address is not set any more" in caplog.text
    desk.look(watcher)
    assert desk.transport.requests == []


def test_what_a_dead_process_had_taken_is_told_by_another(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.spend(80)
    AlertBook(desk.database).take([Notice(ALERT, Way.LOG)], for_s=0)
    desk.look(desk.watcher())
    assert len(told(caplog)) == 1


class LostBook(AlertBook):
    """A book whose database has gone away, for reading or for noting."""

    is_readable = False

    def windows(self, now_ns: int) -> list[Any]:
        if not self.is_readable:
            raise StoreUnavailable("gone")
        return super().windows(now_ns)

    def delivered(self, notice: Notice) -> None:
        raise StoreUnavailable("gone")


def test_a_database_that_does_not_answer_is_told_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    book = LostBook(desk.database)
    watcher = desk.watcher(book)
    desk.spend(80)
    desk.look(watcher)
    assert told(caplog) == ["no alerts until the ledger's database answers: gone"]
    desk.look(watcher)
    assert len(told(caplog)) == 1
    book.is_readable = True
    desk.look(watcher)
    assert "80 %" in told(caplog)[1]


def test_what_is_not_noted_is_not_told_again_by_the_same_process(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    book = LostBook(desk.database)
    book.is_readable = True
    watcher = desk.watcher(book)
    desk.spend(80)
    desk.look(watcher)
    book.let_go(Notice(ALERT, Way.LOG))
    desk.look(watcher)
    assert ["80 %" in line for line in told(caplog)] == [True, False]
    assert "is not noted" in told(caplog)[1]


# ---- watching


def test_no_more_than_so_many_are_delivered_at_once(desk: Desk) -> None:
    desk.budgets = [replace(BUDGET, alerts_percent=tuple(range(1, MAX_AT_ONCE + 5)))]
    desk.spend(80)
    watcher = desk.watcher()
    assert len(watcher.look(desk.budgets)) == MAX_AT_ONCE
    assert len(watcher.look(desk.budgets)) == 4


class BusyTransport(ScriptedTransport):
    """Counts how many requests it has at a time."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.at_once = self.most_at_once = 0
        self.has_had_many = asyncio.Event()

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await super().send(request, connect_timeout_s=connect_timeout_s)
        finally:
            self.at_once -= 1
            if len(self.requests) >= 2 * MAX_AT_ONCE:
                self.has_had_many.set()


def test_those_that_are_under_way_count(desk: Desk) -> None:
    desk.budgets = [replace(BUDGET, alerts_percent=tuple(range(1, 3 * MAX_AT_ONCE)))]
    desk.ways = {Way.WEBHOOK: Secret(HOOK)}
    desk.transport = transport = BusyTransport(lambda _: 4.0)
    desk.spend(80)
    watcher = desk.watcher()

    async def watch() -> None:
        watching = asyncio.create_task(watcher.watch())
        await transport.has_had_many.wait()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    desk.clock.run(watch())
    assert transport.most_at_once <= MAX_AT_ONCE


def test_watching_looks_every_second_until_it_is_cancelled(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    watcher = desk.watcher()

    async def watch() -> None:
        watching = asyncio.create_task(watcher.watch())
        while not watcher.raised:
            await asyncio.sleep(1)
            if not desk._attempts:
                await asyncio.to_thread(desk.spend, 80)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    desk.clock.run(watch())
    assert len(told(caplog)) == 1


# ---- over real sockets


@asynccontextmanager
async def receiving(status: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server on loopback: its address, and the bodies it got."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length"))
        bodies.append(await reader.readexactly(int(length)))
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", bodies


async def test_a_real_webhook_gets_the_alert(desk: Desk) -> None:
    transport = HttpTransport()
    async with receiving(b"200 OK") as (address, bodies):
        watcher = AlertWatcher(
            AlertBook(desk.database),
            DatabaseEscrow(desk.database),
            budgets=lambda: desk.budgets,
            ways=lambda: {Way.WEBHOOK: Secret(address)},
            transport=transport,
            clock=desk.clock,
        )
        desk.spend(80)
        for notice in watcher.look(desk.budgets):
            await watcher.tell(notice)
    await transport.close()
    assert [msgspec.json.decode(body)["budget"] for body in bodies] == ["teams/research"]


def test_news_is_told_at_the_next_look_and_never_more_than_there_is_room_for(desk: Desk) -> None:
    watcher = desk.watcher()
    for number in range(MOST_NEWS + 1):
        watcher.tell_also(News(subject=f"m{number}", words=f"news {number}", body={"number": number}))
    desk.ways = {Way.WEBHOOK: Secret(HOOK)}

    async def look_once() -> None:
        watching = asyncio.ensure_future(watcher.watch())
        await asyncio.sleep(0.2)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    asyncio.run(look_once())
    assert [body["number"] for body in desk.sent] == list(range(1, MAX_AT_ONCE + 1)), "the oldest went"


# ---- what providers do

REFUSED = Incident(kind=Kind.CREDENTIAL, deployment="acme/one", message="<refused> our key", at_ns=NOW_NS)


def test_an_incident_is_told_in_every_way(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.ways = {Way.WEBHOOK: Secret(HOOK), Way.SLACK: Secret(HOOK)}
    desk.clock.run(desk.watcher().report(incident_news(REFUSED)))
    assert told(caplog) == ["acme/one needs you (credential): <refused> our key"]
    assert desk.sent == [
        {
            "deployment": "acme/one",
            "kind": "credential",
            "message": "<refused> our key",
            "time": "2027-01-15T08:00:00Z",
        },
        {"text": "acme/one needs you (credential): &lt;refused&gt; our key"},
    ]


def test_an_incident_that_cannot_be_delivered_is_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.ways, desk.transport = {Way.WEBHOOK: Secret(HOOK)}, ScriptedTransport(lambda _: ConnectFailed("away"))
    desk.clock.run(desk.watcher().report(incident_news(REFUSED)))
    assert f"acme/one did was not delivered to webhook: upstream_connect_failed, {MAX_TRIES} times" in caplog.text
    assert HOOK not in caplog.text
