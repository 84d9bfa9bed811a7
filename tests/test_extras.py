"""What is an extra and is not installed is told with the command that brings it, before anything depends on it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desk import Desk
from lobby import lobby
from routewright.errors import SettingsError
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.transport import HttpTransport, require_way
from terminal import Terminal

PROXY = "http://127.0.0.1:1"
BRINGS_PROXY, BRINGS_SCHEMAS = "pip install 'routewright[proxy]'", "pip install 'routewright[schemas]'"
BRINGS_NUMPY = "pip install 'routewright[evidence]'"
WITHOUT_NUMPY = """
import shlex, sys
sys.modules["numpy"] = None
from routewright.cli import starting
for line in sys.stdin:
    sys.argv = ["routewright", *shlex.split(line)]
    try:
        starting.main()
    except SystemExit as end:
        print(f"{sys.argv[1]} ended with {end.code}", file=sys.stderr)
"""
REAL = """
[providers.acme]
base_url = "https://acme.example/v1"
[models.swift]
tier = "standard"
deployments = ["acme/swift"]
context_window = 1000
price = { input = "1", output = "2" }
"""
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
ABLE = """
[models.able]
tier = "standard"
deployments = ["acme/able"]
capabilities = ["json_schema", "tools"]
context_window = 100_000
price = { input = "1", output = "2" }
"""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base install: nothing of the extras can be imported."""
    for name in ("pycurl", "jsonschema_rs", "routewright.http1.behind_proxy"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def opened(folder: Path, settings: str) -> Runtime:
    (folder / "routewright.toml").write_text(settings)
    return Runtime.open(SettingsSource(environ={"HOME": str(folder)}, cwd=folder))


async def test_without_a_proxy_nothing_of_it_is_missed(bare: None, tmp_path: Path) -> None:
    require_way()
    await opened(tmp_path, REAL).close()


async def test_a_proxy_that_cannot_be_gone_through_is_told_at_the_start(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    with pytest.raises(SettingsError, match="HTTPS_PROXY names a proxy") as told:
        opened(tmp_path, REAL)
    assert BRINGS_PROXY in str(told.value.hint)
    (tmp_path / "simulated").mkdir()
    await opened(tmp_path / "simulated", REAL.replace("https://acme.example/v1", "simulator:")).close()


async def test_a_transport_of_its_own_tells_it_as_well(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", PROXY)
    with pytest.raises(SettingsError, match="all_proxy"):
        HttpTransport()._open()


def test_the_doctor_looks_at_the_proxy(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_proxy() -> list[dict[str, str]]:
        checks = json.loads(Terminal(tmp_path).run("doctor", "--json").stdout)
        return [check for check in checks if check["what"] == "proxy"]

    assert of_the_proxy() == []
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    [check] = of_the_proxy()
    assert (check["verdict"], BRINGS_PROXY in check["fix"]) == ("failed", True)


@pytest.mark.parametrize(
    "check", ['kind = "json_schema"\nschema = "{}"', 'kind = "response_format"', 'kind = "tool_call"']
)
def test_a_check_by_schemas_is_refused_with_its_place(bare: None, tmp_path: Path, check: str) -> None:
    desk = Desk(tmp_path)
    desk.write(f"[checks.mine]\n{check}\n")
    with pytest.raises(SettingsError, match=r"routewright\.toml:[123]") as told:
        desk.load()
    assert BRINGS_SCHEMAS in told.value.message


async def test_other_checks_and_forms_of_answers_need_none(bare: None, tmp_path: Path) -> None:
    brief = '[checks.brief]\nkind = "length"\nmax_chars = 9000\nroutes = ["all"]\n'
    async with lobby(tmp_path, brief + ABLE) as house:
        assert (await house.ask(model="able", response_format=FORM)).status == 200


@pytest.mark.parametrize("check", ["response_format", "tool_call", {"kind": "json_schema", "name": "a", "schema": {}}])
async def test_a_request_that_brings_such_a_check_is_told(bare: None, tmp_path: Path, check: object) -> None:
    async with lobby(tmp_path, ABLE) as house:
        answered = await house.ask(model="able", routewright={"checks": [check]}, response_format=FORM)
    assert answered.status == 400
    assert BRINGS_SCHEMAS in answered.json["error"]["message"]


def test_a_batch_with_a_schema_is_told(bare: None, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{}")
    (tmp_path / "items.txt").write_text("one\n")
    done = Terminal(tmp_path).run("batch", "run", "items.txt", "--schema", "schema.json", "--simulate")
    assert done.exit_code == 1
    assert BRINGS_SCHEMAS in done.stderr


def without_numpy(home: Path, *lines: str) -> list[str]:
    """What these commands tell of their end, all in one process."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY], input="\n".join(lines), env=Terminal(home).environ, cwd=home,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        line for line in done.stderr.splitlines() if " ended with " in line or "numpy" in line or BRINGS_NUMPY in line
    ]


def test_what_asks_routes_reports_and_looks_needs_no_numpy(tmp_path: Path) -> None:
    verbs = ("ask --simulate hello", "route hello", "report --json", "config check")
    assert without_numpy(tmp_path, *verbs) == [f"{verb.split()[0]} ended with 0" for verb in verbs]


def test_verbs_that_weigh_evidence_tell_what_brings_numpy(tmp_path: Path) -> None:
    (tmp_path / "table.jsonl").write_text("{}\n")
    promise = '--promise "match a within 2 %"'
    for verb in ("tune", "backtest", "eval table.jsonl", f"calibrate table.jsonl {promise}"):
        told = without_numpy(tmp_path, verb)
        assert told[0] == "error[E155]: numpy is needed to weigh recorded outcomes, and is not installed"
        assert BRINGS_NUMPY in told[1]


def test_a_second_opinion_by_similar_requests_is_refused_without_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for name in ("routewright.layers.neighbours", "routewright.decision.neighbours"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    asked = REAL + '[second_opinion]\nkind = "neighbours"\nembeddings = "acme/vectors"\n'
    with pytest.raises(SettingsError, match="without numpy") as told:
        opened(tmp_path, asked)
    assert BRINGS_NUMPY in str(told.value.hint)
