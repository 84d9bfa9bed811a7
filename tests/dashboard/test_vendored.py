"""What is not ours is what its list says, whole and unchanged, with its licence beside it."""

import hashlib
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

FOLDERS = [Path(str(files("routewright.dashboard"))) / "static", Path(__file__).parent]


@pytest.mark.parametrize("folder", FOLDERS, ids=["package", "tests"])
def test_x17_vendored_files_are_those_of_the_list(folder: Path) -> None:
    listed = tomllib.loads((folder / "vendored.toml").read_text())
    assert {path.name for path in folder.glob("*.min.*")} == set(listed)
    for name, told in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told["sha256"], name
        assert told["version"], name
        assert (folder / f"{name.partition('.')[0]}.LICENSE.txt").read_text(), name
