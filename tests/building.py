"""Wheels and sdists: how they are built, and two ways to build the same one."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "dist", "build")
"""What is in a folder that is worked in; of what begins with a dot, .gitignore alone tells what else is left out."""


def build(tree: Path, into: Path, kind: str) -> Path:
    """The one file that the build backend makes of a tree: `kind` is "wheel" or "sdist"."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": epoch()}
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    subprocess.run(command, cwd=tree, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    (made,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def epoch() -> str:
    """The second that stands in the files."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    told = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "1580601600"  # without git, hatchling's own


def copy(into: Path) -> Path:
    """The tree, later, with other permissions."""
    tree = into / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCE, copy_function=shutil.copyfile)
    for hidden in (".ci", ".dockerignore", ".gitattributes", ".github", ".gitignore"):
        place = ROOT / hidden
        (shutil.copytree if place.is_dir() else shutil.copy)(place, tree / hidden)
    _change_permissions(tree)
    return tree


def _change_permissions(tree: Path) -> None:
    for file in (tree / "src").rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)


def unpacked(sdist: Path, into: Path) -> Path:
    """The tree in an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    return into / sdist.name.removesuffix(".tar.gz")


def digest(file: Path) -> str:
    """SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def two_ways(folder: Path) -> Mapping[str, list[Path]]:
    """Each kind of file from this tree and from another, in an empty folder: the other wheel is that of its sdist."""
    here, there = folder / "here", folder / "there"
    sdists = [build(ROOT, here, "sdist"), build(copy(folder), there, "sdist")]
    tree = unpacked(sdists[1], folder)
    _change_permissions(tree)
    return {"wheel": [build(ROOT, here, "wheel"), build(tree, there, "wheel")], "sdist": sdists}
