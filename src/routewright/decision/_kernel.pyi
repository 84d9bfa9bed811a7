from collections.abc import Sequence

from routewright.decision.artefact import Artefact
from routewright.decision.glance import Glance
from routewright.decision.rows import Vector
from routewright.decision.sketch import Numbers

class CompiledGlancer:
    """As `glance.Glancer` says."""

    def __init__(self, artefact: Artefact, columns: Sequence[Vector], residuals: Sequence[Numbers]) -> None: ...
    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """As `glance.Glancer` says."""
