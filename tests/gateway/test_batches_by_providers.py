"""Clients' batches by way of providers' batch APIs: the official SDK sees the same, and it costs half."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Batch

from lobby import Lobby, LobbyClock
from routewright.gateway import batches_running
from routewright.gateway.batches_running import BatchWork, JobRunner
from routewright.gateway.http import Kept, Request, by_name
from routewright.jobs import choosing, provider
from routewright.ledger import job_holds
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.simulator.batches import BatchPlan

CHAT = "/v1/chat/completions"
LIVE = "/chat/completions"
MODEL = "gpt-5.5"


VECTORS = """
[providers.mistral]
base_url = "simulator:"
[models.mistral-embed]
embedding = true
deployments = ["mistral/mistral-embed"]
"""


class World:
    """A provider and a clock that outlive gateways; waiting for the provider advances the clock."""

    def __init__(self, folder: Path, more: str = "", *, simulate: bool = True, **plan: Any) -> None:
        self.folder = folder
        self.simulate = simulate
        self.clock = LobbyClock()
        self.simulator = Simulator(time_scale=0, clock=self.clock, batches=BatchPlan(**plan))
        self.asked: list[str] = []
        (folder / "routewright.toml").write_text(f'[policy]\nclassifier = "heuristic"\n{more}')
        send = self.simulator.send

        async def noted(request: Any, *, connect_timeout_s: float) -> Any:
            self.asked.append(f"{request.method} {request.url}")
            return await send(request, connect_timeout_s=connect_timeout_s)

        self.simulator.send = noted  # type: ignore[method-assign]

    async def sleep(self, seconds: float) -> None:
        """A minute for a second."""
        self.clock.advance(60 * seconds)
        await asyncio.sleep(0.001)

    def count(self, end: str) -> int:
        return sum(each.endswith(end) for each in self.asked)

    @asynccontextmanager
    async def house(self, sleep: Callable[[float], Awaitable[None]] | None = None) -> AsyncIterator[Lobby]:
        source = SettingsSource(
            environ={"HOME": str(self.folder), "MISTRAL_API_KEY": "k"}, cwd=self.folder, simulate=self.simulate
        )
        runtime = Runtime.open(source, simulator=self.simulator, clock=self.clock)
        try:
            runtime.open_door()
            house = Lobby(runtime, self.clock)
            work = house.gateway.batch_work
            runner = JobRunner(runtime, sleep=sleep or self.sleep)
            house.gateway.batch_work = BatchWork(work.kept, house.gateway.files, runner, self.clock)
            yield house
        finally:
            await house.gateway.batch_work.stop()
            await runtime.close()


class Within(httpx2.AsyncBaseTransport):
    """From a client of the SDK to a gateway, without a socket."""

    def __init__(self, house: Lobby) -> None:
        self._house = house

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers, repeated = by_name([(name.lower(), value) for name, value in request.headers.raw])
        sent = Request(
            request.method,
            request.url.path,
            headers,
            Kept(await request.aread()),
            repeated=repeated,
            query=request.url.query,
        )
        answered = await self._house.answer(sent)
        return httpx2.Response(answered.status, headers=answered.headers, content=answered.body)


def client_of(house: Lobby, key: str = "unused") -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=Within(house), base_url="http://127.0.0.1:8484")
    return openai.AsyncOpenAI(base_url="http://127.0.0.1:8484/v1", api_key=key, http_client=http, max_retries=0)


async def begin(client: openai.AsyncOpenAI, count: int) -> Batch:
    body = {"model": MODEL, "max_tokens": 5}
    requests = [
        {
            "custom_id": f"item {n}",
            "method": "POST",
            "url": CHAT,
            "body": {**body, "messages": [{"role": "user", "content": f"Hi {n}"}]},
        }
        for n in range(count)
    ]
    content = b"".join(json.dumps(each).encode() + b"\n" for each in requests)
    file = await client.files.create(file=("night.jsonl", content), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")


async def work(house: Lobby) -> None:
    """Until nothing is left that can be done now."""
    await house.gateway.batch_work.look()
    await house.gateway.batch_work.idle()


async def answers_of(client: openai.AsyncOpenAI, batch: Batch) -> list[str]:
    assert batch.output_file_id is not None
    text = (await client.files.content(batch.output_file_id)).text
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        openai.types.chat.ChatCompletion.model_validate(line["response"]["body"])
    return sorted(line["custom_id"] for line in lines)


async def tiers(house: Lobby) -> list[str]:
    await house.runtime.flush()
    sql = "SELECT service_tier FROM events WHERE kind = 'settled'"
    return [row["service_tier"] for row in house.runtime.store.database.read(sql)]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "LEAST_ITEMS", 4)
    monkeypatch.setattr(job_holds, "TRIES", 2)


async def test_a_batch_goes_to_the_provider_and_comes_back_at_its_price(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=3 * 3600)
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, 6)
        assert made.status == "validating"
        await work(house)
        batch = await client.batches.retrieve(made.id)
        assert batch.request_counts is not None
        assert (batch.status, batch.request_counts.completed) == ("completed", 6)
        assert await answers_of(client, batch) == [f"item {n}" for n in range(6)]
        assert await tiers(house) == ["batch"] * 6
        assert house.runtime.store.open_holds() == []
    assert (world.count(LIVE), world.count("/batches")) == (0, 1)


@pytest.mark.parametrize(("via", "count"), [("auto", 3), ("live", 6)])
async def test_small_batches_and_those_of_who_wants_them_at_once_are_live(tmp_path: Path, via: str, count: int) -> None:
    world = World(tmp_path, f'[batches]\nvia = "{via}"\n')
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, count)
        await work(house)
        assert (await client.batches.retrieve(made.id)).status == "completed"
    assert world.count("/batches") == 0


async def test_what_a_provider_does_not_answer_in_time_is_asked_live_in_the_last_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "LONGEST_PAUSE_S", provider.FIRST_PAUSE_S)
    world = World(tmp_path, takes_s=10**6)
    began_ns = world.clock.time_ns()
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, 5)
        await work(house)
        batch = await client.batches.retrieve(made.id)
        assert (batch.status, await answers_of(client, batch)) == ("completed", [f"item {n}" for n in range(5)])
        assert set(await tiers(house)) == {""}
    assert world.count("/cancel") == 1
    assert 86_400 - provider.LAST_S < (world.clock.time_ns() - began_ns) / 1e9 < 86_400
    assert world.count(LIVE) == 5


async def test_a_gateway_that_ends_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=3600)
    waits = asyncio.Event()

    async def for_ever(seconds: float) -> None:
        waits.set()
        await asyncio.sleep(0.001)

    async with world.house(for_ever) as house, client_of(house) as client:
        made = await begin(client, 4)
        await house.gateway.batch_work.look()
        await waits.wait()
        assert (await client.batches.retrieve(made.id)).status == "in_progress"
    async with world.house() as house, client_of(house) as client:
        assert len(house.runtime.store.open_holds()) == 4
        await work(house)
        batch = await client.batches.retrieve(made.id)
        assert (batch.status, len(await answers_of(client, batch))) == ("completed", 4)
        assert await tiers(house) == ["batch"] * 4
    assert world.count("/batches") == 1, "it was sent once"


@pytest.mark.parametrize("via", ["live", "provider"])
async def test_embeddings_are_made_in_batches_live_and_by_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    monkeypatch.setattr(provider, "MOST_TEXTS", 3)
    world = World(tmp_path, f'[batches]\nvia = "{via}"\n{VECTORS}', simulate=False)
    asked: list[dict[str, Any]] = [{"input": "one"}, {"input": ["two", "three"], "dimensions": 3}, {"input": ["four"]}]
    requests = [
        {
            "custom_id": f"item {n}",
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {"model": "mistral-embed", **body},
        }
        for n, body in enumerate(asked)
    ]
    content = b"".join(json.dumps(each).encode() + b"\n" for each in requests)
    async with world.house() as house, client_of(house) as client:
        file = await client.files.create(file=("vectors.jsonl", content), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
        await work(house)
        batch = await client.batches.retrieve(made.id)
        assert batch.status == "completed"
        assert batch.output_file_id is not None
        lines = [json.loads(line) for line in (await client.files.content(batch.output_file_id)).text.splitlines()]
        bodies = {line["custom_id"]: line["response"]["body"] for line in lines}
        answers = {name: openai.types.CreateEmbeddingResponse.model_validate(body) for name, body in bodies.items()}
        assert {name: len(answer.data) for name, answer in answers.items()} == {"item 0": 1, "item 1": 2, "item 2": 1}
        assert len(answers["item 1"].data[0].embedding) == 3
        assert await tiers(house) == (["batch"] * 3 if via == "provider" else [""] * 3)
    assert world.count("/batches") == (2 if via == "provider" else 0), "a file has so many texts at most"


async def test_others_of_the_same_key_do_not_wait_behind_it(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=3600)
    is_told, may_go = asyncio.Event(), asyncio.Event()

    async def held_up(seconds: float) -> None:
        is_told.set()
        await may_go.wait()
        world.clock.advance(seconds)

    async with world.house(held_up) as house, client_of(house) as client:
        slow = await begin(client, 4)
        await house.gateway.batch_work.look()
        await is_told.wait()
        quick = await begin(client, 1)
        await house.gateway.batch_work.look()
        [task] = [task for job, task in house.gateway.batch_work._running.values() if job.id == quick.id]
        await task
        assert (await client.batches.retrieve(quick.id)).status == "completed"
        assert (await client.batches.retrieve(slow.id)).status == "in_progress"
        may_go.set()
        await house.gateway.batch_work.idle()
        assert (await client.batches.retrieve(slow.id)).status == "completed"


async def test_so_many_wait_elsewhere_and_the_next_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_running, "MOST_ELSEWHERE", 0)
    world = World(tmp_path)
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, 6)
        await work(house)
        assert (await client.batches.retrieve(made.id)).status == "completed"
    assert world.count("/batches") == 0


async def test_a_cancelled_one_is_called_back_and_keeps_what_it_has(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=10**6)
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, 4)

        async def cancels(seconds: float) -> None:
            if (await client.batches.retrieve(made.id)).status == "in_progress":
                assert (await client.batches.cancel(made.id)).status == "cancelling"
            await asyncio.sleep(0.01)

        house.gateway.batch_work._runner._sleep = cancels
        await work(house)
        batch = await client.batches.retrieve(made.id)
        assert (batch.status, batch.output_file_id) == ("cancelled", None)
        assert house.runtime.store.open_holds() == []
    assert (world.count("/cancel"), world.count(LIVE)) == (1, 0)


async def test_a_key_that_is_revoked_pays_for_what_came_back_and_for_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=3600, expired=0.4)
    async with world.house() as house:
        issued = house.key("app", team="night")
        async with client_of(house, issued.text.reveal()) as client:
            made = await begin(client, 20)

        async def revokes(seconds: float) -> None:
            if not world.count("/cancel"):
                house.runtime.keyring.revoke(issued.key.id)
                house.runtime.directory.refresh()
            await world.sleep(seconds)

        house.gateway.batch_work._runner._sleep = revokes
        await work(house)
        await work(house)
        job = house.gateway.batch_work.kept.find(issued.key.id, made.id)
        counts = house.gateway.batch_work.kept.jobs.counts(job)
        assert (job.state, counts.failed) == ("cancelled", 0)
        assert 0 < counts.completed < 20
        rows = house.runtime.store.database.read("SELECT key, team FROM events WHERE kind = 'settled'")
        assert [(row["key"], row["team"]) for row in rows] == [(issued.key.id, "night")] * counts.completed
        assert house.runtime.store.open_holds() == []
    assert world.count(LIVE) == 0


async def test_what_was_sent_for_a_key_that_is_revoked_meanwhile_is_called_back(tmp_path: Path) -> None:
    world = World(tmp_path, takes_s=10**6)
    waits = asyncio.Event()

    async def for_ever(seconds: float) -> None:
        waits.set()
        await asyncio.sleep(0.001)

    async with world.house(for_ever) as house:
        issued = house.key("app")
        async with client_of(house, issued.text.reveal()) as client:
            made = await begin(client, 4)
        await house.gateway.batch_work.look()
        await waits.wait()
        house.runtime.keyring.revoke(issued.key.id)
    async with world.house() as house:
        for _ in range(2):
            await work(house)
        assert house.gateway.batch_work.kept.find(issued.key.id, made.id).state == "cancelled"
        assert house.runtime.store.open_holds() == []
    assert world.count("/cancel") == 1


@pytest.mark.parametrize("via", ["auto", "provider"])
async def test_without_room_for_all_of_it_a_batch_is_live_or_fails_with_the_reason(tmp_path: Path, via: str) -> None:
    budget = '[budgets.all]\nscope = "total"\nlimit_usd = 0.0005\nperiod = "day"\n'
    world = World(tmp_path, f'[batches]\nvia = "{via}"\n{budget}')
    async with world.house() as house, client_of(house) as client:
        made = await begin(client, 6)
        await work(house)
        batch = await client.batches.retrieve(made.id)
        if via == "auto":
            assert batch.status == "in_progress" or world.count(LIVE) == 6
        else:
            assert (batch.status, world.asked) == ("failed", [])
            assert batch.errors is not None
            assert batch.errors.data is not None
            [error] = batch.errors.data
            assert error.code == "batch_not_held"
            assert "has no room for" in (error.message or "")
    assert world.count("/batches") == 0
