"""The decision: plain functions of values. `score` and `predict_success` make it easy for others to measure it.

These two give arrays of numpy, which the extra `evidence` brings; nothing that decides a request needs it.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from routewright.decision.appraisal import Appraiser


def score(prompt_texts: Sequence[str]) -> "NDArray[np.float64]":
    """[n]: the probability that a strong model does each prompt well and a weak one does not.

    By the shipped artefact, which knows nothing of the two models. Raises ArtefactError.
    """
    return _shipped().needs(prompt_texts)


def predict_success(prompts: Sequence[str], models: Sequence[str]) -> "NDArray[np.float64]":
    """[n, m]: the probability that each model does each prompt well, by the shipped artefact, without own outcomes.

    A model is one with recorded outcomes in the artefact, or the name of a tier, for any model of that tier. Raises
    ArtefactError, which lists the names, for another one.
    """
    return _shipped().success(prompts, models)


@cache
def _shipped() -> "Appraiser":
    """The artefact is a constant of the package: this one file is read here, once."""
    from importlib.resources import files

    from routewright.decision.appraisal import Appraiser
    from routewright.decision.artefact import load

    return Appraiser(load((files("routewright") / "data" / "kinds.artefact").read_bytes()))
