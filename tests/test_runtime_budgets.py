"""Budgets with their real database: granted at the start, kept over restarts, shared, and given back at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from builders import message
from databases import PostgresServer
from entries import reserved
from routewright.call import Call
from routewright.client import SyncRouter
from routewright.errors import BudgetExceeded, LedgerUnavailable
from routewright.ids import uuid7
from routewright.ledger.budgets import ALL_TIME, Budget, Period, Scope
from routewright.ledger.escrow import DatabaseEscrow
from routewright.ledger.keeper import PATIENCE_S
from routewright.ledger.ledger import Charge, encode_event
from routewright.ledger.recovery import Recovery
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.tape import Tape
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings.budgets import budgets_of
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.stores import open_store

SETTINGS = """
[spending]
when_full = ["refuse"]
[budgets.all]
scope = "total"
limit_usd = "{limit}"
period = "forever"
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 1000
max_output_tokens = 100
price = {{ input = "1", output = "2" }}
"""
RANDOM = Random(7)


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    write(tmp_path, "1")
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
async def runtime(source: SettingsSource) -> AsyncIterator[Runtime]:
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    yield runtime
    await runtime.close()


def write(folder: Path, limit: str) -> None:
    (folder / "routewright.toml").write_text(SETTINGS.format(limit=limit))


@pytest.fixture
def shared(tmp_path: Path, source: SettingsSource, postgres_server: PostgresServer) -> SettingsSource:
    """A ledger that other machines may write to as well."""
    with (tmp_path / "routewright.toml").open("a") as file:
        file.write(f'[ledger]\ndatabase_url = "{postgres_server.new_schema()}"\n')
    return source


def question() -> Call:
    request_id = uuid7(RANDOM.randint(1, 10**18), RANDOM)
    return Call(id=request_id, dialect="library", model="one", messages=(message("Hello"),), body={})


async def ask(runtime: Runtime) -> Answer:
    return await (await runtime.engine.ask(question())).read()


def spent(runtime: Runtime) -> int:
    (standing,) = [each for each in runtime.engine.budgets() if each.budget.name == "all"]
    return standing.spent_nanousd


def granted(runtime: Runtime) -> list[str]:
    """Who has grants of the budget."""
    return [row["boot"] for row in runtime.store.database.read("SELECT boot FROM grants WHERE budget = 'all'")]


async def test_what_was_spent_is_known_after_a_restart_and_nothing_is_left_granted(
    source: SettingsSource, tmp_path: Path
) -> None:
    first = Runtime.open(source, simulator=Simulator(time_scale=0))
    answer = await ask(first)
    assert spent(first) == answer.receipt.cost_nanousd
    boots = granted(first)
    await first.close()
    second = Runtime.open(source, simulator=Simulator(time_scale=0))
    assert spent(second) == answer.receipt.cost_nanousd
    rows = second.store.database.read("SELECT posted_nanousd, leased_nanousd FROM budget_windows WHERE budget = 'all'")
    assert len(boots) == 1
    assert boots != granted(second)
    assert rows == [{"posted_nanousd": spent(second), "leased_nanousd": 10**9 - spent(second)}]
    await second.close()


async def test_who_lost_its_journal_does_not_keep_its_grant(source: SettingsSource) -> None:
    first = Runtime.open(source, simulator=Simulator(time_scale=0))
    everything = Budget(name="all", scope=Scope.TOTAL, limit_nanousd=10**9, period=Period.FOREVER)
    DatabaseEscrow(first.store.database).claim(
        everything, ALL_TIME, boot="of a folder that was deleted", granted_nanousd=0, needed_nanousd=1
    )
    await first.close()
    second = Runtime.open(source, simulator=Simulator(time_scale=0))
    assert granted(second) == [second._journal.boot]
    await second.close()


async def test_a_limit_holds_over_restarts(source: SettingsSource, tmp_path: Path) -> None:
    write(tmp_path, "0.0006")
    answered, refused = 0, 0
    for _ in range(4):
        runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
        for _ in range(4):
            try:
                await ask(runtime)
                answered += 1
            except BudgetExceeded:
                refused += 1
        assert spent(runtime) <= 600_000
        await runtime.close()
    assert answered >= 2
    assert refused >= 4


async def test_two_processes_share_a_budget_and_neither_keeps_what_it_does_not_use(
    source: SettingsSource, runtime: Runtime
) -> None:
    other = Runtime.open(source, simulator=Simulator(time_scale=0))
    async with asyncio.timeout(PATIENCE_S):
        await ask(other)  # the first had been granted everything ahead
    await ask(runtime)
    await other.close()
    await runtime.flush()
    assert spent(runtime) <= 10**9


async def test_new_limits_hold_at_once_and_what_is_counted_stays(
    runtime: Runtime, source: SettingsSource, tmp_path: Path
) -> None:
    answer = await ask(runtime)
    write(tmp_path, "0.0000001")
    runtime.reload()
    with pytest.raises(BudgetExceeded, match="has no room"):
        await ask(runtime)
    write(tmp_path, "1")
    runtime.reload()
    again = await ask(runtime)
    assert spent(runtime) == answer.receipt.cost_nanousd + again.receipt.cost_nanousd


async def test_budgets_of_keys_stand_beside_those_of_the_settings(runtime: Runtime) -> None:
    own = Budget(name="key/k1", scope=Scope.TOTAL, limit_nanousd=0, period=Period.DAY)
    runtime.engine.adopt_budgets([own])
    with pytest.raises(BudgetExceeded, match="key/k1"):
        await ask(runtime)
    runtime.reload()
    with pytest.raises(BudgetExceeded, match="key/k1"):
        await ask(runtime)
    runtime.engine.adopt_budgets([replace(own, name="batch/b1")], owner="b1")
    runtime.engine.adopt_budgets([])
    with pytest.raises(BudgetExceeded, match="batch/b1"):
        await ask(runtime)
    runtime.engine.adopt_budgets([], owner="b1")
    await ask(runtime)


def test_without_an_event_loop_the_first_claim_is_made_and_the_keeper_starts_later(source: SettingsSource) -> None:
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    assert runtime._keeper.balances.positions(0)[0].granted_nanousd == 10**9

    async def use() -> None:
        await ask(runtime)
        await runtime.close()

    asyncio.run(use())


def test_the_synchronous_router_keeps_budgets_too(tmp_path: Path) -> None:
    write(tmp_path, "0.0006")
    answers: list[Answer] = []

    def until_refused(router: SyncRouter) -> None:
        while len(answers) < 20:
            answers.append(router.ask("Hello", model="one"))

    with (
        SyncRouter(config=tmp_path / "routewright.toml", environ={"HOME": str(tmp_path)}) as router,
        pytest.raises(BudgetExceeded, match="has no room"),
    ):
        until_refused(router)
    assert 0 < sum(answer.cost_usd for answer in answers) <= Decimal("0.0006")


async def test_an_attempt_that_is_open_at_the_end_keeps_its_grant(source: SettingsSource, tmp_path: Path) -> None:
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    reply = await runtime.engine.ask(question())
    (boot,) = granted(runtime)
    await runtime.close()
    with closing(SqliteDatabase(tmp_path / ".local/share/routewright/ledger.db")) as database:
        assert database.read("SELECT boot FROM grants WHERE budget = 'all'") == [{"boot": boot}]
    with pytest.raises(LedgerUnavailable):
        reply.close()


async def test_a_hold_whose_settlement_came_too_late_keeps_its_grant(source: SettingsSource, tmp_path: Path) -> None:
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    reply = await runtime.engine.ask(question())
    (boot,) = granted(runtime)
    runtime._journal.close()
    with pytest.raises(LedgerUnavailable):
        reply.close()  # in the balances it is over, in the store it is not
    await runtime.close()
    with closing(SqliteDatabase(tmp_path / ".local/share/routewright/ledger.db")) as database:
        assert database.read("SELECT boot FROM grants WHERE budget = 'all'") == [{"boot": boot}]


async def test_a_budget_that_becomes_hard_counts_what_was_spent_once(source: SettingsSource, tmp_path: Path) -> None:
    settings = tmp_path / "routewright.toml"
    hard = settings.read_text()
    settings.write_text(hard.replace('scope = "total"', 'scope = "total"\nkind = "soft"'))
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    cost = (await ask(runtime)).receipt.cost_nanousd
    await runtime.flush()
    settings.write_text(hard)
    runtime.reload()
    cost += (await ask(runtime)).receipt.cost_nanousd
    await runtime.flush()
    assert runtime._keeper.balances.spare(Charge("all", 0)) == 10**9 - cost
    await runtime.close()


@pytest.mark.parametrize("has_held", [False, True])
async def test_r03_who_dies_just_before_its_slot_is_taken_leaves_nothing_behind(
    shared: SettingsSource, monkeypatch: pytest.MonkeyPatch, has_held: bool
) -> None:
    settings, _ = shared.load()
    (budget,) = budgets_of(settings)[:1]
    neighbour = Tape(settings.ledger.path / "journal")
    with closing(open_store(settings)) as store:
        granted = DatabaseEscrow(store.database).claim(
            budget, ALL_TIME, boot=neighbour.boot, granted_nanousd=0, needed_nanousd=1
        )
    assert granted.granted_nanousd == 10**9
    if has_held:
        charges = (Charge(budget.name, 0),)
        neighbour.append(encode_event(reserved("its", boot=neighbour.boot, charges=charges, amount_nanousd=10**9 // 2)))

    def die(recovery: Recovery) -> None:
        recovery.look()
        neighbour.release()

    monkeypatch.setattr("routewright.runtime._take_over", die)
    runtime = Runtime.open(shared, simulator=Simulator(time_scale=0))
    assert runtime.store.unattended() == []
    assert spent(runtime) == (10**9 // 2 if has_held else 0)
    assert (await ask(runtime)).content
    await runtime.close()
