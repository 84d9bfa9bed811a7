import asyncio
import json
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from routewright.cli.serve import ClosingLimit, introduction, run
from routewright.settings_source import SettingsSource
from served import serving
from terminal import Terminal


def ask(url: str) -> dict[str, object]:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        answer: dict[str, object] = json.loads(response.read())
    return answer


def test_gateway_serves_reports_and_ends_well(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    with serving(tmp_path, "--simulate", environ=terminal.environ) as served:
        assert ask(served.url)["object"] == "chat.completion"
        port = served.url.rpartition(":")[2]
        doctor = terminal.run("doctor", "--json", "--set", f"server.port={port}")
        (found,) = [check["found"] for check in json.loads(doctor.stdout) if check["what"] == "port"]
        assert found == f"routewright serves on 127.0.0.1:{port} already"
        assert terminal.run("report", "--by", "day").exit_code == 0
        assert served.stop() == 0
    report = terminal.run("report")
    assert report.stdout.startswith("spent $0.")
    assert "simulated: 1 attempt at the built-in simulator; no money was spent" in report.stdout


def test_open_gateway_without_a_key_does_not_start(tmp_path: Path) -> None:
    open_to_all = Terminal(tmp_path).spawn("serve", "--simulate", "--host", "0.0.0.0")
    assert open_to_all.returncode == 78
    assert "routewright keys set server" in open_to_all.stderr


def test_a_host_that_is_no_name_is_told_as_that(tmp_path: Path) -> None:
    refused = Terminal(tmp_path).spawn(
        "serve", "--simulate", "--host", "a..b", "--set", "server.api_key=env:GATE", environ={"GATE": "secret"}
    )
    assert refused.returncode == 1
    assert "a..b is not the name of an address" in refused.stderr


def test_introduction_has_lines_to_copy(tmp_path: Path) -> None:
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)
    lines = introduction("http://127.0.0.1:8484", *source.load(), needs_key=False)
    assert lines[0] == "  4 models, simulated: every answer is made up, no provider is called and nothing is spent"
    assert lines[1] == f"  ledger: {tmp_path}/.local/share/routewright/ledger.db"
    assert "  export OPENAI_BASE_URL=http://127.0.0.1:8484/v1" in lines
    assert any(line.startswith("  curl http://127.0.0.1:8484/v1/chat/completions -H ") for line in lines)
    assert "  routewright report" in lines


def test_introduction_tells_a_client_of_the_key_but_not_the_key(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": "secret-1", "GATE": "secret-2"}
    flags = {"server.api_key": "env:GATE"}
    source = SettingsSource(environ=environ, cwd=tmp_path, flags=flags)
    text = "\n".join(introduction("http://127.0.0.1:8484", *source.load(), needs_key=True))
    assert "from openai" in text
    assert 'authorization: Bearer $ROUTEWRIGHT_KEY"' in text
    assert "secret" not in text


@pytest.mark.parametrize("is_installed", [True, False])
def test_gateway_runs_on_uvloop_or_without(monkeypatch: pytest.MonkeyPatch, is_installed: bool) -> None:
    loops = []

    async def main() -> None:
        loops.append(type(asyncio.get_running_loop()).__module__)

    if not is_installed:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    run(main())
    assert (loops == ["uvloop"]) == is_installed


def test_closing_that_never_ends_is_ended() -> None:
    ended = threading.Event()
    with ClosingLimit(0.0, ended.set) as closing:
        closing.begin()
        assert ended.wait(30)


def test_who_has_closed_in_time_is_not_ended() -> None:
    ended = threading.Event()
    with ClosingLimit(threading.TIMEOUT_MAX, ended.set) as closing:
        closing.begin()
        timer = closing.timer
    timer.join(30)
    assert not timer.is_alive()
    assert not ended.is_set()
