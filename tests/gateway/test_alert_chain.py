"""Budget → alert → webhook and Slack → metric, through real gateways: each crossing is told once, whoever dies."""

import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from served import Served

PATIENCE_S = 15
SETTINGS = """
[spending]
when_full = ["refuse"]
[alerts]
webhook = "http://127.0.0.1:{port}/generic"
slack_webhook = "env:SLACK"
[budgets.all]
scope = "total"
limit_usd = "0.02"
period = "forever"
alerts = [10, 60]
"""


class Hooks:
    """A server that takes webhooks; `posts` is what came, by path."""

    def __init__(self) -> None:
        self.posts: dict[str, list[dict[str, Any]]] = {"/generic": [], "/slack": []}
        self._came = threading.Condition()
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with hooks._came:
                    hooks.posts[self.path].append(body)
                    hooks._came.notify_all()
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called where it is from
                """Not to stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def wait_for(self, each: int) -> None:
        """Until so many have come on either path."""
        with self._came:
            assert self._came.wait_for(lambda: all(len(posts) >= each for posts in self.posts.values()), PATIENCE_S)


@contextmanager
def hooks() -> Iterator[Hooks]:
    """For the length of a block."""
    taken = Hooks()
    thread = threading.Thread(target=taken.server.serve_forever)
    thread.start()
    try:
        yield taken
    finally:
        taken.server.shutdown()
        thread.join()
        taken.server.server_close()


def ask(served: Served, times: int = 1) -> None:
    """Requests of a known most: one costs 0.28 cents or less."""
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client:
        for _ in range(times):
            client.chat.completions.create(
                model="claude-opus-4.7", messages=[{"role": "user", "content": "Prove it"}], max_tokens=100
            )


def metric(served: Served, name: str) -> float:
    """What /metrics says of the budget."""
    with urllib.request.urlopen(f"{served.url}/metrics") as answer:  # noqa: S310
        found = re.search(rf'^{name}{{budget="all"}} (\S+)$', answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_each_crossing_reaches_webhook_and_slack_once_though_the_gateway_is_killed_between(tmp_path: Path) -> None:
    with hooks() as taken:
        port = taken.server.server_port
        (tmp_path / "routewright.toml").write_text(SETTINGS.format(port=port))
        served = Served(tmp_path, "--simulate", environ={"SLACK": f"http://127.0.0.1:{port}/slack"})
        try:
            served.start()
            ask(served)
            taken.wait_for(1)
            assert metric(served, "routewright_budget_alerts_total") == 1
            assert 0 < metric(served, "routewright_budget_remaining_usd") < 0.018
            served.kill()
            served.start()
            with pytest.raises(openai.APIStatusError) as refused:
                ask(served, times=100)
            taken.wait_for(2)
            assert refused.value.status_code == 402
            assert metric(served, "routewright_budget_alerts_total") == 1, "since this start"
            assert metric(served, "routewright_budget_remaining_usd") < 0.008
        finally:
            served.kill()
    told = taken.posts["/generic"]
    assert [post["percent"] for post in told] == [10, 60]
    assert {(post["budget"], post["scope"], post["limit_usd"], post["is_frozen"]) for post in told} == {
        ("all", "total", "0.02", False)
    }
    assert [list(post) for post in taken.posts["/slack"]] == [["text"], ["text"]]
    assert "budget 'all' has reached 10 % of its limit" in taken.posts["/slack"][0]["text"]
    assert "budget 'all' has reached 60 % of its limit" in taken.posts["/slack"][1]["text"]
