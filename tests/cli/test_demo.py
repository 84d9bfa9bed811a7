import json

import pytest

from routewright.catalog.registry import Tier
from routewright.cli.comparison import Comparison, Line, Side, Trouble
from routewright.cli.demo import findings, load_prompts, row, show
from terminal import Terminal

QUICK = ("--speed", "1000", "--set", "policy.batch_concurrency=60", "--set", "policy.response_timeout_ms=400")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The result of one run, as JSON."""
    home = tmp_path_factory.mktemp("home")
    environ = {"OPENAI_API_KEY": "never-used", "TMPDIR": str(home)}
    done = Terminal(home).spawn("demo", "--seed", "7", "--json", *QUICK, environ=environ)
    assert done.stderr == ""
    assert done.returncode == 0
    assert list(home.iterdir()) == []
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_every_prompt_goes_both_ways_and_leaves_nothing_behind(demo: dict[str, object]) -> None:
    comparison = demo["comparison"]
    assert isinstance(comparison, dict)
    assert demo["simulated"] is True
    assert comparison["total"]["prompts"] == len(load_prompts()) == 360
    assert comparison["strongest_model"] == "claude-opus-4.7"
    total = comparison["total"]
    assert total["routed"]["cost_nanousd"] < total["strongest"]["cost_nanousd"], "it is worth showing"
    for run in ("routed_trouble", "strongest_trouble"):
        assert comparison[run]["attempts"] >= 360
        assert comparison[run]["unanswered"] == 0


def test_faults_on_the_way_are_retried_and_failed_over(demo: dict[str, object]) -> None:
    comparison = demo["comparison"]
    assert isinstance(comparison, dict)
    assert comparison["routed_trouble"]["retries"] + comparison["strongest_trouble"]["retries"] > 0
    assert comparison["routed_trouble"]["failovers"] + comparison["strongest_trouble"]["failovers"] > 0


def test_tiers_add_up_to_the_total(demo: dict[str, object]) -> None:
    comparison = demo["comparison"]
    assert isinstance(comparison, dict)
    for way in ("routed", "strongest"):
        for figure in ("successes", "cost_nanousd"):
            assert sum(line[way][figure] for line in comparison["lines"]) == comparison["total"][way][figure]


def line(tier: Tier | None, routed: Side, strongest: Side) -> Line:
    return Line(tier=tier, prompts=10, agreed=5, routed=routed, strongest=strongest)


TOTAL = line(None, Side(9, 30_000_000), Side(10, 20_000_000))


def test_table_shows_success_beside_cost() -> None:
    assert row(line(Tier.BULK, Side(9, 1_000_000), Side(10, 4_000_000))) == (
        "bulk",
        "10",
        "50.0 %",
        "90.0 %",
        "100.0 %",
        "$0.001000",
        "$0.004000",
        "75.0 %",
    )


COMPARISON = Comparison(
    seed=1,
    strongest_model="strong",
    lines=(),
    total=TOTAL,
    overhead_us_median=120.0,
    routed_trouble=Trouble(attempts=12, retries=1, failovers=1, unanswered=0),
    strongest_trouble=Trouble(attempts=10, retries=0, failovers=0, unanswered=1),
    elsewhere=2,
)


def test_loss_is_told_as_a_loss() -> None:
    money, own_time, routed, strongest = findings(COMPARISON)
    assert money.startswith("vs always strong (strongest): saved -$0.010000 (-50.0 %), net of routing")
    assert "120 µs" in own_time
    assert routed == "routed: 12 attempts, 1 tried again, 1 failed over to another model, 0 prompts unanswered"
    assert "1 prompt unanswered; 2 prompts answered by another model" in strongest


def test_people_are_told_that_it_is_simulated_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(COMPARISON)
    text = capsys.readouterr().out
    assert text.startswith(
        "simulated: answers, success and latency are made up by a seeded simulator; prices are list prices\n"
    )
    assert "  all " in text
    assert text.splitlines()[-1].strip().startswith("use real models")
