"""Watching for drift: once a minute, what is new in the ledger is taken in, and what changed is told.

Of the gateways of an installation one takes in (see `ledger.drift`); all of them look at which alarms stand, for their
metrics and their routing.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping

from routewright.decision.drift import MONTH_NS, Rules, Stream, Turn
from routewright.errors import StoreUnavailable
from routewright.jobs.drift_news import news_of, withdrawn
from routewright.ledger.drift import DriftBook, Key, Page
from routewright.runtime import Runtime
from routewright.settings.schema import DriftSettings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
PAGE = 2_000
MOST_PAGES = 50
"""In one look; what is left is in the next one."""
TAKEN_FOR_S = 120.0
"""Longer than a look lasts; after it, another process takes the one that began it for dead."""
MOST_STREAMS = 1_000
"""Values of further ones are passed over: there is a budget for all of them."""
BREATH_S = 0.02
"""Between two pages, so that the event loop hardly feels it."""


class Watch:
    """Await `follow`; `stop` before the store is closed."""

    def __init__(self, runtime: Runtime) -> None:
        self.standing: Mapping[Key, bool] = {}
        """What is watched, and whether there is an alarm of it."""
        self._book = DriftBook(runtime.store.database)
        self._runtime = runtime
        self._turn = threading.Lock()
        self._stopping = threading.Event()

    async def follow(self) -> None:
        """Look once a minute for as long as it is awaited."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """Begin nothing more, and return when what runs has come to a page's end."""
        self._stopping.set()
        with self._turn:
            return

    def look(self) -> None:
        """Take in what is new, unless somebody else does, and see which alarms stand. Not for the event loop."""
        settings = self._runtime.engine.settings.drift
        with self._turn:
            if self._stopping.is_set():
                return
            try:
                if settings.enabled:
                    self._take_in(settings)
                self._stand(settings)
            except StoreUnavailable as error:
                log.warning("drift is not looked at now: %s", error.message)

    def _take_in(self, settings: DriftSettings) -> None:
        marks = self._book.take(for_s=TAKEN_FOR_S)
        if marks is None:
            return
        streams = self._book.streams()
        for _ in range(MOST_PAGES):
            page = self._book.page(marks, PAGE)
            if page.marks == marks:
                break
            if not self._advance(streams, page, settings):
                return
            marks = page.marks
            if self._stopping.wait(BREATH_S):
                break
        self._book.let_go(marks)

    def _advance(self, streams: dict[Key, Stream], page: Page, settings: DriftSettings) -> bool:
        """Take in one page; False if somebody else has taken over meanwhile, and it does not count."""
        rules = rules_of(settings)
        changed: dict[Key, Stream] = {}
        turns: list[tuple[Key, Turn]] = []
        share = settings.budget / max(1, sum(stream.pinned_at_ns is not None for stream in streams.values())) / MONTH_NS
        for key, seen in page.seen:
            if key.quantity not in settings.streams or (key not in streams and len(streams) >= MOST_STREAMS):
                continue
            stream = streams.setdefault(key, Stream(key.quantity))
            changed[key] = stream
            turn = stream.see(seen, rules, share)
            if turn is not None:
                turns.append((key, turn))
        if not self._book.keep(changed, page.marks):
            return False
        for key, turn in turns:
            self._runtime.alerts.tell_also(news_of(key, turn, settings))
        return True

    def _stand(self, settings: DriftSettings) -> None:
        standing = self._book.standing() if settings.enabled else {}
        self.standing = {key: is_alarm for key, is_alarm in standing.items() if key.quantity in settings.streams}
        alarms = self._book.alarms() if any(self.standing.values()) else {}
        self._runtime.engine.withdrawn = withdrawn(alarms, settings)


def rules_of(settings: DriftSettings) -> Rules:
    """What the settings say of every stream."""
    return Rules(
        reference=settings.reference,
        deviation=settings.deviation / 100 if settings.rule == "classic" else None,
        smallest_change=settings.smallest_change / 100,
    )
