"""What a client of the gateway sees of budgets: headers while they last, and a 402 that says everything after that."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from lobby import GOOD, lobby
from routewright.call import Call
from routewright.errors import LedgerUnavailable
from routewright.reply import Reply
from served import serving

SETTINGS = """
[spending]
when_full = ["shorten", "refuse"]
least_output_tokens = 16
[budgets.all]
scope = "total"
limit_usd = "0.0002"
period = "day"
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[openai.OpenAI]:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    with (
        serving(tmp_path, "--simulate") as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def until_refused(client: openai.OpenAI, left: list[float]) -> None:
    """Ask until the budget is spent; `left` gets what was left after each hold."""
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a long story"}]
    for _ in range(50):
        raw = client.chat.completions.with_raw_response.create(model="auto:cheap", messages=messages)
        left.append(float(raw.headers["x-routewright-budget-remaining-usd"]))
        assert int(raw.headers["x-routewright-max-tokens"]) >= 16
        assert "instead of" in raw.headers["x-routewright-spending"]


def test_an_answer_is_shortened_and_then_refused_when_the_budget_is_spent(client: openai.OpenAI) -> None:
    left: list[float] = []
    with pytest.raises(openai.APIStatusError) as refused:
        until_refused(client, left)
    assert left
    assert 0 <= min(left) < 0.0002
    assert refused.value.status_code == 402
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.request_id == refused.value.response.headers["x-routewright-request-id"]
    body = refused.value.response.json()["error"]
    assert (body["code"], body["type"]) == ("budget_exceeded", "insufficient_quota")
    assert 'budget "all" of $0.0002 per day has no room for' in body["message"]
    assert body["budget"]["limit_nanousd"] == 200_000
    assert body["budget"]["spent_nanousd"] <= 200_000


async def test_a_key_s_own_budget_holds_from_the_moment_it_is_made(tmp_path: Path) -> None:
    async with lobby(tmp_path, '[spending]\nwhen_full = ["refuse"]\ntime_zone = "Europe/Berlin"\n') as house:
        poor = house.key("poor", budgets=[{"limit_usd": "0.000001", "period": "day"}])
        rich = house.key("rich", budgets=[{"limit_usd": "10", "period": "day"}])
        refused = await house.call("POST", "/v1/chat/completions", GOOD, key=poor.text.reveal())
        assert (refused.status, refused.code) == (402, "budget_exceeded")
        assert refused.json["error"]["budget"]["name"] == f"key/{poor.key.id}/day"
        answered = await house.call("POST", "/v1/chat/completions", GOOD, key=rich.text.reveal())
        assert answered.status == 200
        assert 9.9 < float(answered.headers["x-routewright-budget-remaining-usd"]) < 10
        standings = {each.budget.name: each for each in house.runtime.engine.budgets()}
        spent = standings[f"key/{rich.key.id}/day"]
        assert spent.budget.time_zone == "Europe/Berlin"
        assert spent.spent_nanousd > 0


async def test_a_client_is_not_told_the_files_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(call: Call) -> Reply:
        raise LedgerUnavailable(f"no segment can be added to the journal in {tmp_path}: No space left on device")

    async with lobby(tmp_path) as house:
        monkeypatch.setattr(house.runtime.engine, "ask", ask)
        refused = await house.call("POST", "/v1/chat/completions", GOOD, key=house.key("app").text.reveal())
        assert (refused.status, refused.code) == (503, "ledger_unavailable")
        assert refused.json["error"]["message"].startswith("the ledger cannot take this request now")
        assert str(tmp_path) not in refused.body.decode()
