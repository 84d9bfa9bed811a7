"""An engine with all it needs to run: followed settings, ledger files, connections. What a face opens."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from routewright.access.directory import Directory
from routewright.access.installation import Installation
from routewright.access.keyring import Keyring
from routewright.alerts import AlertWatcher
from routewright.cache.places import Places
from routewright.catalog.registry import Registry
from routewright.catalog.served import ServedPrices
from routewright.clock import Clock, SystemClock
from routewright.dialects.wire import WireRequest
from routewright.engine import Engine
from routewright.errors import SettingsError, StoreUnavailable
from routewright.housekeeping import Housekeeping
from routewright.ledger.accounts import JournaledLedger, close_what_crashed
from routewright.ledger.alerts import AlertBook, Way
from routewright.ledger.balances import Balances
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.job_holds import JobHolds
from routewright.ledger.journal import Journal
from routewright.ledger.keeper import Keeper
from routewright.ledger.price_history import PriceHistory, in_use
from routewright.ledger.recovery import Recovery
from routewright.ledger.store import Store
from routewright.policies.following import PolicyFollower
from routewright.policies.store import PolicyStore
from routewright.secret import Secret
from routewright.settings import Settings, check_binding
from routewright.settings.remote import POLL_EVERY_S
from routewright.settings_source import SettingsSource
from routewright.shared.board import RedisBoard
from routewright.stores import ledger_file, open_database, open_redis
from routewright.tenant import Tenant
from routewright.transport import HttpTransport, Transport, WireResponse, require_way

if TYPE_CHECKING:  # it needs the redis package, which is not always installed
    from routewright.shared.connection import Connection
    from routewright.simulator import ModelProfile, Simulator  # loaded where a model is simulated

log = logging.getLogger(__name__)

SIMULATOR_SCHEME = "simulator:"
RELOAD_EVERY_S = 1.0
LEARN_EVERY_S = 60.0
FLUSHED_WITHIN_S = 2.0
"""Whoever asks for a request that ended just now waits so long for its row."""
STORE_TRIES = 10
LESSONS = "lessons"
"""The file beside the ledger that keeps what it taught."""


class Exits:
    """A `Transport`: over sockets, or, for `simulator:` addresses, to the simulator in this process."""

    def __init__(self, http: Transport, simulator: "Simulator | None" = None) -> None:
        """Without a `simulator`, one is made for the first model that is simulated."""
        self._http = http
        self._simulator = simulator
        self._models: Mapping[str, ModelProfile] = {}

    def simulate(self, registry: Registry) -> None:
        """Be ready for the models of a catalog that the simulator is to answer for, beside those before."""
        places = [place for place in registry.deployments.values() if place.base_url == SIMULATOR_SCHEME]
        if not places and self._simulator is None:
            return
        from routewright.simulator import USUAL, Simulator

        tiers = {place.id: model.tier for model in registry.models.values() for place in model.deployments}
        self._models = {**self._models, **{place.upstream_model: USUAL[tiers[place.id]] for place in places}}
        self._simulator = self._simulator or Simulator()
        self._simulator.models = self._models

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> WireResponse:
        """See `Transport.send`."""
        if self._simulator is not None and request.url.startswith(SIMULATOR_SCHEME):
            return await self._simulator.send(request, connect_timeout_s=connect_timeout_s)
        return await self._http.send(request, connect_timeout_s=connect_timeout_s)

    async def close(self) -> None:
        """Close both."""
        if self._simulator is not None:
            await self._simulator.close()
        await self._http.close()


def recall(engine: Engine) -> None:
    """Have an engine decide by what was learned from the ledger of its settings, as far as that was kept."""
    path = engine.settings.ledger.path / LESSONS
    if engine.artefact is not None and path.exists():
        from routewright.learning import restore

        engine.learn(restore(path, engine.artefact))


class Runtime:
    """What `open` opened: use `engine`, and `close` at the end."""

    def __init__(
        self,
        engine: Engine,
        source: SettingsSource,
        *,
        journal: Journal,
        keeper: Keeper,
        store: Store,
        keyring: Keyring,
        ledger: JournaledLedger,
        history: PriceHistory,
        transport: Exits,
        clock: Clock,
        lessons_path: Path,
        housekeeping: Housekeeping,
        redis: "Connection | None",
        answers: Places,
    ) -> None:
        self.engine = engine
        self.redis = redis
        """Follow it, and `engine.rounds`, for as long as anything is shared; None without `redis.url`."""
        self.store = store
        self.clock = clock
        self.keyring = keyring
        self.directory = Directory(keyring, clock)
        """The virtual keys; follow it for as long as anybody is let in by them."""
        self.directory.on_change(engine.adopt_budgets)
        self.policies = PolicyFollower(PolicyStore(store.database, clock), engine.adopt_policies)
        """What the ledger says of policies; follow it for as long as it may change."""
        self._has_door = False
        self.alerts = AlertWatcher(
            AlertBook(store.database),
            DatabaseEscrow(store.database),
            budgets=lambda: [standing.budget for standing in engine.budgets()],
            incidents=engine.incidents.take,
            ways=self._ways,
            transport=transport,
            clock=clock,
        )
        self.housekeeping = housekeeping
        self.source = source
        self._ledger = ledger
        self._history = history
        self._journal = journal
        self._keeper = keeper
        self._transport = transport
        self._answers = answers
        self._lessons_path = lessons_path
        self._is_closed = False

    @classmethod
    def open(
        cls,
        source: SettingsSource,
        *,
        simulator: "Simulator | None" = None,
        clock: Clock | None = None,
        is_worker: bool = False,
    ) -> Self:
        """Read the settings, recover and open the ledger, build the engine; `is_worker` where `server.workers` do so.

        Raises SettingsError, LedgerUnavailable.
        """
        clock = clock or SystemClock()
        settings, registry = source.load()
        if _has_sockets(registry):
            require_way()
        folder = settings.ledger.path
        redis = open_redis(settings)
        database = open_database(settings)
        store = Store(database)
        escrow = DatabaseEscrow(database)
        recovery = Recovery(folder / "journal", store, clock)
        _take_over(recovery)  # before a slot is taken, as whoever takes one signs over the name of the one before
        journal = Journal(folder / "journal", limit_bytes=settings.ledger.max_journal_bytes)
        # As many as clients: those that read slowly must not use up what the others need.
        transport = Exits(HttpTransport(max_connections=settings.server.max_connections), simulator)
        transport.simulate(registry)
        balances = Balances()
        keeper = Keeper(balances, escrow, boot=journal.boot, clock=clock)
        ledger = JournaledLedger(journal, boot=journal.boot, clock=clock, balances=balances)
        answers = Places(redis)
        engine = Engine(
            settings,
            registry,
            ledger=ledger,
            transport=transport,
            clock=clock,
            experiences=store,
            keeper=keeper,
            board=None if redis is None else RedisBoard(redis, journal.boot),
            answers=answers,
            workers=settings.server.workers if is_worker else 1,
        )
        # Last, so that no thread is left running where the settings are refused.
        _recover(journal, store, escrow, clock, is_shared=ledger_file(settings) is None)
        keeper.claim_blocking()
        with contextlib.suppress(RuntimeError):  # without an event loop yet, it starts with the first request
            keeper.start()
        recall(engine)
        runtime = cls(
            engine,
            source,
            journal=journal,
            keeper=keeper,
            store=store,
            keyring=Keyring(store.database, Installation(settings.access_secret, folder), clock),
            ledger=ledger,
            history=PriceHistory(database),
            transport=transport,
            clock=clock,
            lessons_path=folder / LESSONS,
            housekeeping=Housekeeping(store.database, recovery, clock, lambda: engine.settings.ledger.retention_days),
            redis=redis,
            answers=answers,
        )
        engine.settings_error = source.trouble
        runtime._adopt_prices(settings, registry)
        runtime.policies.refresh()
        return runtime

    def _adopt_prices(self, settings: Settings, registry: Registry) -> None:
        """Keep what the prices in force are for ever, so that every entry's version can be looked up.

        When the store does not answer now, calls go on: the same prices are written at the next start or reload.
        """
        table = self.source.prices
        if table is None:
            return
        self._ledger.served = ServedPrices(table).find
        try:
            embeddings = settings.second_opinion.embeddings
            also = [embeddings.partition("/")[0]] if embeddings else []
            self._history.remember(in_use(registry, table, also), now_ns=self.clock.time_ns())
        except StoreUnavailable as error:
            log.warning("the prices in force are not in the ledger yet: %s", error)

    def open_door(self) -> None:
        """Before a gateway lets anybody in: read the keys, and see that others than this machine need one.

        Raises SettingsError, StoreUnavailable.
        """
        self.directory.refresh()
        settings = self.engine.settings
        check_binding(settings, has_keys=self.directory.has_keys)
        if settings.database is not None and settings.access_secret is None and self.directory.has_keys:
            log.warning("virtual keys are checked with a secret in a file here; for other machines, set access.secret")
        _tell_keyless(settings)
        self._has_door = True

    @property
    def needs_key(self) -> bool:
        """Whether a gateway lets nobody in without a key."""
        return self.engine.settings.server_key is not None or self.directory.has_keys

    async def follow_ledger(self) -> None:
        """Learn from outcomes for as long as it is awaited: aside, in a thread, when there are new ones."""
        while True:
            await asyncio.to_thread(self.learn)
            await asyncio.sleep(LEARN_EVERY_S)

    def learn(self) -> None:
        """Have the engine decide by what the ledger teaches now; what it knew stays in force when that cannot be read.

        Without outcomes that are not known yet this is one small query.
        """
        artefact = self.engine.artefact
        if artefact is None:
            return
        from routewright.learning import has_news, learn_from, save

        try:
            if not has_news(self.store, self.engine.lessons):
                return
            lessons = learn_from(self.store, artefact, self.engine.registry)
        except StoreUnavailable as error:
            log.warning("nothing learned now: %s", error)
            return
        self.engine.learn(lessons)
        try:
            save(lessons, self._lessons_path)
        except OSError as error:
            log.warning("what was learned cannot be kept, the next process learns it anew: %s", error)

    async def follow_budgets(self) -> None:
        """Tell what budgets reach for as long as it is awaited."""
        await self.alerts.watch()

    def _ways(self) -> Mapping[Way, Secret]:
        """Where alerts go, by the settings in force."""
        settings = self.engine.settings
        places = {Way.WEBHOOK: settings.webhook, Way.SLACK: settings.slack_webhook}
        return {way: address for way, address in places.items() if address is not None}

    async def follow_settings(self) -> None:
        """Watch the files for as long as it is awaited; what is wrong is told and not taken over."""
        while True:
            await asyncio.sleep(RELOAD_EVERY_S)
            if self.source.has_changed():
                await asyncio.to_thread(self.reload)

    async def follow_address(self) -> None:
        """Ask the address of the settings for newer ones for as long as it is awaited; without one nothing is done."""
        if not self.source.is_remote:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(POLL_EVERY_S)
            await asyncio.to_thread(self.poll)

    def poll(self) -> None:
        """Ask once, and take over what is new."""
        before = self.source.trouble
        if self.source.poll():
            self.reload()
        elif self.source.trouble != before:  # what was refused before stays refused, as long as it is the same
            self.engine.settings_error = self.source.trouble

    def reload(self) -> None:
        """Take over what the settings say now, whole; keep the last good ones if there is any mistake in them."""
        try:
            settings, registry = self.source.load()
            if self._has_door:
                check_binding(settings, has_keys=self.directory.has_keys)
            # the simulator first, and with the old models still there for requests in flight
            self._transport.simulate(registry)
            self._adopt_prices(settings, registry)
            self.engine.adopt(settings, registry)
        except SettingsError as error:
            self.engine.settings_error = error.message
            log.error("settings not taken over, the last good ones stay in force: %s", error.message)
            return
        _tell_keyless(settings)
        log.info("settings taken over: catalog %s", registry.version)

    async def follow_redis(self) -> None:
        """Share with other gateways for as long as it is awaited; without `redis.url` there is nothing to do."""
        if self.redis is None or self.engine.rounds is None:
            await asyncio.Event().wait()
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.redis.follow())
                group.create_task(self.engine.rounds.follow())

    def holds_of(self, job_id: str) -> JobHolds:
        """What a job holds for attempts that outlast this process."""
        return JobHolds(job_id, self.store, self._keeper.balances, self.clock)

    @property
    def prices_date(self) -> str:
        """The day (ISO) of the price table in force; empty without one."""
        return "" if self.source.prices is None else self.source.prices.date

    @property
    def transport(self) -> Transport:
        """The way out, for what is no attempt."""
        return self._transport

    def backlog_bytes(self) -> int:
        """How much of the journal is not in the store yet."""
        return self._journal.backlog_bytes

    async def payer_of(self, request_id: str) -> Tenant | None:
        """The key and team that pay for a request, of any gateway of this ledger; None for an unknown request.

        One that ended just now may still be in our journal, so that is brought home before it is denied. Raises
        StoreUnavailable, LedgerUnavailable.
        """
        found = await asyncio.to_thread(self.store.request, request_id)
        if found is None:
            await self._journal.flush(FLUSHED_WITHIN_S)
            found = await asyncio.to_thread(self.store.request, request_id)
        if found is None:
            return None
        row = found.request or found.attempts[0].hold or found.attempts[0].close
        assert row is not None
        return Tenant(key=row.key, team=row.team)

    async def flush(self) -> None:
        """Return once everything so far is in the store, where reports look. Raises LedgerUnavailable."""
        await self._journal.flush()

    async def close(self) -> None:
        """Cut what is in flight, bring the ledger's events home, and close files; a second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.engine.shadows.stop()
        await self.engine.end_traces()
        await self._transport.close()
        await self._answers.close()
        self.engine.close()
        if self.redis is not None:
            await self.redis.close()
        await self._keeper.stop()
        await asyncio.to_thread(self.housekeeping.stop)
        await asyncio.to_thread(self._close_ledger)

    def _close_ledger(self) -> None:
        self._journal.close()
        if not self._journal.backlog_bytes and not self._has_open_holds():
            self._keeper.give_back_all()
        self.store.close()

    def _has_open_holds(self) -> bool:
        """By the store: a settlement that came after the journal was closed is in the balances, and nowhere else."""
        try:
            return any(hold.boot == self._journal.boot for hold in self.store.open_holds())
        except StoreUnavailable as error:
            log.warning("budgets: what this process did not spend is not given back now: %s", error.message)
            return True


