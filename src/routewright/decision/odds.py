"""Log odds of many at once, for those who weigh evidence: needs numpy, as requests do not."""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Real = TypeVar("Real", float, FloatArray)


def expit(odds: Real) -> Real:
    """Log odds → probability; odds beyond what a float can hold are certainty, not an overflow."""
    return 1 / (1 + np.exp(-np.maximum(odds, -700.0)))  # type: ignore[no-any-return]


def logit(probability: Real) -> Real:
    """Probability → log odds; kept away from certainty."""
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))  # type: ignore[no-any-return]


def log_loss(probabilities: FloatArray, scores: FloatArray) -> float:
    """Mean surprise, in nats, at scores from 0 to 1."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.mean(scores * np.log(kept) + (1 - scores) * np.log(1 - kept)))
