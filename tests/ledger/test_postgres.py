"""What is PostgreSQL's own: its faults, on a real server. What a store promises in either database is in test_store."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from databases import PostgresServer, database_of
from entries import AT_ONCE, absorb, recorded, reserved, settled
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger import postgres
from routewright.ledger.database import Database, Transaction
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import LedgerEvent, encode_event
from routewright.ledger.postgres import PostgresDatabase, in_psycopgs_words
from routewright.ledger.store import Store


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.new_schema()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(Store(PostgresDatabase(url))) as opened:
        yield opened


def counts(store: Store) -> tuple[int, int, int, int]:
    """Rows of events and of requests, and what the roll-ups say of them."""
    total = store.totals()
    (row,) = database_of(store).read(
        "SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM requests) AS requests"
    )
    return row["events"], row["requests"], total.attempts, total.requests


def batch(first: int, last: int) -> list[LedgerEvent]:
    """Requests with their attempts."""
    return [
        event
        for number in range(first, last)
        for event in (reserved(f"a{number}"), settled(f"a{number}"), recorded(f"r{number}"))
    ]


# ---- the server goes, and comes back


def test_s06_what_a_failed_server_did_not_get_it_gets_once_when_it_is_back(
    postgres_server: PostgresServer, url: str, tmp_path: Path
) -> None:
    store = Store(PostgresDatabase(url, pause=lambda _: None))
    journal = Journal(tmp_path / "journal", pace=AT_ONCE)
    journal.start(store.absorb)
    for event in batch(0, 300):
        journal.append(encode_event(event))
    postgres_server.stop_at_once()  # with batches under way
    try:
        for event in batch(300, 400):
            journal.append(encode_event(event))
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.totals()
        with pytest.raises(LedgerUnavailable, match="will be taken up when the store is back"):
            journal.flush_blocking(timeout_s=0.05)
    finally:
        postgres_server.start()
    journal.flush_blocking()
    assert counts(store) == (800, 400, 400, 400)
    assert store.pending(set) == []
    journal.close()
    store.close()


def cut(url: str) -> None:
    """End the connections to a ledger on the server's side."""
    with psycopg.connect(url.partition("&")[0], autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", (name_of(url),)
        )


def name_of(url: str) -> str:
    """By which the server knows the connections that a test may cut."""
    return url.rpartition("%3D")[2]


def test_a_connection_that_was_lost_between_is_made_anew_unnoticed(url: str) -> None:
    with closing(Store(PostgresDatabase(f"{url}&application_name={name_of(url)}"))) as store:
        absorb(store, *batch(0, 1))
        assert store.totals().attempts == 1
        cut(url)
        assert store.totals().attempts == 1
        cut(url)
        absorb(store, *batch(1, 2))
        assert counts(store) == (4, 2, 2, 2)


def test_a_connection_that_is_lost_in_a_transaction_takes_it_back(url: str) -> None:
    with closing(Store(PostgresDatabase(f"{url}&application_name={name_of(url)}"))) as store:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            insert_and_lose(store, url)
        absorb(store, *batch(0, 1))
        assert counts(store) == (2, 1, 1, 1)


def insert_and_lose(store: Store, url: str) -> None:
    with database_of(store).transaction() as transaction:
        transaction.insert("open_holds", ("attempt_id",), [("lost",)])
        cut(url)
        transaction.insert("open_holds", ("attempt_id",), [("lost too",)])


def test_a_mistake_after_the_connection_was_lost_is_not_hidden(url: str) -> None:
    with closing(Store(PostgresDatabase(f"{url}&application_name={name_of(url)}"))) as store:
        with pytest.raises(ZeroDivisionError):
            lose_and_fail(store, url)
        absorb(store, *batch(0, 1))
        assert counts(store) == (2, 1, 1, 1)


def lose_and_fail(store: Store, url: str) -> None:
    with database_of(store).transaction():
        cut(url)
        raise ZeroDivisionError


def test_a_query_that_is_cancelled_is_told_and_the_connection_goes_on(store: Store) -> None:
    pid = database_of(store).read("SELECT pg_backend_pid() AS pid")
    with pytest.raises(StoreUnavailable, match="canceling statement"):
        database_of(store).read("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")
    assert database_of(store).read("SELECT pg_backend_pid() AS pid") == pid


