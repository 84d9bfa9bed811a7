"""Small made-up tables of outcomes, and a learner that needs no artefact: for the tests of the verbs that measure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from routewright.decision.appraisal import Prompt
from routewright.decision.odds import FloatArray

WEAK, STRONG = "swift", "sage"
COSTS = {WEAK: 0.001, STRONG: 0.01}


def row(number: int, /, **changes: Any) -> dict[str, Any]:
    """Two prompts of three are easy, and the weak model knows those; the strong one knows nearly all."""
    is_hard = number % 3 == 0
    plain = {
        "prompt": f"{'Prove' if is_hard else 'Say'} thing number {number}.",
        "split": "dev" if number % 2 else "train",
        f"s:{WEAK}": 0.0 if is_hard else 1.0,
        f"s:{STRONG}": 0.0 if number % 30 == 1 else 1.0,
        f"c:{WEAK}": COSTS[WEAK],
        f"c:{STRONG}": COSTS[STRONG],
    }
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def rows(number: int = 400, /, **changes: Any) -> list[dict[str, Any]]:
    """So many rows; `...` as a value leaves a field out."""
    return [row(at, **changes) for at in range(number)]


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """As JSON lines."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


class FakeLearner:
    """Takes a prompt that says Prove for hard; knows costs only of what it was shown."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self._costs: dict[str, float] = {}

    def fit(
        self, prompts: Sequence[Prompt], scores: Mapping[str, FloatArray], costs: Mapping[str, FloatArray]
    ) -> "FakeLearner":
        """Take the costs down."""
        self.shown.append(len(prompts))
        self._costs = {model: float(its.mean()) if len(its) else float("nan") for model, its in costs.items()}
        return self

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """By the first word, and whether the model is the weak one."""
        rates = [[_rate(prompt, model) for model in models] for prompt in prompts]
        return np.array(rates)

    def cost(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """The same for every prompt."""
        return np.tile([self._costs[model] for model in models], (len(prompts), 1))


def _rate(prompt: Prompt, model: str) -> float:
    is_hard = isinstance(prompt, str) and "prove" in prompt.lower()
    if model == WEAK:
        return 0.05 if is_hard else 0.95
    return 0.93 if is_hard else 0.94
