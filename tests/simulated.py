"""A whole runtime whose models are all simulated, without a wait."""

from pathlib import Path
from typing import Any

from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.simulator.faults import FaultPlan


def open_runtime(folder: Path, **plan: Any) -> Runtime:
    """With its ledger in a folder; `plan` is what goes wrong."""
    source = SettingsSource(
        environ={"HOME": str(folder)}, cwd=folder, flags={"policy.classifier": "heuristic"}, simulate=True
    )
    return Runtime.open(source, simulator=Simulator(time_scale=0, faults=FaultPlan(**plan)))
