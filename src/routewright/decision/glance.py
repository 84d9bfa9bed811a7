"""What one look at a request tells: its likeliest kinds of work, what was asked of them, and its fingerprint.

A `Glancer` belongs to one state of artefact, catalog and evidence; everything that a text is looked up in is made with
it, once. There are two of them, which give the same: `PlainGlancer` puts together what the modules beside this one say,
and is what the other is tested against; `_kernel.CompiledGlancer` does it in one pass of compiled code, and is taken
wherever it was compiled.
"""

from collections.abc import Sequence
from operator import mul
from typing import Protocol

from msgspec import Struct

from routewright.decision.artefact import SHAPE, Artefact
from routewright.decision.posterior import kinds_of
from routewright.decision.residual import FEATURES
from routewright.decision.rows import Vector
from routewright.decision.sketch import COUNTS, FOLDED, Numbers, fingerprint, sketch
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

    def __init__(self, artefact: Artefact, columns: Sequence[Vector], residuals: Sequence[Numbers]) -> None:
        """`columns` [C, K] are numbers to be known of the mixture of kinds, `residuals` [R, FEATURES] weights.

        Raises ValueError when they do not fit the artefact, or that does not fit itself.
        """

    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """Look at a text, and at the `SHAPE` numbers beside it; any text will do, and the time is bounded."""


def check_fit(artefact: Artefact, columns: Sequence[Vector], residuals: Sequence[Numbers]) -> None:
    """Raises ValueError unless a glancer can be made of these."""
    kinds, width = len(artefact.kinds), len(artefact.scales)
    if not (
        0 < kinds == width - 1 == len(artefact.bias) - 1
        and len(artefact.steps) == (artefact.vocabulary.size + COUNTS + SHAPE) * width
        and all(len(column) == kinds for column in columns)
        and len(artefact.prior.weights) == FOLDED
        and all(len(weights) == FEATURES for weights in residuals)
    ):
        raise ValueError("what texts are to be looked up in does not fit together")


class PlainGlancer:
    """The look in plain Python: no compiler, and forty times the time."""

    def __init__(self, artefact: Artefact, columns: Sequence[Vector], residuals: Sequence[Numbers]) -> None:
        check_fit(artefact, columns, residuals)
        self._artefact = artefact
        self._columns = columns
        self._residuals = residuals

    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """As `Glancer` says."""
        if len(shape) != SHAPE:
            raise ValueError(f"a shape is {SHAPE} numbers, not {len(shape)}")
        seen = sketch(text)
        kinds, _ = kinds_of(self._artefact, seen, shape)
        most = sorted(range(len(kinds)), key=kinds.__getitem__)[: -MOST_KINDS - 1 : -1]
        features = features_of(seen, self._artefact.prior.weights) if self._residuals else None
        return Glance(
            [self._artefact.kinds[at] for at in most],
            [kinds[at] for at in most],
            [sum(map(mul, kinds, column)) for column in self._columns],
            [features.times(weights) for weights in self._residuals] if features else [],
            fingerprint(seen),
        )
