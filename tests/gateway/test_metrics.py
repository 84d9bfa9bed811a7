import re
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from lobby import lobby, standing
from routewright.decision.drift import Quantity
from routewright.gateway.families import METRICS, Kind
from routewright.gateway.metrics import Metrics
from routewright.ledger.budgets import Scope
from routewright.ledger.drift import Key

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """As Prometheus reads it; each sample must be there once."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def sample(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"routewright_{name}", tuple(sorted(labels.items()))]


async def test_prometheus_reads_all_of_it_and_the_histograms_add_up(tmp_path: Path) -> None:
    async with lobby(tmp_path, environ={"ROUTEWRIGHT_POLICY__BASELINE": "strong"}) as house:
        house.budgets = [standing("month")]
        for stream in (False, True, True):
            await house.ask(model="plain", stream=stream)
        await house.ask(model="auto")
        samples = read((await house.call("GET", "/metrics")).body.decode())
    assert sample(samples, "request_duration_seconds_count", model="plain") == 3
    assert sample(samples, "request_duration_seconds_bucket", model="plain", le="+Inf") == 3
    assert sample(samples, "time_to_first_token_seconds_count", model="plain") == 2
    assert sample(samples, "overhead_seconds_count", dialect="openai_chat") == 4
    assert sample(samples, "route_decisions_total", policy="default", tier="bulk", how="named") == 3
    assert sample(samples, "tokens_total", model="plain", **{"class": "output"}) > 0
    assert sample(samples, "baseline_cost_usd_total", baseline="strong") > 0
    assert sample(samples, "budget_limit_usd", budget="month") == 10
    assert sample(samples, "ledger_up") == 1
    told = {name for name, _ in samples}
    missing = {metric.full_name for metric in METRICS if metric.kind is Kind.GAUGE} - told
    assert missing == {"routewright_drift_alarm", "routewright_redis_up", "routewright_gateways"}


def test_the_page_lists_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (metric.full_name, str(metric.kind), ", ".join(f"`{label}`" for label in metric.labels) or "–", metric.told)
        for metric in METRICS
    ]


def test_no_label_says_who_asked_or_what() -> None:
    labels = {label for metric in METRICS for label in metric.labels}
    assert not labels & {"user", "key", "request", "request_id", "session", "team", "tag"}
    assert all(metric.name.endswith("_total") == (metric.kind is Kind.COUNTER) for metric in METRICS)


async def test_what_happened_is_counted_and_nothing_says_who_or_what(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        issued = house.key("somebody", team="research")
        key = issued.text.reveal()
        for _ in range(3):
            await house.ask(key, model="plain", user="ann")
        await house.ask(key, model="no-such")
        answered = await house.call("GET", "/metrics")
        assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answered.body.decode().splitlines()
        assert 'routewright_requests_total{model="plain",tier="bulk",outcome="complete"} 3' in lines
        assert 'routewright_requests_total{model="",tier="",outcome="refused"} 1' in lines
        attempts = 'routewright_upstream_attempts_total{deployment="acme/plain",cause="first",outcome="complete"} 3'
        assert attempts in lines
        assert 'routewright_breaker_state{deployment="acme/strong"} 0' in lines
        [cost] = [line for line in lines if line.startswith('routewright_cost_usd_total{model="plain"}')]
        assert 0 < float(cost.split()[1]) < 0.01
        assert [line for line in lines if line.startswith("routewright_ledger_queue_depth ")]
        assert [line for line in lines if line.startswith("routewright_build_info{version=")]
        for secret in (issued.key.id, "somebody", "research", "ann", "no-such"):
            assert secret not in answered.body.decode()


async def test_budgets_are_gauges_but_not_those_of_single_keys(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        shown = [standing('odd"\\\n'), standing("key/0123456789/day", scope=Scope.KEY)]
        metrics = Metrics(
            house.runtime.engine, backlog_bytes=lambda: 7, budgets=lambda: shown, alerts=lambda: {'odd"\\\n': 2}
        )
        text = metrics.text()
        assert 'routewright_budget_remaining_usd{budget="odd\\"\\\\\\n"} 7.250000000\n' in text
        assert 'routewright_budget_alerts_total{budget="odd\\"\\\\\\n"} 2\n' in text
        assert "0123456789" not in text
        assert "routewright_ledger_queue_depth 7\n" in text


async def test_what_is_watched_for_drift_is_a_gauge(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        watched = {Key("plain", Quantity.COST, "chat"): True, Key("plain", Quantity.LENGTH, ""): False}
        text = Metrics(house.runtime.engine, backlog_bytes=lambda: 0, drift=lambda: watched).text()
        assert 'routewright_drift_alarm{model="plain",stream="cost",family="chat"} 1\n' in text
        assert 'routewright_drift_alarm{model="plain",stream="length",family=""} 0\n' in text


async def test_redis_is_told_of_where_there_should_be_one(tmp_path: Path) -> None:
    async with lobby(tmp_path, '[redis]\nurl = "redis://127.0.0.1:1/0"\n') as house:
        lines = (await house.call("GET", "/metrics")).body.decode().splitlines()
        assert "routewright_redis_up 0" in lines
        assert "routewright_gateways 1" in lines
        health = (await house.call("GET", "/healthz")).json
        assert health["redis"] == "not reached: this gateway counts its own share"
        assert health["status"] == "ok", "requests are answered"
    async with lobby(tmp_path) as house:
        assert "redis" not in (await house.call("GET", "/metrics")).body.decode()
        assert "redis" not in (await house.call("GET", "/healthz")).json


async def test_a_page_in_the_browser_does_not_see_them(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        assert (await house.call("GET", "/metrics", headers={"host": "evil.example"})).status == 403
        key = house.key(roles=["read"]).text.reveal()
        assert (await house.call("GET", "/metrics", headers={"host": "evil.example"})).status == 401
        assert (await house.call("GET", "/metrics", headers={"host": "proxy.example"}, key=key)).status == 200
