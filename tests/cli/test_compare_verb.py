"""`routewright compare`: against our own gateway, and against a scripted one that answers differently."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from routewright.cli.compared import NOT_REACHED, Pair, Said, compared
from routewright.cli.sides import read_said
from served import serving
from terminal import Terminal

QUESTIONS = "\n".join(
    json.dumps(
        {"custom_id": f"q{number}", "prompt": f"Document function {number}", "model": "deepseek-v3", "max_tokens": 9}
    )
    for number in range(3)
)


class Scripted(BaseHTTPRequestHandler):
    """Answers the second question with a 429, and tells cost as LiteLLM does; notes what it was asked."""

    protocol_version = "HTTP/1.1"
    key = "sk-scripted"
    asked: list[dict[str, Any]]

    def do_GET(self) -> None:
        self._answer(200 if self.headers["authorization"] == f"Bearer {self.key}" else 401, {"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        if body["messages"][-1]["content"].endswith("1"):
            self._answer(429, {"error": {"message": "slow down", "code": "rate_limited"}})
        else:
            usage = {"prompt_tokens": 1000, "completion_tokens": 7, "cache_read_input_tokens": 900}
            self._answer(200, {"model": "gpt-4o", "usage": usage}, {"x-litellm-response-cost": "5e-05"})

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, said in {"content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, said)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def scripted() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Scripted,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "questions.jsonl").write_text(QUESTIONS)
    return Terminal(tmp_path)


def test_two_of_ours_answer_and_cost_alike(terminal: Terminal, tmp_path: Path) -> None:
    home = tmp_path / "other"
    home.mkdir()
    with serving(home, "--simulate") as other:
        done = terminal.run("compare", "questions.jsonl", "--simulate", "--against", other.url, "--json")
        via = terminal.run("compare", "questions.jsonl", "--against", other.url, "--via", f"{other.url}/v1", "--json")
    assert done.exit_code == via.exit_code == 0
    for told in (json.loads(done.stdout), json.loads(via.stdout)):
        assert (told["questions"], told["status_differs"], told["cost_told_by_both"]) == (3, 0, 3)
        assert [pair["custom_id"] for pair in told["pairs"]] == ["q0", "q1", "q2"]
        assert told["ours"]["answered"] == told["theirs"]["answered"] == 3
        assert told["ours"]["input_tokens"] == told["theirs"]["input_tokens"] > 0
        assert told["ours"]["cost_nanousd"] == told["ours_cost_nanousd"] == told["theirs_cost_nanousd"] > 0
        assert {pair["theirs"]["model"] for pair in told["pairs"]} == {"deepseek-v3"}
        assert told["theirs"]["latency_ms_p50"] > 0


def test_differences_of_another_gateway_are_told(terminal: Terminal) -> None:
    with scripted() as (url, asked):
        arguments = ("compare", "questions.jsonl", "--simulate", "--against", url, "--against-key", "env:OTHER_KEY")
        said = terminal.run(*arguments, "--against-model", "gpt-4o", environ={"OTHER_KEY": Scripted.key})
        told = json.loads(
            terminal.run(*arguments, "--limit", "2", "--json", environ={"OTHER_KEY": Scripted.key}).stdout
        )
    assert {body["model"] for body in asked[:3]} == {"gpt-4o"}
    assert {body["model"] for body in asked[3:]} == {"deepseek-v3"}
    lines = said.stdout.splitlines()
    assert "q1" in lines[1], "different statuses come first"
    assert "200 / 429" in lines[1]
    assert "deepseek-v3 / rate_limited" in lines[1]
    assert "3 / 2" in lines[-1]
    assert "the status differs in 1 of 3" in said.stderr
    assert "cost, where both tell it (2 of 3): $0.0000" in said.stderr
    assert (told["questions"], told["not_asked"], told["status_differs"]) == (2, 1, 1)
    first, second = told["pairs"]
    assert (first["theirs"]["cost_nanousd"], first["theirs"]["input_tokens"]) == (50_000, 1000)
    assert (second["theirs"]["status"], second["theirs"]["error"]) == (429, "rate_limited")
    assert told["theirs"]["usage_told"] == 1


def test_nobody_there_is_one_clear_error_before_anything_is_spent(terminal: Terminal) -> None:
    done = terminal.run("compare", "questions.jsonl", "--simulate", "--against", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert done.stderr.startswith("error[E156]: no gateway answers at http://127.0.0.1:9: ")
    assert "hint: start it" in done.stderr
    assert not terminal.ledger.exists()


def test_a_key_that_is_not_taken_is_told_with_the_option_for_one(terminal: Terminal) -> None:
    with scripted() as (url, asked):
        done = terminal.run("compare", "questions.jsonl", "--simulate", "--against", url)
    assert (done.exit_code, asked) == (1, [])
    assert "does not take the key (401)" in done.stderr
    assert "--against-key env:NAME" in done.stderr


@pytest.mark.parametrize(
    ("key", "said"), [("sk-1234", "env:VARIABLE"), ("env:NOT_SET", "environment variable NOT_SET is not set")]
)
def test_a_key_is_named_and_never_written(terminal: Terminal, key: str, said: str) -> None:
    done = terminal.run("compare", "questions.jsonl", "--against", "http://127.0.0.1:9", "--against-key", key)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "sk-1234" not in done.stderr


@pytest.mark.parametrize("url", ["foo", "localhost:4000", "ftp://x", "http://", "http://a b", "http://127.0.0.1:99999"])
def test_what_is_no_address_is_a_usage_error(terminal: Terminal, url: str) -> None:
    done = terminal.run("compare", "questions.jsonl", "--against", url)
    assert done.exit_code == 2
    assert "is no address; write it like http://localhost:4000" in done.stderr


def test_a_line_that_is_no_question_is_told_before_anybody_is_asked(terminal: Terminal) -> None:
    (terminal.home / "questions.jsonl").write_text(QUESTIONS + '\n{"custom_id": "q3"}\n')
    done = terminal.run("compare", "questions.jsonl", "--simulate", "--against", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "error[E125]" in done.stderr
    assert "record 4 has no prompt" in done.stderr


@pytest.mark.parametrize("cost", ["", "abc", "NaN", "1e999999999", "-1", "9" * 60, [1], None])
def test_a_cost_that_is_no_amount_is_not_told(cost: object) -> None:
    said = read_said(200, {}, json.dumps({"usage": {"cost": cost, "input_tokens": "x"}}).encode(), latency_ms=1)
    assert (said.cost_nanousd, said.input_tokens, said.output_tokens) == (None, None, None)


def test_counts_of_anthropic_are_added_and_what_is_not_json_tells_nothing() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 3, "cost": 0.25}
    said = read_said(200, {}, json.dumps({"usage": usage}).encode(), latency_ms=1)
    assert (said.input_tokens, said.output_tokens, said.cost_nanousd) == (95, 3, 250_000_000)
    assert read_said(502, {}, b"<html>", latency_ms=1) == Said(status=502, latency_ms=1)


def test_what_one_side_does_not_tell_is_in_no_comparison() -> None:
    told = Said(status=200, latency_ms=5, cost_nanousd=10)
    silent = Said(status=NOT_REACHED, latency_ms=900)
    found = compared(
        [Pair(custom_id="a", ours=told, theirs=silent), Pair(custom_id="b", ours=told, theirs=told)],
        against="x",
        not_asked=0,
    )
    assert (found.ours_cost_nanousd, found.theirs_cost_nanousd, found.ours.cost_nanousd) == (10, 10, 20)
    assert (found.theirs.answered, found.theirs.latency_ms_p95) == (1, 5)
