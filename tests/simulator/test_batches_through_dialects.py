"""Both batch APIs of the simulated provider, spoken to by the dialects."""

from typing import Any

import pytest

from builders import attempt, call, deployment, model
from routewright.call import Attempt
from routewright.catalog.registry import Deployment
from routewright.dialects.anthropic_batch import AnthropicBatch
from routewright.dialects.batch import BatchDialect, Result, Stage, Standing
from routewright.dialects.known import UPSTREAMS
from routewright.dialects.openai_batch import OpenAIBatch
from routewright.dialects.wire import WireRequest
from routewright.simulator import Simulator
from routewright.simulator.batches import BatchPlan
from routewright.testing import FakeClock

WAYS: dict[str, BatchDialect] = {
    "openai_chat": OpenAIBatch(),
    "openai_responses": OpenAIBatch(),
    "anthropic_messages": AnthropicBatch(),
}


class Provider:
    """A simulated one, spoken to in one dialect."""

    def __init__(self, dialect: str, **plan: Any) -> None:
        self.clock = FakeClock()
        self.simulator = Simulator(clock=self.clock, time_scale=0, batches=BatchPlan(**plan))
        self.dialect = dialect
        self.batch = WAYS[dialect]

    @property
    def place(self) -> Deployment:
        return deployment(dialect=self.dialect, base_url="simulator:", upstream_model=next(iter(self.simulator.models)))

    async def send(self, request: WireRequest) -> bytes:
        response = await self.simulator.send(request, connect_timeout_s=1)
        assert response.status == 200
        return await response.next()

    def attempts(self, count: int) -> list[Attempt]:
        at = model("swift", self.place)
        return [attempt(call(f"Question {n}", max_output_tokens=30), at, id=f"id-{n}") for n in range(count)]

    async def begin(self, attempts: list[Attempt]) -> Standing:
        upstream = UPSTREAMS[self.dialect]
        lines = [self.batch.line(each.id, upstream.write_request(each), "simulator:") for each in attempts]
        upload = self.batch.upload(self.place, "job", lines)
        upload_id = "" if upload is None else self.batch.uploaded(await self.send(upload))
        return self.batch.standing(await self.send(self.batch.create(self.place, "job", lines, upload_id)))

    async def standing(self, batch_id: str) -> Standing:
        return self.batch.standing(await self.send(self.batch.retrieve(self.place, batch_id)))

    async def results(self, standing: Standing) -> dict[str, Result]:
        fetched = [await self.send(self.batch.fetch(self.place, where)) for where in standing.results]
        found = [self.batch.result(line) for each in fetched for line in each.splitlines()]
        return {each.custom_id: each for each in found}


@pytest.mark.parametrize("dialect", WAYS)
async def test_a_batch_comes_to_its_end_by_the_clock_and_has_what_live_calls_would(dialect: str) -> None:
    provider = Provider(dialect, takes_s=3600)
    attempts = provider.attempts(3)
    begun = await provider.begin(attempts)
    assert (begun.stage, begun.results) == (Stage.RUNNING, ())
    provider.clock.advance(3599)
    assert (await provider.standing(begun.id)).stage is Stage.RUNNING
    provider.clock.advance(1)
    ended = await provider.standing(begun.id)
    assert (ended.stage, ended.done) == (Stage.ENDED, 3)
    results = await provider.results(ended)
    assert results.keys() == {"id-0", "id-1", "id-2"}
    for asked in attempts:
        decoder = UPSTREAMS[dialect].decoder(asked)
        events = (*decoder.feed(results[asked.id].body), *decoder.end())
        assert "".join(event.text for event in events)
        assert events[-1].usage is not None
        assert events[-1].usage.output > 0
    assert ended.id in [
        each.id for each in provider.batch.standings(await provider.send(provider.batch.latest(provider.place)))
    ]


@pytest.mark.parametrize("dialect", WAYS)
async def test_expiry_and_failure_can_be_provoked(dialect: str) -> None:
    provider = Provider(dialect, takes_s=0, expired=0.3, failed=0.3)
    statuses = [
        result.status for result in (await provider.results(await provider.begin(provider.attempts(60)))).values()
    ]
    assert len(statuses) == 60
    assert set(statuses) == {0, 200, 500}


@pytest.mark.parametrize("dialect", WAYS)
async def test_a_cancelled_batch_has_asked_nothing_more(dialect: str) -> None:
    provider = Provider(dialect, takes_s=3600)
    begun = await provider.begin(provider.attempts(2))
    ended = provider.batch.standing(await provider.send(provider.batch.cancel(provider.place, begun.id)))
    assert ended.stage is Stage.ENDED
    assert {result.status for result in (await provider.results(ended)).values()} == {0}


async def test_openai_may_refuse_a_file() -> None:
    provider = Provider("openai_chat", refused=True)
    refused = await provider.begin(provider.attempts(1))
    assert (refused.stage, refused.name, refused.reason) == (Stage.REFUSED, "job", "It is unfit.")


@pytest.mark.parametrize("dialect", WAYS)
async def test_what_it_does_not_have_is_not_found(dialect: str) -> None:
    provider = Provider(dialect)
    response = await provider.simulator.send(provider.batch.retrieve(provider.place, "batch_7"), connect_timeout_s=1)
    assert response.status == 404
