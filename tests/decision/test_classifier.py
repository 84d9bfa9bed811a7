"""What kind of work a request is: in many languages, by shape, in agents' sessions, and with an honest confidence."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call, message
from routewright.call import Call, Image, Message, OutputFormat, Text, Tool, ToolCall, ToolChoice, ToolResult
from routewright.catalog.registry import Tier
from routewright.decision.classifier import Classifier, HeuristicClassifier
from routewright.decision.features import Script, extract
from routewright.decision.intent import Policy
from routewright.route import Verdict

HEURISTIC: Classifier = HeuristicClassifier()
PROMPTS = tuple(
    (Tier(tier), prompt.replace("\\n", "\n"))
    for tier, prompt in (line.split("\t") for line in Path(__file__).with_name("prompts.tsv").read_text().splitlines())
)
"""Prompts labelled by hand; the word lists were grown with them, so they show what works and not how well it does."""
TOOLS = tuple(
    Tool(f"tool_{number}", "Designs, proves and debugs a distributed architecture.", {"type": "object"})
    for number in range(32)
)


def classify(asked: Call | str) -> Verdict:
    return HEURISTIC.classify(extract(call(asked) if isinstance(asked, str) else asked))


def taken(asked: Call | str) -> Tier:
    """The tier that the default policy takes."""
    verdict = classify(asked)
    return verdict.tier if verdict.confidence >= Policy().confidence_threshold else Tier.STANDARD


def test_labelled_prompts_are_recognised() -> None:
    wrong = [(tier, taken(prompt), prompt) for tier, prompt in PROMPTS if taken(prompt) is not tier]
    assert len(PROMPTS) > 400
    assert len(wrong) < 0.03 * len(PROMPTS), wrong


@pytest.mark.parametrize("script", list(Script))
def test_labelled_prompts_are_recognised_in_every_script(script: Script) -> None:
    found = [taken(prompt) is tier for tier, prompt in PROMPTS if extract(call(prompt)).script is script]
    assert len(found) >= 4
    assert sum(found) >= 0.95 * len(found)


def test_higher_confidence_is_more_often_right() -> None:
    right = defaultdict(list)
    for tier, prompt in PROMPTS:
        verdict = classify(prompt)
        right[verdict.confidence >= 0.8].append(verdict.tier is tier)
    assert sum(right[True]) / len(right[True]) > sum(right[False]) / len(right[False])
    assert sum(right[True]) / len(right[True]) > 0.98


# ---- shape --------------------------------------------------------------------------------------------------------


def test_json_schema_is_structured_whatever_the_words() -> None:
    verdict = classify(call("The meeting is on Friday.", output_format=OutputFormat("json_schema", "answer", {})))
    assert verdict.tier is Tier.STRUCTURED
    assert verdict.confidence >= 0.85
    assert verdict.signals[0] == "shape:json_schema"


@pytest.mark.parametrize("asked", ["Extract the date.", "Summarize the mail.", "Who wrote it, and when?"])
def test_json_object_is_structured(asked: str) -> None:
    assert taken(call(asked, output_format=OutputFormat("json_object"))) is Tier.STRUCTURED


def test_schema_does_not_make_hard_work_easy() -> None:
    asked = "Debug why this deadlocks, find the root cause, prove that your fix is correct and discuss the trade-offs."
    verdict = classify(call(asked, output_format=OutputFormat("json_schema", "answer", {})))
    assert verdict.tier is Tier.COMPLEX
    assert verdict.confidence < classify(asked).confidence


def test_forced_tool_and_lone_extraction_tool_are_structured() -> None:
    tool = Tool("extract_invoice", "", {"type": "object"})
    mail = "The bill over 20 EUR came on Friday."
    assert taken(call(mail, tools=(tool,), tool_choice=ToolChoice("required", "extract_invoice"))) is Tier.STRUCTURED
    assert taken(call(mail, tools=(tool,))) is Tier.STRUCTURED
    assert taken(call(mail, tools=(Tool("get_weather", "", {}),))) is Tier.STANDARD


def test_one_weak_cue_is_not_trusted() -> None:
    for asked in (call("The soup was cold.", max_output_tokens=5), call("Some whitespace here."), call("It hangs.")):
        assert classify(asked).confidence < 0.7 or classify(asked).tier is Tier.STANDARD


def test_long_input_is_work_in_itself() -> None:
    document = "We met and talked about this and that. " * 2_000
    assert taken(f"What do they agree on?\n{document}") is Tier.COMPLEX


def test_long_input_with_a_routine_task_is_uncertain() -> None:
    document = "We met and talked about this and that. " * 2_000
    assert classify(f"Summarize this.\n{document}").confidence < 0.7


def test_picture_with_a_demand_for_json_is_structured() -> None:
    parts = (Text("Read the receipt and return JSON with merchant and total."), Image("https://a.example/receipt.png"))
    assert taken(call(messages=(Message("user", parts),))) is Tier.STRUCTURED


# ---- what is asked, not what it is about ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "tier"),
    [
        ("Translate into German: Our distributed architecture proves that consensus scales.", Tier.BULK),
        ("Fix the typos:\n> We must design and prove the architecture.", Tier.BULK),
        ("Summarize this:\n```\nTraceback: deadlock, race condition, memory leak\n```", Tier.BULK),
        ("Write a poem about debugging a deadlock.", Tier.STANDARD),
        ("What is a race condition?", Tier.STANDARD),
        ("How do I rename a column in pandas?", Tier.STANDARD),
        ("How do I parse JSON in Go?", Tier.STANDARD),
        ("Write a function that converts CSV to JSON.", Tier.STANDARD),
        ("Design a linter architecture that scales to a monorepo.", Tier.COMPLEX),
        ("Debug why the formatter deletes comments.", Tier.COMPLEX),
    ],
)
def test_topic_of_a_request_is_not_taken_for_the_work(prompt: str, tier: Tier) -> None:
    assert taken(prompt) is tier


def test_system_prompt_tools_and_earlier_turns_do_not_decide() -> None:
    asked = call(
        messages=(
            message("You design distributed architectures, prove theorems and debug deadlocks.", "system"),
            message("Design a consensus protocol."),
            message("Here is the proof of its invariants.", "assistant"),
            message("Thank you! Now translate your last answer into French, please."),
        ),
        tools=TOOLS,
    )
    assert taken(asked) is Tier.BULK


# ---- agents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        "rename foo to bar in utils.py",
        "run the tests",
        "list the files in src",
        "add docstrings to the public functions",
        "Bump the version to 2.4.1 and update the changelog",
        "commit this with a good commit message",
    ],
)
def test_agent_with_many_tools_does_routine_work_in_the_bulk_tier(task: str) -> None:
    assert taken(call(task, tools=TOOLS)) is Tier.BULK


def test_agent_step_is_decided_by_the_user_s_last_real_words() -> None:
    def step(task: str) -> Call:
        return call(
            messages=(
                message(task),
                Message("assistant", (ToolCall("call-1", "tool_1", '{"path": "design.md"}'),)),
                Message("tool", (ToolResult("call-1", "why does this deadlock? prove the architecture " * 50),)),
            ),
            tools=TOOLS,
        )

    assert taken(step("rename foo to bar in utils.py")) is Tier.BULK
    assert taken(step("find out why the scheduler deadlocks under load")) is Tier.COMPLEX


def test_go_on_continues_the_request_before_it() -> None:
    def go_on(task: str) -> Call:
        return call(messages=(message(task), message("Shall I?", "assistant"), message("yes, go on")))

    assert taken(go_on("Translate the manual to German.")) is Tier.BULK
    assert taken(go_on("Design a multi-region architecture for payments.")) is Tier.COMPLEX


def test_commands_without_tools_are_conversation() -> None:
    assert taken("open the window in your imagination") is Tier.STANDARD
    assert taken("run for me through the day of a baker") is Tier.STANDARD


# ---- the verdict itself ---------------------------------------------------------------------------------------------


def test_verdict_names_its_evidence_and_its_author() -> None:
    verdict = classify("Extract the dates as JSON")
    assert verdict.classifier == HEURISTIC.name == "heuristic@1"
    assert verdict.signals == ("command:extract", "word:json", "phrase:as json")
    assert verdict.reason == "asks for a fixed form of answer"


def test_conflicting_cues_lower_the_confidence() -> None:
    assert classify("Translate this and return JSON").confidence < classify("Translate this to French").confidence + 0.1
    assert classify("Summarize and classify this text.").confidence < classify("Classify this text.").confidence


@given(st.text(max_size=300), st.integers(0, 3), st.sampled_from(["text", "json_object", "json_schema"]))
def test_any_request_gets_a_verdict(text: str, tools: int, kind: str) -> None:
    verdict = classify(call(text, tools=TOOLS[:tools], output_format=OutputFormat(kind)))  # type: ignore[arg-type]
    assert 0.3 <= verdict.confidence <= 0.95
    assert len(verdict.signals) <= 8


@given(st.sampled_from(PROMPTS))
def test_same_request_gets_the_same_verdict(labelled: tuple[Tier, str]) -> None:
    assert classify(labelled[1]) == classify(labelled[1])
