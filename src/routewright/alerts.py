"""Alerts: a look every second at how budgets stand; what was reached is told in the log, to a webhook, and in Slack.

So is what providers do that only an operator can mend (`layers.incidents`), by each process for itself, and other news
(`tell_also`), by the process that found it. A crossing is told once in each way, by one of all the processes that share
the ledger (see `ledger.alerts`). What cannot be delivered is tried again a few times, then told in the log; of a
crossing it is kept, too: the next process tries again. The addresses hold tokens, so they are secrets here, and no
message has more of them than that there is one.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from routewright.clock import Clock
from routewright.dialects.wire import WireRequest
from routewright.errors import RoutewrightError, StoreUnavailable
from routewright.layers.incidents import Incident
from routewright.ledger.alerts import Alert, AlertBook, Key, Notice, Way, due
from routewright.ledger.budgets import Budget, Escrow, window_at
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.windows import WindowRow
from routewright.money import exact_usd
from routewright.secret import Secret
from routewright.transport import Transport

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MAX_TRIES = 5
FIRST_PAUSE_S = 1.0
"""Before the second try; each further pause is twice as long."""
TRY_LIMIT_S = 5.0
TAKEN_FOR_S = 60.0
"""Longer than all tries and pauses together: after it, another process takes an alert for left by a dead one."""
MAX_AT_ONCE = 16
"""Alerts that this process delivers at a time; more of them wait in the database."""

MOST_NEWS = 100
"""News not told yet; beyond it the oldest go."""

Ways = Mapping[Way, Secret]
"""Where alerts go beside the log."""


class News(Struct, frozen=True, kw_only=True):
    """Something to tell that is no budget's."""

    subject: str
    """Of whom."""
    words: str
    """For people, in one line."""
    body: Mapping[str, Any]
    """For programs."""


class AlertWatcher:
    """Tells what budgets reach, for as long as `watch` is awaited. It belongs to one event loop."""

    def __init__(
        self,
        book: AlertBook,
        escrow: Escrow,
        *,
        budgets: Callable[[], Iterable[Budget]],
        incidents: Callable[[int], Sequence[Incident]] = lambda _: (),
        ways: Callable[[], Ways],
        transport: Transport,
        clock: Clock,
    ) -> None:
        """`budgets`, `incidents` (so many new ones at most) and `ways` are asked at every look, in the event loop, so
        that new settings count at once."""
        self.raised: Counter[str] = Counter()
        """Alerts told by this process, by the budget's name."""
        self._book = book
        self._escrow = escrow
        self._budgets = budgets
        self._incidents = incidents
        self._ways = ways
        self._transport = transport
        self._clock = clock
        self._seen: set[Key] = set()  # crossings that have their row, by whomever
        self._given_up: set[Key] = set()  # not delivered by this process, which does not try again
        self._news: deque[News] = deque(maxlen=MOST_NEWS)
        self._under_way = 0
        self._is_blind = False

    async def watch(self) -> None:
        """Look and tell, every second."""
        async with asyncio.TaskGroup() as deliveries:
            while True:
                for notice in await asyncio.to_thread(self.look, tuple(self._budgets())):
                    self._under_way += 1
                    deliveries.create_task(self._run(self.tell(notice)))
                for news in self._take_news(MAX_AT_ONCE - self._under_way):
                    self._under_way += 1
                    deliveries.create_task(self._run(self.report(news)))
                await asyncio.sleep(LOOK_EVERY_S)

    def tell_also(self, news: News) -> None:
        """Have something told at the next look. From any thread."""
        self._news.append(news)

    def _take_news(self, most: int) -> list[News]:
        incidents = [incident_news(incident) for incident in self._incidents(most)]
        return incidents + [self._news.popleft() for _ in range(min(most - len(incidents), len(self._news)))]

    def look(self, budgets: Sequence[Budget]) -> list[Notice]:
        """What this process has to tell now; it is taken, so nobody else tells it meanwhile. Not for the event loop."""
        try:
            notices = self._take(budgets)
        except StoreUnavailable as error:
            if not self._is_blind:
                log.warning("no alerts until the ledger's database answers: %s", error.message)
            self._is_blind = True
            return []
        self._is_blind = False
        return notices

    def _take(self, budgets: Sequence[Budget]) -> list[Notice]:
        now_ns = self._clock.time_ns()
        ways = (Way.LOG, *self._ways())
        crossed = {each.key: each for each in due(budgets, self._windows(budgets, now_ns), ways, now_ns)}
        self._seen &= crossed.keys()
        left = {each.key: each for each in self._book.left() if each.way in ways and each.key not in self._given_up}
        new = {key: notice for key, notice in crossed.items() if key not in self._seen} | left
        chosen = list(new.values())[: MAX_AT_ONCE - self._under_way]
        taken = self._book.take(chosen, for_s=TAKEN_FOR_S)
        self._seen |= {notice.key for notice in chosen}
        return taken

    def _windows(self, budgets: Sequence[Budget], now_ns: int) -> list[WindowRow]:
        """How all budgets stand. Soft ones have nobody else who claims their windows, and so has them counted."""
        windows = self._book.windows(now_ns)
        counted = {(row.budget, row.starts_ns) for row in windows if row.is_counted}
        soft = [(each, window_at(each.period, each.time_zone, now_ns)) for each in budgets if not each.is_hard]
        missing = [(each, window) for each, window in soft if (each.name, window.starts_ns) not in counted]
        for budget, window in missing:
            self._escrow.claim(budget, window, boot="", granted_nanousd=0, needed_nanousd=0)
        return self._book.windows(now_ns) if missing else windows

    async def _run(self, telling: Coroutine[Any, Any, None]) -> None:
        try:
            await telling
        finally:
            self._under_way -= 1

    async def tell(self, notice: Notice) -> None:
        """Deliver an alert that was taken, and note whether that went well."""
        if notice.way is Way.LOG:
            self.raised[notice.alert.budget] += 1
            log.warning("%s", in_words(notice.alert))
            await asyncio.to_thread(self._note, self._book.delivered, notice)
            return
        body = in_slack(in_words(notice.alert)) if notice.way is Way.SLACK else in_json(notice.alert)
        failure = await self._deliver(notice.way, body)
        if failure is None:
            await asyncio.to_thread(self._note, self._book.delivered, notice)
            return
        told = "an alert of budget %r was not delivered to %s: %s; it is kept for the next start"
        log.error(told, notice.alert.budget, notice.way, failure)
        self._given_up.add(notice.key)
        await asyncio.to_thread(self._note, self._book.let_go, notice)

    async def report(self, news: News) -> None:
        """Tell something in every way."""
        log.warning("%s", news.words)
        for way in tuple(self._ways()):
            failure = await self._deliver(way, in_slack(news.words) if way is Way.SLACK else news.body)
            if failure is not None:
                log.error("what %s did was not delivered to %s: %s", news.subject, way, failure)

    def _note(self, note: Callable[[Notice], None], notice: Notice) -> None:
        try:
            note(notice)
        except StoreUnavailable as error:
            self._given_up.add(notice.key)
            log.warning("what became of an alert is not noted, so the next start may tell it again: %s", error.message)

    async def _deliver(self, way: Way, body: Mapping[str, Any]) -> str | None:
        """Try until it is delivered; else why that did not succeed."""
        failure = None
        for number in range(MAX_TRIES):
            if number:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (number - 1))
            address = self._ways().get(way)  # new settings may have mended it
            if address is None:
                return "its address is not set any more"
            failure = await self._post(address, body)
            if failure is None:
                return None
        return f"{failure}, {MAX_TRIES} times"

    async def _post(self, address: Secret, body: Mapping[str, Any]) -> str | None:
        """One try; what went wrong, in words without the address."""
        headers = {"content-type": "application/json"}
        request = WireRequest(url=address.reveal(), headers=headers, body=msgspec.json.encode(body))
        try:
            async with asyncio.timeout(TRY_LIMIT_S):
                response = await self._transport.send(request, connect_timeout_s=TRY_LIMIT_S)
        except TimeoutError:
            return f"no answer within {TRY_LIMIT_S:g} s"
        except RoutewrightError as error:
            return error.code
        response.abort()
        return None if 200 <= response.status < 300 else f"status {response.status}"


