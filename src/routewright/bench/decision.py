"""What deciding costs: features, classification and selection for a prompt of 1 KB, and nothing else."""

import time
from pathlib import Path

from routewright.bench.processes import environment
from routewright.bench.questions import chat_body, prompts
from routewright.call import Options
from routewright.clock import SystemClock
from routewright.decision.classifier import HeuristicClassifier
from routewright.decision.selection import Policy
from routewright.decision.tokens import TokenEstimator
from routewright.dialects.known import DOWNSTREAMS, UPSTREAMS
from routewright.layers.breaker import Circuits
from routewright.layers.decide import Decider
from routewright.runtime import SettingsSource


def decision_us(config: Path, *, prompt_chars: int, decisions: int, rounds: int) -> list[float]:
    """CPU microseconds per decision with the catalog of `config`, per round; one round before them is not counted."""
    decider = _decider(config)
    dialect = DOWNSTREAMS["openai_chat"]
    calls = [dialect.read(chat_body(prompt), request_id="bench", options=Options()) for prompt in prompts(prompt_chars)]

    def one_round() -> float:
        begun = time.thread_time_ns()
        for number in range(decisions):
            decider.decide(calls[number % len(calls)])
        return (time.thread_time_ns() - begun) / decisions / 1000

    one_round()
    return [one_round() for _ in range(rounds)]


def _decider(config: Path) -> Decider:
    """The same as the gateway's, for the same settings."""
    settings, registry = SettingsSource(environ=environment(config.parent), cwd=config.parent, config=config).load()
    return Decider(
        registry=registry,
        policy=Policy(confidence_threshold=settings.policy.confidence_threshold),
        classifier=HeuristicClassifier(),
        dialects=UPSTREAMS,
        circuits=Circuits(),
        estimator=TokenEstimator(),
        clock=SystemClock(),
    )
