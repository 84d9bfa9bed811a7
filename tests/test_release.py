"""What goes with a release: its notes, what it is made of, and the lock that it is installed from."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {re.sub(r"[-_.]+", "-", found[1]).lower(): found[2] for found in _PIN.finditer(text)}


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_x17_the_lock_has_every_pin_and_a_hash_for_each() -> None:
    assert pins("requirements.lock") == pins("requirements.txt"), "run: python3 dev.py lock"
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for part in re.split(r"^(?=[A-Za-z0-9])", locked, flags=re.MULTILINE)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", part), part


def test_release_notes_are_the_section_of_the_changelog() -> None:
    done = ran("release/notes.py")
    assert done.returncode == 0
    assert done.stdout.startswith("### Added")
    assert done.stdout.strip() in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unknown = ran("release/notes.py", "9.9.9")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no section '9.9.9'; there is: Unreleased" in unknown.stderr


def test_the_bill_of_materials_has_what_is_locked_and_is_the_same_each_time() -> None:
    first, second = ran("release/sbom.py").stdout, ran("release/sbom.py").stdout
    assert first == second
    told = json.loads(first)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert {each["purl"] for each in told["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in pins("requirements.lock").items()
    }
    assert all(each["properties"] for each in told["components"])
    assert any(each.get("licenses") for each in told["components"])


@pytest.mark.parametrize(
    "path",
    [ROOT / "CITATION.cff", *sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))],
    ids=lambda path: path.name,
)
def test_files_for_the_community_can_be_read(path: Path) -> None:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "CITATION.cff":
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert f'version = "{told["version"]}"' in project
        assert told["cff-version"] == "1.2.0"
        assert told["license"] == "Apache-2.0"
    elif path.name != "config.yml":
        assert {"name", "description", "body"} <= told.keys()
        ids = [each["id"] for each in told["body"] if "id" in each]
        assert len(set(ids)) == len(ids) > 1


def report(folder: Path, **vulns: list[dict[str, object]]) -> str:
    """What pip-audit would write of the lock, with these vulnerabilities by package."""
    known = [
        {"name": name, "version": version, "vulns": vulns.get(name, [])}
        for name, version in pins("requirements.lock").items()
    ]
    path = folder / "report.json"
    path.write_text(json.dumps({"dependencies": known, "fixes": []}))
    return str(path)


def test_a_lock_of_which_nothing_is_known_passes_the_audit(tmp_path: Path) -> None:
    done = ran("release/audit.py", "--report", report(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing in requirements.lock" in done.stdout


def test_a_vulnerable_package_is_told_with_the_version_that_mends_it(tmp_path: Path) -> None:
    known: list[dict[str, object]] = [{"id": "PYSEC-1", "fix_versions": ["9.9"], "aliases": [], "description": ""}]
    done = ran("release/audit.py", "--report", report(tmp_path, jinja2=known))
    assert done.returncode == 1
    assert re.fullmatch(r"jinja2 \S+: PYSEC-1, mended in 9\.9\n", done.stdout)


def test_an_audit_that_nobody_answered_is_no_good_word(tmp_path: Path) -> None:
    skipped = [
        {"name": name, "skip_reason": "Dependency not found on PyPI and could not be audited"}
        for name in pins("requirements.lock")
    ]
    (tmp_path / "report.json").write_text(json.dumps({"dependencies": skipped, "fixes": []}))
    done = ran("release/audit.py", "--report", str(tmp_path / "report.json"))
    assert (done.returncode, done.stdout) == (69, "")
    assert "nobody could be asked about apsw, click" in done.stderr
