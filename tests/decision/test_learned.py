import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import artefacts
from artefacts import KINDS
from builders import call, message, model
from routewright.call import Call, Message, OutputFormat, Tool, ToolCall, ToolResult
from routewright.catalog.registry import Tier
from routewright.classifiers import load_artefact
from routewright.decision.features import extract
from routewright.decision.forecast import Lessons
from routewright.decision.glance import MOST_KINDS
from routewright.decision.learned import (
    LEAST_SHARE,
    LearnedClassifier,
    experience,
    kinds_vector,
)
from routewright.decision.sketch import fingerprint, sketch
from routewright.decision.success import Evidence, Tally
from routewright.route import KindShare, Verdict

MADE = artefacts.artefact()
SHIPPED = load_artefact(None)
TEAM = tuple(model(f"{tier}-model", tier=tier) for tier in Tier)
BY_HAND = LearnedClassifier(MADE, Lessons.none(MADE), TEAM)
TRAINED = LearnedClassifier(SHIPPED, Lessons.none(SHIPPED), TEAM)
CODE = "```python\ndef area(radius):\n    return 3.14 * radius * radius\n```"
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=1_500)


def verdict(asked: Call) -> Verdict:
    """What the artefact that ships says; nothing may depend on its figures, as it will be trained again."""
    return TRAINED.classify(extract(asked))


# ---- clear cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "text"),
    [
        (Tier.BULK, "Translate this into French: The meeting is on Monday."),
        (Tier.BULK, "Übersetze das ins Englische: Das Treffen ist am Montag."),
        (Tier.BULK, "Traduce al inglés: La reunión es el lunes."),
        (Tier.BULK, f"Rename area to circle_area everywhere.\n{CODE}"),
        (Tier.STANDARD, "Explain how a fridge works."),
        (Tier.STANDARD, "What would you recommend for a weekend in Lisbon?"),
        (Tier.STANDARD, "Write a short birthday poem for my sister."),
        (Tier.STANDARD, "Hi! How are you?"),
        (Tier.STRUCTURED, "Extract name, date and total as JSON from this invoice: Ada Lovelace, 3 May, 1,250.00 EUR"),
    ],
)
def test_clear_prompt_reaches_its_tier(tier: Tier, text: str) -> None:
    assert verdict(call(text)).tier is tier


def test_extraction_by_schema_reaches_the_structured_tier() -> None:
    schema = {"type": "object", "properties": {"number": {"type": "string"}, "total": {"type": "number"}}}
    mail = "Dear team,\n\nour invoice 4711 of 3 May over 1,250.00 EUR is due within 14 days.\n\nBest, Ada"
    asked = call(f"Extract the fields.\n\n{mail}", output_format=OutputFormat("json_schema", "invoice", schema))
    assert verdict(asked).tier is Tier.STRUCTURED


@pytest.mark.parametrize(
    "ask",
    [
        "Rename get_user to fetch_user everywhere and run the linter.",
        "Run the formatter on the whole repository.",
        "Fix the typo in the README.",
    ],
)
def test_routine_step_of_an_agent_with_many_tools_reaches_the_bulk_tier(ask: str) -> None:
    tools = tuple(Tool(f"tool_{number}", "Works on the repository.", {"type": "object"}) for number in range(32))
    turns = (
        message("You are a coding agent. Design before you write, prove what you claim.", "system"),
        message(ask),
        Message("assistant", (ToolCall("1", "grep", '{"pattern": "get_user"}'),)),
        Message("tool", (ToolResult("1", "src/users.py:12: def get_user(name):"),)),
    )
    assert verdict(call(messages=turns, tools=tools)).tier is Tier.BULK


# ---- any prompt -----------------------------------------------------------------------------------------------------


def assert_sane(told: Verdict) -> None:
    assert told.tier in Tier
    assert 0.25 <= told.confidence <= 1
    shares = [share.probability for share in told.kinds]
    assert 1 <= len(shares) <= MOST_KINDS
    assert shares == sorted(shares, reverse=True)
    assert all(share >= LEAST_SHARE for share in shares[1:])
    assert sum(shares) <= 1.01
    assert told.reason
    assert len(told.sketch) < 300


@given(ANYTHING)
@example("")
@example(" \n\t")
@example("\ud800\udfff")
@example("?" * 500)
@settings(deadline=None)
def test_any_text_has_a_sane_verdict(text: str) -> None:
    for classifier in (BY_HAND, TRAINED):
        told, forecast = classifier.consider(extract(call(text)))
        assert_sane(told)
        assert forecast.of.keys() == {each.name for each in TEAM}
        assert all(0 < its.success < 1 and its.output_tokens > 0 and its.waste == 1 for its in forecast.of.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 1_000_000,
        "translate " * 100_000,
        "翻译" * 300_000,
        bytes(range(256)).decode("latin-1") * 4_000,
        "\x89PNG\r\n\x1a\n\x00\x00" * 10_000,
        "\n" * 500_000,
        "0" * 500_000,
    ],
    ids=["nothing", "one letter", "one word", "Han", "every byte", "picture", "lines", "zeros"],
)
def test_enormous_binary_and_repetitive_prompts_have_a_sane_verdict(text: str) -> None:
    assert_sane(verdict(call(text)))


