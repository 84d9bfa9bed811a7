"""What one look at a request tells: its likeliest kinds of work, what was asked of them, and its fingerprint.

A `Glancer` belongs to one state of artefact, catalog and evidence; everything that a text is looked up in is made with
it, once. There are two of them, which give the same: `NumpyGlancer` puts together what the modules beside this one say
with numpy, and is what the other is tested against; `_kernel.CompiledGlancer` does it in one pass of compiled code, and
is taken wherever it was compiled.
"""

from typing import Protocol

import numpy as np
from msgspec import Struct

from routewright.decision.artefact import Artefact
from routewright.decision.posterior import kinds_of
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import Numbers, fingerprint, sketch
from routewright.decision.success import features_of

MOST_KINDS = 5
"""So many kinds are told of a request, and kept for learning."""


class Glance(Struct, frozen=True, gc=False):
    """What one look tells."""

    kinds: list[str]
    """The most probable kinds of work, most probable first, `MOST_KINDS` of them or all."""
    probabilities: list[float]
    """Theirs."""
    means: list[float]
    """Of each column, over all kinds, each weighed by its probability."""
    corrections: list[float]
    """What the words tell beyond the kinds, for each residual, in log odds and without its bias."""
    fingerprint: bytes
    """`fingerprint` of what was seen."""


class Glancer(Protocol):
    """Whoever looks."""

    def __init__(self, artefact: Artefact, columns: FloatArray, residuals: Numbers) -> None:
        """`columns` [K, C] are numbers to be known of the mixture of kinds, `residuals` [FEATURES, R] weights.

        Raises ValueError when they do not fit the artefact, or that does not fit itself.
        """

    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """Look at a text, and at the `SHAPE` numbers beside it; any text will do, and the time is bounded."""


class NumpyGlancer:
    """The look by numpy: some sixty calls, and no compiler."""

    def __init__(self, artefact: Artefact, columns: FloatArray, residuals: Numbers) -> None:
        self._artefact = artefact
        self._columns = columns
        self._residuals = residuals

    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """As `Glancer` says."""
        seen = sketch(text)
        kinds, _ = kinds_of(self._artefact, seen, np.array(shape, np.float32))
        most = kinds.argsort(kind="stable")[: -MOST_KINDS - 1 : -1]
        corrections: list[float] = []
        if self._residuals.size:
            corrections = (features_of(seen, self._artefact.prior.weights) @ self._residuals).tolist()
        return Glance(
            [self._artefact.kinds[at] for at in most.tolist()],
            kinds[most].tolist(),
            (kinds @ self._columns).tolist(),
            corrections,
            fingerprint(seen),
        )
