from routewright.decision.artefact import Artefact
from routewright.decision.glance import Glance
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import Numbers

class CompiledGlancer:
    """As `glance.Glancer` says."""

    def __init__(self, artefact: Artefact, columns: FloatArray, residuals: Numbers) -> None: ...
    def glance(self, text: str, shape: tuple[float, ...]) -> Glance:
        """As `glance.Glancer` says."""
