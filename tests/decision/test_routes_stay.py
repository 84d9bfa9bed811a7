"""What is decided stays what it was when only the way to it changes: routes of a sample of prompts, as recorded.

A new artefact, or a decision that is meant to be another, is recorded anew:
`PYTHONPATH=src:tests python tests/decision/test_routes_stay.py`.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from builders import call
from deciding import four_tiers
from routewright.call import Call, Message, OutputFormat, Text, Tool, ToolCall, ToolResult
from routewright.classifiers import load_artefact
from routewright.decision import learned
from routewright.decision.features import extract
from routewright.decision.forecast import Lessons
from routewright.decision.glance import Glancer, NumpyGlancer
from routewright.decision.intent import Policy
from routewright.decision.learned import LearnedClassifier
from routewright.decision.selection import select
from routewright.route import Route

FOLDER = Path(__file__).parent
RECORDED = FOLDER / "routes.jsonl"
EVERY = 12
"""Of the prompts that the heuristic was made with, one in so many."""

REGISTRY = four_tiers()
ARTEFACT = load_artefact(None)
GLANCERS = list(dict.fromkeys((learned.GLANCER, NumpyGlancer)))
"""The compiled one too, where it was compiled."""


class Recorded(Struct, frozen=True):
    """Of a route what a change of its arithmetic would show in."""

    tier: str
    kinds: tuple[str, ...]
    confidence: float
    words: str
    """Of the fingerprint."""
    tried: tuple[str, ...]
    cost_nanousd: int
    success: float
    input_tokens: int

    @classmethod
    def of(cls, route: Route) -> "Recorded":
        verdict, first = route.verdict, route.chosen
        assert verdict is not None
        assert first.expected_cost_nanousd is not None
        assert first.success is not None
        return cls(
            tier=route.tier,
            kinds=tuple(share.kind for share in verdict.kinds[:2]),
            confidence=verdict.confidence,
            words=sha256(verdict.sketch).hexdigest()[:12],
            tried=tuple(each.model for each in route.eligible),
            cost_nanousd=first.expected_cost_nanousd,
            success=first.success,
            input_tokens=route.input_tokens,
        )


def asked() -> Iterator[Call]:
    """Prompts alone, repeated until they are long, and as turns of an agent; and odd ones."""
    lines = (FOLDER / "prompts.tsv").read_text().splitlines()
    texts = [line.partition("\t")[2].replace("\\n", "\n") for line in lines[::EVERY]]
    look = Tool("read_file", "Reads a file.", {"type": "object"})
    before = (
        Message("system", (Text("You are a careful engineer."),)),
        Message("user", (Text("Why does the build fail?"),)),
        Message("assistant", (ToolCall("1", "read_file", '{"path": "build.log"}'),)),
        Message("tool", (ToolResult("1", "Error: no such file\n" * 20, is_error=True),)),
    )
    for text in (*texts, " ", "x", "翻訳してください。", "İstanbul ß ẞ", "a\udc80b"):
        yield call(text)
        yield call(text * 30)
        yield call(
            messages=(*before, Message("user", (Text(text),))), tools=(look,), output_format=OutputFormat("json_object")
        )


def routed(asking: Call, classifier: LearnedClassifier) -> Recorded:
    features = extract(asking)
    verdict, forecast = classifier.consider(features)
    route = select(
        asking,
        features,
        verdict,
        registry=REGISTRY,
        policy=Policy(),
        now_s=1_790_000_000,
        token_ratios={},
        resting={},
        cannot_carry=lambda *_: None,
        dropped_fields=lambda *_: (),
        forecast=forecast,
    )
    return Recorded.of(route)


def classifier() -> LearnedClassifier:
    return LearnedClassifier(ARTEFACT, Lessons.none(ARTEFACT), REGISTRY.models.values())


@pytest.mark.parametrize("glancer", GLANCERS)
def test_routes_are_the_ones_that_were_recorded(glancer: type[Glancer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "GLANCER", glancer)
    deciding = classifier()
    recorded = [msgspec.json.decode(line, type=Recorded) for line in RECORDED.read_bytes().splitlines()]
    for asking, before in zip(asked(), recorded, strict=True):
        now = routed(asking, deciding)
        assert (now.tier, now.words, now.tried) == (before.tier, before.words, before.tried), asking.messages[-1].text
        assert now.kinds[0] == before.kinds[0]
        assert now.input_tokens == before.input_tokens
        # another processor may add single precision numbers up in another order
        assert now.confidence == pytest.approx(before.confidence, abs=1e-3)
        assert now.success == pytest.approx(before.success, abs=1e-3)
        assert now.cost_nanousd == pytest.approx(before.cost_nanousd, rel=0.01)


if __name__ == "__main__":
    RECORDED.write_bytes(b"".join(msgspec.json.encode(routed(asking, classifier())) + b"\n" for asking in asked()))
