"""Every row of the matrix in every cell: official SDKs, a gateway on a real socket, providers of every dialect."""

import pytest

from matrix.desk import PROVIDERS, Case, Desk, all_cells
from matrix.page import PAGE, tables
from matrix.providers.known import SPEAKERS
from matrix.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("face", "upstream"), list(all_cells()))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_scenario(desk: Desk, scenario: Scenario, face: str, upstream: str, stream: bool) -> None:
    scenario.run(Case(desk, face, upstream, stream=stream))


def test_every_dialect_of_providers_is_spoken_here() -> None:
    assert set(PROVIDERS) <= set(SPEAKERS)


def test_the_page_has_every_row_as_it_is_tested() -> None:
    assert tables() in PAGE.read_text(), "run: python benchmarks/compatibility.py --into docs/compatibility.md"
