"""The compiled part of the package: every `*.pyx` under `src`, through Cython and a C compiler, whenever it is built.

Where that cannot be done the package is built without it and does the same more slowly (docs/decisions/0053).
ROUTEWRIGHT_COMPILE=always fails instead, and ROUTEWRIGHT_COMPILE=never makes the wheel that fits every platform.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "ROUTEWRIGHT_COMPILE"
_CHOICES = ("auto", "always", "never")


class CompileHook(BuildHookInterface):  # type: ignore[type-arg] # its configuration is not looked at
    """Compiles into a wheel, or in place where the checkout itself is installed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add what was compiled to a wheel, which then is of this platform and this Python."""
        wanted = os.environ.get(SWITCH, "auto")
        if wanted not in _CHOICES:
            raise SystemExit(f"{SWITCH} is one of {', '.join(_CHOICES)}, not {wanted!r}")
        if wanted == "never":
            return
        source = Path(self.root, "src")
        self._folder = tempfile.TemporaryDirectory()
        try:
            made = [compiled(file, source, Path(self._folder.name)) for file in sorted(source.rglob("*.pyx"))]
        except (OSError, subprocess.CalledProcessError) as error:
            if wanted == "always":
                raise
            told = getattr(error, "stderr", "") or str(error)
            self.app.display_warning(f"nothing was compiled, so that decisions take longer: {told.strip()[-2_000:]}")
            return
        if version == "editable":
            for file in made:
                place = source / file.relative_to(self._folder.name)
                place.with_name(f".{place.name}").write_bytes(file.read_bytes())
                place.with_name(f".{place.name}").replace(place)  # a program that runs keeps the one that it has
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(file): str(file.relative_to(self._folder.name)) for file in made}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def compiled(file: Path, source: Path, into: Path) -> Path:
    """The module of a `.pyx`, at its place under `into`. Raises CalledProcessError, or OSError without a compiler.

    The same bytes wherever it is done: no path and no time is in them.
    """
    relative = file.relative_to(source)
    written = (into / relative).with_suffix(".c")
    written.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "cython", "-3", str(relative), "-o", str(written)], source)
    module = written.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
    flags = ["-shared", "-fPIC", "-O3", "-g0", "-fno-strict-aliasing", "-fwrapv", "-DNDEBUG", "-Wl,-s"]
    if sys.platform == "darwin":
        flags = ["-bundle", "-undefined", "dynamic_lookup", *flags[1:-1]]
    include = sysconfig.get_path("include")
    compiler = os.environ.get("CC", "cc").split()
    _run([*compiler, *flags, f"-I{include}", str(written.relative_to(into)), "-o", str(module)], into)
    return module


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
