import shutil
from http.client import HTTPConnection
from pathlib import Path

import pytest

from routewright.bench.load import PATH
from routewright.bench.nginx import nginx
from routewright.bench.processes import Child
from routewright.bench.questions import chat_body


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_its_worker_passes_on_what_it_is_sent(tmp_path: Path, upstream: Child) -> None:
    with nginx(upstream, tmp_path) as child:
        assert child is not None
        before = child.cpu_s()
        connection = HTTPConnection(child.host, child.port, timeout=5)
        for _ in range(20):
            connection.request("POST", PATH, chat_body("Why? " * 8_000), {"content-type": "application/json"})
            response = connection.getresponse()
            assert response.status == 200
            assert response.read().startswith(b'{"id":"chatcmpl-bench"')
        connection.close()
        assert child.cpu_s() > before, "it is the worker that is looked at"
        assert "worker" in Path(f"/proc/{child.pid}/cmdline").read_text()


def test_without_it_there_is_nothing_to_compare_with(
    tmp_path: Path, upstream: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with nginx(upstream, tmp_path) as child:
        assert child is None
