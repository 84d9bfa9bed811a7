"""M01 on real gateways: `benchmarks/prove.py --only f3` tries more budgets, with kills."""

from pathlib import Path

from postgres_books import PostgresLedgers

from databases import PostgresServer
from routewright.proofs.overshoot import Tally, try_budgets

SEED = 20261126


def must_hold(tally: Tally) -> None:
    """Nothing overshoots, nothing is refused that fits, nothing stays open; and there was something to refuse."""
    assert (tally.overshoot_nanousd, tally.bad_states) == (0, 0)
    assert (tally.false_denials, tally.pending, tally.other) == (0, 0, 0)
    assert tally.answered
    assert tally.refused > tally.answered
    assert tally.states > tally.trials
    assert tally.least_used > 0.5, "budgets are there to be spent"


def test_m01_two_gateways_over_one_file_spend_what_there_is_and_no_more(tmp_path: Path) -> None:
    must_hold(try_budgets(tmp_path, SEED, trials=2, count=2, requests=200))


def test_m01_three_replicas_over_postgres_spend_what_there_is_and_no_more(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    must_hold(try_budgets(tmp_path, SEED, trials=3, count=3, server=PostgresLedgers(postgres_server), requests=200))