def _tell_keyless(settings: Settings) -> None:
    for name in settings.keyless:
        log.warning("%s is not called: %s", name, settings.unusable[name])


def _has_sockets(registry: Registry) -> bool:
    """Whether any place is reached by the network."""
    places = (deployment for model in registry.models.values() for deployment in model.deployments)
    return any(deployment.base_url != SIMULATOR_SCHEME for deployment in places)


def _take_over(recovery: Recovery) -> None:
    """Have what dead processes left; a store that is busy is waited for by each try. Raises StoreUnavailable."""
    for _ in range(STORE_TRIES - 1):
        try:
            recovery.look()
        except StoreUnavailable as error:
            log.warning("what another process left is not recovered yet: %s", error.message)
        else:
            return
    recovery.look()


def _recover(journal: Journal, store: Store, escrow: DatabaseEscrow, clock: Clock, *, is_shared: bool) -> None:
    """Begin to fill the store, settle the holds that nobody will settle any more, and free what nobody will spend.

    In a store that other machines share, a process that nobody here knows is not therefore dead: there it is those
    whose slot we have taken, for whoever died between the look at it and that.
    """
    left = sum(1 for _ in journal.recover())
    journal.start(store.absorb)
    if left:
        log.warning("recovered %d ledger events of a process that ended without closing", left)
    journal.flush_blocking()
    if is_shared:
        holds = [hold for hold in store.unattended() if hold.boot in journal.boots_before]
    else:
        holds = store.pending(journal.boots_alive)
    for event in close_what_crashed(holds, clock):
        journal.append(event, closing=True)
    journal.flush_blocking()
    if is_shared:
        escrow.forget(journal.boots_before)
        return
    escrow.forget_all_but(journal.boots_alive)
    escrow.forget_old_jobs()
