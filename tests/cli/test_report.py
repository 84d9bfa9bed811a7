import csv
import io
import json
import re
import time
from decimal import Decimal
from pathlib import Path

import pytest

from routewright.cli.report import read_since
from routewright.cli.reports.chart_text import MOST_BARS, chart
from routewright.ledger.ledger import OutcomeRecorded, RequestRecorded
from routewright.ledger.spending import Sums
from routewright.reports.values import Line, Table
from routewright.usage import InputParts, Usage
from terminal import NOON, Terminal, request, settled

DAY_NS = 86_400 * 10**9


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A ledger of two days: a plain answer, a dearer one after a retry, and a request that failed for money."""
    terminal = Terminal(tmp_path)
    later = NOON + DAY_NS
    terminal.record(
        request("a"),
        settled("a"),
        request("b", at_ns=later, tier="complex", model="strong", cost_nanousd=13_000_000, attempts=2),
        settled(
            "b",
            at_ns=later,
            outcome="upstream_timeout",
            first_event_ms=None,
            is_estimated=True,
            cost_nanousd=3_000_000,
        ),
        settled(
            "b",
            attempt_id="b-2",
            at_ns=later,
            model="strong",
            tier="complex",
            cause="fallback",
            cost_nanousd=10_000_000,
        ),
        request(
            "c",
            at_ns=later,
            model=None,
            baseline_cost_nanousd=None,
            outcome="all_attempts_failed",
            cost_nanousd=500_000,
        ),
        settled("c", at_ns=later, outcome="upstream_timeout", first_event_ms=None, cost_nanousd=500_000),
    )
    return terminal


def test_saving_names_its_baseline_and_is_net_of_everything(terminal: Terminal) -> None:
    lines = terminal.run("report").stdout.splitlines()
    assert lines[0].startswith("spent $0.015500 in all · 3 requests, 66.7 % answered to the end · 4 attempts")
    assert lines[1].startswith(
        "vs always strong: actual $0.015000, would have cost $0.020000, saved $0.004500 (22.5 %)"
    )
    assert "net of routing: retries, $0.00 of errands and $0.000500 of failed requests are counted" in lines[1]


def test_there_is_a_table_for_each_model_tier_and_day(terminal: Terminal) -> None:
    text = terminal.run("report").stdout
    table = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  ")}
    assert table["swift"][1:4] == ["1", "100.0", "%"]
    assert {"standard", "complex", "2026-11-01", "2026-11-02"} <= set(table)
    assert table["(nobody)"][1] == "1"
    assert "≤ 1 attempt estimated: the cost is an upper bound" in text


def test_one_table_is_enough_if_asked_for(terminal: Terminal) -> None:
    text = terminal.run("report", "--by", "day").stdout
    assert "2026-11-01" in text
    assert "standard" not in text


def test_since_leaves_out_what_was_before(terminal: Terminal) -> None:
    text = terminal.run("report", "--since", "2026-11-02").stdout
    assert text.startswith("spent $0.013500 since 2026-11-02 00:00:00 UTC · 2 requests")
    assert "2026-11-01" not in text


def test_by_hour_people_are_shown_the_last_week_and_told_so(terminal: Terminal) -> None:
    shown = terminal.run("report", "--by", "hour", "--until", "2026-11-08")
    assert "by hour: the last 7 days; --since, like --since 2026-01-01, shows others" in shown.stderr
    assert "spent $0.015500 since 2026-11-01 00:00:00 UTC until" in shown.stdout
    shown = terminal.run("report", "--by", "hour", "--until", "2026-11-09")
    assert ("2026-11-01" in shown.stdout, "2026-11-02 " in shown.stdout) == (False, True)
    for told in (
        terminal.run("report", "--by", "hour", "--until", "2026-11-09", "--csv"),
        terminal.run("report", "--by", "hour", "--since", "2026-11-01"),
    ):
        assert "2026-11-01 " in told.stdout
        assert "by hour" not in told.stderr


def test_by_policy_people_are_shown_the_last_month_and_told_so(terminal: Terminal) -> None:
    shown = terminal.run("report", "--by", "policy", "--until", "2026-12-01")
    assert "by policy: the last 30 days" in shown.stderr
    (line,) = csv.DictReader(io.StringIO(terminal.run("report", "--by", "policy", "--csv").stdout))
    assert (line["requests"], line["cost_usd"]) == ("3", "0.015500000")
    refused = terminal.run("report", "--by", "policy", "--tag", "nightly")
    assert refused.exit_code == 2
    assert "tags are not counted by policy" in refused.stderr
    assert terminal.run("report", "--by", "policy", "--html", "-").exit_code == 0


def test_json_has_the_same_in_integers(terminal: Terminal) -> None:
    report = json.loads(terminal.run("report", "--json").stdout)
    assert report["totals"]["cost_nanousd"] == 15_500_000
    assert report["saving"]["baselines"] == ["strong"]
    assert report["saving"]["failed_nanousd"] == 500_000
    models, tiers, days = report["tables"]
    assert (models["by"], tiers["by"], days["by"]) == (["model"], ["tier"], ["day"])
    assert [line["keys"] for line in days["lines"]] == [["2026-11-01"], ["2026-11-02"]]


BASELINE = """
[providers.acme]
base_url = "https://acme.example/v1"

