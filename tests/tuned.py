"""A ledger of judged decisions whose truth is known: swift is as good as sage on easy requests, and fails hard ones."""

from typing import Literal

import numpy as np

from routewright.catalog.registry import Tier
from routewright.ledger.ledger import LedgerEvent, OutcomeRecorded
from routewright.route import Asked, Candidate, Route, Verdict
from terminal import NOON, request

SETTINGS = """
[providers.acme]
base_url = "http://127.0.0.1:9/v1"
dialect = "openai_chat"
local = true

[models.swift]
tier = "bulk"
context_window = 100000
max_output_tokens = 4000
deployments = ["acme/swift"]
price = { input = "1", output = "2" }

[models.sage]
tier = "complex"
context_window = 100000
max_output_tokens = 4000
deployments = ["acme/sage"]
price = { input = "10", output = "20" }
"""
HARD = 0.4
"""Share of the requests."""
COSTS = {"swift": 1_000_000, "sage": 10_000_000}


def route_of(
    is_hard: bool, first: str, *, policy: str = "default@0", explored: float = 0.0, expected: bool = True
) -> Route:
    """The decision about a request: easy ones are bulk, and swift is expected to do them."""
    success = {"swift": 0.3 if is_hard else 0.9, "sage": 0.97}
    candidates = tuple(
        Candidate(
            model=name,
            tier=Tier.BULK if name == "swift" else Tier.COMPLEX,
            is_eligible=True,
            reason="test",
            expected_cost_nanousd=COSTS[name],
            success=success[name] if expected else None,
            doubt=0.01 if expected else None,
            outcomes=100,
            propensity=explored or float(name == first),
        )
        for name in sorted(COSTS, key=lambda name: name != first)
    )
    return Route(
        verdict=Verdict(
            tier=Tier.COMPLEX if is_hard else Tier.BULK, confidence=0.9, reason="test", classifier="test@1"
        ),
        tier=Tier.BULK,
        reason="test",
        written=candidates,
        input_tokens=100,
        output_tokens=100,
        asked=Asked(model="auto"),
        first_choice=first,
        propensity=explored or 1.0,
        baseline_model="sage",
        baseline_cost_nanousd=COSTS["sage"],
        catalog="test",
        classifier="test@1",
        policy=policy,
    )


def ledger(
    number: int,
    how: Literal["compared", "drawn", "feedback"] = "compared",
    *,
    seed: int = 1,
    start: int = 0,
    swift: tuple[float, float] = (0.9, 0.3),
    first: str | None = None,
    policy: str = "default@0",
    from_ns: int = NOON,
    expected: bool = True,
) -> list[LedgerEvent]:
    """So many requests, and their outcomes: of both models, of one drawn evenly, or of sage alone.

    `swift` is how often it succeeds at easy and at hard ones; sage does at nine of ten. `first` answers, else sage, or
    whoever is drawn.
    """
    rng = np.random.default_rng((seed, start))
    events: list[LedgerEvent] = []
    for at in range(start, start + number):
        is_hard = bool(rng.random() < HARD)
        luck = rng.random()  # one for both: where swift is as good, it does well on the same requests
        scores = {"swift": float(luck < swift[is_hard]), "sage": float(luck < 0.9)}
        answered = first or ("swift" if how == "drawn" and rng.random() < 0.5 else "sage")
        judged = {"compared": tuple(scores), "drawn": (answered,), "feedback": ("sage",)}[how]
        request_id, at_ns = f"request-{at}", from_ns + at
        decided = route_of(is_hard, answered, policy=policy, explored=0.5 if how == "drawn" else 0.0, expected=expected)
        events.append(request(request_id, at_ns=at_ns, model=answered, route=decided))
        events += [
            OutcomeRecorded(
                outcome_id=f"{request_id}-{name}",
                request_id=request_id,
                at_ns=at_ns,
                model=name,
                source="judge",
                score=scores[name],
            )
            for name in judged
        ]
    return events
