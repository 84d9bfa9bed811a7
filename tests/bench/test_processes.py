import os
from pathlib import Path

import pytest

from routewright.bench.load import Clients, Load
from routewright.bench.processes import BenchFailed, Child, environment, require_linux, running

ANNOUNCE = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print("program serving on http://127.0.0.1:%d" % server.getsockname()[1], flush=True)
"""
WAIT = "server.accept()[0].recv(1)"
OVERHEAT = "server.accept()[0].recv(1)\nsys.exit('overheated')"


def test_a_program_that_does_not_start_says_why(tmp_path: Path) -> None:
    program = running("program", ["-c", "import sys; sys.exit('no such thing')"], tmp_path)
    with pytest.raises(BenchFailed, match=r"the program did not start\nprogram \(exit status 1\) wrote: no such thing"):
        program.__enter__()


def test_a_program_is_gone_afterwards_even_after_an_error(tmp_path: Path) -> None:
    children = []

    def use() -> None:
        with running("program", ["-c", ANNOUNCE + WAIT], tmp_path) as child:
            children.append(Path(f"/proc/{child.pid}"))
            assert children[0].exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert not children[0].exists()


async def test_a_program_that_ends_under_load_is_quoted(tmp_path: Path) -> None:
    async def ask() -> None:
        with running("program", ["-c", ANNOUNCE + OVERHEAT], tmp_path) as child:
            async with Clients(child, patience_s=5) as clients:
                await clients.closed_loop(Load((b"{}",), b"}"), 1, concurrency=1)

    with pytest.raises(BenchFailed, match=r"(?s)dropped a connection.*\nprogram \(exit status 1\) wrote: .*overheated"):
        await ask()


def test_cpu_and_memory_are_those_of_the_process() -> None:
    own = Child(name="own", pid=os.getpid(), host="127.0.0.1", port=0)
    before = own.cpu_s()
    assert sum(range(100_000)) > 0
    times = os.times()
    assert before < own.cpu_s()
    assert own.cpu_s() == pytest.approx(times.user + times.system, abs=0.5)
    assert 5 < own.resident_mb() < 4_000


def test_programs_see_no_keys_proxies_or_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "http_proxy", "ROUTEWRIGHT_POLICY__NAME", "XDG_CONFIG_HOME", "COST_ALERT_THRESHOLD"):
        monkeypatch.setenv(name, "from outside")
    seen = environment(tmp_path)
    assert "from outside" not in seen.values()
    assert Path(seen["XDG_CONFIG_HOME"]).is_relative_to(tmp_path)


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(BenchFailed, match="this is darwin"):
        require_linux()