[models.cheap]
tier = "bulk"
deployments = ["acme/cheap"]
context_window = 1000
price = { input = "1", output = "2" }

[models.unpriced]
tier = "bulk"
deployments = ["acme/unpriced"]
context_window = 1000
"""


def test_another_baseline_is_priced_anew_and_may_show_a_loss(terminal: Terminal) -> None:
    terminal.settings(BASELINE)
    lines = terminal.run("report", "--baseline", "cheap", "--by", "tier").stdout.splitlines()
    # 1,000 tokens in and 500 out are $0.002 there, for each of two answers.
    assert "vs always cheap: actual $0.015000, would have cost $0.004000, saved -$0.011500 (-287.5 %)" in lines[1]
    complex_row = next(line for line in lines if line.startswith("  complex")).split()
    assert complex_row[-6:-1] == ["$0.013000", "$0.002000", "-$0.011000", "-550.0", "%"]


CACHED = {"cache": "hit", "cost_nanousd": 0, "cache_saved_nanousd": 2_000_000, "attempts": 0}


def test_what_the_response_cache_saved_is_told_apart_and_in_the_saving(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request("a", cache="miss"), settled("a"), request("b", **CACHED), request("c", **CACHED))
    lines = terminal.run("report").stdout.splitlines()
    assert lines[0].startswith("spent $0.002000 in all · 3 requests, 100.0 % answered to the end · 1 attempt ")
    assert lines[1] == "2 answers from the response cache, which cost $0.004000 when they were made"
    assert "actual $0.002000, would have cost $0.030000, saved $0.028000" in lines[2]
    (row,) = csv_rows(terminal.run("report", "--csv").stdout)
    assert (row["requests"], row["from_cache"], row["cache_saved_usd"]) == ("3", "2", "0.004000000")
    assert "hit: $0.002000 when it was made" in terminal.run("ledger", "show", "b").stdout


def test_another_baseline_does_not_count_answers_that_took_no_tokens(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings(BASELINE)
    terminal.record(request("a"), settled("a"), request("b", **CACHED))
    told = terminal.run("report", "--baseline", "cheap").stdout
    assert "actual $0.002000, would have cost $0.002000, saved $0" in told
    assert "not priced anew: 1 answer from the response cache, which took no tokens" in told


@pytest.mark.parametrize(("name", "number"), [("unpriced", "E110"), ("nobody", "E107")])
def test_baseline_must_be_a_model_with_a_price(terminal: Terminal, name: str, number: str) -> None:
    terminal.settings(BASELINE)
    result = terminal.run("report", "--baseline", name)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error[{number}]")


def test_attempts_without_a_price_are_told_apart_from_free_ones(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(baseline_cost_nanousd=None), settled(cost_nanousd=None))
    text = terminal.run("report").stdout
    assert "+? 1 attempt of models without a price: not in the cost, and not free" in text
    assert "nothing to compare with" in text


def test_empty_ledger_says_so_and_what_to_do_next(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    result = terminal.run("report")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the ledger is empty: ask something first, as in `routewright ask --simulate hello`" in result.stderr
    assert not terminal.ledger.exists()
    assert json.loads(terminal.run("report", "--json").stdout)["totals"]["requests"] == 0


def test_nothing_of_a_filter_does_not_mean_an_empty_ledger(terminal: Terminal) -> None:
    told = terminal.run("report", "--key", "nobody", "--since", "2020-01-01").stderr
    assert "the ledger has nothing of key nobody since 2020-01-01 00:00:00 UTC" in told


def test_a_key_has_its_name_for_people_and_its_id_for_programs(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    key = json.loads(terminal.run("keys", "create", "app", "--json").stdout)["id"]
    terminal.record(request("a", key=key), settled("a", key=key), request("b", key="gone"), settled("b", key="gone"))
    text = terminal.run("report", "--by", "key").stdout
    assert f"  {key} (app)  " in text
    assert "  gone  " in text
    assert f"{key} (app)" in terminal.run("report", "--by", "key", "--html", "-").stdout
    assert [line.partition(",")[0] for line in terminal.run("report", "--by", "key", "--csv").stdout.split()[1:]] == (
        sorted([key, "gone"])
    )


def test_names_from_outside_cannot_drive_the_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(model="\x1b[2Jswift", tier=None), settled(model="\x1b[2Jswift", usage=Usage(input=1)))
    assert "\x1b" not in terminal.run("report").stdout


def test_times_are_read_as_durations_or_days() -> None:
    assert read_since("7d", NOON) == NOON - 7 * DAY_NS
    assert read_since("24h", NOON) == NOON - DAY_NS
    assert read_since("2026-11-01", 0) == NOON - DAY_NS // 2
    assert read_since("999999w", time.time_ns()) == 0
    assert read_since("1969-12-31", NOON) == 0
    for nonsense in ("yesterday", "7", "d", "2026-13-01", "-1d"):
        with pytest.raises(ValueError, match=nonsense):
            read_since(nonsense, NOON)


@pytest.mark.parametrize("verb", [("report",), ("report", "--quality"), ("ledger", "export", "-o", "x.csv")])
def test_days_that_no_ledger_can_have_are_the_first_or_last_that_it_can(tmp_path: Path, verb: tuple[str, ...]) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(), settled())
    assert terminal.run(*verb, "--since", "0001-01-01", "--until", "9999-12-31").exit_code == 0


# ---- by what, of what, and in which form


def audited(request_id: str, **changes: object) -> RequestRecorded:
    """A request of 1,000 tokens in, most of them the system prompt's."""
    plain: dict[str, object] = {
        "input_parts": InputParts(system=600, history=200, tools=100, user=100),
        "input_cost_nanousd": 1_000_000,
        "system_cost_nanousd": 600_000,
        "system_hash": "00c0ffee00c0ffee",
        "system_opening": "0be9000000000000",
        "system_chars": 2_400,
    }
    return request(request_id, **{**plain, **changes})


