"""The Dockerfile, without an engine: its rules, and what it would run, run here within the same walls."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from routewright.settings import load_settings
from served import Served
from terminal import Terminal

ROOT = Path(__file__).parents[2]
ORDINARY = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Runs a command by permissions alone, also for root: as in the image, where it is no root at all."""
STATE = "/var/lib/routewright"


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions() -> list[Instruction]:
    """Those of the Dockerfile, each on one line."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def last_stage() -> list[Instruction]:
    """What the image is made by."""
    every = instructions()
    begin = max(number for number, each in enumerate(every) if each.word == "FROM")
    return every[begin:]


def the(word: str) -> str:
    """What the last stage says once by this word."""
    (found,) = [each.rest for each in last_stage() if each.word == word]
    return found


def environment() -> Mapping[str, str]:
    """What the image sets."""
    return dict(re.findall(r"(\w+)=(\S+)", the("ENV")))


def test_bases_have_a_version() -> None:
    named = dict(each.rest.split("=", 1) for each in instructions() if each.word == "ARG")
    bases = [each.rest.split()[0] for each in instructions() if each.word == "FROM"]
    assert len(bases) == 2
    for base in bases:
        tag = re.sub(r"\$\{(\w+)\}", lambda name: named[name[1]], base).partition(":")[2]
        assert re.match(r"3\.\d+-", tag), base


def test_a_version_is_said_of_what_is_installed_and_installs_nothing(tmp_path: Path) -> None:
    """pip takes what a constraints file names by `-r` for something to install: the tools of the build, too."""
    (build,) = [each.rest for each in instructions() if each.word == "RUN" and "constraints.txt" in each.rest]
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["sh", "-euc", build.partition("&&")[0]], cwd=tmp_path, check=True)
    lines = (tmp_path / "constraints.txt").read_text().splitlines()
    assert {"uvicorn", "psycopg"} <= {line.partition("==")[0] for line in lines}
    assert all("==" in line or line.startswith("#") for line in lines)
    assert re.findall(r"-c (\S+)", build) == ["constraints.txt"]


def test_it_runs_as_nobody_in_particular() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", the("USER")), "a number, so that runAsNonRoot can be checked"
    words = [each.word for each in last_stage()]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))


def test_it_copies_only_what_is_there_and_is_sent_to_the_engine() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    assert "*" in ignore
    copied = [each.rest.split()[:-1] for each in instructions() if each.word == "COPY" and "--from" not in each.rest]
    names = [name.removeprefix("./") for names in copied for name in names]
    assert len(names) > 3
    for name in names:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in sent), name


def test_its_environment_are_settings(tmp_path: Path) -> None:
    settings = load_settings(environ={**environment(), "HOME": str(tmp_path)}, cwd=tmp_path)
    assert the("EXPOSE") == str(settings.server.port)
    assert (str(settings.ledger.path), the("VOLUME"), the("WORKDIR")) == (STATE, STATE, STATE)
    assert settings.server.linger_seconds > 0
    assert the("STOPSIGNAL") == "SIGTERM"


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_what_it_runs_writes_to_its_volume_alone_and_is_found_healthy(tmp_path: Path) -> None:
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    state.mkdir(mode=0o700)
    environ = {name: value.replace(STATE, str(state)) for name, value in environment().items() if name != "PATH"}
    environ |= {"ROUTEWRIGHT_SERVER__API_KEY": "env:ROUTEWRIGHT_KEY", "ROUTEWRIGHT_KEY": "a-key-of-the-operator"}
    environ |= {"ROUTEWRIGHT_SERVER__LINGER_SECONDS": "0"}  # nobody is before it
    launcher = ORDINARY if os.geteuid() == 0 else ()
    assert json.loads(the("ENTRYPOINT")) + json.loads(the("CMD")) == ["routewright", "serve"]
    home.chmod(0o555)
    served = Served(home, environ=environ, launcher=launcher).start()
    try:
        port = served.url.rpartition(":")[2]
        command = json.loads(the("HEALTHCHECK").partition(" CMD ")[2])
        assert command[:2] == ["python", "-c"]
        probe = [sys.executable, "-c", command[2].replace("8484", port)]
        assert subprocess.run(probe, check=False, timeout=30).returncode == 0
        assert list(home.iterdir()) == []
        assert (state / "ledger.db").is_file()
    finally:
        assert served.stop() == 0
    assert subprocess.run(probe, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode == 1


def test_without_a_key_it_does_not_listen_to_others(tmp_path: Path) -> None:
    environ = {"ROUTEWRIGHT_SERVER__HOST": environment()["ROUTEWRIGHT_SERVER__HOST"]}
    result = Terminal(tmp_path).run("serve", "--port", "0", environ=environ)
    assert result.exit_code == 78
    assert "routewright keys create" in result.stderr
