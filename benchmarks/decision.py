"""What a decision costs: `python benchmarks/decision.py`.

CPU microseconds (user and system, one core) of each step and of all three, for prompts of three lengths and a
registry of eight models. The best of the rounds is shown: whatever disturbs a measurement makes it slower.
"""

import time
from collections.abc import Callable

from routewright.call import Call, Message, Text, Tool, ToolCall, ToolResult
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Capability, Deployment, Model, Registry, Tier, build_registry
from routewright.decision.classifier import HeuristicClassifier
from routewright.decision.features import Features, extract
from routewright.decision.intent import Policy
from routewright.decision.progress import read_progress
from routewright.decision.selection import select
from routewright.decision.tokens import TokenEstimator, upper_bound_tokens
from routewright.route import Route, Verdict

ROUNDS = 60
ROUND_S = 0.005
NOW_S = 1_790_000_000
PRICES = {Tier.COMPLEX: 5_000_000, Tier.STANDARD: 1_000_000, Tier.STRUCTURED: 300_000, Tier.BULK: 100_000}

PROSE = (
    "Our billing service sometimes charges a customer twice when the provider answers late. Please look at the retry "
    "logic, explain how the duplicate can happen, and suggest a design in which every charge is idempotent. We use "
    "PostgreSQL, a message queue with at-least-once delivery, and three replicas behind a load balancer.\n"
)
LIST = "- the retry is sent after 30 s\n- the first answer comes after 31 s\n* both are booked, as charge 17\n\n"


def prompt(chars: int) -> str:
    """Prose and a list, as people write them."""
    block = PROSE + LIST
    return (block * (chars // len(block) + 1))[:chars]


def call(text: str, tools: int = 0) -> Call:
    """A chat request with a system prompt."""
    schema = {"type": "object", "properties": {"path": {"type": "string", "description": "where to look"}}}
    return Call(
        id="0199",
        dialect="openai_chat",
        model="auto",
        messages=(
            Message("system", (Text("You are a careful engineer. Answer briefly."),)),
            Message("user", (Text(text),)),
        ),
        body={},
        tools=tuple(Tool(f"tool_{number}", "Does one thing to one file.", schema) for number in range(tools)),
    )


def model(tier: Tier, letter: str) -> Model:
    """One of two of its tier; falls back to the tier above."""
    name = f"{tier.value}-{letter}"
    price = PRICES[tier] * (1 if letter == "a" else 2)
    return Model(
        name=name,
        tier=tier,
        capabilities=frozenset(Capability),
        context_window=1_000_000,
        max_output_tokens=32_000,
        prices=PriceSchedule((Price(input=price, output=4 * price),)),
        fallbacks=() if tier is Tier.COMPLEX else (f"complex-{letter}",),
        deployments=(
            Deployment(
                id=f"provider/{name}",
                provider="provider",
                dialect="openai_chat",
                base_url="https://provider.test/v1",
                upstream_model=name,
            ),
        ),
    )


def microseconds(function: Callable[[], object]) -> float:
    """CPU time of one call."""
    times = 1
    while (spent := _timed(function, times)) < ROUND_S:
        times = max(times + 1, int(times * ROUND_S * 1.1 / max(spent, 1e-6)))
    return min(_timed(function, times) for _ in range(ROUNDS)) / times * 1e6


def _timed(function: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        function()
    return time.process_time() - start


def measure(label: str, request: Call, registry: Registry) -> None:
    """Print one line."""
    classifier, policy, estimator = HeuristicClassifier(), Policy(), TokenEstimator()

    def choose(features: Features, verdict: Verdict) -> Route:
        return select(
            request,
            features,
            verdict,
            registry=registry,
            policy=policy,
            now_s=NOW_S,
            token_ratios=estimator.ratios,
            resting={},
            cannot_carry=lambda dialect, call: None,
            dropped_fields=lambda dialect, call: (),
        )

    def decide() -> Route:
        features = extract(request)
        return choose(features, classifier.classify(features))

    features = extract(request)
    verdict = classifier.classify(features)
    steps = (
        lambda: extract(request),
        lambda: classifier.classify(features),
        lambda: choose(features, verdict),
        decide,
        lambda: upper_bound_tokens(request),
    )
    figures = "".join(f"{microseconds(step):>10.1f}" for step in steps)
    print(f"{label:<18}{figures}   {verdict.tier.value} {verdict.confidence}")


def session(steps: int) -> tuple[Message, ...]:
    """An agent that runs the same failing tests again and again, with a kilobyte of output each."""
    output = "tests/test_billing.py ......\n" * 36 + "E   AssertionError: assert 3 == 4\n1 failed, 7 passed in 0.31s\n"
    messages = [Message("user", (Text("Please make the tests of the billing service pass."),))]
    for number in range(steps):
        run = ToolCall(f"call_{number}", "Bash", '{"command": "pytest -q tests/test_billing.py"}')
        messages += [Message("assistant", (run,)), Message("user", (ToolResult(run.id, output),))]
    return tuple(messages)


def main() -> None:
    """Print the table."""
    registry = build_registry([model(tier, letter) for tier in Tier for letter in "ab"], {})
    print(f"{'CPU µs':<18}{'features':>10}{'classify':>10}{'select':>10}{'all':>10}{'bound':>10}   verdict")
    measure("chat, 60 chars", call("What is the difference between TCP and UDP, in short?"), registry)
    for chars, label in ((1_000, "1 KB"), (32_000, "32 KB"), (500_000, "500 KB")):
        measure(label, call(prompt(chars)), registry)
    measure("1 KB, 32 tools", call(prompt(1_000), tools=32), registry)
    measure("1 KB of Chinese", call("请设计一个高可用的分布式缓存系统，并分析一致性和性能之间的权衡。" * 11), registry)
    for steps in (5, 50):
        messages = session(steps)
        spent = microseconds(lambda messages=messages: read_progress(messages))  # type: ignore[misc]
        print(f"how a session of {steps} steps goes: {spent:.1f}")


if __name__ == "__main__":
    main()
