"""Every row of the matrix in every cell: official SDKs, a gateway on a real socket, providers of every dialect."""

from collections.abc import Iterator

import pytest

from compatibility.desk import PROVIDERS, Case, Desk, all_cells, opened_desk
from compatibility.providers.known import SPEAKERS
from compatibility.scenarios import SCENARIOS, Scenario


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with opened_desk(tmp_path_factory.mktemp("home")) as desk:
        yield desk


def test_every_dialect_of_providers_is_spoken_here() -> None:
    assert set(PROVIDERS) <= set(SPEAKERS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("face", "upstream"), list(all_cells()))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_scenario(desk: Desk, scenario: Scenario, face: str, upstream: str, stream: bool) -> None:
    scenario.run(Case(desk, face, upstream, stream=stream))