# ---- words ------------------------------------------------------------------------------------------------------


def in_words(alert: Alert) -> str:
    """One line for people."""
    spent = f"{_usd(alert.spent_nanousd)} of {_usd(alert.limit_nanousd)} USD spent"
    period = f"{alert.period}, {_until(alert.ends_ns)}"
    if alert.percent:
        return f"budget {alert.budget!r} has reached {alert.percent} % of its limit: {spent} ({period})"
    frozen = "; it is frozen: nothing is admitted until you have looked" if alert.is_frozen else ""
    return (
        f"budget {alert.budget!r} has attempts that cost more than was held for them, {alert.overruns} by now: "
        f"{spent} ({period}){frozen}"
    )


def in_json(alert: Alert) -> dict[str, Any]:
    """For programs: amounts as decimal texts in USD, times as ISO 8601 in UTC."""
    return {
        "budget": alert.budget,
        "scope": alert.scope,
        "subject": alert.subject,
        "percent": alert.percent or None,
        "overruns": alert.overruns,
        "is_frozen": alert.is_frozen,
        "spent_usd": _usd(alert.spent_nanousd),
        "limit_usd": _usd(alert.limit_nanousd),
        "period": alert.period,
        "starts": _time(alert.starts_ns) if alert.ends_ns is not None else None,
        "ends": _time(alert.ends_ns) if alert.ends_ns is not None else None,
        "time": _time(alert.at_ns),
    }


def incident_news(incident: Incident) -> News:
    """What a provider did; for programs it has a `deployment`, where what budgets reach has a `budget`."""
    return News(
        subject=incident.deployment,
        words=f"{incident.deployment} needs you ({incident.kind}): {incident.message}",
        body={
            "deployment": incident.deployment,
            "kind": incident.kind,
            "message": incident.message,
            "time": _time(incident.at_ns),
        },
    )


def in_slack(words: str) -> dict[str, Any]:
    """As Slack's incoming webhooks take it; `&`, `<` and `>` mean something there."""
    return {"text": words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _usd(nanousd: int) -> str:
    return exact_usd(nanousd, least_decimals=2)


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NANOSECONDS, UTC).isoformat().replace("+00:00", "Z")


def _until(ends_ns: int | None) -> str:
    return "it does not end" if ends_ns is None else f"until {_time(ends_ns)}"
