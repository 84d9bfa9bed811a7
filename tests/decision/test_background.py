"""What an agent asks beside its work goes to the bulk tier, and nothing else does for that reason."""

from typing import Any

import pytest
from msgspec.structs import replace

from builders import call, message, registry
from deciding import ALL, choose, of, tried, verdict
from routewright.call import Call, Options, OutputFormat, Tool
from routewright.catalog.registry import Capability, Tier
from routewright.decision.background import MOST_CHARS, background_work
from routewright.decision.intent import Policy
from routewright.errors import ModelNotFound, NoEligibleModel

TASK = "Prove that the scheduler never starves a job, then implement the proof's invariant"


def aside(system: str, said: str = f"<session>\n{TASK}\n</session>", **changes: Any) -> Call:
    return call(messages=(message("You are an agent.", "system"), message(system, "system"), message(said)), **changes)


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        ("Write a concise title (3-7 words) that says what this coding session is about.", "a title"),
        ("Write a short kebab-case name that captures the topic of this conversation.", "a title"),
        ("You are coming up with a title and a git branch name for a coding session.", "a title"),
        ("Summarize this coding conversation in under 50 characters.", "a recap"),
        ("Write a short label for what these tool calls did: a summary of the tool calls.", "a recap"),
        ("Extract any file paths that this command reads or modifies.", "file paths"),
        ("Determine the command prefix of what an agent wants to run.", "a command's prefix"),
        ("Say whether this message begins a new conversation topic.", "whether the topic is new"),
    ],
)
def test_it_is_known_by_its_shape_and_goes_to_the_bulk_tier(system: str, wanted: str) -> None:
    asked = aside(system)
    assert background_work(asked) == wanted
    route = choose(asked, verdict(Tier.COMPLEX), policy=Policy(min_quality=0.99))
    assert (route.tier, route.chosen.model) == (Tier.BULK, "bulk")
    assert route.reason == f"an agent wants {wanted}, beside its work: bulk"


def test_a_probe_for_one_token_is_too() -> None:
    assert background_work(call("quota", max_output_tokens=1)) == "a single token"


@pytest.mark.parametrize(
    "asked",
    [
        call(f"Write a title for this session: {TASK}"),
        aside("You help with titles of books."),
        aside("Write a title for this session.", tools=(Tool("Read", "Reads.", {}),)),
        aside("Write a title for this session.", "x" * MOST_CHARS),
        call(messages=(message("Summarize the conversation.", "system"), message("a"), message("b", "assistant"))),
    ],
)
def test_work_itself_is_not_taken_for_it(asked: Call) -> None:
    assert background_work(asked) == ""
    assert choose(asked, verdict(Tier.COMPLEX)).tier is Tier.COMPLEX


def test_the_callers_own_word_goes_before() -> None:
    asked = aside("Write a title for this session.")
    assert choose(replace(asked, options=Options(tier=Tier.COMPLEX)), None).tier is Tier.COMPLEX
    assert choose(replace(asked, options=Options(min_quality=0.5)), verdict(Tier.STANDARD)).tier is Tier.STANDARD


def test_where_no_bulk_model_can_take_it_the_cheapest_does() -> None:
    among = registry(
        of(Tier.BULK, "bulk", 1, capabilities=frozenset()),
        of(Tier.STRUCTURED, "structured", 9),
        of(Tier.STANDARD, "standard", 3, capabilities=ALL - {Capability.REASONING}),
    )
    asked = aside(
        "Write a title for this session.", output_format=OutputFormat("json_schema", schema={}), reasoning_effort="high"
    )
    route = choose(asked, verdict(Tier.COMPLEX), among)
    assert tried(route) == ["standard", "structured"]
    assert route.reason.endswith("; no model of tier bulk can take it: the cheapest")
    with pytest.raises(NoEligibleModel, match="standard: "):
        choose(replace(asked, options=Options(max_cost_nanousd=1)), verdict(Tier.COMPLEX), among)


def test_a_small_model_that_is_not_here_stands_for_small_work() -> None:
    route = choose(call(model="claude-haiku-4-5-20251001"))
    assert (route.chosen.model, route.verdict) == ("bulk", None)
    assert route.reason == "claude-haiku-4-5-20251001 is not here, and stands for small work: bulk"
    with pytest.raises(ModelNotFound):
        choose(call(model="claude-of-next-year"))
