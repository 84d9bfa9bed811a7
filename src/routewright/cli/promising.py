"""One promise held against one table: expectations from its train rows, the floor from the others."""

import numpy as np
from msgspec import Struct

from routewright.cli.evaluating import FEWEST_PROMPTS, expectations
from routewright.cli.failures import BadTable
from routewright.cli.outcome_tables import Table
from routewright.decision.calibration import Kept, Platt, Promise, fit_calibration, threshold_for
from routewright.decision.evaluation import Learner, calibration_error, complete
from routewright.decision.odds import FloatArray


class Finding(Struct, frozen=True, kw_only=True):
    """The answer to a promise."""

    table: str
    model: str
    within: float
    confidence: float
    models: tuple[str, ...]
    prompts: int
    """Held against."""
    kept: Kept | None
    settings: tuple[str, ...]
    """Lines for routewright.toml; none when no floor keeps the promise."""
    ece: float
    """Of the probabilities of success, as they are."""
    ece_recalibrated: float
    """When one half of the rows corrects the other."""
    recalibration: str
    """`platt` or `isotonic`, whichever predicted better."""


def look_for(table: Table, learner: Learner, *, model: str, within: float, confidence: float, seed: int) -> Finding:
    """The lowest floor that keeps it. Raises BadTable when the table cannot tell."""
    column = table.column(model)
    scores, costs = table.scores[table.dev], table.costs[table.dev]
    rows = complete(scores, costs)
    if rows.sum() < FEWEST_PROMPTS:
        raise BadTable(
            f"{table.name} has {int(rows.sum())} prompts to measure on with scores and costs of all "
            f"{len(table.models)} models; {FEWEST_PROMPTS} are needed",
            hint="compare two models only: --pair WEAK,STRONG",
        )
    success, cost = (each[rows] for each in expectations(table, learner))
    kept = threshold_for(
        Promise(column, within, confidence), success, cost, scores[rows], costs[rows], np.random.default_rng(seed)
    )
    said, came = success.ravel(), scores[rows].ravel()
    recalibrated, kind = _recalibrated(said, came, np.repeat(np.arange(len(success)) % 2, success.shape[1]))
    return Finding(
        table=table.name,
        model=model,
        within=within,
        confidence=confidence,
        models=table.models,
        prompts=int(rows.sum()),
        kept=kept,
        settings=_settings(kept),
        ece=calibration_error(said, came),
        ece_recalibrated=calibration_error(recalibrated, came),
        recalibration=kind,
    )


def _recalibrated(said: FloatArray, came: FloatArray, halves: FloatArray) -> tuple[FloatArray, str]:
    """Each half of the prompts corrected by what the other teaches, and the way that all of them prefer."""
    corrected = np.empty_like(said)
    for half in (0, 1):
        corrected[halves == half] = fit_calibration(said[halves != half], came[halves != half]).of(said[halves == half])
    return corrected, "platt" if isinstance(fit_calibration(said, came), Platt) else "isotonic"


def _settings(kept: Kept | None) -> tuple[str, ...]:
    """The floor was tested on the expected success itself, so nothing is to be taken off it for doubt."""
    if kept is None:
        return ()
    return ("[policy]", f"min_quality = {kept.floor:g}", "caution = 0")
