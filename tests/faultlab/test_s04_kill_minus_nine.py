"""S04: `kill -9` of whole gateways under load loses no row. `benchmarks/prove.py --only f2a` kills more often."""

import os
from pathlib import Path

from routewright.proofs.kills import kill_gateways

KILLS = int(os.environ.get("ROUTEWRIGHT_KILLS", "4"))
SEED = 20261122


def test_s04_no_row_is_lost_doubled_or_invented_over_kills(tmp_path: Path) -> None:
    tally = kill_gateways(tmp_path, SEED, kills=KILLS, answers=100 * KILLS)
    assert tally.kills >= KILLS
    assert tally.rows > 200 * KILLS, "there was load"
    assert tally.cut_off >= KILLS, "every kill was felt"
    assert tally.crashed, "a kill came between hold and settlement"
    assert (tally.lost, tally.doubled, tally.invented, tally.wrong_cost, tally.open_holds) == (0, 0, 0, 0, 0)
