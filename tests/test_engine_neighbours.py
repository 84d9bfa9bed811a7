"""Neighbours through the whole engine: an endpoint makes vectors, feedback teaches, the books are those of SQLite."""

from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from builders import message
from routewright.call import Call, Cause
from routewright.dialects.wire import WireRequest
from routewright.errors import SettingsError
from routewright.ids import uuid7
from routewright.layers import neighbours
from routewright.ledger.ledger import Settled
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import ScriptedResponse

SETTINGS = """
[second_opinion]
kind = "neighbours"
embeddings = "openai/text-embedding-3-small"
timeout_ms = 300
[policy]
classifier = "heuristic"
max_retry_attempts = 0
[providers.openai]
base_url = "simulator:"
[models.usual]
tier = "standard"
deployments = ["openai/usual"]
context_window = 100_000
price = { input = "2", output = "8" }
[models.small]
tier = "bulk"
deployments = ["openai/small"]
context_window = 100_000
price = { input = "0.1", output = "0.4" }
"""
GARDEN = "the rose garden, tomorrow at noon"
ENVIRON = {"OPENAI_API_KEY": "sk-1"}


class EmbeddingSimulator(Simulator):
    """Has `/embeddings`, too: texts about gardens are alike."""

    def __init__(self, *, status: int = 200, after_s: float = 0.0) -> None:
        super().__init__(time_scale=0)
        self.status = status
        self.after_s = after_s
        self.embedded: list[str] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:  # type: ignore[override]
        """A vector, or what a simulator answers."""
        if not request.url.endswith("/embeddings"):
            return await super().send(request, connect_timeout_s=connect_timeout_s)  # type: ignore[return-value]
        text = msgspec.json.decode(request.body)["input"]
        self.embedded.append(text)
        vector = [1.0, len(text) / 1000, 0.0] if "garden" in text else [0.0, 0.0, 1.0]
        answer = {"data": [{"embedding": vector}], "model": "embed", "usage": {"prompt_tokens": 50}}
        return ScriptedResponse(self.status, [self.after_s, msgspec.json.encode(answer)])


@pytest.fixture(autouse=True)
def _new_outcomes_count_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "READ_EVERY_S", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    return SettingsSource(environ={"HOME": str(tmp_path), **ENVIRON}, cwd=tmp_path)


async def ask(runtime: Runtime, text: str = GARDEN, model: str = "auto") -> Answer:
    call = Call(id=uuid7(1, Random()), dialect="library", model=model, messages=(message(text),), body={})
    answer = await (await runtime.engine.ask(call)).read()
    await runtime.flush()
    return answer


async def taught(runtime: Runtime, *, score: float, model: str) -> None:
    """Eight requests about gardens whose answers, by `model`, turned out so."""
    for number in range(8):
        answer = await ask(runtime, f"{GARDEN} or at {number}")
        runtime.engine.observe(answer.request_id, score, model=model)
    await runtime.flush()


async def test_what_went_well_is_done_again_and_a_restart_remembers(source: SettingsSource) -> None:
    runtime = Runtime.open(source, simulator=EmbeddingSimulator())
    assert (await ask(runtime)).model == "usual"
    await taught(runtime, score=1.0, model="small")
    assert (await ask(runtime)).model == "small"
    await runtime.close()

    runtime = Runtime.open(source, simulator=EmbeddingSimulator())
    answer = await ask(runtime)
    other = await ask(runtime, "the boat, tomorrow at noon")
    await runtime.close()
    assert answer.model == "small"
    assert answer.route.verdict is not None
    assert answer.route.verdict.classifier == "heuristic@1+neighbours"
    assert answer.route.verdict.reason.endswith("similar requests went well with bulk")
    assert other.model == "usual"
    assert other.route.verdict is not None
    assert other.route.verdict.signals[-1] == "neighbours:0, too few"