@pytest.fixture
def teams(tmp_path: Path) -> Terminal:
    """Three requests of two teams on two days, one of them with an errand."""
    terminal = Terminal(tmp_path)
    later = NOON + DAY_NS
    terminal.record(
        audited("a", team="search", tags=("prod", "eu")),
        settled("a", team="search", tags=("prod", "eu")),
        audited("b", at_ns=later, team="search", tags=("prod",), model="strong", cost_nanousd=11_000_000),
        settled("b", at_ns=later, team="search", tags=("prod",), model="strong", cost_nanousd=10_000_000),
        settled(
            "b", attempt_id="b-judge", at_ns=later, team="search", tags=("prod",), cause="judge", cost_nanousd=1_000_000
        ),
        audited("c", at_ns=later, team="=HYPERLINK(1)"),
        settled("c", at_ns=later, team="=HYPERLINK(1)"),
    )
    return terminal


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_by_two_dimensions_there_is_one_table_of_both(teams: Terminal) -> None:
    rows = csv_rows(teams.run("report", "--by", "team", "--by", "day", "--csv").stdout)
    assert [(row["team"], row["day"], row["requests"]) for row in rows] == [
        ("'=HYPERLINK(1)", "2026-11-02", "1"),
        ("search", "2026-11-01", "1"),
        ("search", "2026-11-02", "1"),
    ]


