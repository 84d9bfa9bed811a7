"""The two programs that most tests here talk to, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from routewright.bench.processes import Child, running


@pytest.fixture(scope="session")
def programs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def upstream(programs_folder: Path) -> Iterator[Child]:
    with running("upstream", ["-m", "routewright.bench.upstream"], programs_folder) as child:
        yield child


@pytest.fixture(scope="session")
def floor(programs_folder: Path, upstream: Child) -> Iterator[Child]:
    arguments = ["-m", "routewright.bench.floor", "--upstream", upstream.url]
    with running("floor", arguments, programs_folder) as child:
        yield child
