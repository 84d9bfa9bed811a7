"""What users install is what is in the source tree, all of it, and the same bytes whoever builds it."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path

import pytest

import building
from terminal import Terminal

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOST_DEPENDENCIES = 12
COMPILED = (".pyx", ".c", ".so")
WATCHED = """
import os, sys
def watch(event, arguments):
    if event.startswith("socket.") or event == "subprocess.Popen":
        print(event)
    elif event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so")):
        print(event, arguments[0])
sys.addaudithook(watch)
import routewright
for name in routewright.__all__:
    getattr(routewright, name)
open(os.devnull).close()
"""


def platform_tag() -> str:
    """Of a wheel that fits this Python on this machine only."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{python}-{python}-{re.sub('[-.]', '_', sysconfig.get_platform())}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Path]]:
    """Each kind of file by each way to it.

    The compiler is told last to optimise nothing, which is most of its work: what could differ between the two ways,
    paths and times and what lies about, does so all the same, and `dev.py build` compares them as they are released.
    """
    folder = tmp_path_factory.mktemp("built")
    compiler = folder / "cc"
    compiler.write_text('#!/bin/sh\nexec cc "$@" -O0\n')
    compiler.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", str(compiler))
        return building.two_ways(folder)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_every_way_to_build_gives_the_same_bytes(built: Mapping[str, list[Path]], kind: str) -> None:
    assert len(built[kind]) == 2
    assert len({building.digest(file) for file in built[kind]}) == 1


def test_x17_the_wheel_has_the_package_byte_for_byte_and_nothing_else(built: Mapping[str, list[Path]]) -> None:
    packaged = (path for path in (SOURCE / "routewright").rglob("*") if path.is_file())
    source = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in packaged
        if "__pycache__" not in path.parts and path.suffix not in COMPILED
    }
    with zipfile.ZipFile(built["wheel"][0]) as wheel:
        inside = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    compiled = {name.partition(".")[0] for name in inside if name.endswith(".so")}
    assert {name for name in inside if not name.endswith(".so")} == source.keys()
    assert compiled in (set(), {path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.pyx")})
    assert [name for name in source if inside[name] != source[name]] == []
    assets = [name for name in source if not name.endswith(".py")]
    assert {Path(name).suffix for name in assets} >= {".artefact", ".sql", ".toml", ".json", ".css"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_with_a_compiler_the_wheel_is_of_this_platform(built: Mapping[str, list[Path]]) -> None:
    assert built["wheel"][0].name.endswith(f"-{platform_tag()}.whl")


@pytest.mark.parametrize(
    "environ", [{"CC": "no-such-compiler"}, {"ROUTEWRIGHT_COMPILE": "never"}], ids=lambda each: "".join(each)
)
def test_without_a_compiler_the_wheel_fits_every_platform(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert building.build(ROOT, tmp_path, "wheel").name.endswith("-py3-none-any.whl")


def test_a_compiler_that_must_be_there_and_is_not_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("ROUTEWRIGHT_COMPILE", "always")
    with pytest.raises(subprocess.CalledProcessError):
        building.build(ROOT, tmp_path, "wheel")


def test_the_sdist_has_what_git_has(built: Mapping[str, list[Path]], tmp_path: Path) -> None:
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip("this is no checkout")
    tree = building.unpacked(built["sdist"][0], tmp_path)
    assert [name for name in told.stdout.split("\0") if (ROOT / name).is_file() and not (tree / name).is_file()] == []


def test_few_things_are_needed_directly() -> None:
    assert len(PROJECT["dependencies"]) <= MOST_DEPENDENCIES


def test_a_base_install_brings_no_numpy() -> None:
    due, found = list(PROJECT["dependencies"]), set()
    while due:
        name = re.split(r"[\[>=<!~; ]", due.pop())[0]
        if name not in found:
            found.add(name)
            due += [each for each in requires(name) or () if "extra ==" not in each]
    assert "markupsafe" in {name.lower() for name in found}, "jinja2 brings it"
    assert "numpy" not in found


def test_what_the_exact_versions_name_is_what_the_package_asks_for() -> None:
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    names = {re.split(r"[\[>=<]", each)[0].lower() for each in PROJECT["dependencies"]}
    assert names <= {name.replace("_", "-") for name in pinned}


def test_x17_importing_all_public_names_opens_no_file_but_code_and_no_socket(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env=Terminal(tmp_path).environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["open /dev/null"], "only what is opened to see that it is seen"
