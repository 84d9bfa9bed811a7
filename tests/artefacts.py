"""A small artefact whose every number is known: three kinds of work, each told by one word."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routewright.catalog.registry import Tier
from routewright.decision.artefact import SHAPE, Artefact, Card, load
from routewright.decision.sketch import COUNTS, FOLDED, sketch
from routewright.training.writing import dump

KINDS = ("design", "extract", "translate")
"""Each is the word that tells it, too."""
CARD = Card(
    made_on="2026-11-26", command="by hand", data={"made": "3 words"}, measured={"all": 1.0}, limits="only three words"
)
KNOWN_MODEL = "veteran"
ROWS = len(KINDS) + COUNTS + SHAPE


def bucket(word: str) -> int:
    """Where a word is hashed to."""
    return sketch(word).words[0]


def arrays(**changes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The numbers of the artefact, as `dump` takes them."""
    order = list(Tier)
    suited = {"design": Tier.COMPLEX, "extract": Tier.STRUCTURED, "translate": Tier.BULK}
    tiers = np.full((len(KINDS), len(order)), 0.05)
    weights = np.zeros((ROWS, len(KINDS) + 1))
    for at, kind in enumerate(KINDS):
        weights[at, at] = 40.0
        tiers[at, order.index(suited[kind])] = 0.85
    weights[KINDS.index("design"), -1] = 20.0
    return {
        "words": np.array([bucket(kind) for kind in KINDS]),
        "runs": np.array([], np.int32),
        "weights": weights,
        "bias": np.zeros(len(KINDS) + 1),
        "tiers": tiers,
        "tier_sharpness": np.array(1.0),
        "rates": np.array([[0.95] * 3, [0.9] * 3, [0.7] * 3, [0.6] * 3, [0.8] * 3]),
        "output_tokens": np.array([1_800.0, 150.0, 250.0]),
        "feature_weights": np.ones(FOLDED),
        "model_rates": np.array([[0.2, 0.9, 0.5]]),
        "model_outcomes": np.array([[64.0, 64.0, 0.0]]),
        **changes,
    }


def written(numbers: Mapping[str, NDArray[Any]] | None = None) -> bytes:
    """It as a file."""
    return dump(CARD, KINDS, (KNOWN_MODEL,), numbers or arrays())


def artefact(**changes: NDArray[Any]) -> Artefact:
    """It, as it is read from the file."""
    return load(written(arrays(**changes)))
