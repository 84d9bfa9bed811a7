"""S05, F2b: a ledger that loses its power again and again, and what must hold after every cut.

One life is: open, recover, work, and a cut at the k-th sync or before any operation. The next life finds what the disk
still has, recovers, and is compared with what was promised: an event is promised once it is durable in the journal, or
in the store. Promised events are there exactly once and as they were; nothing else is there but events that were
written and not promised; no hold is open; the database is whole.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw
from msgspec import Struct

from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ids import uuid7
from routewright.ledger.accounts import close_what_crashed
from routewright.ledger.ledger import LedgerEvent, RequestRecorded, Reserved, Settled, decode_event, encode_event
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.ledger.tape import Tape
from routewright.proofs.power import ALL, SYNCS, Disk, Power
from routewright.testing import FakeClock
from routewright.usage import Usage

LIVES_OF_A_LEDGER = 25
"""Then a new one begins, so that cuts meet the making of a ledger as well."""
LONGEST_LIFE = 60
SEGMENT_BYTES = 6 * 1024

Key = tuple[str, str]


class Tally(Struct):
    """What was tried, and what went wrong."""

    cuts: int = 0
    at_sync: int = 0
    while_opening: int = 0
    failed_syncs: int = 0
    promised: int = 0
    survived_unpromised: int = 0
    crashed: int = 0


class Lost(AssertionError):
    """Something that was promised does not hold."""


def key_of(event: LedgerEvent) -> Key:
    """What makes an event one event."""
    if isinstance(event, Reserved | Settled):
        return type(event).__struct_config__.tag, event.attempt_id  # type: ignore[return-value]
    assert isinstance(event, RequestRecorded)
    return "request", event.request_id


class Ledger:
    """One ledger on one disk, over many lives."""

    def __init__(self, disk: Disk, chance: Random, tally: Tally) -> None:
        self.disk = disk
        self.chance = chance
        self.tally = tally
        self.clock = FakeClock()
        self.promised: dict[Key, LedgerEvent] = {}
        self.written: dict[Key, LedgerEvent] = {}
        self.on_their_way: list[tuple[Tape, int, Key]] = []
        self.holds: list[Reserved] = []
        self.tapes: list[Tape] = []
        self.store: Store | None = None
        self.database: SqliteDatabase | None = None

    # -- a life

    def live(self, power: Power) -> None:
        """Open, recover, check, work; then the power is cut."""
        disk = self.disk
        disk.power = power
        try:
            try:
                self.open()
                disk.power, later = Power(), disk.power
                self.check()
                disk.power = later
                self.work()
            except (LedgerUnavailable, StoreUnavailable):
                if not disk.is_off:
                    raise
                self.tally.while_opening += self.store is None
        finally:
            self.die()
        self.tally.cuts += 1
        self.tally.at_sync += power.kinds is SYNCS
        disk.cut(self.chance.choice((512, 4096)), self.chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)))

    def open(self) -> None:
        """As `Runtime.open` does it."""
        self.database = SqliteDatabase(self.disk.root / "ledger.db", vfs=self.disk.vfs)
        store = Store(self.database)
        tape = self.open_tape()
        for _ in tape.recover():
            pass
        tape.begin()
        tape.drain(store.absorb)
        for event in close_what_crashed(store.pending(tape.boots_alive), self.clock):
            self.append(tape, decode_event(event))
            self.tally.crashed += 1
        tape.drain(store.absorb)
        self.store = store
        self.promise()
        if self.chance.random() < 0.3:
            self.open_tape().begin()

    def open_tape(self) -> Tape:
        tape = Tape(
            self.disk.root / "journal",
            segment_bytes=SEGMENT_BYTES,
            remembered_bytes=self.chance.choice((0, 2_000, 10**6)),
            files=self.disk,
        )
        self.tapes.append(tape)
        return tape

    def die(self) -> None:
        """What the kernel does with the files of a dead process; no byte is written any more."""
        self.disk.is_off = True
        if self.database is not None:
            for connection in filter(None, (self.database._reader, self.database._writer)):
                with suppress(apsw.IOError):  # the last one would copy the log into the database
                    connection.close(True)
        self.store = self.database = None
        self.tapes.clear()
        self.on_their_way.clear()
        self.holds.clear()

    # -- work

    def work(self) -> None:
        """Requests, syncs and drains in any order, until the power goes or it is enough."""
        steps: list[Callable[[Tape], None]] = [self.hold, self.settle, self.answer, self.sync, self.drain, self.fail]
        for _ in range(self.chance.randrange(1, LONGEST_LIFE)):
            step = self.chance.choices(steps, (6, 4, 4, 5, 2, 0.2))[0]
            step(self.chance.choice(self.tapes))
            if self.disk.is_off:
                return

    def hold(self, tape: Tape) -> None:
        hold = Reserved(
            attempt_id=self.mint(),
            request_id=self.mint(),
            at_ns=self.clock.time_ns(),
            boot=tape.boot,
            model="m" * self.chance.randrange(1, 200),
            deployment="here/m",
            cause="first",
            amount_nanousd=self.chance.randrange(10**9),
            price_version="p",
        )
        if self.append(tape, hold):
            self.holds.append(hold)

    def settle(self, tape: Tape) -> None:
        if self.holds:
            hold = self.holds.pop(self.chance.randrange(len(self.holds)))
            self.append(self.of(hold.boot), self.settled(hold))

    def answer(self, tape: Tape) -> None:
        """Settlement and request in one write."""
        if self.holds:
            hold = self.holds.pop(self.chance.randrange(len(self.holds)))
            self.append(self.of(hold.boot), self.settled(hold), self.recorded(hold))

    def sync(self, tape: Tape) -> None:
        tape.sync()
        tape.make_spare()
        self.promise()

    def drain(self, tape: Tape) -> None:
        assert self.store is not None
        try:
            tape.drain(self.store.absorb)
            if tape.failure is not None:
                tape.heal()
        finally:
            self.promise()

    def fail(self, tape: Tape) -> None:
        self.disk.fails_next_sync = True
        self.tally.failed_syncs += 1
        tape.sync()
        self.disk.fails_next_sync = False

    def append(self, tape: Tape, *events: LedgerEvent) -> bool:
        self.written |= {key_of(event): event for event in events}
        closing = not isinstance(events[0], Reserved)
        try:
            position = tape.append(*map(encode_event, events), closing=closing)
        except LedgerUnavailable:
            return False
        # A closing event that no disk took is in memory only: the store's word is the first promise.
        self.on_their_way += [(tape, position, key_of(event)) for event in events if tape.failure is None]
        return True

    def promise(self) -> None:
        """What is durable by now must never go."""
        waiting = []
        for tape, position, key in self.on_their_way:
            if max(tape.synced.reached, tape.drained.reached) >= position:
                self.promised[key] = self.written[key]
            else:
                waiting.append((tape, position, key))
        self.on_their_way = waiting

    def of(self, boot: str) -> Tape:
        return next(tape for tape in self.tapes if tape.boot == boot)

    def mint(self) -> str:
        self.clock.advance(0.001)
        return uuid7(self.clock.time_ns(), self.chance)

    def settled(self, hold: Reserved) -> Settled:
        return Settled(
            attempt_id=hold.attempt_id,
            request_id=hold.request_id,
            at_ns=self.clock.time_ns(),
            model=hold.model,
            deployment=hold.deployment,
            served_model=hold.model,
            cause=hold.cause,
            outcome="complete",
            usage=Usage(input=self.chance.randrange(1000)),
            cost_nanousd=self.chance.randrange(10**9),
            price_version="p",
            is_estimated=False,
            first_event_ms=1,
            total_ms=2,
        )

    def recorded(self, hold: Reserved) -> RequestRecorded:
        return RequestRecorded(
            request_id=hold.request_id,
            at_ns=self.clock.time_ns(),
            dialect="openai_chat",
            requested_model="auto",
            model=hold.model,
            tier=None,
            confidence=None,
            reason="r" * self.chance.randrange(1, 600),
            outcome="complete",
            cost_nanousd=1,
            is_estimated=False,
            baseline_model=None,
            baseline_cost_nanousd=None,
            attempts=1,
            stream=False,
            total_ms=2,
            overhead_us=3,
            route=None,
        )

    # -- what must hold

    def check(self) -> None:
        """Compare the store with what was promised. Raises Lost."""
        found = dict(self.stored())
        for key, event in self.promised.items():
            if key not in found:
                raise Lost(f"lost: {key}")
            if found[key] != brief(event):
                raise Lost(f"changed: {key} from {brief(event)} to {found[key]}")
        for key in found.keys() - self.promised.keys():
            if key not in self.written or found[key] != brief(self.written[key]):
                raise Lost(f"invented: {key} {found[key]}")
            self.tally.survived_unpromised += 1
            self.promised[key] = self.written[key]
        self.written = {key: event for key, event in self.written.items() if key in self.promised}
        if self.value("SELECT count(*) FROM open_holds"):
            raise Lost("holds are open that nobody will close")
        if (verdict := self.value("PRAGMA integrity_check")) != "ok":
            raise Lost(f"the database is damaged: {verdict}")

    def stored(self) -> Iterator[tuple[Key, tuple[object, ...]]]:
        rows = self.rows("SELECT kind, attempt_id, request_id, boot, amount_nanousd, cost_nanousd, outcome FROM events")
        keys = [(str(row[0]), str(row[1])) for row in rows]
        if len(set(keys)) < len(keys):
            raise Lost("an event is there twice")
        yield from ((key, row[2:]) for key, row in zip(keys, rows, strict=True))
        for row in self.rows("SELECT request_id, model, reason FROM requests"):
            yield ("request", str(row[0])), row[1:]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        assert self.database is not None
        return list(self.database._reader.execute(sql))

    def value(self, sql: str) -> object:
        return self.rows(sql)[0][0]


def brief(event: LedgerEvent) -> tuple[object, ...]:
    """What of an event is compared."""
    if isinstance(event, RequestRecorded):
        return event.model, event.reason
    assert isinstance(event, Reserved | Settled)
    fields = ("request_id", "boot", "amount_nanousd", "cost_nanousd", "outcome")
    return tuple(getattr(event, name, None) for name in fields)


def cut_power(
    cuts: int, seed: int, *, told: Callable[[int], None] = lambda cuts: None, disk: type[Disk] = Disk
) -> Tally:
    """So many cuts, alternating between every k-th sync and any moment. Raises Lost, with the seed of the ledger."""
    tally = Tally()
    number = 0
    with TemporaryDirectory(dir=memory()) as folder:
        while tally.cuts < cuts:
            number += 1
            chance = Random(f"{seed}/{number}")
            root = Path(folder) / str(number)
            root.mkdir()
            its_disk = disk(root, chance)
            ledger = Ledger(its_disk, chance, tally)
            try:
                for life in range(min(LIVES_OF_A_LEDGER, cuts - tally.cuts)):
                    # k goes through 1, 2, 3, …: the opening of a ledger takes about twenty syncs, a life about fifty.
                    k = tally.cuts // 2 % 60 + 1
                    kinds, left = (SYNCS, k) if life % 2 else (ALL, chance.randrange(1, 400))
                    ledger.live(Power(left, kinds))
                    told(tally.cuts)
                ledger.open()
                ledger.check()
                tally.promised += len(ledger.promised)
            except Lost as lost:
                lost.add_note(f"seed {seed}, ledger {number}, cut {tally.cuts}")
                raise
            finally:
                ledger.die()
                its_disk.close_down()
    return tally


def memory() -> str | None:
    """Where files need no real disk, if there is such a place."""
    place = Path("/dev/shm")  # noqa: S108 private directories are made in it
    return str(place) if place.is_dir() else None