@pytest.mark.parametrize("arguments", [("--by", "day", "--by", "day"), ("--by", "day", "--by", "key", "--by", "team")])
def test_more_than_two_dimensions_are_refused(teams: Terminal, arguments: tuple[str, ...]) -> None:
    result = teams.run("report", *arguments)
    assert result.exit_code == 2
    assert "twice" in result.stderr


def test_by_cause_tells_of_attempts_only(teams: Terminal) -> None:
    text = teams.run("report", "--by", "cause").stdout
    assert "judge" in text
    assert "success" not in text
    assert "requests have no" in text or "there are no requests" in text


def test_errands_are_counted_in_the_saving_and_named(teams: Terminal) -> None:
    assert "$0.001000 of errands" in teams.run("report").stdout


def test_filters_leave_in_what_they_name(teams: Terminal) -> None:
    search = json.loads(teams.run("report", "--team", "search", "--json").stdout)
    assert (search["totals"]["requests"], search["totals"]["cost_nanousd"]) == (2, 13_000_000)
    assert search["only"] == {"team": "search"}
    one = json.loads(teams.run("report", "--team", "search", "--model", "strong", "--by", "model", "--json").stdout)
    assert [line["keys"] for line in one["tables"][0]["lines"]] == [["strong"]]
    tagged = json.loads(teams.run("report", "--tag", "eu", "--json").stdout)
    assert tagged["totals"]["requests"] == 1
    assert json.loads(teams.run("report", "--team", "nobody", "--json").stdout)["totals"]["requests"] == 0


def test_what_is_not_summed_is_refused_and_not_empty(teams: Terminal) -> None:
    refused = teams.run("report", "--by", "model", "--tag", "prod", "--team", "search")
    assert refused.exit_code == 2
    assert "not beside model and team" in refused.stderr
    by_day = csv_rows(teams.run("report", "--by", "day", "--tag", "prod", "--team", "search", "--csv").stdout)
    assert [row["requests"] for row in by_day] == ["1", "1"]
    by_two = csv_rows(teams.run("report", "--by", "tag", "--by", "model", "--csv").stdout)
    assert [(row["tag"], row["model"]) for row in by_two] == [("eu", "swift"), ("prod", "strong"), ("prod", "swift")]


def test_until_leaves_out_what_came_after(teams: Terminal) -> None:
    text = teams.run("report", "--until", "2026-11-02").stdout
    assert text.startswith("spent $0.002000 in all until 2026-11-02 00:00:00 UTC · 1 request")


def test_by_tag_says_that_lines_overlap(teams: Terminal) -> None:
    report = json.loads(teams.run("report", "--by", "tag", "--json").stdout)
    (table,) = report["tables"]
    found = {line["keys"][0]: line["sums"]["requests"] for line in table["lines"]}
    assert (found["eu"], found["prod"]) == (1, 2)
    assert table["total"]["requests"] == report["totals"]["requests"] == 3
    assert table["overlaps"]
    assert any("several tags" in note for note in report["notes"])


def test_input_is_told_by_its_parts(teams: Terminal) -> None:
    row = csv_rows(teams.run("report", "--by", "team", "--input", "--csv").stdout)[1]
    assert (row["input_tokens"], row["system_tokens"], row["user_tokens"]) == ("2000", "1200", "200")
    assert (row["system_share"], row["input_cost_usd"], row["system_cost_usd"]) == (
        "0.600000",
        "0.002000000",
        "0.001200000",
    )
    assert "of system prompt" in teams.run("report", "--input").stdout


