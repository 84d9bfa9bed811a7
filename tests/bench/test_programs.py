"""Programs that are installed already are stand-ins here; nothing is fetched."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from routewright.bench import programs
from routewright.bench.processes import BenchFailed, Child
from routewright.proofs.hearing import Question, ask

STAND_IN = """\
#!{python}
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{{}}")

http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def place_with(home: Path, program: str) -> Path:
    """Where LiteLLM is installed, in version 9.8."""
    (home / "litellm/lib/python3/site-packages/litellm-9.8.dist-info").mkdir(parents=True)
    executable = home / "litellm/bin/litellm"
    executable.parent.mkdir()
    executable.write_text(program)
    executable.chmod(0o755)
    return home


def ready(child: Child) -> None:
    heard = asyncio.run(ask(child.port, Question(model="auto", trial="first"), patience_s=5))
    if heard.status != 200:
        raise BenchFailed(f"status {heard.status}", program=child.name)


def test_what_is_installed_is_started_with_its_files_and_says_what_it_ran_with(tmp_path: Path) -> None:
    place, folder = place_with(tmp_path / "place", STAND_IN.format(python=sys.executable)), tmp_path / "run"
    folder.mkdir()
    files = {"settings.yaml": "model_list: []\n", "hook.py": "costs = 1\n"}
    with programs.litellm(files, place, folder, ready) as running:
        assert (folder / "hook.py").read_text() == "costs = 1\n"
        assert running.version == "9.8"
        assert running.first_answer_s > 0
        assert "litellm --config settings.yaml --host 127.0.0.1" in running.settings
        assert "# settings.yaml\nmodel_list: []\n\n# hook.py\ncosts = 1" in running.settings
        assert str(tmp_path) not in running.settings
        pid = running.child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_ends_at_once_is_to_blame_with_its_last_words(tmp_path: Path) -> None:
    place = place_with(tmp_path / "place", "#!/bin/sh\necho no such model >&2\nexit 3\n")
    with (
        pytest.raises(BenchFailed, match=r"(?s)gave no answer.*exit status 3.*no such model"),
        programs.litellm({"settings.yaml": ""}, place, tmp_path, ready),
    ):
        pass


def test_an_installer_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchFailed, match="there is no npm"), programs.portkey(tmp_path, tmp_path, ready):
        pass
    asked = json.loads((tmp_path / "portkey/package.json").read_text())
    assert asked["overrides"] == {"@hono/node-server": "1.14.1"}
