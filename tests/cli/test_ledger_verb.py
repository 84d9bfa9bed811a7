import json
from pathlib import Path

from routewright.ledger.ledger import Released, Reserved
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
    terminal.record(reserved("request-1"), released, settled(is_estimated=True), request(tags=("team-a",)))
    lines = terminal.run("ledger", "show", "request-1").stdout.splitlines()
    assert "  outcome     complete by swift after 250 ms" in lines
    assert "  baseline    $0.010000 at strong" in lines
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
