"""What is shipped for Prometheus and Grafana: every query asks for what `/metrics` has, by labels that it has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from routewright.gateway.families import METRICS, Kind

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
RULES = DEPLOY / "prometheus" / "alerts.yaml"

FUNCTIONS = frozenset(
    {"absent", "by", "count", "histogram_quantile", "increase", "label_values", "max", "min", "rate", "sum", "vector"}
)
WORDS = FUNCTIONS | {"or", "unless", "offset"}
OF_PROMETHEUS = {"instance"}
"""Labels that scraping adds."""
_TOKENS = re.compile(
    r"""\s+|(?P<metric>routewright_\w+)|(?P<text>"[^"]*")|(?P<range>\[(?:\d+[smhd]|\$__\w+)\])"""
    r"""|(?P<variable>\$\w+)|(?P<number>\d+(?:\.\d+|[mhd])?)|(?P<word>[a-z_]+)"""
    r"""|(?P<sign>=~|!=|!~|==|[-+*/<>=(),{}])"""
)


def _sample_names() -> dict[str, set[str]]:
    """Every series that can be asked for, with its labels."""
    series: dict[str, set[str]] = {}
    for metric in METRICS:
        labels = set(metric.labels) | OF_PROMETHEUS
        if metric.kind is Kind.HISTOGRAM:
            series[f"{metric.full_name}_bucket"] = labels | {"le"}
            series[f"{metric.full_name}_sum"] = series[f"{metric.full_name}_count"] = labels
        else:
            series[metric.full_name] = labels
    return series


SERIES = _sample_names()


def lint(expression: str) -> set[str]:
    """The labels that it may speak of. Raises AssertionError for what Prometheus would refuse, or never finds."""
    position, depth, labels, metrics = 0, [], set[str](), set[str]()
    named: list[str] = []
    while position < len(expression):
        match = _TOKENS.match(expression, position)
        assert match, f"what is {expression[position:][:20]!r}?"
        position = match.end()
        token = match.group()
        if match["metric"]:
            assert token in SERIES, f"/metrics has no {token}"
            metrics.add(token)
            labels |= SERIES[token]
        elif match["range"]:
            assert metrics
        elif token in "({":
            depth.append(token)
        elif token in ")}" and token.strip():
            assert depth, "closed, and never opened"
            assert depth.pop() + token in ("()", "{}")
        elif match["word"] and token not in WORDS:
            named.append(token)
    assert not depth, "opened, and never closed"
    assert metrics, "asks for nothing"
    assert set(named) <= labels, f"no metric in it has {set(named) - labels}"
    for counter in (name for name in metrics if name.endswith(("_total", "_bucket"))):
        pattern = rf"(rate|increase)\({counter}(\{{[^}}]*\}})?\["
        assert re.search(pattern, expression), f"{counter} only grows: ask for its rate"
    return labels


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(rate(routewright_requests_total[5m])",
        "sum(rate(routewright_request_total[5m]))",
        "sum(rate(routewright_request_duration_seconds[5m]))",
        "sum by (user) (rate(routewright_requests_total[5m]))",
        'rate(routewright_requests_total{modell="x"}[5m])',
        "sum(routewright_requests_total)",
        "rate(routewright_requests_total[5 minutes])",
        "summ(routewright_ledger_up)",
        "1 + 1",
    ],
)
def test_the_check_finds_mistakes(wrong: str) -> None:
    with pytest.raises(AssertionError):
        lint(wrong)


def targets(board: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for panel in json.loads(board.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel, target


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_panel_asks_for_what_is_there(board: Path) -> None:
    asked = list(targets(board))
    assert len(asked) > 10
    for panel, target in asked:
        labels = lint(target["expr"])
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in labels, panel["title"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_is_whole_and_nothing_lies_on_anything(board: Path) -> None:
    document = json.loads(board.read_text())
    assert document["uid"]
    assert document["title"].startswith("routewright")
    assert {each["name"] for each in document["templating"]["list"]} == {"datasource", "instance"}
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert {target["refId"] for target in panel["targets"]} == set("ABCDEF"[: len(panel["targets"])])


def test_boards_have_uids_of_their_own() -> None:
    assert len({json.loads(board.read_text())["uid"] for board in BOARDS}) == len(BOARDS) == 2


def test_every_rule_asks_for_what_is_there_and_says_what_to_do() -> None:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) > 10
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        labels = lint(rule["expr"])
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        said = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels, rule["alert"]


def test_every_alarm_that_metrics_can_raise_has_a_rule() -> None:
    """What is there to be looked at by nobody else."""
    text = RULES.read_text()
    watched = ("breaker_state", "drift_alarm", "settings_refused", "ledger_up", "provider_incidents_total")
    assert [name for name in watched if f"routewright_{name}" not in text] == []
