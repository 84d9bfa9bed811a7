"""The unit for systemd: systemd reads it without a complaint, and finds it well shut in."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from routewright.settings import load_settings

UNIT = Path(__file__).parents[2] / "deploy/systemd/routewright.service"
TEXT = UNIT.read_text()
MOST_EXPOSED = 2.0
"""Of 10, by the count of `systemd-analyze security`; a service without any hardening has 9.6."""
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def value(name: str) -> str:
    """What is set once."""
    (found,) = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    return str(found)


@pytest.fixture
def unit(tmp_path: Path) -> str:
    """The unit with a program that is there."""
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace("/opt/routewright/bin/routewright", "/bin/true"))
    return str(copy)


def analysed(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_takes_it(unit: str) -> None:
    assert analysed("verify", unit) == ""


@needs_systemd
def test_it_is_well_shut_in(unit: str) -> None:
    told = re.search(r"exposure level for \S+: ([\d.]+)", analysed("security", "--offline=true", unit))
    assert told
    assert float(told[1]) <= MOST_EXPOSED


def test_its_environment_are_settings_and_it_is_given_time_to_end(tmp_path: Path) -> None:
    environ = dict(each.split("=", 1) for each in shlex.split(value("Environment")))
    settings = load_settings(environ=environ, cwd=tmp_path)
    assert str(settings.ledger.path) == f"/var/lib/{value('StateDirectory')}"
    needed_s = settings.server.linger_seconds + settings.server.drain_seconds + 10
    assert int(value("TimeoutStopSec")) >= needed_s


def test_what_another_start_would_not_mend_is_not_started_again() -> None:
    assert value("RestartPreventExitStatus").split() == ["2", "78"]