def test_call_without_a_user_turn_has_a_sane_verdict() -> None:
    assert_sane(verdict(call(messages=())))
    told = verdict(call(messages=(message("You are helpful.", "system"),)))
    assert_sane(told)
    assert told.reason == "there are no words to go by"


# ---- whose words are read -------------------------------------------------------------------------------------------


@given(ANYTHING, ANYTHING, st.sampled_from(["Translate this: Guten Tag", "Prove it.", "Design a database", ""]))
@settings(deadline=None)
def test_words_of_the_system_prompt_never_change_the_verdict(one: str, other: str, asked: str) -> None:
    assert verdict(call(messages=(message(one, "system"), message(asked)))) == verdict(
        call(messages=(message(other, "system"), message(asked)))
    )


@given(ANYTHING, ANYTHING)
@settings(deadline=None)
def test_words_of_tools_and_of_what_they_gave_back_never_change_the_verdict(one: str, other: str) -> None:
    def asked(words: str) -> Call:
        turns = (
            message("Rename get_user to fetch_user"),
            Message("assistant", (ToolCall("1", words, words),)),
            Message("tool", (ToolResult("1", f"found: {words}"),)),
        )
        name = words.encode("ascii", "ignore").decode() or "grep"
        return call(messages=turns, tools=(Tool(name, name, {"description": name}),))

    assert verdict(asked(one)) == verdict(asked(other))


def test_last_turn_decides_and_not_the_conversation_before() -> None:
    before = (message("Design a database and prove that it is right."), message("Here it is.", "assistant"))
    ask = "Now translate the following sentence into French for me please: good morning"
    told = BY_HAND.classify(extract(call(messages=(*before, message(ask)))))
    assert told.kinds[0].kind == "translate"


# ---- what is said and kept ------------------------------------------------------------------------------------------


def test_verdict_names_the_kinds_of_work_and_both_versions() -> None:
    told = BY_HAND.classify(extract(call("Please translate this")))
    assert told.tier is Tier.BULK
    assert told.reason == "looks like translate"
    assert told.kinds[0].kind == "translate"
    assert told.classifier == BY_HAND.name == f"learned@{MADE.version}+{Lessons.none(MADE).evidence.version}"
    assert told.sketch == fingerprint(sketch("Please translate this"))


def test_two_likely_kinds_are_both_told() -> None:
    told = BY_HAND.classify(extract(call("design translate")))
    assert told.reason in ("looks like design or translate", "looks like translate or design")


def test_outcomes_move_the_tier() -> None:
    good = Tally(np.full(3, 500.0), np.full(3, 490.0), 1_500)
    evidence = Evidence(MADE.prior, {each.name: good for each in TEAM}, {})
    taught = LearnedClassifier(MADE, Lessons(MADE.version, evidence), TEAM)
    asked = extract(call("Please design this"))
    assert BY_HAND.classify(asked).tier is Tier.COMPLEX
    assert taught.classify(asked).tier is Tier.BULK
    assert taught.name != BY_HAND.name


def test_outcome_is_learned_with_what_the_verdict_kept() -> None:
    told = BY_HAND.classify(extract(call("Please translate this")))
    learned = experience(MADE, "request-1", "swift", 0.5, told)
    assert learned is not None
    assert (learned.request, learned.model, learned.score) == ("request-1", "swift", 0.5)
    assert learned.kinds.argmax() == KINDS.index("translate")
    assert learned.features.any()


def test_outcome_of_another_classifiers_verdict_teaches_nothing() -> None:
    told = Verdict(tier=Tier.BULK, confidence=0.9, reason="by hand", classifier="heuristic@1")
    assert experience(MADE, "request-1", "swift", 1.0, told) is None


@given(st.lists(st.tuples(st.sampled_from([*KINDS, "unknown"]), st.floats(0, 1)), max_size=6))
def test_shares_become_probabilities_of_the_kinds_that_are_known(shares: list[tuple[str, float]]) -> None:
    kinds = kinds_vector(MADE, tuple(KindShare(kind, share) for kind, share in shares))
    if kinds is None:
        assert all(kind == "unknown" or not share for kind, share in dict(shares).items())
    else:
        assert kinds.sum() == pytest.approx(1)
