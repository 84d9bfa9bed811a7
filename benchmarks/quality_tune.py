"""Whether `tune` keeps its promises, and what they cost: 1,000 ledgers drawn from outcomes of which all is known.

Of each table one half is learned from; the other is the world: a ledger is drawn from it with replacement, and what a
policy is worth there is its mean over all of it, which stands for any number of fresh requests.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from routewright.cli.evaluating import expectations, learner_of
from routewright.cli.outcome_tables import Table, read_tables
from routewright.decision.calibration import choices_at
from routewright.decision.evaluation import FloatArray, IntArray, complete
from routewright.decision.promise import Pledge, Trials, Watch, fewest_outcomes, find
from routewright.tuning import FLOORS, SHARES

if TYPE_CHECKING:
    from benchmarks.quality import Figure
else:
    Figure = sys.modules["__main__"].Figure if hasattr(sys.modules["__main__"], "Figure") else None

RUNS = 1_000
TABLES = ("routellm_mmlu", "ulab_mixed", "mmlu_pro")
SIZES = (1_000, 4_000, 40_000)
BAR_AT = 40_000
WITHIN = (0.02, 0.05)
STREAM = 10_000
