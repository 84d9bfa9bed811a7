"""Logged traffic with a known truth: decisions as the engine makes them, answered and judged by a seed."""

from random import Random
from typing import Any

from msgspec.structs import replace

from builders import call, registry
from deciding import choose, of, verdict
from routewright.catalog.registry import Registry, Tier
from routewright.decision.intent import Policy
from routewright.ledger.ledger import LedgerEvent, OutcomeRecorded
from routewright.route import Route
from routewright.usage import Usage
from terminal import NOON, request, settled

SETTINGS = """
[policy]
classifier = "heuristic"
exploration = 0.5

[providers.acme]
base_url = "https://acme.example/v1"
dialect = "openai_chat"
api_key = "env:ACME_KEY"

[models.weak]
tier = "bulk"
deployments = ["acme/weak"]
context_window = 100_000
max_output_tokens = 4_000
price = { input = "1", output = "2" }

[models.strong]
tier = "standard"
deployments = ["acme/strong"]
context_window = 100_000
max_output_tokens = 4_000
price = { input = "10", output = "20" }
"""
TRUTH = {"weak": 0.6, "strong": 0.9}
"""How often each answers well."""
TOKENS = Usage(input=1_000, output=500)
COSTS = {"weak": 2_000_000, "strong": 20_000_000}
"""Nano-USD of an answer of such a length."""
HALF = Policy(exploration=0.5)


def two_models() -> Registry:
    """The models of the settings."""
    return registry(of(Tier.BULK, "weak", 1), of(Tier.STANDARD, "strong", 10))


def decided(number: int, random: Random, policy: Policy = HALF, **changes: Any) -> Route:
    """Every second request looks like bulk, half of these with a confidence of 0.6, the others of 0.9."""
    said = verdict(Tier.BULK if number % 2 else Tier.STANDARD, 0.6 if number % 4 == 1 else 0.9)
    asked = call(**changes)
    return choose(asked, said if asked.model == "auto" else None, two_models(), policy=policy, chance=random.random())


def traffic(number: int, *, seed: int = 1, scored: float = 1.0, policy: Policy = HALF) -> list[LedgerEvent]:
    """So many requests with their answers, and outcomes of a share of them."""
    random, events = Random(seed), list[LedgerEvent]()
    for at in range(number):
        route = decided(at, random, policy)
        model, name, at_ns = route.first_choice, f"request-{at:05}", NOON + at
        cost = COSTS[model]
        told = {"model": model, "cost_nanousd": cost, "at_ns": at_ns}
        events.append(replace(request(name), **told, route=route, tier=route.tier))
        events.append(replace(settled(name), **told, usage=TOKENS))
        if random.random() < scored:
            score = float(random.random() < TRUTH[model])
            events.append(
                OutcomeRecorded(
                    outcome_id=f"outcome-{at}", request_id=name, at_ns=at_ns, source="feedback", score=score
                )
            )
    return events
