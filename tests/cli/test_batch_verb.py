import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from databases import open_database
from routewright.cli.batch_line import told
from routewright.jobs.job import JobState
from routewright.jobs.parts import Part, PartStore
from routewright.jobs.runner import Progress
from routewright.jobs.store import JobStore
from terminal import Terminal

RUN = ("batch", "run", "--simulate", "--set", "policy.classifier=heuristic")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "in.txt").write_text("f\ng\nh\n")
    return Terminal(tmp_path)


def output(terminal: Terminal, name: str = "in.results.jsonl") -> list[Any]:
    return [json.loads(line) for line in (terminal.home / name).read_text().splitlines()]


def test_a_file_is_answered_and_summed_up(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "in.txt", "--template", "Document this: {item}", "--max-tokens", "9")
    assert done.exit_code == 0, done.stderr
    assert {line["custom_id"] for line in output(terminal)} == {"item-1", "item-2", "item-3"}
    assert "3 items from" in done.stderr
    assert "vs always claude-opus-4.7" in done.stderr
    assert "is completed: 3 of 3 items decided" in done.stderr
    again = terminal.run(*RUN, "in.txt", "--template", "Document this: {item}", "--max-tokens", "9")
    assert (again.exit_code, "nothing is asked again" in again.stderr) == (0, True)
    shown = terminal.run("batch", "show", again.stderr.partition(" ")[0])
    for later in (again, shown):
        assert (later.stdout, "vs always claude-opus-4.7" in later.stderr) == (done.stdout, True)


def test_stdin_and_json(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "-", "-o", "out.jsonl", "--json", "--ordered", "--max-tokens", "9", stdin="one\ntwo\n")
    summary = json.loads(done.stdout)
    assert (summary["job"]["state"], summary["counts"]["completed"]) == ("completed", 2)
    assert summary["spent_nanousd"] == summary["counts"]["cost_nanousd"] > 0
    assert [line["custom_id"] for line in output(terminal, "out.jsonl")] == ["item-1", "item-2"]
    assert not list(terminal.home.glob("*.input"))
    listed = json.loads(terminal.run("batch", "list", "--json").stdout)
    assert [each["job"]["id"] for each in listed] == [summary["job"]["id"]]
    shown = json.loads(terminal.run("batch", "show", summary["job"]["id"], "--json").stdout)
    assert shown["shares"] == summary["shares"]
    assert summary["job"]["id"] in terminal.run("batch", "list").stdout
    assert "decided" in terminal.run("batch", "show", summary["job"]["id"]).stderr
    assert "completed already" in terminal.run("batch", "cancel", summary["job"]["id"]).stderr


def test_a_dry_run_spends_nothing_and_leaves_nothing(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "in.txt", "--dry-run")
    assert done.exit_code == 0
    assert "3 items; nothing was asked" in done.stderr
    assert "expected cost $" in done.stderr
    assert not (terminal.home / "in.results.jsonl").exists()
    assert not terminal.ledger.exists()


def test_failed_items_are_exit_code_1_and_told_with_their_lines(terminal: Terminal) -> None:
    (terminal.home / "in.jsonl").write_text('{"prompt": "x", "max_tokens": 9}\n{oops\n')
    done = terminal.run(*RUN, "in.jsonl")
    assert done.exit_code == 1
    assert "line 2 is not JSON" in done.stderr
    assert "failures are in" in done.stderr
    assert len(output(terminal, "in.results.errors.jsonl")) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("none.jsonl",), 1, "error[E125]: none.jsonl cannot be read"),
        (("in.txt", "--template", "{nam}"), 1, "error[E125]: the template has a field {nam}"),
        (("in.txt", "-o", "none/out.jsonl"), 1, "cannot be written"),
        (("in.txt", "--schema", "none.json"), 1, "none.json cannot be read"),
        (("in.txt", "--max-cost", "-1"), 2, "'-1' is no amount of USD"),
        (("in.txt", "--max-cost", "1e30"), 2, "'1e30' is no amount of USD"),
        (("in.txt", "--max-tokens", "9" * 20), 2, "is not in the range"),
        (("in.txt", "--deadline", "soon"), 2, "'soon' is no time"),
        (("in.txt", "--deadline", "99999999999999d"), 2, "is no time"),
    ],
)
def test_bad_input_is_one_clear_error(terminal: Terminal, arguments: tuple[str, ...], code: int, reason: str) -> None:
    done = terminal.run(*RUN, *arguments)
    assert done.exit_code == code
    assert reason in done.stderr


