"""M05: a batch that is killed again and again answers each item once. `benchmarks/batch.py` does it with 20,000."""

import os
from pathlib import Path

from batch_kills import kill_until_done

ITEMS = int(os.environ.get("ROUTEWRIGHT_BATCH_ITEMS", "800"))
SEED = 20261127


def test_m05_each_item_is_answered_and_paid_for_once_over_kills(tmp_path: Path) -> None:
    outcome = kill_until_done(tmp_path, SEED, items=ITEMS, peace_s=(0.05, 0.25), kills_at_least=2)
    assert outcome.progress == sorted(outcome.progress), "nothing was taken back"
    assert outcome.ledger.crashed, "a kill came while questions were under way"
    assert (outcome.lines, outcome.missing, outcome.repeated_lines, outcome.bad_lines) == (ITEMS, 0, 0, 0)
    assert outcome.answered_twice == 0
    assert outcome.ledger.wrong == 0, outcome.ledger
