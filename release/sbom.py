"""What routewright is made of, as a CycloneDX document: `python3 dev.py sbom > sbom.json`.

Everything that requirements.lock pins, with its hashes, and its licence where it is installed. The same lock gives the
same document: it has no time and no serial number of its own.
"""

import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def document(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """The document for the text of a lock file and `[project]` of pyproject.toml."""
    pins = list(_PIN.finditer(lock))
    ends = [pin.start() for pin in pins[1:]] + [len(lock)]
    components = [
        _component(pin[1], pin[2], _HASH.findall(lock, pin.start(), end)) for pin, end in zip(pins, ends, strict=True)
    ]
    root = {
        "type": "application",
        "bom-ref": f"pkg:pypi/{project['name']}@{project['version']}",
        "name": project["name"],
        "version": project["version"],
        "licenses": [{"expression": project["license"]}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
    }


def _component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence := _licence(name, version):
        component["licenses"] = [licence]
    component["properties"] = [{"name": "pip:sha256", "value": digest} for digest in hashes]
    return component


def _licence(name: str, version: str) -> dict[str, Any] | None:
    """As the installed package says it; None for one that says nothing, or is not installed in this version."""
    try:
        told = metadata(name).json
    except PackageNotFoundError:
        return None
    if told["version"] != version:
        return None
    if expression := told.get("license_expression"):
        return {"expression": expression}
    classified = [line.rpartition(" :: ")[2] for line in told.get("classifier", ()) if line.startswith("License")]
    named = classified[0] if classified else str(told.get("license", "")).partition("\n")[0]
    return {"license": {"name": named}} if named else None


if __name__ == "__main__":
    with (ROOT / "pyproject.toml").open("rb") as file:
        described = tomllib.load(file)["project"]
    json.dump(document(LOCK.read_text(encoding="utf-8"), described), sys.stdout, indent=2)
    print()