def test_a_budget_that_is_spent_says_how_to_go_on(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "in.txt", "--max-cost", "0.000001", "--max-tokens", "100")
    assert done.exit_code == 1
    assert "error[E111]" in done.stderr
    assert "the same command goes on where it was" in done.stderr


def test_a_budget_in_which_few_full_answers_fit_names_the_length_for_more(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "in.txt", "--max-cost", "0.2", "--concurrency", "50")
    hints = [line for line in done.stderr.splitlines() if "--max-tokens" in line]
    assert len(hints) == 1, done.stderr
    assert "such fit at a time" in done.stderr
    tokens = hints[0].split("--max-tokens ")[1].split()[0]
    enough = ("--max-cost", "0.2", "--concurrency", "50", "--max-tokens", tokens)
    assert "such fit at a time" not in terminal.run(*RUN, "in.txt", "-o", "other.jsonl", *enough).stderr


def test_more_to_begin_with_than_at_most_is_a_mistake(terminal: Terminal) -> None:
    done = terminal.run(*RUN, "in.txt", "--concurrency", "9", "--max-concurrency", "3")
    assert done.exit_code == 2
    assert "--max-concurrency is less than --concurrency" in done.stderr


def test_ctrl_c_awaits_what_is_in_flight_and_the_same_command_goes_on(terminal: Terminal) -> None:
    (terminal.home / "in.txt").write_text("".join(f"Tell a story about {number}\n" for number in range(40)))
    arguments = (*RUN, "in.txt", "--concurrency", "1", "--max-tokens", "40")
    command = [sys.executable, "-m", "routewright", *arguments]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=terminal.environ, cwd=terminal.home, stdout=quiet, stderr=quiet) as process:
        while not (path := terminal.home / "in.results.jsonl").exists() or not path.stat().st_size:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    before = [line["custom_id"] for line in output(terminal)]
    assert 0 < len(before) < 40
    (job,) = json.loads(terminal.run("batch", "list", "--json").stdout)
    assert "is cancelled" in terminal.run("batch", "cancel", job["job"]["id"]).stderr


def test_the_line_tells_rate_cost_failures_and_what_is_left() -> None:
    progress = Progress(total=1000, completed=98, failed=2, cost_nanousd=10**7, begun_with=0, begun_at=0.0)
    assert told(progress, 10.0) == "100 / 1,000 · 10.0/s · $0.010000 of about $0.100000 · 2 failed · 0:01:30 left"


def test_what_failed_is_asked_again_as_the_summary_says(terminal: Terminal) -> None:
    (terminal.home / "in.jsonl").write_text('{"prompt": "Hi", "max_tokens": 5}\n{"prompt": "Ho", "model": "later"}\n')
    done = terminal.run(*RUN, "in.jsonl")
    assert done.exit_code == 1
    assert "--retry-failed asks those again" in done.stderr
    (terminal.home / "routewright.toml").write_text('[aliases]\nlater = "gpt-5.5"\n')
    done = terminal.run(*RUN, "in.jsonl", "--retry-failed")
    assert (done.exit_code, "1 failed item of 2 asked again" in done.stderr) == (0, True), done.stderr
    assert {line["custom_id"] for line in output(terminal)} == {"item-1", "item-2"}
    assert not (terminal.home / "in.results.errors.jsonl").exists()


def test_a_batch_with_files_at_a_provider_is_called_back_by_its_next_run(terminal: Terminal) -> None:
    terminal.run(*RUN, "in.txt", "--max-tokens", "9")
    database = open_database(terminal.home / ".local/share/routewright/ledger.db")
    store = JobStore(database)
    plain = replace(store.jobs(1)[0], id="batch_away", state=JobState.VALIDATING, output="/nowhere", ended_at_ns=None)
    job = store.move(store.create(plain), JobState.IN_PROGRESS, at_ns=1)
    PartStore(database).intend(job, Part(number=1, deployment="openai/gpt-5.5"), {0: "a"})
    assert "run it again, and they are called back" in terminal.run("batch", "cancel", job.id).stderr
    assert store.get(job.id).state is JobState.CANCELLING
    database.close()
