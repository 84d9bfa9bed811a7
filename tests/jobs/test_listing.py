"""Batches from Python."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from routewright import Router, SyncRouter
from routewright.errors import BadInput, ModelNotFound
from routewright.jobs.listing import BatchItem

TEXTS = ("f", "g", "h", "i")


@pytest.fixture
def settings(tmp_path: Path) -> Mapping[str, Any]:
    flags = {"policy.classifier": "heuristic"}
    return {"environ": {"HOME": str(tmp_path)}, "simulate": True, "flags": flags}


async def test_results_come_as_they_finish_each_with_its_item(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        asking = router.batch(TEXTS, template="Document this: {item}", max_tokens=5)
        results = {result.index: result async for result in asking}
    assert [results[index].item for index in range(4)] == list(TEXTS)
    assert all(result.answer and result.answer.text and result.error is None for result in results.values())


async def test_all_of_them_come_in_order(settings: Mapping[str, Any]) -> None:
    items: list[BatchItem] = ["a", {"prompt": "b"}, [{"role": "user", "content": "c"}]]
    async with Router(**settings) as router:
        results = await router.batch_all(items, concurrency=3, max_tokens=5)
    assert [result.index for result in results] == [0, 1, 2]
    assert all(result.answer for result in results)


async def test_a_failure_is_its_items_result(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        results = await router.batch_all([{"name": "f"}, {"code": "x"}], template="{name}", max_tokens=5)
        assert results[0].answer is not None
        assert isinstance(results[1].error, BadInput)
        (unknown,) = await router.batch_all(["a"], model="nobody")
        assert isinstance(unknown.error, ModelNotFound)


async def test_no_more_is_drawn_than_is_waited_for(settings: Mapping[str, Any]) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            drawn.append(len(drawn))
            yield f"item {len(drawn)}"

    async with Router(**settings) as router:
        asking = router.batch(endless(), concurrency=2, max_tokens=5)
        async for result in asking:
            if result.index >= 3:
                break
        await asking.aclose()
    assert len(drawn) < 12


def test_without_an_event_loop_it_is_the_same(settings: Mapping[str, Any]) -> None:
    with SyncRouter(**settings) as router:
        assert sorted(result.index for result in router.batch(TEXTS, max_tokens=5)) == [0, 1, 2, 3]
        assert [result.item for result in router.batch_all(TEXTS, max_tokens=5)] == list(TEXTS)
        for result in router.batch(TEXTS, max_tokens=5):
            assert result.answer is not None
            break
