"""What Claude Code and Codex send, recorded, through the whole gateway; the simulator answers, in both dialects.

The bodies are those of one short session each (`agents/*.json.gz`), in their order: all names, sizes and nesting as
they came; ids are zeros and prose is filler of the same length. `benchmarks/agents.py` runs the programs themselves.
"""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lobby import Answered, Lobby, lobby
from routewright.ledger.ledger import RequestRecorded

SETTINGS = """
[providers.mine]
base_url = "simulator:"
dialect = "{dialect}"
"""
MODEL = """
[models.{tier}-one]
tier = "{tier}"
deployments = ["mine/{tier}-one"]
context_window = 400_000
max_output_tokens = 64_000
capabilities = ["tools", "json_schema", "reasoning"]
price = {{ input = "{price}", cache_read = "0.1", output = "4" }}
"""
UPSTREAMS = ["anthropic_messages", "openai_chat", "openai_responses", "gemini"]
TITLE = "an agent wants a title, beside its work: bulk"


def recorded(name: str) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = json.loads(
        gzip.decompress((Path(__file__).parent / f"agents/{name}.json.gz").read_bytes())
    )
    return requests


@asynccontextmanager
async def opened(folder: Path, dialect: str) -> AsyncIterator[Lobby]:
    models = [MODEL.format(tier=tier, price=price) for tier, price in (("bulk", 1), ("standard", 2), ("complex", 4))]
    async with lobby(folder, SETTINGS.format(dialect=dialect) + "".join(models)) as opened:
        yield opened


async def send(place: Lobby, request: dict[str, Any], **changes: object) -> Answered:
    path = request["path"].partition("?")[0]
    return await place.call("POST", path, {**request["body"], **changes}, headers=request["headers"])


async def row(place: Lobby, answer: Answered) -> RequestRecorded:
    await place.runtime.flush()
    record = place.runtime.store.request(answer.headers["x-routewright-request-id"])
    assert record is not None
    assert record.request is not None
    return record.request


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_claude_code_works_title_and_all(tmp_path: Path, dialect: str) -> None:
    async with opened(tmp_path, dialect) as place:
        title, *work = [await send(place, request) for request in recorded("claude_code")]
        assert [answer.status for answer in (title, *work)] == [200, 200, 200, 200]
        assert title.headers["x-routewright-reason"] == TITLE
        assert title.headers["x-routewright-model"] == "bulk-one"
        assert all(b"event: message_stop" in answer.body for answer in (title, *work))
        assert not any(answer.headers["x-routewright-reason"] == TITLE for answer in work)
        assert {(await row(place, answer)).outcome for answer in (title, *work)} == {"complete"}


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_codex_works(tmp_path: Path, dialect: str) -> None:
    async with opened(tmp_path, dialect) as place:
        answers = [await send(place, request) for request in recorded("codex")]
        assert [answer.status for answer in answers] == [200, 200]
        assert all(b"event: response.completed" in answer.body for answer in answers)


@pytest.mark.parametrize("name", ["claude_code", "codex"])
async def test_a_session_is_recognised_and_both_costs_are_in_the_route(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path, "openai_chat") as place:
        for request in recorded(name):
            await send(place, request, model="standard-one")
        route = (await row(place, await send(place, request))).route
        assert route is not None
        [kept] = [each for each in route.candidates if each.model == "standard-one"]
        [other] = [each for each in route.candidates if each.model == "complex-one"]
        assert kept.cold_cost_nanousd is not None
        assert kept.expected_cost_nanousd is not None
        assert kept.expected_cost_nanousd < kept.cold_cost_nanousd
        assert other.cold_cost_nanousd is None


async def test_what_claude_code_asks_its_small_model_is_bulk(tmp_path: Path) -> None:
    async with opened(tmp_path, "openai_chat") as place:
        answer = await send(place, recorded("claude_code")[1], model="claude-haiku-4-5-20251001")
        assert answer.headers["x-routewright-model"] == "bulk-one"
        assert "stands for small work" in answer.headers["x-routewright-reason"]


async def test_counting_takes_what_claude_code_sends(tmp_path: Path) -> None:
    request = recorded("claude_code")[1]
    body = {name: request["body"][name] for name in ("model", "messages", "system", "tools")}
    async with opened(tmp_path, "anthropic_messages") as place:
        counted = await place.call("POST", "/v1/messages/count_tokens", body, headers=request["headers"])
        assert counted.json["input_tokens"] > 10_000