def test_it_is_called_by_its_address_without_the_password(url: str) -> None:
    with closing(PostgresDatabase(url.replace("postgres@", "postgres:very-secret@"))) as database:
        assert database.name == "postgresql://postgres:***@/postgres"


class Wire:
    """Stands between a client and the server, and breaks at a commit: before it arrives, or before the answer."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.breaks: str | None = None
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._pass_on, args=(client,)))
                self._threads[-1].start()

    def _pass_on(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            server.connect(f"{self._server.folder}/.s.PGSQL.5432")
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    is_cut = source is client and self.breaks is not None and b"COMMIT" in data
                    if not data or (is_cut and self.breaks == "before it arrives"):
                        return
                    (server if source is client else client).sendall(data)
                    if is_cut:
                        server.recv(65536)
                        return

    def close(self) -> None:
        """No more; its clients have to be closed before."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("when", ["before it arrives", "before the answer"])
def test_s07_a_batch_whose_commit_was_cut_off_counts_once(
    postgres_server: PostgresServer, url: str, tmp_path: Path, store: Store, when: str
) -> None:
    wire = Wire(tmp_path, postgres_server)
    far = Store(PostgresDatabase(url.replace(postgres_server.folder, str(tmp_path))))
    absorb(far, *batch(0, 1))
    wire.breaks = when
    with pytest.raises(StoreUnavailable, match="does not answer"):
        absorb(far, *batch(1, 3))
    assert counts(store)[0] == (6 if when == "before the answer" else 2)
    wire.breaks = None
    absorb(far, *batch(1, 3))
    assert counts(store) == (6, 3, 3, 3)
    far.close()
    wire.close()


# ---- several at once


def test_s08_processes_that_bring_the_same_events_in_other_orders_do_not_disturb_each_other(
    url: str, store: Store
) -> None:
    events = batch(0, 100)

    def bring(process: int) -> None:
        with closing(Store(PostgresDatabase(url))) as its:
            for start in range(0, len(events), 60):
                part = events[start : start + 60]
                absorb(its, *(part if process % 2 else reversed(part)))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(bring, range(3)))
    assert counts(store) == (200, 100, 100, 100)


def test_what_is_numbered_lower_is_never_seen_later(url: str, store: Store) -> None:
    with closing(Store(PostgresDatabase(url))) as other, ThreadPoolExecutor(1) as thread:
        with database_of(store).transaction() as transaction:
            transaction.take_turn()
            waiting = thread.submit(absorb, other, settled("second"))
            transaction.insert_new(
                "events",
                ("attempt_id", "kind", "request_id", "at_ns", "model", "deployment", "cause"),
                [("first", "released", "r1", 1, "small", "here/small", "first")],
            )
            assert not waiting.done()
        waiting.result()
        rows = database_of(store).read("SELECT attempt_id FROM events ORDER BY sequence")
    assert [row["attempt_id"] for row in rows] == ["first", "second"]


def locking(url: str, first: str, second: str, both: threading.Barrier) -> None:
    """A transaction that locks two rows in this order, when another has its first one too."""
    with closing(PostgresDatabase(f"{url}%20-cdeadlock_timeout%3D20ms")) as database, database.transaction() as its:
        its.execute("UPDATE open_holds SET attempt_id = attempt_id WHERE attempt_id = ?", first)
        both.wait(timeout=10)
        its.execute("UPDATE open_holds SET attempt_id = attempt_id WHERE attempt_id = ?", second)


def test_s08_a_deadlock_is_told_to_one_of_two_as_something_that_passes(url: str, store: Store) -> None:
    absorb(store, reserved("a1"), reserved("a2"))
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(locking, url, *pair, both) for pair in (("a1", "a2"), ("a2", "a1"))]
        (error,) = [run.exception() for run in runs if run.exception() is not None]
    assert isinstance(error, StoreUnavailable)
    assert "deadlock detected" in str(error)


def update_hold(transaction: Transaction) -> None:
    transaction.execute("UPDATE open_holds SET attempt_id = attempt_id WHERE attempt_id = 'a1'")


