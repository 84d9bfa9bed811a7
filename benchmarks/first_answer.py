"""The figure of docs/install.md: from `git clone` to the first routed answer, with nothing cached.

    python benchmarks/first_answer.py [--into docs/install.md]

What is committed here is cloned into an empty folder, and `python3 dev.py ask` is run in it: it sets up what it needs
(from PyPI, or the mirror in PIP_INDEX_URL), with an empty home and no cache of pip, and asks simulated models. The
kernel's cache of files is emptied before, where this is permitted. Exit code 1 if it takes longer than its bar.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page import write  # noqa: E402

from routewright.proofs.figure import Figure, today  # noqa: E402

COMMAND = "benchmarks/first_answer.py"
MOST_S = 60
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def emptied() -> bool:
    """Have the kernel forget what files hold; whether this was permitted."""
    os.sync()
    try:
        DROP_CACHES.write_text("3")
    except OSError:
        return False
    return True


def measure(folder: Path) -> tuple[float, float, float]:
    """Seconds for the clone, for the first answer with all set-up, and for a second one."""
    clone, home = folder / "routewright", folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PIP_", "SSL_", "CC"))}
    environ = {**kept, "HOME": str(home), "PIP_NO_CACHE_DIR": "1"}
    python = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")

    def timed(*command: str, place: Path) -> tuple[float, str]:
        began = time.monotonic()
        done = subprocess.run(command, cwd=place, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        return time.monotonic() - began, done.stdout

    asking = (python, "dev.py", "ask", "--json", "Rename the variable foo to total: foo = 1")
    cloned, _ = timed("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone), place=folder)
    first, said = timed(*asking, place=clone)
    again, _ = timed(*asking, place=clone)
    assert json.loads(said)["text"], said
    return cloned, first, again


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, help="the page to write to")
    options = parser.parse_args()
    files = "files' cache emptied" if emptied() else "files' cache as it was"
    with tempfile.TemporaryDirectory() as folder:
        cloned, first, again = measure(Path(folder))
    figure = Figure(
        name="first answer",
        what="from `git clone` to the first routed answer, set-up included",
        bar=f"< {MOST_S} s",
        measured=f"{cloned + first:.1f} s: {cloned:.1f} for the clone, {first - again:.1f} for the set-up, "
        f"{again:.1f} for the answer",
        has_passed=cloned + first < MOST_S,
        run=f"{today()}, no cache of pip, {files}",
    )
    print(figure.row())
    if options.into:
        write(options.into, "first answer", COMMAND, [figure])
    return 0 if figure.has_passed else 1


if __name__ == "__main__":
    sys.exit(main())
