"""The ledger of a version to come, and this one beside it: it goes on writing where it runs, and does not start anew.

The version to come is made up: this one with one more step of the schema, which does all that a step may do
(`test_operations` holds every step to that). What runs as the old version is a real gateway in a process of its own.
"""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from databases import PostgresServer, open_database
from routewright.ledger import postgres, sqlite
from routewright.ledger.database import Migration, migrations
from served import Served, serving
from terminal import Terminal

STEP = """
ALTER TABLE requests ADD COLUMN colour TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN shade TEXT;
CREATE TABLE colours (name TEXT NOT NULL PRIMARY KEY);
DROP INDEX requests_by_session;
CREATE INDEX requests_by_session ON requests (session, at_ns, request_id, colour) WHERE session <> '';
"""
ASKED_BEFORE, ASKED_AFTER = 8, 8
"""More than a driver asks before it prepares what it asks."""


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | str], None]:
    """What the version to come does to a ledger when it starts."""

    def come(place: Path | str) -> None:
        def with_one_more(kind: str) -> list[Migration]:
            known = migrations(kind)
            return [*known, Migration(known[-1].number + 1, STEP)]

        with monkeypatch.context() as patch:
            for module in (postgres, sqlite):
                patch.setattr(module, "migrations", with_one_more)
            open_database(place).close()

    return come


def ask(served: Served) -> None:
    """One request, answered."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}).encode()
    headers = {"content-type": "application/json", "x-session-id": "one"}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", body, headers)  # noqa: S310 our own
    with urllib.request.urlopen(request) as answer:  # noqa: S310 our own
        assert answer.status == 200


def refuses_to_start(home: Path, environ: dict[str, str]) -> None:
    """With the exit code and the words that docs/operations.md names."""
    served = Served(home, "--simulate", environ=environ)
    with pytest.raises(AssertionError, match=r"error\[E408\].*newer routewright"):
        served.start()
    assert served.process.returncode == 78


def test_s11_a_running_gateway_goes_on_while_the_next_version_upgrades_its_ledger(
    tmp_path: Path, postgres_server: PostgresServer, upgrade: Callable[[Path | str], None]
) -> None:
    url = postgres_server.new_schema()
    environ = {"ROUTEWRIGHT_LEDGER__DATABASE_URL": url}
    with serving(tmp_path, "--simulate", environ=environ) as served:
        for _ in range(ASKED_BEFORE):
            ask(served)
        upgrade(url)
        for _ in range(ASKED_AFTER):
            ask(served)
        assert served.stop() == 0, "and ends in peace, with all that it had"
    with postgres_server.connect() as connection:
        schema = url.rsplit("%3D", 1)[1]
        connection.execute(f"SET search_path TO {schema}".encode())
        rows = connection.execute(
            "SELECT (SELECT count(*) FROM requests WHERE colour = ''), (SELECT count(*) FROM open_holds), "
            "(SELECT count(*) FROM events WHERE kind = 'settled')"
        ).fetchone()
    assert rows == (ASKED_BEFORE + ASKED_AFTER, 0, ASKED_BEFORE + ASKED_AFTER)
    refuses_to_start(tmp_path, environ)


def test_s11_a_file_of_the_next_version_is_not_opened_nor_changed(
    tmp_path: Path, upgrade: Callable[[Path | str], None]
) -> None:
    with serving(tmp_path, "--simulate") as served:
        ask(served)
    upgrade(served.ledger)
    before = served.ledger.read_bytes()
    refuses_to_start(tmp_path, {})
    for verb in (("report",), ("ledger", "verify")):
        refused = Terminal(tmp_path).run(*verb, "--set", f"ledger.path={served.ledger.parent}")
        assert (refused.exit_code, "E408" in refused.stderr) == (78, True)
    assert served.ledger.read_bytes() == before
