"""The command line as a user has it, with a home folder of its own and without the keys of whoever runs the tests."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result
from msgspec.structs import replace

import routewright
from routewright.cli.program import program
from routewright.ledger.ledger import LedgerEvent, RequestRecorded, Settled, encode_event
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.usage import Usage

_FOREIGN = ("ROUTEWRIGHT_", "ROUTING_", "BATCH_", "COST_", "XDG_", "NO_COLOR", "CI")
_PACKAGES = Path(routewright.__file__).parents[1]
_PATIENCE_S = 60

NOON = 1_793_534_400_000_000_000
"""2026-11-01 12:00 UTC."""


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN) or name.endswith("_API_KEY")


class Terminal:
    """Runs routewright in its home folder: in this process (`run`, fast) or in one of its own (`spawn`, real)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ledger = home / ".local/share/routewright/ledger.db"

    def run(self, *arguments: str, stdin: str | None = None, environ: Mapping[str, str] | None = None) -> Result:
        """In this process; a bug is raised."""
        cleared: dict[str, str | None] = dict.fromkeys(filter(_is_foreign, os.environ))
        with contextlib.chdir(self.home):
            return CliRunner().invoke(
                program,
                arguments,
                input=stdin,
                env={**cleared, "HOME": str(self.home), **(environ or {})},
                catch_exceptions=False,
                prog_name="routewright",
            )

    def spawn(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """In a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "routewright", *arguments],
            input=stdin,
            env={**self.environ, **(environ or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a process of its own sees."""
        kept = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(_PACKAGES)}

    def settings(self, text: str) -> None:
        """Write `routewright.toml`."""
        (self.home / "routewright.toml").write_text(text, encoding="utf-8")

    def record(self, *events: LedgerEvent) -> None:
        """Put events into the ledger, as the journal's drainer does."""
        store = Store(SqliteDatabase(self.ledger))
        store.absorb([encode_event(event) for event in events])
        store.close()


def request(request_id: str = "request-1", **changes: object) -> RequestRecorded:
    """A request that swift answered for $0.002, where the baseline would have cost $0.01."""
    plain = RequestRecorded(
        request_id=request_id,
        at_ns=NOON,
        dialect="openai_chat",
        requested_model="auto",
        model="swift",
        tier="standard",
        confidence=0.9,
        reason="asks for ordinary help",
        outcome="complete",
        cost_nanousd=2_000_000,
        is_estimated=False,
        baseline_model="strong",
        baseline_cost_nanousd=10_000_000,
        attempts=1,
        stream=False,
        total_ms=250,
        overhead_us=120,
        route=None,
    )
    return replace(plain, **changes)


def settled(request_id: str = "request-1", **changes: object) -> Settled:
    """The attempt of that request: 1,000 tokens in, 500 out."""
    plain = Settled(
        attempt_id=f"{request_id}-attempt-1",
        request_id=request_id,
        at_ns=NOON,
        model="swift",
        deployment="acme/swift",
        served_model="swift-1",
        cause="first",
        outcome="complete",
        usage=Usage(input=1_000, output=500),
        cost_nanousd=2_000_000,
        price_version="test",
        is_estimated=False,
        first_event_ms=120,
        total_ms=250,
        tier="standard",
    )
    return replace(plain, **changes)
