import json
from contextlib import closing
from pathlib import Path

import pytest

from drifting import keep, stream_of, too_small_to_matter
from routewright.decision.drift import Quantity
from routewright.ledger.drift import Key, Streams
from routewright.ledger.sqlite import SqliteDatabase
from terminal import Terminal

SETTINGS = """
[providers.acme]
base_url = "simulator:"
[models.cheap]
tier = "standard"
deployments = ["acme/cheap"]
context_window = 100000
price = { input = "1", output = "2" }
[models.dear]
tier = "standard"
deployments = ["acme/dear"]
context_window = 100000
price = { input = "3", output = "6" }
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    return terminal


def watching(terminal: Terminal, streams: Streams) -> None:
    terminal.record()
    with closing(SqliteDatabase(terminal.ledger)) as database:
        keep(database, streams)


@pytest.fixture
def watched(terminal: Terminal) -> Terminal:
    """`cheap` answers worse than before, at the cost that it had; of `dear` too little is known."""
    streams = {
        Key("cheap", Quantity.SUCCESS, "feedback"): stream_of(
            Quantity.SUCCESS, [0.0, 0.0, 0.0, 0.0, 1.0] * 60 + [1.0] * 30
        ),
        Key("cheap", Quantity.COST, "chat"): stream_of(Quantity.COST, [2_500_000.0, 3_500_000.0] * 50),
        Key("dear", Quantity.LENGTH, ""): stream_of(Quantity.LENGTH, [100.0] * 60),
    }
    watching(terminal, streams)
    return terminal


def test_without_a_ledger_nothing_is_watched(terminal: Terminal) -> None:
    assert terminal.run("drift").output.startswith("nothing is watched yet")


def test_each_stream_is_shown_beside_its_reference(watched: Terminal) -> None:
    lines = [line.split() for line in watched.run("drift").stdout.splitlines()]
    assert lines[1][:7] == ["cheap", "cost", "of", "a", "task", "(chat)", "$0.0030"]
    assert lines[1][-1] == "stable"
    assert lines[2][:5] == ["cheap", "success", "rate", "(feedback)", "80.0"]
    assert lines[2][-5:-2] == ["alarm", "since", "2026-11-02"]
    assert lines[3][-4:] == ["reference:", "60", "of", "2,000"]


def test_evidence_for_a_change_too_small_to_matter_is_shown_and_no_alarm(terminal: Terminal) -> None:
    stream = too_small_to_matter()
    watching(terminal, {Key("cheap", Quantity.REFUSALS, ""): stream})
    assert terminal.run("drift").stdout.split()[-2:] == [f"{stream.evidence:.2g}", "stable"]
    (told,) = json.loads(terminal.run("drift", "--json").stdout)
    assert (told["evidence"], told["alarm"]) == (stream.evidence, None)


def test_the_same_for_machines(watched: Terminal) -> None:
    told = json.loads(watched.run("drift", "--json").stdout)
    assert [(each["model"], each["stream"], each["alarm"] is not None) for each in told] == [
        ("cheap", "cost", False),
        ("cheap", "success", True),
        ("dear", "length", False),
    ]
    assert told[1]["alarm"]["examples"][-1].startswith("r")
    assert told[2]["pinned_at_ns"] is None


def test_a_model_gets_a_new_reference(watched: Terminal) -> None:
    done = watched.run("drift", "pin", "cheap")
    assert done.output == "cheap: 2 streams begin a new reference of 2,000 values each\n"
    assert [each["model"] for each in json.loads(watched.run("drift", "--json").stdout)] == ["dear"]
    refused = watched.run("drift", "pin", "cheap")
    assert refused.exit_code == 1
    assert "'cheap' is not watched" in refused.output


def test_route_shows_a_model_that_is_taken_out_of_auto(watched: Terminal) -> None:
    assert "→ standard  cheap" in watched.run("route", "hello").stdout
    shown = watched.run("route", "hello", environ={"ROUTEWRIGHT_DRIFT__TAKE_OUT_OF_AUTO": "true"}).stdout
    assert "→ standard  dear" in shown
    assert "drift: success rate (feedback) fell from 80.0 % to" in shown