def test_table_json_csv_and_page_tell_the_same(teams: Terminal) -> None:
    arguments = ("report", "--by", "team", "--by", "day")
    lines = json.loads(teams.run(*arguments, "--json").stdout)["tables"][0]["lines"]
    rows = csv_rows(teams.run(*arguments, "--csv").stdout)
    page = teams.run(*arguments, "--html", "-").stdout
    in_page = re.findall(r'data-value="([^"]*)"', page)
    unseen = ("team", "day", "failed_cost_usd", "from_cache", "cache_saved_usd")
    for at, (line, row) in enumerate(zip(lines, rows, strict=True)):
        sums = line["sums"]
        assert int(row["requests"]) == sums["requests"]
        assert Decimal(row["cost_usd"]) == Decimal(sums["cost_nanousd"]).scaleb(-9)
        assert Decimal(row["saved_usd"]) == Decimal(
            sums["baseline_cost_nanousd"] - sums["compared_cost_nanousd"]
        ).scaleb(-9)
        values = [value for name, value in row.items() if name not in unseen]
        width = len(values)
        assert in_page[at * width : (at + 1) * width] == values
    text = teams.run(*arguments).stdout
    assert f"{sum(Decimal(row['cost_usd']) for row in rows):.6f}" in text


def test_page_goes_into_a_file(teams: Terminal) -> None:
    result = teams.run("report", "--html", "spending.html")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "written: spending.html\n")
    assert (teams.home / "spending.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    missing = teams.run("report", "--html", "no/such/folder.html")
    assert missing.exit_code == 1
    assert "No such file or directory" in missing.stderr


def test_one_form_at_a_time(teams: Terminal) -> None:
    assert teams.run("report", "--json", "--csv").exit_code == 2
    assert teams.run("report", "--system-prompts", "--by", "team").exit_code == 2


def test_prompt_creep_is_seen(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    october = NOON - 10 * DAY_NS
    terminal.record(
        audited("a", at_ns=october),
        audited("b", at_ns=october),
        audited(
            "c",
            system_hash="00c0ffee00c0ffff",
            input_parts=InputParts(system=900, user=100),
            system_cost_nanousd=900_000,
            system_preview="You are the support desk.",
        ),
        audited("d", system_hash="0000000000000abc", system_opening="0be9000000000abc", system_cost_nanousd=1),
    )
    text = terminal.run("report", "--system-prompts").stdout
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  ")}
    assert rows["2026-11"][1:5] == ["2", "2", "1,500", "750"]
    assert rows["00c0ffee00c0ffff"][-5:] == ["+50.0", "%", "$0.000900", "100.0", "%"]
    assert "You are the support desk." in text
    assert "new" in rows["0000000000000abc"]
    grown = json.loads(terminal.run("report", "--system-prompts", "--json").stdout)["prompts"][0]
    assert (grown["tokens"], grown["requests"], grown["tokens_before"], grown["requests_before"]) == (900, 1, 1200, 2)
    later = csv_rows(terminal.run("report", "--system-prompts", "--since", "2026-11-01", "--csv").stdout)
    assert [row["month"] for row in later] == ["2026-11", "2026-11"]
    page = terminal.run("report", "--system-prompts", "--html", "-").stdout
    assert "+50.0\N{NO-BREAK SPACE}%" in page


def test_nothing_recorded_is_said_in_every_form(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert csv_rows(terminal.run("report", "--csv").stdout) == []
    assert "Nothing is recorded" in terminal.run("report", "--html", "-").stdout
    assert "no answered request with a system prompt" in terminal.run("report", "--system-prompts").stderr
    assert json.loads(terminal.run("report", "--system-prompts", "--json").stdout) == {"months": [], "prompts": []}
    assert "No answered request" in terminal.run("report", "--system-prompts", "--html", "-").stdout


def judged(terminal: Terminal) -> None:
    for number, (of, score) in enumerate((("a", 1.0), ("b", 0.0), ("a", 0.5))):
        terminal.record(
            OutcomeRecorded(
                outcome_id=f"o{number}", request_id=of, at_ns=NOON + number * DAY_NS, source="feedback", score=score
            )
        )


def test_quality_is_told_by_model_with_an_interval(terminal: Terminal) -> None:
    judged(terminal)
    text = terminal.run("report", "--quality").stdout
    rows = [line.split() for line in text.splitlines() if line.startswith("  s")]
    assert rows[:2] == [
        ["strong", "1", "0.0%", "0.0%", "–", "79.3%"],
        ["swift", "1", "50.0%", "5.5%", "–", "94.5%"],
    ]
    told = json.loads(terminal.run("report", "--quality", "--by", "model", "--by", "day", "--json").stdout)
    assert [line["keys"] for line in told["tables"][0]["lines"]] == [["strong", "2026-11-02"], ["swift", "2026-11-03"]]


def test_quality_is_of_the_time_and_model_asked_for(terminal: Terminal) -> None:
    judged(terminal)
    until = terminal.run("report", "--quality", "--by", "model", "--until", "2026-11-03", "--csv").stdout
    assert until.splitlines()[1:] == [
        "strong,1,0.000000,0.000000,0.793457",
        "swift,1,1.000000,0.206543,1.000000",
    ]
    only = terminal.run("report", "--quality", "--model", "swift", "--csv").stdout
    assert [line.split(",")[:3] for line in only.splitlines()[1:]] == [["swift", "2026-11-02", "1"]]


def test_quality_that_nobody_told_is_said_and_wrong_questions_are_usage_errors(terminal: Terminal) -> None:
    assert "nobody has said how an answer turned out" in terminal.run("report", "--quality").stderr
    for words in (("--quality", "--by", "team"), ("--by", "kind"), ("--quality", "--html", "-")):
        assert terminal.run("report", *words).exit_code == 2


def test_charts_show_what_was_spent_with_the_baseline_beside_it(terminal: Terminal) -> None:
    lines = [line.rstrip() for line in terminal.run("report", "--chart").stdout.splitlines()]
    assert "  █ spent   ░ would have cost at strong" in lines
    assert [line.strip() for line in lines if line.startswith("  by ")] == ["by day", "by model", "by tier"]
    [first] = [line for line in lines if "2026-11-01" in line]
    [second] = [line for line in lines if "2026-11-02" in line]
    assert "$0.002000" in first
    assert "saved 80.0 %" in first
    assert 0 < first.count("█") < first.count("░"), "of ten two were spent"
    assert second.count("█") > first.count("█") + first.count("░")
    assert "░" not in second, "it cost more than the baseline"
    assert max(map(len, lines[3:])) <= 100


def test_a_chart_is_of_what_was_asked_for(terminal: Terminal) -> None:
    text = terminal.run("report", "--chart", "--by", "model").stdout
    order = [line.split()[0] for line in text.splitlines() if "█" in line and "spent" not in line]
    assert order == ["strong", "swift"], "dearest first"
    assert "by tier" not in text


@pytest.mark.parametrize("other", [["--csv"], ["--json"], ["--html", "-"], ["--input"], ["--system-prompts"]])
def test_a_chart_is_one_form_among_others(terminal: Terminal, other: list[str]) -> None:
    assert terminal.run("report", "--chart", *other).exit_code == 2


def test_a_chart_of_nothing_says_so(tmp_path: Path) -> None:
    assert "the ledger" in Terminal(tmp_path).run("report", "--chart").output


def test_of_a_long_time_the_latest_days_are_drawn_and_the_rest_in_one_line() -> None:
    days = [f"{2026 + at // 336}-{at // 28 % 12 + 1:02}-{at % 28 + 1:02}" for at in range(MOST_BARS + 20)]
    lines = tuple(Line((day,), Sums(cost_nanousd=10**9 + at)) for at, day in enumerate(days))
    drawn = list(chart(Table(("day",), lines, Sums()), 80))
    assert drawn[0] == f"by day, the latest {MOST_BARS} of {len(days)}"
    assert drawn[1].startswith(days[20])
    assert drawn[-2].startswith(days[-1])
    assert drawn[-1].split()[0] == "all"
    assert max(map(len, drawn)) <= 78


def test_names_of_others_are_cut_and_harmless() -> None:
    line = Line(("\x1b[31m" + "long" * 50,), Sums(cost_nanousd=1))
    [_, row] = chart(Table(("model",), (line,), Sums()), 80)
    assert "\x1b" not in row
    assert row.startswith("longlong")
    assert "…" in row
