"""Five everyday uses, from the request to the model, with the catalogue that a small team might have."""

from builders import call, message, model
from routewright.call import Call, Message, OutputFormat, Tool, ToolCall, ToolResult
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Capability, Model, Registry, Tier, build_registry
from routewright.decision.classifier import HeuristicClassifier
from routewright.decision.features import extract
from routewright.decision.intent import Policy
from routewright.decision.selection import select
from routewright.route import Route


def priced(name: str, tier: Tier, input_usd: int, output_usd: int, *fallbacks: str) -> Model:
    """A model with these prices in hundredths of a USD per million tokens."""
    return model(
        name,
        tier=tier,
        capabilities=frozenset(Capability),
        context_window=200_000,
        max_output_tokens=16_000,
        prices=PriceSchedule((Price(input=input_usd * 10_000, output=output_usd * 10_000),)),
        fallbacks=fallbacks,
    )


CATALOG: Registry = build_registry(
    [
        priced("thinker", Tier.COMPLEX, 500, 2500, "allrounder"),
        priced("allrounder", Tier.STANDARD, 300, 1500, "thinker"),
        priced("clerk", Tier.STRUCTURED, 27, 110, "allrounder"),
        priced("drudge", Tier.BULK, 10, 40, "clerk"),
    ],
    {},
)


def routed(asked: Call) -> Route:
    features = extract(asked)
    return select(
        asked,
        features,
        HeuristicClassifier().classify(features),
        registry=CATALOG,
        policy=Policy(),
        now_s=1_790_000_000,
        token_ratios={},
        resting={},
        cannot_carry=lambda *_: None,
        dropped_fields=lambda *_: (),
    )


def saving(route: Route) -> float:
    """The part of the baseline's cost that is not spent."""
    assert route.baseline_cost_nanousd is not None
    assert route.chosen.expected_cost_nanousd is not None
    return 1 - route.chosen.expected_cost_nanousd / route.baseline_cost_nanousd


def test_real_time_chat_goes_to_the_standard_tier() -> None:
    turns = (
        message("You are the friendly assistant of a travel agency.", "system"),
        message("Hi! I'm looking for a place to stay near the sea in May."),
        message("Lovely! Do you prefer a quiet village or a lively town?", "assistant"),
        message("A quiet village. What would you recommend, and how is the weather there?"),
    )
    route = routed(call(messages=turns, stream=True))
    assert (route.tier, route.chosen.model) == (Tier.STANDARD, "allrounder")
    assert [candidate.model for candidate in route.eligible] == ["allrounder", "thinker"]


def test_json_extraction_goes_to_the_structured_tier() -> None:
    mail = "Dear team,\n\nour invoice 4711 of 3 May over 1,250.00 EUR is due within 14 days.\n\nBest, Ada"
    schema = {"type": "object", "properties": {"number": {"type": "string"}, "total": {"type": "number"}}}
    by_words = routed(call(f"Extract number, date and total from this mail and return JSON only.\n\n{mail}"))
    by_shape = routed(call(mail, output_format=OutputFormat("json_schema", "invoice", schema)))
    for route in (by_words, by_shape):
        assert (route.tier, route.chosen.model) == (Tier.STRUCTURED, "clerk")
        assert route.confidence is not None
        assert route.confidence >= 0.85
        assert saving(route) > 0.9


def test_architecture_and_debugging_go_to_the_complex_tier() -> None:
    design = (
        "We are moving our monolith to services. Design the target architecture for orders and payments, say how to "
        "keep them consistent without distributed transactions, and discuss the trade-offs of at least two options."
    )
    debug = (
        "After the last deployment our workers hang about once an hour, only under load. Find the root cause.\n"
        "```\nthread 1: waiting for lock B\nthread 2: waiting for lock A\n```"
    )
    for asked in (design, debug):
        route = routed(call(asked))
        assert (route.tier, route.chosen.model) == (Tier.COMPLEX, "thinker")
        assert route.chosen.model == route.baseline_model


def test_documentation_boilerplate_and_linting_go_to_the_bulk_tier() -> None:
    code = "```python\ndef area(radius):\n    return 3.14 * radius * radius\n```"
    for asked in (
        f"Add docstrings and type hints to this module.\n{code}",
        "Generate boilerplate for a FastAPI project with a health check.",
        f"Lint this and fix the formatting.\n{code}",
    ):
        route = routed(call(asked))
        assert (route.tier, route.chosen.model) == (Tier.BULK, "drudge")
        assert saving(route) > 0.95


def test_routine_step_of_an_agent_goes_to_the_bulk_tier() -> None:
    tools = tuple(Tool(f"tool_{number}", "Works on the repository.", {"type": "object"}) for number in range(32))
    turns = (
        message("You are a coding agent. Design before you write, prove what you claim.", "system"),
        message("Rename get_user to fetch_user everywhere and run the linter."),
        Message("assistant", (ToolCall("call-1", "tool_3", '{"pattern": "get_user"}'),)),
        Message("tool", (ToolResult("call-1", "src/a.py:3: def get_user(): ...\n" * 40),)),
    )
    assert routed(call(messages=turns, tools=tools)).chosen.model == "drudge"


def test_high_throughput_transformation_goes_to_the_bulk_tier() -> None:
    rows = "\n".join(f"{number:02}/04/2026;Customer {number};{number * 10}.00" for number in range(1, 29))
    for asked in (
        f"Convert the dates in each of the following rows to ISO 8601 and leave the rest as it is.\n{rows}",
        "Translate each of these 500 product titles into French, one per line.",
    ):
        route = routed(call(asked))
        assert (route.tier, route.chosen.model) == (Tier.BULK, "drudge")
