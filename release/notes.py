"""The notes of a release, from the changelog: `python3 dev.py release-notes [VERSION]`; else what is unreleased."""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
UNRELEASED = "Unreleased"


def notes(changelog: str, version: str) -> str:
    """The section of one version, without its heading. Raises LookupError naming the versions that there are."""
    sections = re.split(r"^## \[(.+?)\].*\n", changelog, flags=re.MULTILINE)[1:]
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    if version not in found:
        raise LookupError(f"CHANGELOG.md has no section {version!r}; there is: {', '.join(found)}")
    return found[version].strip()


def main() -> int:
    """Print them."""
    version = sys.argv[1] if len(sys.argv) > 1 else UNRELEASED
    try:
        print(notes(CHANGELOG.read_text(encoding="utf-8"), version))
    except LookupError as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
