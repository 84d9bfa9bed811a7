"""The operator's verbs as typed; what they do is tested where it is done."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet
import pytest

from databases import PostgresServer, open_database
from entries import reserved
from ledger_rows import absorb, generated
from routewright.ledger.budgets import ALL_TIME, Budget, Period, Scope
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.journal import Journal
from routewright.ledger.ledger import Reserved, encode_event
from routewright.ledger.seals import seals_after
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """With some 1,000 rows of November 2026."""
    terminal = Terminal(tmp_path)
    database = SqliteDatabase(terminal.ledger)
    absorb(Store(database), generated(1_000))
    database.close()
    return terminal


def lone_hold(terminal: Terminal, attempt_id: str = "left") -> None:
    """A process that writes a hold and is killed."""
    script = (
        "import os, sys; from pathlib import Path; from routewright.ledger.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.append(sys.argv[2].replace('BOOT', journal.boot).encode())\n"
        "os.kill(os.getpid(), 9)"
    )
    hold = Reserved(
        attempt_id=attempt_id, request_id="r", at_ns=1_793_534_400_000_000_000, boot="BOOT", model="m",
        deployment="p/m", cause="first", amount_nanousd=100, price_version="v",
    )  # fmt: skip
    folder = terminal.ledger.parent / "journal"
    subprocess.run([sys.executable, "-c", script, str(folder), encode_event(hold).decode()], check=False)
    assert list(folder.glob("slot-*/*.log"))


def test_export_says_how_much_it_wrote(terminal: Terminal, tmp_path: Path) -> None:
    told = terminal.run("ledger", "export", "-o", str(tmp_path / "a.parquet"))
    rows = pyarrow.parquet.read_table(tmp_path / "a.parquet").num_rows
    assert told.stderr == f"{rows:,} rows of attempts written to {tmp_path / 'a.parquet'}\n"
    arguments = ("-o", "r.out", "--format", "jsonl", "--what", "requests", "--until", "2026-11-02", "--json")
    printed = json.loads(terminal.run("ledger", "export", *arguments).stdout)
    assert printed["rows"] == len((tmp_path / "r.out").read_text().splitlines()) > 0


def test_export_must_know_the_format(terminal: Terminal) -> None:
    refused = terminal.run("ledger", "export", "-o", "a.xlsx")
    assert refused.exit_code == 2
    assert "add --format parquet|csv|jsonl" in refused.stderr
    assert terminal.run("ledger", "export", "-o", "a.csv", "--since", "tomorrow").exit_code == 2


def test_an_empty_ledger_exports_a_header(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    told = terminal.run("ledger", "export", "-o", "a.csv")
    assert "the ledger is empty" in told.stderr
    assert (tmp_path / "a.csv").read_text().startswith("attempt_id,request_id,state,")
    assert not terminal.ledger.exists()


def test_verify_ends_with_the_hash_to_keep(terminal: Terminal) -> None:
    sealed = terminal.run("ledger", "seal")
    assert sealed.stderr.endswith("seals made\n")
    told = terminal.run("ledger", "verify")
    assert told.exit_code == 0, told.stdout
    head = json.loads(terminal.run("ledger", "verify", "--json").stdout)["head"]
    assert told.stdout.splitlines()[-1].endswith(head["chain_hash"])
    assert sealed.stdout.splitlines()[-1].endswith(head["chain_hash"])


def test_verify_fails_when_anything_is_wrong(terminal: Terminal) -> None:
    terminal.run("ledger", "seal")
    database = SqliteDatabase(terminal.ledger)
    with database.transaction() as transaction:
        transaction.execute("UPDATE requests SET cost_nanousd = cost_nanousd + 1 WHERE cost_nanousd > 0")
    database.close()
    told = terminal.run("ledger", "verify")
    assert told.exit_code == 1
    assert "✗ day seals" in told.stdout
    assert "    2026-11-01: a row is not what was sealed" in told.stdout.splitlines()
    assert "✗ request costs" in told.stdout


@pytest.mark.parametrize("verb", [("verify",), ("seal",), ("prune", "--older-than", "1d"), ("recover",)])
def test_verbs_of_an_empty_ledger_make_none(tmp_path: Path, verb: tuple[str, ...]) -> None:
    terminal = Terminal(tmp_path)
    told = terminal.run("ledger", *verb)
    assert told.exit_code == 0
    assert "the ledger is empty" in told.stderr
    assert not terminal.ledger.exists()


def test_prune_says_first_what_would_go(terminal: Terminal) -> None:
    terminal.run("ledger", "seal")
    dry = terminal.run("ledger", "prune", "--older-than", "2026-11-02", "--dry-run")
    assert "of 2026-11-01 to 2026-11-01 would be deleted" in dry.stdout
    due = json.loads(terminal.run("ledger", "prune", "--older-than", "2026-11-02", "--dry-run", "--json").stdout)
    pruned = json.loads(terminal.run("ledger", "prune", "--older-than", "2026-11-02", "--json").stdout)
    assert pruned["days"] == ["2026-11-01"]
    assert pruned["rows"] >= due["rows"] > 0
    assert terminal.run("ledger", "verify").exit_code == 0


def test_recover_settles_what_the_dead_left(terminal: Terminal) -> None:
    lone_hold(terminal)
    told = terminal.run("ledger", "recover")
    assert told.stderr.endswith("1 event brought into the store, 1 hold settled\n")
    assert json.loads(terminal.run("ledger", "recover", "--json").stdout) == {"records": 0, "holds": 0}


def test_migrate_refuses_while_somebody_writes(terminal: Terminal) -> None:
    journal = Journal(terminal.ledger.parent / "journal", segment_bytes=1 << 16)
    refused = terminal.run("ledger", "migrate", "--to", "copy.db")
    journal.close()
    assert refused.exit_code == 1
    assert "is in use" in refused.stderr
    assert not (terminal.home / "copy.db").exists()


def test_migrate_to_a_file_and_into_use(terminal: Terminal) -> None:
    lone_hold(terminal)
    terminal.run("ledger", "seal")
    told = terminal.run("ledger", "migrate", "--to", "moved/ledger.db")
    assert told.exit_code == 0, told.stderr
    assert "1 event of dead processes brought into the ledger first" in told.stderr
    terminal.settings(told.stdout[told.stdout.index("[ledger]") :])
    assert terminal.run("ledger", "verify").exit_code == 0
    assert json.loads(terminal.run("report", "--json").stdout)["totals"]["cost_nanousd"] > 0


def test_migrate_to_postgresql_and_back(
    terminal: Terminal, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run("ledger", "seal")
    there = {"LEDGER": postgres_server.new_schema()}
    told = terminal.run("ledger", "migrate", "--to", "env:LEDGER", environ=there)
    assert told.exit_code == 0, told.stderr
    before = terminal.run("report", "--json").stdout
    terminal.settings(told.stdout[told.stdout.index("[ledger]") :])
    assert terminal.run("report", "--json", environ=there).stdout == before
    assert terminal.run("ledger", "verify", environ=there).exit_code == 0
    back = terminal.run("ledger", "migrate", "--to", "back/ledger.db", "--json", environ=there)
    assert back.exit_code == 0, back.stderr
    chains = []
    for path in (terminal.ledger, terminal.home / "back/ledger.db"):
        database = SqliteDatabase(path)
        chains.append(seals_after(database, 0))
        database.close()
    assert chains[0] == chains[1] != []


def test_migrate_takes_nothing_along_that_only_this_machine_knows_to_be_over(
    terminal: Terminal, postgres_server: PostgresServer
) -> None:
    with closing(Store(SqliteDatabase(terminal.ledger))) as store:  # of a backup: no journal here knows this process
        absorb(store, [reserved("left", boot="gone")])
        budget = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=1_000, period=Period.FOREVER)
        DatabaseEscrow(store.database).claim(budget, ALL_TIME, boot="gone", granted_nanousd=0, needed_nanousd=1)
    address = postgres_server.new_schema()
    assert terminal.run("ledger", "migrate", "--to", "env:LEDGER", environ={"LEDGER": address}).exit_code == 0
    with closing(open_database(address)) as copy:
        assert Store(copy).open_holds() == []
        assert copy.read("SELECT boot FROM grants") == []


def test_migrate_tells_an_address_that_is_none(terminal: Terminal) -> None:
    refused = terminal.run("ledger", "migrate", "--to", "mysql://host/db")
    assert refused.exit_code == 78
    assert "postgresql://" in refused.stderr
