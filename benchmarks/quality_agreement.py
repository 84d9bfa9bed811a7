"""What agreement saves and keeps, on recorded answers: two cheap models are compared, and only where they differ the
strong model is asked.

The pair is chosen on `train`, the figures are of `dev`. Answers are compared by `decision.agreement`, as they are when
they come. A pair may be of models that cost less than half of the strong one each, and all together must cost less
than the strong one alone. Of those pairs that leave at most 40 % of the calls to the strong model, the most accurate
one is taken; if there is none such, the one with the fewest calls among those that are at least as accurate.
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from benchmarks.quality import Figure
from numpy.typing import NDArray

from routewright.decision.agreement import Task, canonical

MOST_CALLS = 0.40
REPETITIONS = 2_000
SEED = 8

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Trial(NamedTuple):
    """A table with the model that is to be matched, and the form of its answers."""

    table: str
    strong: str
    task: Task
    words: str


TRIALS = (
    Trial("mmlu_pro", "gemini-1.5-pro-002", Task.CHOICE, "multiple choice (MMLU-Pro)"),
    Trial("zeroeval_crux", "claude-3-5-sonnet-20241022", Task.TEXT, "short text (CRUXEval)"),
    Trial("zeroeval_math_l5", "claude-3-5-sonnet-20241022", Task.NUMBER, "numbers (MATH, level 5)"),
)


class Recorded:
    """One table: each model's answers in one form, whether they were right, and what they cost."""

    def __init__(self, data: Path, trial: Trial) -> None:
        table = pq.read_table(data / f"{trial.table}.parquet")
        names = [name[2:] for name in table.column_names if name.startswith("a:")]
        self.strong = trial.strong
        self.is_train: Flags = np.array([split == "train" for split in table["split"].to_pylist()])
        self.right = {name: np.array(table[f"s:{name}"].to_pylist(), float) for name in names}
        self.cost = {name: np.array(table[f"c:{name}"].to_pylist(), float) for name in names}
        self.form = {
            name: [canonical(said or "", trial.task) for said in table[f"a:{name}"].to_pylist()] for name in names
        }

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Of models that cost less than half of the strong one."""
        most = np.nanmean(self.cost[self.strong]) / 2
        return combinations([name for name, cost in self.cost.items() if np.nanmean(cost) < most], 2)

    def played(self, pair: tuple[str, str], of: Flags) -> "Played":
        """What comes of a pair on some of the prompts."""
        one, other = pair
        agree = np.array([a is not None and a == b for a, b in zip(self.form[one], self.form[other], strict=True)])
        known = of & ~np.isnan(self.right[one] + self.right[other] + self.right[self.strong])
        both, strong = self.cost[one] + self.cost[other], self.cost[self.strong]
        return Played(
            right=np.where(agree, self.right[one], self.right[self.strong])[known],
            alone=self.right[self.strong][known],
            asked=(~agree)[known],
            cost=(both + np.where(agree, 0, strong))[known],
            cost_alone=strong[known],
        )


class Played(NamedTuple):
    """By prompt: what agreement made of it, and what the strong model alone does."""

    right: Floats
    alone: Floats
    asked: Flags
    """The strong model was."""
    cost: Floats
    cost_alone: Floats

    @property
    def gain(self) -> float:
        """Accuracy above the strong model's."""
        return float(self.right.mean() - self.alone.mean())

    @property
    def calls(self) -> float:
        """Share of the strong model's calls."""
        return float(self.asked.mean())


def chosen(recorded: Recorded) -> tuple[str, str]:
    """The pair that does best on what may be looked at."""
    tried = {pair: recorded.played(pair, recorded.is_train) for pair in recorded.pairs()}
    played = {pair: each for pair, each in tried.items() if each.cost.sum() < each.cost_alone.sum()}
    few = {pair: each for pair, each in played.items() if each.calls <= MOST_CALLS}
    if few:
        return max(few, key=lambda pair: few[pair].gain)
    good = {pair: each for pair, each in played.items() if each.gain >= 0}
    return min(good, key=lambda pair: good[pair].calls)


def interval(values: Floats) -> tuple[float, float]:
    """95 % of the means of so many drawn with replacement."""
    random = np.random.default_rng(SEED)
    means = values[random.integers(0, len(values), (REPETITIONS, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def figures(data: Path) -> Iterator[Figure]:
    """One line for each table, and one for all prompts together."""
    everything = []
    for trial in TRIALS:
        recorded = Recorded(data, trial)
        pair = chosen(recorded)
        played = recorded.played(pair, ~recorded.is_train)
        everything.append(played)
        yield _figure(f"{trial.words}: {pair[0]} and {pair[1]}, else {trial.strong}", played)
    yield _figure("all of these", Played(*(np.concatenate(parts) for parts in zip(*everything, strict=True))))


def _figure(what: str, played: Played) -> Figure:
    low, high = interval(played.right - played.alone)
    return Figure(
        f"{what} ({len(played.right):,} prompts)",
        "the strong model's accuracy at ≤ 40 % of its calls",
        f"{played.right.mean():.1%} against {played.alone.mean():.1%} ({100 * played.gain:+.1f} points, "
        f"95 %: {100 * low:+.1f} to {100 * high:+.1f}) at {played.calls:.1%} of its calls and "
        f"{played.cost.sum() / played.cost_alone.sum():.0%} of its cost",
        played.gain >= 0 and played.calls <= MOST_CALLS,
    )
