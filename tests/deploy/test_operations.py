"""docs/operations.md and docs/install.md say what is so."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
MIGRATIONS = sorted((ROOT / "src/routewright/ledger/migrations/postgres").glob("*.sql"))
"""Of SQLite one gateway writes at a time, and so the new one alone."""


def test_every_alert_is_in_the_runbook_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^\| (Routewright\w+) \|", OPERATIONS, re.MULTILINE)) == alerts


def test_the_sizing_table_is_that_of_the_last_benchmark() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks/sizing.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python benchmarks/sizing.py"


def test_every_extra_is_on_the_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs/install.md").read_text().partition("## Extras")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == project["optional-dependencies"].keys()


@pytest.mark.parametrize("step", MIGRATIONS, ids=lambda step: step.stem)
def test_a_step_of_the_schema_only_adds_so_that_the_version_before_can_go_on_writing(step: Path) -> None:
    sql = re.sub(r"--.*", "", step.read_text())
    assert not re.search(r"\b(DROP(?! INDEX)|RENAME|TRUNCATE)\b", sql, re.IGNORECASE)
    for column in re.findall(r"ADD COLUMN ([^,;]+)", sql):
        assert "NOT NULL" not in column or "DEFAULT" in column, column
