"""The supervisor and its workers, as real processes; what each rule says, by itself."""

import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from routewright.gateway.server import listen
from routewright.gateway.workers import FIRST_PAUSE_S, LONGEST_PAUSE_S, MOST_DEATHS, WITHIN_S, Restarts, reserve
from served import Served, mock_upstream
from terminal import Terminal

WORKERS = 2
ENOUGH = 16
"""Connections: that all of them go to one of two workers happens once in 32,768 times."""
SETTINGS = """
[server]
api_key = "env:OPERATOR"
workers = 2

[budgets.capped]
scope = "tag:capped"
limit_usd = 0.0006

[providers.mock]
base_url = "http://127.0.0.1:{port}/v1"

[models.ok]
tier = "bulk"
deployments = ["mock/ok"]
context_window = 100_000
price = {{ input = "1", output = "2" }}

[models.long]
tier = "bulk"
deployments = ["mock/long"]
context_window = 100_000
price = {{ input = "1", output = "2" }}
"""


class Told(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, path: str, body: object = None, *, key: str = "operator", method: str = "POST", **more: str) -> Told:
    """By a connection of its own, which the kernel gives to any worker."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "connection": "close", **more}
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=20)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Told(response.status, told, response.read())


def chat(url: str, model: str = "ok", **more: Any) -> Told:
    headers = {name: more.pop(name) for name in ("key", "idempotency_key") if name in more}
    given = {"idempotency-key": headers.pop("idempotency_key")} if "idempotency_key" in headers else {}
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
    return ask(url, "/v1/chat/completions", body, **headers, **given)


def metric(text: str, name: str) -> dict[str, float]:
    """By worker, all other labels summed."""
    found: defaultdict[str, float] = defaultdict(float)
    for worker, value in re.findall(rf'^routewright_{name}\{{worker="(\d+)".*\}} (\S+)$', text, re.MULTILINE):
        found[worker] += float(value)
    return dict(found)


def metrics(url: str) -> str:
    return ask(url, "/metrics", method="GET").body.decode()


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def until(holds: Any, patience_s: float = 15) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider") / "bill.jsonl"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, bill: Path) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("workers")
    with mock_upstream(bill) as port:
        (home / "routewright.toml").write_text(SETTINGS.format(port=port))
        gateway = Served(home, environ={"OPERATOR": "operator"}).start()
        try:
            yield gateway
        finally:
            if gateway.process.poll() is None:
                gateway.stop()


def charged(bill: Path) -> int:
    return len(bill.read_text().splitlines())


def test_requests_are_dealt_out_and_any_worker_tells_the_metrics_of_all(served: Served) -> None:
    assert [chat(served.url).status for _ in range(ENOUGH)] == [200] * ENOUGH
    text = metrics(served.url)
    requests = metric(text, "requests_total")
    assert requests.keys() == {"1", "2"}
    assert sum(requests.values()) == ENOUGH
    assert metric(text, "worker_up") == {"1": 1, "2": 1}
    assert text.count("# TYPE routewright_requests_total counter") == 1


def test_metrics_of_several_workers_need_a_key_where_those_of_one_do(served: Served) -> None:
    assert [ask(served.url, "/metrics", method="GET", host="evil.example", key="no").status for _ in range(8)] == [
        401
    ] * 8


def test_an_idempotency_key_holds_whichever_workers_are_asked(served: Served, bill: Path) -> None:
    before = charged(bill)
    answers = [chat(served.url, idempotency_key="once") for _ in range(ENOUGH)]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert charged(bill) == before + 1


def test_an_idempotency_key_holds_for_requests_at_once(served: Served, bill: Path) -> None:
    before = charged(bill)
    with ThreadPoolExecutor(ENOUGH) as threads:
        asked = [
            threads.submit(chat, served.url, "long", idempotency_key="at once", stream=True) for _ in range(ENOUGH)
        ]
        answers = [each.result() for each in asked]
    assert Counter(answer.status for answer in answers)[200] >= 1
    assert {answer.status for answer in answers} <= {200, 409}
    whole = [answer.body for answer in answers if answer.status == 200]
    assert all(body.endswith(b"data: [DONE]\n\n") for body in whole)
    assert charged(bill) == before + 1


def test_a_response_is_gone_on_from_and_shown_whichever_worker_is_asked(served: Served) -> None:
    said = json.loads(ask(served.url, "/v1/responses", {"model": "ok", "input": "Hello"}).body)
    further = {"model": "ok", "input": "And?", "previous_response_id": said["id"]}
    assert [ask(served.url, "/v1/responses", further).status for _ in range(ENOUGH)] == [200] * ENOUGH
    shown = [ask(served.url, f"/v1/responses/{said['id']}", method="GET") for _ in range(ENOUGH)]
    assert {answer.status for answer in shown} == {200}


def test_limits_of_a_key_are_those_of_all_workers_together(served: Served) -> None:
    created = ask(served.url, "/admin/keys", {"name": "limited", "requests_per_minute": 5})
    key = json.loads(created.body)["key"]
    until(lambda: all(ask(served.url, "/v1/models", method="GET", key=key).status == 200 for _ in range(ENOUGH)))
    statuses = Counter(chat(served.url, key=key).status for _ in range(ENOUGH))
    assert statuses == {200: 5, 429: ENOUGH - 5}


def test_m01_workers_over_one_file_spend_what_there_is_and_no_more(served: Served, bill: Path) -> None:
    before = charged(bill)
    tagged: dict[str, Any] = {"routewright": {"tags": ["capped"]}, "max_tokens": 8}
    with ThreadPoolExecutor(2 * ENOUGH) as threads:
        asked = [threads.submit(chat, served.url, **tagged) for _ in range(2 * ENOUGH)]
        statuses = Counter(each.result().status for each in asked)
    spent = [json.loads(line) for line in bill.read_text().splitlines()[before:]]
    cost_usd = sum(each["input"] * 1 + each["output"] * 2 for each in spent) / 1e6
    assert statuses.keys() == {200, 402}
    assert statuses[200] == len(spent)
    assert 0.0003 < cost_usd <= 0.0006


def test_nobody_else_is_taken_for_a_worker(served: Served) -> None:
    created = ask(served.url, "/admin/keys", {"name": "sly", "requests_per_minute": 3})
    key = json.loads(created.body)["key"]
    until(lambda: all(ask(served.url, "/v1/models", method="GET", key=key).status == 200 for _ in range(ENOUGH)))
    body = {"model": "ok", "messages": [{"role": "user", "content": "Hello"}]}
    mark = {"x-worker-token": "0" * 64}
    statuses = Counter(ask(served.url, "/v1/chat/completions", body, key=key, **mark).status for _ in range(ENOUGH))
    assert statuses == {200: 3, 429: ENOUGH - 3}


def test_r03_a_worker_that_is_killed_is_replaced_while_the_other_serves(served: Served) -> None:
    first = children(served.process.pid)
    dying = min(first)
    os.kill(dying, signal.SIGKILL)
    until(lambda: dying not in children(served.process.pid))
    assert [chat(served.url).status for _ in range(4)] == [200] * 4
    until(lambda: metric(metrics(served.url), "worker_up") == {"1": 1, "2": 1})
    second = children(served.process.pid)
    assert len(second) == WORKERS
    assert len(first & second) == 1


def test_a_second_gateway_on_the_port_is_refused(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    for more in (["--workers", "2"], ["--workers", "1"]):
        second = Terminal(served.home).spawn("serve", "--simulate", "--port", port, *more, environ={"OPERATOR": "o"})
        assert second.returncode == 1
        assert f"error[E501]: 127.0.0.1:{port} is in use" in second.stderr


def test_streams_that_are_open_at_the_end_come_to_theirs(served: Served) -> None:
    """The last one here: a second SIGTERM, as of whoever ends a whole group of processes, changes nothing."""
    answers: list[Told] = []
    streams = [threading.Thread(target=lambda: answers.append(chat(served.url, "long", stream=True))) for _ in range(6)]
    for each in streams:
        each.start()
    time.sleep(0.3)
    for pid in children(served.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert served.stop() == 0
    for each in streams:
        each.join()
    assert [answer.body.endswith(b"data: [DONE]\n\n") for answer in answers] == [True] * 6


def test_what_is_wrong_from_the_start_is_told_once(tmp_path: Path) -> None:
    refused = Terminal(tmp_path).spawn("serve", "--simulate", "--port", "0", "--workers", "3", "--host", "0.0.0.0")
    assert refused.returncode == 78
    assert refused.stderr.count("error[E404]") == 1


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    gateway = Served(tmp_path, "--simulate", "--workers", "2").start()
    workers = children(gateway.process.pid)
    assert len(workers) == WORKERS
    gateway.kill()
    until(lambda: not any(is_alive(pid) for pid in workers))


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# ---- each rule by itself --------------------------------------------------------------------------------------------


def test_who_dies_again_and_again_waits_longer_and_at_last_for_ever() -> None:
    restarts = Restarts()
    pauses = [restarts.pause_s(float(number)) for number in range(MOST_DEATHS)]
    assert pauses == [min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**number) for number in range(MOST_DEATHS)]
    assert restarts.pause_s(float(MOST_DEATHS)) is None


def test_who_dies_seldom_is_always_started_again_soon() -> None:
    restarts = Restarts()
    assert [restarts.pause_s(number * WITHIN_S) for number in range(3 * MOST_DEATHS)] == [
        FIRST_PAUSE_S
    ] * 3 * MOST_DEATHS


def test_an_address_is_kept_for_those_who_share_it_before_anybody_listens() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", port)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        shared = [listen("127.0.0.1", port, is_shared=True) for _ in range(2)]
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", port)
        for each in shared:
            each.close()
