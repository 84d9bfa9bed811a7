"""`routewright launch`: what a program is told, what becomes of it, and what is said of its cost."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import anthropic
import openai
import pytest

from routewright.cli.launching import Gateway, launch_of
from routewright.cli.session_cost import session_cost, told
from routewright.ledger.ledger import RequestRecorded, Settled
from routewright.ledger.store import AttemptRecord, RequestRecord
from routewright.usage import Usage
from served import serving
from terminal import Terminal

GATEWAY = Gateway("http://127.0.0.1:9", "a-key", "launch-1")
ASKING = """
import json, os, sys
from urllib.request import Request, urlopen
name, _, value = os.environ["OPENAI_CUSTOM_HEADERS"].partition(": ")
body = json.dumps({"messages": [{"role": "user", "content": "Say hello"}], "model": "auto"}).encode()
for _ in range(2):
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    urlopen(Request(url, body, {name: value, "content-type": "application/json"})).read()
print("asked")
sys.exit(7)
"""

# ---- what it is told ------------------------------------------------------------------------------------------------


def test_any_program_is_told_by_its_environment_alone() -> None:
    environ = {"PATH": "/bin", "OPENAI_API_KEY": "mine", "ANTHROPIC_API_KEY": "mine", "CLAUDE_CODE_USE_BEDROCK": "1"}
    launch = launch_of(["python", "app.py"], environ, GATEWAY, None)
    assert launch.command == ["python", "app.py"]
    assert launch.environ == {
        "PATH": "/bin",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "ANTHROPIC_API_KEY": "a-key",
        "ANTHROPIC_CUSTOM_HEADERS": "x-routewright-user: launch-1",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "a-key",
        "OPENAI_CUSTOM_HEADERS": "x-routewright-user: launch-1",
    }


def test_official_libraries_take_it_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in launch_of(["python"], {}, GATEWAY, None).environ.items():
        monkeypatch.setenv(name, value)
    for client in (openai.OpenAI(), anthropic.Anthropic()):
        assert str(client.base_url).startswith("http://127.0.0.1:9")
        assert (client.api_key, client.default_headers["x-routewright-user"]) == ("a-key", "launch-1")


def test_claude_code_asks_for_auto_by_a_name_that_it_lists() -> None:
    environ = {"ANTHROPIC_API_KEY": "mine", "ANTHROPIC_CUSTOM_HEADERS": "x-mine: 1"}
    launch = launch_of(["/usr/bin/claude", "-p", "hi"], environ, GATEWAY, None)
    assert launch.command == ["/usr/bin/claude", "-p", "hi"]
    assert "ANTHROPIC_API_KEY" not in launch.environ
    assert launch.environ["ANTHROPIC_AUTH_TOKEN"] == "a-key"
    assert launch.environ["ANTHROPIC_MODEL"] == launch.environ["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "claude-auto"
    assert launch.environ["ANTHROPIC_CUSTOM_HEADERS"] == "x-mine: 1\nx-routewright-user: launch-1"
    assert launch_of(["claude"], {}, GATEWAY, "auto:best").environ["ANTHROPIC_MODEL"] == "auto:best"


def test_codex_is_told_by_arguments_before_the_users_own() -> None:
    launch = launch_of(["codex", "exec", "-c", 'model="mine"', "hi"], {}, GATEWAY, None)
    first, *settings = launch.command[:-4]
    assert (first, settings[::2]) == ("codex", ["-c"] * 5)
    assert list(launch.command[-4:]) == ["exec", "-c", 'model="mine"', "hi"]
    assert 'model_provider="routewright"' in settings
    assert 'model="auto"' in settings
    assert (
        'model_providers.routewright={name="routewright", base_url="http://127.0.0.1:9/v1", env_key="OPENAI_API_KEY", '
        'wire_api="responses", http_headers={"x-routewright-user"="launch-1"}}'
    ) in settings


# ---- what becomes of it ---------------------------------------------------------------------------------------------


def test_a_program_is_routed_by_a_gateway_of_its_own_and_its_cost_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ASKING)
    terminal = Terminal(tmp_path)
    done = terminal.spawn("launch", "--simulate", "--json", "--", sys.executable, "app.py")
    assert (done.stdout, done.returncode) == ("asked\n", 7)
    cost = json.loads(done.stderr)
    assert (cost["requests"], cost["failed"], cost["exit_code"], cost["is_simulated"]) == (2, 0, 7, True)
    assert cost["cost_nanousd"] == sum(part["cost_nanousd"] for part in cost["models"]) > 0
    assert cost["saved_nanousd"] == cost["baseline_nanousd"] - cost["cost_nanousd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".local", "app.py"]
    users = {row["user"] for row in json.loads(terminal.run("ledger", "tail", "--json").stdout)}
    assert users == {cost["session"]}
    with pytest.raises(OSError, match=r"refused|unreachable"):  # it has ended with the program
        _connect(cost["gateway"])


def test_a_gateway_that_runs_is_used_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ASKING)
    terminal = Terminal(tmp_path)
    with serving(tmp_path, "--simulate", environ=terminal.environ) as served:
        done = terminal.run("launch", "--url", served.url, "--", sys.executable, "app.py")
        assert done.exit_code == 7
        assert f"routewright: {Path(sys.executable).name}: 2 requests · " in done.stderr
        assert "would have cost" in done.stderr
        port = served.url.rpartition(":")[2]
        found = terminal.spawn(
            "launch", "sh", "--", "-c", "echo $OPENAI_BASE_URL", environ={"ROUTEWRIGHT_SERVER__PORT": port}
        )
        assert found.stdout == f"{served.url}/v1\n"
        assert "routewright: sh: no request of it is in the ledger" in found.stderr
        assert served.process.poll() is None


def test_what_ends_the_launcher_ends_the_program_and_the_gateway(tmp_path: Path) -> None:
    script = "echo $OPENAI_BASE_URL; exec sleep 60"
    command = [sys.executable, "-m", "routewright", "launch", "--simulate", "--", "sh", "-c", script]
    process = subprocess.Popen(
        command, env=Terminal(tmp_path).environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)  # is the program's own affair
    time.sleep(0.05)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    with pytest.raises(OSError, match=r"refused|unreachable"):
        _connect(url)


def _connect(url: str) -> None:
    parts = urlsplit(url)
    socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()


# ---- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "hint"),
    [("claude", "npm install -g @anthropic-ai/claude-code"), ("no-such-program", "check its name")],
)
def test_a_program_that_is_not_there_is_an_error_that_says_how_to_get_it(
    tmp_path: Path, program: str, hint: str
) -> None:
    failed = Terminal(tmp_path).run("launch", program, environ={"PATH": "/nowhere"})
    assert failed.exit_code == 1
    assert f"error[E508]: there is no program '{program}' here\nhint: {hint}" in failed.stderr


def test_a_gateway_that_is_not_there_or_lets_nobody_in_is_an_error(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    nobody = terminal.run("launch", "--url", "http://127.0.0.1:1", "--", "sh", "-c", "exit 3")
    assert (nobody.exit_code, "error[E507]: no gateway answers at http://127.0.0.1:1" in nobody.stderr) == (1, True)
    locked = {"ROUTEWRIGHT_SERVER__API_KEY": "env:GATE", "GATE": "the-key-of-the-gate"}
    with serving(tmp_path, "--simulate", environ={**terminal.environ, **locked}) as served:
        launch = ("launch", "--url", served.url, "--", "sh", "-c", "exit 3")
        refused = terminal.run(*launch)
        assert refused.exit_code == 1
        assert f"the gateway at {served.url} does not take the key\nhint: export ROUTEWRIGHT_KEY=" in refused.stderr
        entered = terminal.run(*launch, environ={"ROUTEWRIGHT_KEY": locked["GATE"]})
        assert entered.exit_code == 3
        assert locked["GATE"] not in entered.stderr


def test_settings_that_are_wrong_are_told_before_anything_starts(tmp_path: Path) -> None:
    failed = Terminal(tmp_path).run("launch", "--set", "policy.confidence_threshold=2", "--", "sh")
    assert failed.exit_code == 78


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / ".local").write_text("in the way")
    failed = Terminal(tmp_path).spawn("launch", "--simulate", "--", "sh", "-c", "exit 3")
    assert failed.returncode == 1
    assert "error[E507]: the gateway did not start: " in failed.stderr


# ---- what it cost ---------------------------------------------------------------------------------------------------


def record(
    name: str, model: str | None, cost: int, baseline: int | None, *, deployment: str = "acme/x"
) -> RequestRecord:
    row = RequestRecorded(
        request_id=name, at_ns=1, dialect="d", requested_model="auto", model=model, tier="bulk", confidence=None,
        reason="r", outcome="complete" if model else "all_attempts_failed", cost_nanousd=cost,
        is_estimated=model is None, baseline_model="best" if baseline else None, baseline_cost_nanousd=baseline,
        attempts=1, stream=False, total_ms=1, overhead_us=None, route=None,
    )  # fmt: skip
    settled = Settled(
        attempt_id=name, request_id=name, at_ns=1, model=model or "small", deployment=deployment, served_model="x",
        cause="first", outcome="complete", usage=Usage(input=100, output=10), cost_nanousd=cost, price_version="p",
        is_estimated=False, first_event_ms=1, total_ms=1,
    )  # fmt: skip
    return RequestRecord(row, (AttemptRecord(None, settled),))


def test_a_session_is_added_up_by_model_and_against_the_baseline() -> None:
    rows = [record("a", "small", 1_000_000, 9_000_000), record("b", "large", 5_000_000, 5_000_000)]
    cost = session_cost([*rows, record("c", None, 500_000, None)])
    assert list(told(cost)) == [
        "3 requests, 1 of them not answered to the end · 300 tokens in, 30 out · ≤ $0.006500",
        "  large  1 request · 100 in, 10 out · $0.005000",
        "  small  1 request · 200 in, 20 out · $0.001500",
        "  always best would have cost $0.014000: saved $0.007500 (53.6 %)",
    ]


def test_a_simulated_session_says_so_and_one_without_requests_too() -> None:
    cost = session_cost([record("a", "m", 1, 1, deployment="simulator/m")])
    assert "simulated, so nothing was spent" in next(told(cost))
    assert list(told(session_cost([]))) == ["no request of it is in the ledger"]
