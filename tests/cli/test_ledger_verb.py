import json
from pathlib import Path

import pytest

from builders import route
from routewright.catalog.registry import Tier
from routewright.ledger.ledger import OutcomeRecorded, OutcomeSource, Released, Reserved
from routewright.route import KindShare, Verdict
from routewright.usage import InputParts
from terminal import Terminal, request, settled


def reserved(request_id: str) -> Reserved:
    return Reserved(
        attempt_id=f"{request_id}-attempt-1",
        request_id=request_id,
        at_ns=1,
        boot="boot",
        model="swift",
        deployment="acme/swift",
        cause="first",
        amount_nanousd=5_000_000,
        price_version="test",
    )


def outcome(
    number: int, score: float, *, request_id: str = "request-1", source: OutcomeSource = "feedback", model: str = ""
) -> OutcomeRecorded:
    return OutcomeRecorded(
        outcome_id=f"outcome-{number}", request_id=request_id, at_ns=number, source=source, score=score, model=model
    )


def test_tail_has_the_latest_requests_the_newest_last(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(*(request(f"request-{number}", at_ns=number * 10**9) for number in range(1, 5)))
    lines = terminal.run("ledger", "tail", "-n", "2").stdout.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["request-3", "request-4"]
    tail = json.loads(terminal.run("ledger", "tail", "-n", "2", "--json").stdout)
    assert [row["request_id"] for row in tail] == ["request-3", "request-4"]


def test_show_has_the_request_and_every_attempt(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    released = Released(
        attempt_id="request-1-attempt-0",
        request_id="request-1",
        at_ns=1,
        model="swift",
        deployment="acme/swift",
        cause="first",
        outcome="upstream_rate_limited",
        total_ms=12,
    )
    answered = request(tags=("team-a",), input_parts=InputParts(system=600, history=1_200, user=90))
    terminal.record(reserved("request-1"), released, settled(is_estimated=True), answered)
    lines = terminal.run("ledger", "show", "request-1").stdout.splitlines()
    assert "  outcome     complete by swift after 250 ms" in lines
    assert "  baseline    $0.010000 at strong" in lines
    assert "  input       system 600 · history 1,200 · tools 0 · user 90 tokens" in lines
    assert "  tags        team-a" in lines
    first, second = lines[-2:]
    assert first.split()[3] == "upstream_rate_limited"
    assert second.split()[-3:] == ["≤", "$0.002000", "$0.005000"]
    assert json.loads(terminal.run("ledger", "show", "request-1", "--json").stdout)["request"]["tags"] == ["team-a"]


def test_open_request_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(reserved("request-1"))
    text = terminal.run("ledger", "show", "request-1").stdout
    assert "not over yet" in text
    assert text.splitlines()[-1].split()[3] == "open"


def test_unknown_request_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("ledger", "show", "nobody")
    assert result.exit_code == 1
    assert result.stderr == (
        "error[E502]: the ledger has no request 'nobody'\nhint: `routewright ledger tail` has the latest ones\n"
    )


def test_empty_ledger_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    result = terminal.run("ledger", "tail")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the ledger is empty" in result.stderr
    assert json.loads(terminal.run("ledger", "tail", "--json").stdout) == []
    assert not terminal.ledger.exists()


def test_ledger_is_looked_for_where_the_settings_say(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request())
    other = terminal.run("ledger", "tail", "--set", f"ledger.path={tmp_path / 'elsewhere'}")
    assert "the ledger is empty" in other.stderr


def test_feedback_is_recorded_and_the_last_word_counts(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(settled(), request())
    said = terminal.run("ledger", "feedback", "request-1", "good")
    assert (said.exit_code, said.stdout, said.stderr) == (0, "", "recorded: request-1 turned out 1\n")
    assert scores(terminal) == [1.0]
    assert json.loads(terminal.run("ledger", "feedback", "request-1", "0.25", "--json").stdout)["recorded"]
    assert scores(terminal) == [0.25]
    terminal.run("ledger", "feedback", "request-1", "bad")
    assert scores(terminal) == [0.0]


def test_what_was_said_of_an_answer_is_shown_with_its_request(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(settled(), request(), outcome(1, 0.5, source="judge", model="sage"))
    terminal.run("ledger", "feedback", "request-1", "bad", "--comment", "two\x1b[2J lines\nhere")
    shown = terminal.run("ledger", "show", "request-1").stdout
    assert "  judge       0.5 of sage\n" in shown
    assert "  feedback    0 · two" in shown
    assert "\x1b" not in shown
    found = json.loads(terminal.run("ledger", "show", "request-1", "--json").stdout)
    assert [each["score"] for each in found["outcomes"]] == [0.5, 0.0]


def test_a_correction_needs_leave_to_keep_content(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(settled(), request())
    result = terminal.run("ledger", "feedback", "request-1", "bad", "--correction", "It is 7.")
    assert (result.exit_code, scores(terminal)) == (1, [])
    assert "ledger.log_content" in result.stderr


def scores(terminal: Terminal) -> list[float]:
    return [json.loads(line)["s:swift"] for line in terminal.run("ledger", "outcomes").stdout.splitlines()]


@pytest.mark.parametrize("score", ["great", "1.5", "nan", "inf", ""])
def test_feedback_that_is_no_score_is_a_usage_error(tmp_path: Path, score: str) -> None:
    result = Terminal(tmp_path).run("ledger", "feedback", "request-1", score)
    assert result.exit_code == 2
    assert "neither good nor bad nor a number from 0 to 1" in result.stderr


def test_feedback_on_what_is_not_recorded_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.run("ledger", "feedback", "request-1", "good").exit_code == 1
    assert not terminal.ledger.exists()
    terminal.record(request("request-2"))
    result = terminal.run("ledger", "feedback", "request-1", "good")
    assert result.exit_code == 1
    assert "error[E502]: the ledger has no request 'request-1'" in result.stderr
    terminal.record(request("request-1"))
    assert scores(terminal) == []


def test_outcomes_are_one_line_a_request_with_what_a_lesson_needs(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    verdict = Verdict(
        tier=Tier.BULK,
        confidence=0.8,
        reason="test",
        classifier="test@1",
        kinds=(KindShare("translation", 0.75), KindShare("chat", 0.25)),
        sketch=b"\xff\x00",
    )
    terminal.record(
        settled(),
        settled(attempt_id="shadow-1", model="strong", cost_nanousd=None),
        request(route=route(verdict=verdict)),
        request("request-2", model="a\x9bb"),
        outcome(1, 0.5, source="judge"),
        outcome(2, 1.0, request_id="request-2"),
        outcome(3, 0.75, source="shadow", model="strong"),
    )
    text = terminal.run("ledger", "outcomes").stdout
    first, second = map(json.loads, text.splitlines())
    assert first == {
        "prompt_id": "request-1",
        "sketch": "/wA=",
        "kinds": {"translation": 0.75, "chat": 0.25},
        "s:swift": 0.5,
        "c:swift": 0.002,
        "o:swift": 500,
        "s:strong": 0.75,
        "o:strong": 500,
    }
    assert second == {"prompt_id": "request-2", "sketch": "", "kinds": {}, "s:a\x9bb": 1.0}
    assert "\x9b" not in text


def test_the_most_trusted_source_has_the_last_word_on_a_model(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.record(request(), outcome(1, 0.1, source="feedback"), outcome(2, 0.2, source="feedback"))
    terminal.record(outcome(3, 0.3, source="judge"), outcome(4, 0.4, source="check"), outcome(5, 0.5, source="shadow"))
    assert scores(terminal) == [0.2]


def test_a_ledger_without_outcomes_exports_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.run("ledger", "outcomes").stdout == ""
    terminal.record(request())
    assert terminal.run("ledger", "outcomes").stdout == ""
