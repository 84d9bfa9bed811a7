"""`routewright top`: what two looks at `/metrics` tell, how it is shown, and how it ends."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from lobby import lobby, standing
from routewright.cli import top
from routewright.cli.top_reading import Look, quantile, snapshot
from routewright.cli.top_screen import lines
from routewright.decision.drift import Quantity
from routewright.gateway.metrics import Metrics
from routewright.ledger.drift import Key
from routewright.text import plain
from served import serving
from terminal import Terminal

TEXT = r"""
# HELP routewright_requests_total Requests.
routewright_requests_total{model="a\"\\\n",tier="bulk",outcome="complete"} 30
routewright_requests_total{model="b",tier="bulk",outcome="complete"} 6
routewright_requests_total{model="b",tier="bulk",outcome="provider_failed"} 4
routewright_cost_usd_total{model="b"} 0.000000012
routewright_ledger_up 1
what is this
routewright_strange{} many
"""


def test_workers_of_one_gateway_are_seen_as_one() -> None:
    told = """
routewright_requests_total{worker="1",model="a",outcome="complete"} 3
routewright_requests_total{worker="2",model="a",outcome="complete"} 4
routewright_ledger_up{worker="1"} 1
routewright_ledger_up{worker="2"} 0
routewright_breaker_state{worker="1",deployment="acme/a"} 2
routewright_breaker_state{worker="2",deployment="acme/a"} 2
routewright_budget_limit_usd{worker="1",budget="all"} 10
routewright_budget_limit_usd{worker="2",budget="all"} 10
routewright_budget_remaining_usd{worker="1",budget="all"} 4
routewright_budget_remaining_usd{worker="2",budget="all"} 5
routewright_drift_alarm{worker="1",model="a",stream="success",family="change"} 1
routewright_drift_alarm{worker="2",model="a",stream="success",family="change"} 1
"""
    now = snapshot("http://gateway", Look.read(told, 0), Look.read(told, 1))
    assert (now.requests, now.breakers) == (7, {"acme/a": "open"})
    (budget,) = now.budgets
    assert (budget.limit_nanousd, budget.remaining_nanousd) == (10 * 10**9, 4 * 10**9)
    assert now.alarms == ("the ledger takes nothing new: requests are refused", "drift: a success change")


def test_samples_are_read_with_their_labels_and_nothing_else_matters() -> None:
    look = Look.read(TEXT, 0)
    assert look.by("requests_total", "model") == {'a"\\\n': 30, "b": 10}
    assert look.sum("requests_total", model="b", outcome="complete") == 6
    assert look.sum("cost_usd_total") == Decimal("0.000000012")
    assert look.sum("never_heard_of") == 0


def test_between_two_looks_rates_are_a_seconds() -> None:
    before, after = Look.read(TEXT, 10), Look.read(TEXT.replace("} 30", "} 50").replace("} 4", "} 9"), 20)
    now = snapshot("http://gateway", before, after)
    assert now.requests_per_s == 2.5
    assert (now.requests, now.failed) == (65, 9)
    assert [(each.model, each.requests_per_s) for each in now.models] == [('a"\\\n', 2.0), ("b", 0.5)]
    assert now.models[1].cost_nanousd == now.cost_nanousd == 12


def test_a_gateway_that_began_anew_meanwhile_has_no_rates_below_zero() -> None:
    now = snapshot("http://gateway", Look.read(TEXT.replace("} 30", "} 5000"), 0), Look.read(TEXT, 1))
    assert now.requests_per_s == 0


@pytest.mark.parametrize(("share", "expected"), [(0.5, 0.1), (0.25, 0.05), (0.75, 0.3), (0.99, 1.0), (0.0, 0.0)])
def test_quantiles_are_prometheus_own(share: float, expected: float) -> None:
    buckets = [(Decimal("0.1"), 50), (Decimal("0.5"), 100 - 2), (Decimal(1), 98), (Decimal("Infinity"), 100)]
    found = quantile(buckets, share)
    assert found is not None
    assert found == pytest.approx(expected, abs=0.01)


def test_without_values_there_is_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([(Decimal(1), 0), (Decimal("Infinity"), 0)], 0.5) is None


async def test_all_that_a_gateway_tells_is_shown(tmp_path: Path) -> None:
    async with lobby(tmp_path, environ={"ROUTEWRIGHT_POLICY__BASELINE": "strong"}) as house:
        drift = {Key("plain", Quantity.COST, "chat"): True, Key("plain", Quantity.LENGTH, ""): False}
        metrics = Metrics(
            house.runtime.engine,
            backlog_bytes=lambda: 5 << 20,
            budgets=lambda: [standing("month")],
            drift=lambda: drift,
        )
        before = Look.read(metrics.text(), 0)
        for _ in range(4):
            await house.ask(model="plain", stream=True)
        house.runtime.engine.settings_error = "a mistake"
        after = Look.read(metrics.text(), 2)
    now = snapshot("http://127.0.0.1:8484", before, after)
    [model] = now.models
    assert (model.model, model.requests, model.requests_per_s) == ("plain", 4, 2.0)
    assert model.p50_s is not None
    assert model.first_token_p50_s is not None
    assert now.overhead_p99_s is not None
    assert now.baseline_nanousd == 100 * now.cost_nanousd > 0
    assert set(now.breakers.values()) == {"closed"}
    text = "\n".join(lines(now, 100))
    assert "2.0 requests/s" in text
    assert "vs always strong: would have cost $" in text
    assert "! drift: plain cost chat" in text
    assert "length" not in text
    assert "! newer settings have a mistake" in text
    assert "$7.25" in text
    assert "27.5 %" in text
    assert "breakers: 4 closed" in text
    assert "5.2MB wait" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_a_gateway_says_cannot_move_the_cursor() -> None:
    hostile = Look.read('routewright_requests_total{model="\x1b[2Jevil",tier="",outcome="complete"} 1\n', 0)
    text = "\n".join(lines(snapshot("http://\x1b[2J", hostile, hostile), None))
    assert text == plain(text)
    assert "evil" in text


def test_a_gateway_that_is_not_there_is_an_error_with_what_helps(tmp_path: Path) -> None:
    done = Terminal(tmp_path).run("top", "--once", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "error[E507]: no gateway answers at http://127.0.0.1:1" in done.output
    assert "hint: start it: routewright serve" in done.output


def _ask(url: str) -> None:
    body = b'{"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}'
    urlopen(Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})).read()  # noqa: S310 ours


def _read_until(screen: int, words: bytes, seconds: float = 20) -> bytes:
    shown, until = b"", time.monotonic() + seconds
    while words not in shown:
        assert select.select([screen], [], [], until - time.monotonic())[0], shown
        shown += os.read(screen, 65536)
    return shown


def _watch_and_end(url: str, home: Path, key: bytes) -> None:
    """On a terminal of its own; the terminal is as it was when it ends."""
    screen, terminal = pty.openpty()
    environ = {**os.environ, "HOME": str(home), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(
        [sys.executable, "-m", "routewright", "top", "--url", url, "--every", "0.2"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environ,
        start_new_session=True,
        close_fds=True,
    ) as process:
        try:
            _read_until(screen, b"q ends")
            _ask(url)
            _read_until(screen, b"2 requests")
            os.write(screen, key)
            assert process.wait(10) == 0
        finally:
            process.kill()
    os.close(terminal)
    os.close(screen)


def test_a_gateway_that_runs_is_watched_live_and_in_one_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "SNAPSHOT_S", 0.05)
    with serving(tmp_path, "--simulate") as served:
        _ask(served.url)
        terminal = Terminal(tmp_path)
        now = json.loads(terminal.run("top", "--json", "--url", served.url).stdout)
        assert (now["requests"], now["failed"]) == (1, 0)
        assert set(now["breakers"].values()) == {"closed"}
        assert "1 request, 0.0 % failed" in terminal.run("top", "--url", served.url + "/v1/").stdout
        _watch_and_end(served.url, tmp_path, b"q")
