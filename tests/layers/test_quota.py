import asyncio

import pytest

from builders import Below, attempt, deployment, model
from routewright.errors import DeploymentBusy, ProviderFailed
from routewright.layers import quota
from routewright.layers.quota import DeploymentQuota

NARROW = model("narrow", deployment("acme/narrow", concurrency=1))


async def test_the_next_call_waits_until_the_answer_before_it_has_closed() -> None:
    layer, below = DeploymentQuota(), Below()
    first = await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    assert len(below.requests) == 1
    first.close()
    (await waiting).close()
    assert len(below.requests) == 2


async def test_a_failed_call_gives_its_place_back() -> None:
    layer, below = DeploymentQuota(), Below(ProviderFailed("500"), None)
    with pytest.raises(ProviderFailed):
        await layer(attempt(at=NARROW), below)
    await layer(attempt(at=NARROW), below)


async def test_a_full_waiting_room_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "WAITING_ROOM", 1)
    layer, below = DeploymentQuota(), Below()
    await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    with pytest.raises(DeploymentBusy):
        await layer(attempt(at=NARROW), below)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_one_that_stops_waiting_takes_no_place() -> None:
    layer, below = DeploymentQuota(), Below()
    first = await layer(attempt(at=NARROW), below)
    waiting = asyncio.ensure_future(layer(attempt(at=NARROW), below))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.close()
    await layer(attempt(at=NARROW), below)


async def test_without_a_limit_nobody_waits() -> None:
    layer, below = DeploymentQuota(), Below()
    for _ in range(50):
        await layer(attempt(), below)
