"""What deciding costs: features, classification and selection for a prompt of 1 KB, and nothing else."""

import time
from pathlib import Path

from routewright.bench.processes import environment
from routewright.bench.questions import chat_body, prompts
from routewright.call import Options
from routewright.clock import SystemClock
from routewright.dialects.known import DOWNSTREAMS
from routewright.engine import Engine
from routewright.ledger.accounts import JournaledLedger
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import MemoryLog


def decision_us(config: Path, *, prompt_chars: int, decisions: int, rounds: int) -> list[float]:
    """CPU microseconds per decision with the catalog of `config`, per round; one round before them is not counted."""
    engine = _engine(config)
    dialect = DOWNSTREAMS["openai_chat"]
    calls = [dialect.read(chat_body(prompt), request_id="bench", options=Options()) for prompt in prompts(prompt_chars)]

    def one_round() -> float:
        begun = time.thread_time_ns()
        for number in range(decisions):
            engine.route(calls[number % len(calls)])
        return (time.thread_time_ns() - begun) / decisions / 1000

    one_round()
    return [one_round() for _ in range(rounds)]


def _engine(config: Path) -> Engine:
    """Deciding as the gateway does, for the same settings."""
    settings, registry = SettingsSource(environ=environment(config.parent), cwd=config.parent, config=config).load()
    return Engine(
        settings,
        registry,
        ledger=JournaledLedger(MemoryLog(), boot="bench", clock=SystemClock()),
        transport=Simulator(),
    )
