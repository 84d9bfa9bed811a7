"""R05: what is started twice, forked, or imported by several threads at once."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Barrier

import routewright
from builders import message
from routewright.call import Call
from routewright.errors import LedgerUnavailable
from routewright.ids import uuid7
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from served import serving
from terminal import Terminal

AT_ONCE = 6
PACKAGE = Path(routewright.__file__).parent


def ask(url: str) -> int:
    """The status of an answer."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})  # noqa: S310 our own
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 our own
        return int(response.status)


def test_r05_a_second_gateway_on_a_port_says_so_and_harms_nothing_of_the_first(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    with serving(tmp_path, "--simulate", environ=terminal.environ) as served:
        port = served.url.rpartition(":")[2]
        second = terminal.spawn("serve", "--simulate", "--port", port)
        assert second.returncode == 1
        assert f"error[E501]: 127.0.0.1:{port} is in use\nhint: use another port: " in second.stderr
        assert ask(served.url) == 200
        assert served.stop() == 0
    with closing(sqlite3.connect(served.ledger)) as ledger:
        assert ledger.execute("SELECT outcome FROM requests").fetchall() == [("complete",)]


def test_r05_several_that_open_one_new_ledger_at_once_all_have_it(tmp_path: Path) -> None:
    begin = Barrier(AT_ONCE)

    def open_and_ask(number: int) -> str:
        source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)
        begin.wait()
        runtime = Runtime.open(source, simulator=Simulator(time_scale=0))

        async def story() -> str:
            call_id = uuid7(runtime.clock.time_ns(), Random(number))
            call = Call(id=call_id, dialect="library", model="auto", messages=(message("Hello"),), body={})
            answer = await (await runtime.engine.ask(call)).read()
            await runtime.flush()
            await runtime.close()
            return answer.request_id

        return asyncio.run(story())

    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = list(threads.map(open_and_ask, range(AT_ONCE)))
    slots = {path.name for path in (tmp_path / ".local/share/routewright/journal").glob("slot-*")}
    assert len(slots) > 1, "some were there at one time"
    last = Runtime.open(SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True))
    assert all(last.store.request(request_id) for request_id in asked)
    assert not last.store.pending(lambda: set())
    asyncio.run(last.close())


def test_r05_what_must_have_the_ledger_alone_is_refused_while_a_gateway_writes_to_it(tmp_path: Path) -> None:
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)
    runtime = Runtime.open(source)
    moved = Terminal(tmp_path).run("ledger", "migrate", "--to", "postgresql://nobody@127.0.0.1:1/none")
    asyncio.run(runtime.close())
    assert moved.exit_code != 0
    assert "error[E421]" in moved.output


def test_r05_a_fork_that_writes_to_its_parents_ledger_is_told_so(tmp_path: Path) -> None:
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)
    runtime = Runtime.open(source)
    child = os.fork()
    if not child:
        try:
            runtime.engine.observe(uuid7(runtime.clock.time_ns(), Random(1)), 1.0)
        except LedgerUnavailable as error:
            os._exit(7 if "belongs to process" in error.message else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    runtime.engine.observe(uuid7(runtime.clock.time_ns(), Random(2)), 1.0)
    asyncio.run(runtime.close())


IMPORTS = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

NAMES = "engine runtime client gateway.server gateway.app cli.serve transport ledger.sqlite simulator".split()
files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
begin = threading.Barrier(len(NAMES))

def load(name):
    begin.wait()
    return import_module(f"routewright.{name}")

with ThreadPoolExecutor(len(NAMES)) as threads:
    loaded = list(threads.map(load, NAMES))
assert all(sys.modules[each.__name__] is each for each in loaded)
assert threading.active_count() == 1, threading.enumerate()
assert not files or len(os.listdir("/proc/self/fd")) == files, "an import opened something"
"""


def test_r05_threads_that_import_at_once_get_the_same_and_start_nothing(tmp_path: Path) -> None:
    environ = Terminal(tmp_path).environ
    done = subprocess.run([sys.executable, "-c", IMPORTS], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_r05_nothing_loads_a_part_of_msgspec_before_the_whole_of_it() -> None:
    """A part loaded first holds its own lock and waits for the whole, which holds its lock and waits for the part."""
    parts = re.compile(r"^(?:from|import) msgspec(\.?)", re.MULTILINE)
    first = {path: parts.search(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert sum(found is not None for found in first.values()) > 100
    assert not [path for path, found in first.items() if found is not None and found[1]]
