"""Whether anything in requirements.lock has a known vulnerability: `python3 dev.py audit [--report FILE]`.

pip-audit (fetched by uv into a place of its own) asks PyPI's database, over the network. `--report FILE` judges what it
wrote as JSON elsewhere. Ends with 0 when every package was asked for and none is known to be vulnerable, with 1 when
one is, and with 69 when the database did not answer: a package that pip-audit could not look up is skipped by it, with
exit code 0, and that must not pass for a good word.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
PIP_AUDIT = "pip-audit==2.10.1"
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


class Findings(NamedTuple):
    """What is known of the packages of the lock."""

    vulnerable: list[str]
    """A line for each: package, version, id, and where it is mended."""
    unknown: list[str]
    """Nobody could be asked about these."""


def findings(report: dict[str, Any], lock: str) -> Findings:
    """What pip-audit's report says of the packages that `lock` pins; one that it does not speak of is unknown."""
    told = {_plain(each["name"]): each for each in report["dependencies"] if "vulns" in each}
    vulnerable, unknown = [], []
    for name, version in _PIN.findall(lock):
        found = told.get(_plain(name))
        if found is None or found["version"] != version:
            unknown.append(name)
            continue
        for one in found["vulns"]:
            mended = ", ".join(one.get("fix_versions") or ()) or "no version yet"
            vulnerable.append(f"{name} {version}: {one['id']}, mended in {mended}")
    return Findings(vulnerable, unknown)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked() -> dict[str, Any]:
    """The report of a fresh run; an empty one if there was none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        uv = Path(sys.executable).with_name("uv")
        run = [str(uv), "tool", "run", "--from", PIP_AUDIT, "pip-audit", "--require-hashes", "--disable-pip"]
        subprocess.run([*run, "-r", str(LOCK), "--format", "json", "--output", str(path)], check=False)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    report: dict[str, Any] = json.loads(text or '{"dependencies": []}')
    return report


def main() -> int:
    """Say what is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="what pip-audit wrote as JSON, instead of asking")
    given = parser.parse_args().report
    found = findings(asked() if given is None else json.loads(given.read_text(encoding="utf-8")), LOCK.read_text())
    for line in found.vulnerable:
        print(line)
    if found.vulnerable:
        return 1
    if found.unknown:
        print(f"error: nobody could be asked about {', '.join(found.unknown)}", file=sys.stderr)
        print("hint: this needs https://pypi.org/pypi/…/json, which most mirrors do not have", file=sys.stderr)
        return UNAVAILABLE
    print("nothing in requirements.lock has a known vulnerability")
    return 0


if __name__ == "__main__":
    sys.exit(main())