async def test_an_embedding_is_an_attempt_with_its_cost_in_the_books(source: SettingsSource) -> None:
    runtime = Runtime.open(source, simulator=EmbeddingSimulator())
    answer = await ask(runtime)
    record = runtime.store.request(answer.request_id)
    total = runtime.store.totals().cost_nanousd
    await runtime.close()
    assert record is not None
    embedded, answered = [attempt.close for attempt in record.attempts]
    assert isinstance(embedded, Settled)
    assert isinstance(answered, Settled)
    assert (embedded.cause, embedded.deployment) == (Cause.JUDGE, "openai/text-embedding-3-small")
    assert embedded.usage.input == 50
    assert embedded.cost_nanousd == 50 * 20, "$0.02 per million tokens"
    assert answered.cost_nanousd is not None
    assert record.request is not None
    assert record.request.cost_nanousd == total == answer.receipt.cost_nanousd == 1000 + answered.cost_nanousd
    assert record.request.model == "usual"
    assert record.request.route == answer.route


async def test_vectors_are_kept_as_unit_vectors_of_half_precision(source: SettingsSource) -> None:
    runtime = Runtime.open(source, simulator=EmbeddingSimulator())
    answer = await ask(runtime)
    runtime.engine.observe(answer.request_id, 0.5)
    await runtime.flush()
    [outcome] = runtime.store.embedded_outcomes("openai/text-embedding-3-small", 0, 10)
    assert runtime.store.embedded_outcomes("another/embedder", 0, 10) == []
    assert runtime.store.embedded_outcomes("openai/text-embedding-3-small", outcome.sequence, 10) == []
    await runtime.close()
    vector = np.frombuffer(outcome.vector, "<f2")
    assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1.0, abs=1e-3)
    assert (outcome.model, outcome.score, outcome.request_id) == ("usual", 0.5, answer.request_id)


async def test_only_what_the_classifier_is_unsure_about_is_embedded(source: SettingsSource) -> None:
    simulator = EmbeddingSimulator()
    runtime = Runtime.open(source, simulator=simulator)
    await ask(runtime, "Translate this sentence into French: good morning")
    await ask(runtime, model="usual")
    await runtime.close()
    assert simulator.embedded == []


@pytest.mark.parametrize(
    ("status", "after_s", "signal"),
    [(500, 0.0, "neighbours:all_attempts_failed"), (200, 5.0, "neighbours:deadline_exceeded")],
    ids=["failing", "slow"],
)
async def test_an_embedder_that_fails_leaves_the_first_verdict_and_is_told(
    source: SettingsSource, status: int, after_s: float, signal: str
) -> None:
    runtime = Runtime.open(source, simulator=EmbeddingSimulator(status=status, after_s=after_s))
    answer = await ask(runtime)
    record = runtime.store.request(answer.request_id)
    await runtime.close()
    assert answer.route.verdict is not None
    assert answer.route.verdict.classifier == "heuristic@1"
    assert answer.route.verdict.signals[-1] == signal
    assert record is not None
    assert all(attempt.close is not None for attempt in record.attempts)


async def test_a_simulation_embeds_nothing(tmp_path: Path, source: SettingsSource) -> None:
    simulator = EmbeddingSimulator()
    simulated = SettingsSource(environ={"HOME": str(tmp_path), **ENVIRON}, cwd=tmp_path, simulate=True)
    runtime = Runtime.open(simulated, simulator=simulator)
    await ask(runtime)
    await runtime.close()
    assert simulator.embedded == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", 'neighbours need either embeddings = "provider/model", or onnx and tokenizer (routewright.toml:3:1)'),
        ('embeddings = "openai/e"\nonnx = "m.onnx"', "neighbours need either"),
        ('onnx = "m.onnx"', "second_opinion.onnx: the tokenizer.json that belongs to it is missing"),
        ('embeddings = "small"', '"small" is not "provider/model"'),
        ('embeddings = "opena/e"', 'no provider is called "opena" (routewright.toml:4:1) — did you mean "openai"?'),
        ('embeddings = "anthropic/e"', "anthropic does not speak OpenAI's dialect"),
        ('embeddings = "groq/e"', "groq cannot be called"),
    ],
)
def test_an_embedder_that_cannot_be_is_a_mistake_in_the_settings(
    tmp_path: Path, source: SettingsSource, line: str, told: str
) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.replace('embeddings = "openai/text-embedding-3-small"', line))
    with pytest.raises(SettingsError) as refused:
        source.load()
    assert told in refused.value.message