def test_s08_a_serialization_failure_is_something_that_passes(url: str, store: Store) -> None:
    absorb(store, reserved("a1"))
    with closing(PostgresDatabase(url)) as other:
        with pytest.raises(StoreUnavailable, match="could not serialize"):
            update_after(database_of(store), other)
        with database_of(store).transaction() as again:
            update_hold(again)


def update_after(database: Database, other: Database) -> None:
    """Change what another has changed since this transaction first looked."""
    with database.transaction() as slow:
        slow.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        slow.execute("SELECT * FROM open_holds")
        with other.transaction() as quick:
            update_hold(quick)
        update_hold(slow)


@pytest.fixture
def narrow(postgres_server: PostgresServer, url: str) -> str:
    """The address of a ledger of a user who may have two connections."""
    schema = name_of(url)
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE few_{schema} LOGIN CONNECTION LIMIT 2".encode())
        connection.execute(f"GRANT ALL ON SCHEMA {schema} TO few_{schema}".encode())
    return url.replace("postgres@", f"few_{schema}@")


def test_s08_who_finds_no_place_tries_again_a_few_times(narrow: str) -> None:
    pauses: list[float] = []
    with closing(Store(PostgresDatabase(narrow))), pytest.raises(StoreUnavailable, match="too many connections"):
        PostgresDatabase(narrow, pause=pauses.append)
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.3
    assert 0.2 <= pauses[1] <= 0.6


def test_s08_a_place_that_is_given_back_meanwhile_is_taken(narrow: str) -> None:
    first = Store(PostgresDatabase(narrow))
    with closing(Store(PostgresDatabase(narrow, pause=lambda _: first.close()))) as second:
        absorb(second, *batch(0, 1))
        assert second.totals().attempts == 1


# ---- what may not pass


def swallow(store: Store) -> None:
    with database_of(store).transaction() as transaction:
        transaction.insert("open_holds", ("attempt_id",), [("a1",)])
        with suppress(psycopg.errors.UndefinedTable):
            transaction.execute("SELECT * FROM no_such_table")


def test_a_transaction_in_which_a_statement_failed_is_not_taken_for_done(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="took back"):
        swallow(store)
    assert database_of(store).read("SELECT * FROM open_holds") == []


def test_a_mistake_in_a_query_stays_what_it_is(store: Store) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn):
        database_of(store).read("SELECT no_such_column FROM events")
    assert store.totals().attempts == 0


def test_a_commit_is_durable_even_where_the_server_would_not_wait(url: str) -> None:
    with closing(PostgresDatabase(f"{url}%20-csynchronous_commit%3Doff")) as database:
        assert database.read("SHOW synchronous_commit") == [{"synchronous_commit": "on"}]


def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: PostgresServer) -> None:
    with postgres_server.connect() as connection:
        connection.execute("CREATE DATABASE narrow ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with pytest.raises(LedgerUnavailable, match="is in a database for SQL_ASCII texts only"):
        PostgresDatabase(postgres_server.url.replace("/postgres?", "/narrow?"))


def test_a_server_that_is_too_old_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST_SERVER", 990000)
    with pytest.raises(LedgerUnavailable, match=r"is in PostgreSQL \d\d; 99 is the oldest"):
        PostgresDatabase(url)


@pytest.mark.parametrize(
    ("ours", "psycopgs"),
    [
        ("SELECT ?, '?', '%', a % b, 'it''s ?'", b"SELECT %s, '?', '%%', a %% b, 'it''s ?'"),
        ("SELECT 1", b"SELECT 1"),
    ],
)
def test_only_what_stands_for_a_value_is_replaced(ours: str, psycopgs: bytes) -> None:
    assert in_psycopgs_words(ours) == psycopgs


def test_ledgers_in_two_schemas_of_a_database_are_two(new_url: Callable[[], str]) -> None:
    with closing(Store(PostgresDatabase(new_url()))) as one, closing(Store(PostgresDatabase(new_url()))) as other:
        absorb(one, settled("a1"))
        assert (one.totals().attempts, other.totals().attempts) == (1, 0)


@pytest.fixture
def new_url(postgres_server: PostgresServer) -> Callable[[], str]:
    return postgres_server.new_schema
