"""The judge through the whole engine: a scripted model judges, and the books are those of SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from builders import message
from routewright.call import Call, Cause, JsonObject, Options
from routewright.catalog.registry import Tier
from routewright.dialects.wire import WireRequest
from routewright.errors import SettingsError
from routewright.ids import uuid7
from routewright.ledger.store import RequestRecord
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import ScriptedResponse

SETTINGS = """
[second_opinion]
kind = "judge"
timeout_ms = 200
[policy]
classifier = "heuristic"
max_retry_attempts = 0
[providers.acme]
base_url = "simulator:"
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
price = { input = "5", output = "25" }
[models.usual]
tier = "standard"
deployments = ["acme/usual"]
context_window = 100_000
price = { input = "2", output = "8" }
[models.small]
tier = "bulk"
deployments = ["acme/small"]
context_window = 100_000
price = { input = "0.1", output = "0.4" }
"""
UNCLEAR = "the rose garden, tomorrow at noon"
CLEAR = "Translate this sentence into French: good morning"


class JudgingSimulator(Simulator):
    """The small model says what it was told to; all others are simulated."""

    def __init__(self, says: str, *, status: int = 200, after_s: float = 0.0) -> None:
        super().__init__(time_scale=0)
        self.says = says
        self.status = status
        self.after_s = after_s
        self.judged: list[JsonObject] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:  # type: ignore[override]
        """As scripted for the judge, as a simulator does for the rest."""
        body = msgspec.json.decode(request.body)
        if body["model"] != "small" or "sort requests" not in str(body["messages"][0]):
            return await super().send(request, connect_timeout_s=connect_timeout_s)  # type: ignore[return-value]
        self.judged.append(body)
        choice = {"index": 0, "message": {"role": "assistant", "content": self.says}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 300, "completion_tokens": 3, "total_tokens": 303}
        answer = {"id": "1", "object": "chat.completion", "model": "small", "choices": [choice], "usage": usage}
        return ScriptedResponse(self.status, [self.after_s, msgspec.json.encode(answer)])


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
def judge() -> JudgingSimulator:
    return JudgingSimulator("complex 9")


@pytest.fixture
async def runtime(source: SettingsSource, judge: JudgingSimulator) -> AsyncIterator[Runtime]:
    runtime = Runtime.open(source, simulator=judge)
    yield runtime
    await runtime.close()


async def ask(runtime: Runtime, text: str = UNCLEAR, **changes: object) -> Answer:
    call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message(text),), body={})
    return await (await runtime.engine.ask(msgspec.structs.replace(call, **changes))).read()


async def recorded(runtime: Runtime, answer: Answer) -> RequestRecord:
    await runtime.flush()
    record = runtime.store.request(answer.request_id)
    assert record is not None
    return record


async def test_the_judges_word_routes_the_request_and_his_cost_is_in_the_books(
    runtime: Runtime, judge: JudgingSimulator
) -> None:
    answer = await ask(runtime)
    assert answer.model == "strong"
    assert answer.route.verdict is not None
    assert answer.route.verdict.classifier == "heuristic@1+judge"
    assert answer.route.tier is Tier.COMPLEX

    [asked] = judge.judged
    assert asked["max_tokens"] == 8
    assert asked["messages"][1]["content"] == f"<request>\n{UNCLEAR}\n</request>"

    record = await recorded(runtime, answer)
    assert record.request is not None
    assert record.request.route == answer.route
    judged, answered = [attempt.close for attempt in record.attempts]
    assert judged is not None
    assert answered is not None
    assert (judged.cause, judged.model, answered.cause) == (Cause.JUDGE, "small", Cause.FIRST)
    judged_cost, answered_cost = getattr(judged, "cost_nanousd", 0), getattr(answered, "cost_nanousd", 0)
    assert judged_cost == 300 * 100 + 3 * 400
    assert record.request.cost_nanousd == judged_cost + answered_cost == answer.receipt.cost_nanousd
    assert runtime.store.totals().cost_nanousd == answer.receipt.cost_nanousd
    assert {spend.key: spend.cost_nanousd for spend in runtime.store.spend("model")} == {
        "small": judged_cost,
        "strong": answered_cost,
    }
    assert all(attempt.hold is not None and attempt.hold.amount_nanousd for attempt in record.attempts)


@pytest.mark.parametrize(
    "asked",
    [{"text": CLEAR}, {"model": "usual"}, {"model": "auto:cheap"}, {"options": Options(tier=Tier.STANDARD)}],
    ids=["sure", "named", "cheapest", "tier"],
)
async def test_the_judge_is_only_asked_where_he_can_change_something(
    runtime: Runtime, judge: JudgingSimulator, asked: dict[str, object]
) -> None:
    answer = await ask(runtime, **asked)  # type: ignore[arg-type]
    assert judge.judged == []
    assert len(answer.receipt.attempts) == 1


@pytest.mark.parametrize(
    ("says", "status", "after_s", "signal"),
    [
        ("It depends.", 200, 0.0, "judge:unreadable answer"),
        ("", 200, 0.0, "judge:upstream_invalid_response"),
        ("complex 9", 500, 0.0, "judge:all_attempts_failed"),
        ("complex 9", 200, 5.0, "judge:deadline_exceeded"),
    ],
    ids=["unreadable", "silent", "failing", "slow"],
)
async def test_a_judge_who_is_no_help_leaves_the_first_verdict_and_is_told(
    source: SettingsSource, says: str, status: int, after_s: float, signal: str
) -> None:
    runtime = Runtime.open(source, simulator=JudgingSimulator(says, status=status, after_s=after_s))
    answer = await ask(runtime)
    record = await recorded(runtime, answer)
    await runtime.close()
    assert answer.model == "usual"
    assert answer.route.verdict is not None
    assert answer.route.verdict.classifier == "heuristic@1"
    assert answer.route.verdict.signals[-1] == signal
    assert [attempt.close is not None for attempt in record.attempts] == [True, True]
    assert record.request is not None
    assert record.request.outcome == "complete"


@pytest.mark.parametrize(("quality", "judged"), [("", 1), ("min_quality = 0.5", 0)])
async def test_where_quality_decides_and_not_the_tier_the_judge_is_not_asked(
    tmp_path: Path, source: SettingsSource, judge: JudgingSimulator, quality: str, judged: int
) -> None:
    learned = SETTINGS.replace(
        'classifier = "heuristic"', f'classifier = "learned"\nconfidence_threshold = 1\n{quality}'
    )
    (tmp_path / "routewright.toml").write_text(learned)
    runtime = Runtime.open(source, simulator=judge)
    answer = await ask(runtime)
    await runtime.close()
    assert len(judge.judged) == judged
    assert answer.route.verdict is not None
    assert answer.route.verdict.classifier.startswith("learned@")
    assert answer.route.verdict.kinds


async def test_deciding_only_calls_nobody(runtime: Runtime, judge: JudgingSimulator) -> None:
    call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message(UNCLEAR),), body={})
    assert runtime.engine.route(call).classifier == "heuristic@1"
    assert judge.judged == []


async def test_without_the_setting_nobody_is_asked(tmp_path: Path, source: SettingsSource) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.replace('kind = "judge"', ""))
    judge = JudgingSimulator("complex 9")
    runtime = Runtime.open(source, simulator=judge)
    answer = await ask(runtime)
    await runtime.close()
    assert judge.judged == []
    assert answer.model == "usual"


async def test_a_named_model_judges(tmp_path: Path, source: SettingsSource) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.replace('kind = "judge"', 'kind = "judge"\nmodel = "usual"'))
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    answer = await ask(runtime)
    await runtime.close()
    assert next((report.cause, report.model) for report in answer.receipt.attempts) == (Cause.JUDGE, "usual")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("auto", '"auto" cannot judge'),
        ("smal", 'no model is called "smal" (routewright.toml:4:1) — did you mean "small"?'),
    ],
)
def test_a_judge_that_cannot_be_is_a_mistake_in_the_settings(
    tmp_path: Path, source: SettingsSource, name: str, told: str
) -> None:
    (tmp_path / "routewright.toml").write_text(SETTINGS.replace('kind = "judge"', f'kind = "judge"\nmodel = "{name}"'))
    with pytest.raises(SettingsError) as refused:
        source.load()
    assert told in refused.value.message
