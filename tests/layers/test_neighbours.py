import threading
from collections.abc import Sequence

import numpy as np
import pytest

from builders import Below, call, message
from routewright.call import Call
from routewright.catalog.registry import Tier
from routewright.clock import SystemClock
from routewright.decision.neighbours import Vector
from routewright.errors import EmbeddingFailed, LedgerUnavailable, StoreUnavailable
from routewright.layers import neighbours
from routewright.layers.embedder import LocalEmbedder
from routewright.layers.neighbours import Memory, Neighbours
from routewright.ledger.accounts import JournaledLedger
from routewright.ledger.ledger import EmbeddedOutcome, EmbeddingRecorded
from routewright.route import Verdict
from routewright.testing import FakeClock, MemoryLog

FIRST = Verdict(tier=Tier.STANDARD, confidence=0.55, reason="first", signals=("word:a",), classifier="heuristic@1")
TIERS = {"small": Tier.BULK, "usual": Tier.STANDARD}


def told(
    sequence: int, *, score: float = 1.0, model: str = "small", vector: Sequence[float] = (1, 0)
) -> EmbeddedOutcome:
    return EmbeddedOutcome(
        sequence=sequence,
        request_id=f"r{sequence}",
        model=model,
        source="feedback",
        score=score,
        vector=np.array(vector, "<f2").tobytes(),
    )


class Past:
    """`Experiences` as a list; `fails` as long as it is told to."""

    def __init__(self, *outcomes: EmbeddedOutcome) -> None:
        self.outcomes = list(outcomes)
        self.fails = False
        self.asked: list[tuple[str, int, int]] = []

    def embedded_outcomes(self, embedder: str, after: int, limit: int) -> list[EmbeddedOutcome]:
        self.asked.append((embedder, after, limit))
        if self.fails:
            raise StoreUnavailable("locked")
        return [outcome for outcome in self.outcomes if outcome.sequence > after]


class Model:
    """A local model that says `vector` of everything, and where it was asked."""

    name = "onnx:test"

    def __init__(self, vector: Vector | EmbeddingFailed) -> None:
        self.vector = vector
        self.threads: list[str] = []

    def embed(self, text: str) -> Vector:
        self.threads.append(threading.current_thread().name)
        if isinstance(self.vector, EmbeddingFailed):
            raise self.vector
        return self.vector


class FullLog(MemoryLog):
    def append(self, *payloads: bytes, closing: bool = False) -> int:
        raise LedgerUnavailable("full")


def remembering(past: Past, clock: FakeClock | None = None) -> Memory:
    return Memory(past, "onnx:test", tier_of=TIERS.get, max_entries=100, clock=clock or FakeClock())


def asking(model: Model, past: Past, log: MemoryLog | None = None) -> Neighbours:
    ledger = JournaledLedger(log or MemoryLog(), boot="b", clock=SystemClock())
    return Neighbours(
        LocalEmbedder(model), remembering(past), ledger, SystemClock(), k=16, least_similarity=0.6, limit_s=30.0
    )


def near(memory: Memory) -> int:
    return len(memory.nearest(np.array([1, 0], np.float32), k=10, least_similarity=0.5))


# ---- memory


def test_it_reads_at_the_start_and_then_what_is_new_after_a_while() -> None:
    past, clock = Past(told(1)), FakeClock()
    memory = remembering(past, clock)
    assert past.asked == [("onnx:test", 0, 100)]
    past.outcomes.append(told(7))
    assert near(memory) == 1
    clock.advance(neighbours.READ_EVERY_S)
    assert near(memory) == 2
    assert past.asked[1:] == [("onnx:test", 1, 100)]


def test_a_store_that_does_not_answer_leaves_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    past, clock = Past(told(1)), FakeClock()
    memory = remembering(past, clock)
    past.fails = True
    clock.advance(neighbours.READ_EVERY_S)
    assert near(memory) == 1
    assert "not read now: locked" in caplog.text


def test_outcomes_of_models_that_are_gone_count_no_more() -> None:
    assert near(remembering(Past(told(1), told(2, model="gone")))) == 1


# ---- the layer


async def test_a_local_model_is_asked_in_a_thread_of_its_own() -> None:
    model = Model(np.array([3, 0], np.float32))
    past = Past(*(told(number) for number in range(1, 9)))
    log, below = MemoryLog(), Below()
    second = await asking(model, past, log)(call(), FIRST, below)
    assert (second.tier, second.classifier) == (Tier.BULK, "heuristic@1+neighbours")
    assert model.threads[0].startswith("embedder")
    assert below.requests == []
    [kept] = log.events
    assert isinstance(kept, EmbeddingRecorded)
    assert (kept.request_id, kept.embedder) == ("request-1", "onnx:test")
    assert np.frombuffer(kept.vector, "<f2").tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("vector", "log", "asked", "signal"),
    [
        (EmbeddingFailed("bad"), MemoryLog(), call(), "neighbours:embedding_failed"),
        (np.array([1, 0], np.float32), FullLog(), call(), "neighbours:ledger_unavailable"),
        (np.array([0, 0], np.float32), MemoryLog(), call(), "neighbours:0, too few"),
        (
            np.array([1, 0], np.float32),
            MemoryLog(),
            call(messages=(message("x", "system"),)),
            "neighbours:nothing to compare",
        ),
        (np.array([1, 0], np.float32), MemoryLog(), call(deadline_at=0.0), "neighbours:deadline_exceeded"),
    ],
    ids=["model fails", "ledger full", "no direction", "no words", "no time"],
)
async def test_what_goes_wrong_leaves_the_first_verdict_and_is_told(
    vector: Vector | EmbeddingFailed, log: MemoryLog, asked: Call, signal: str
) -> None:
    past = Past(*(told(number) for number in range(1, 9)))
    second = await asking(Model(vector), past, log)(asked, FIRST, Below())
    assert second.signals == ("word:a", signal)
    assert (second.tier, second.confidence, second.classifier) == (FIRST.tier, FIRST.confidence, FIRST.classifier)
