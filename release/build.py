"""Wheel and sdist, into `dist/`, byte for byte the same whenever and wherever they are built: `python dev.py build`.

Both are built a second time from a copy of the tree with other times and permissions, the wheel from the sdist of that
copy; exit code 1 if anything differs. The time inside is SOURCE_DATE_EPOCH, or that of the commit.
"""

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from building import digest, two_ways  # noqa: E402 what the tests build with is beside them, not in the package


def main() -> int:
    """Build, compare, and keep what was built."""
    same = True
    with tempfile.TemporaryDirectory() as folder:
        for files in two_ways(Path(folder)).values():
            (ROOT / "dist").mkdir(exist_ok=True)
            kept = Path(shutil.copy(files[0], ROOT / "dist"))
            digests = {digest(file) for file in files}
            same &= len(digests) == 1
            told = f"built {len(files)} ways, " + ("the same bytes" if len(digests) == 1 else "DIFFERENT bytes")
            print(f"dist/{kept.name}  {kept.stat().st_size:,} bytes, {told}\n  sha256 {digest(kept)}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
