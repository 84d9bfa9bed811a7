"""A batch from Python: items that the caller has, answers that the caller gets; nothing is kept in between.

The durable form, over a file, is `runner`. Here each item is answered once per iteration, at most so many at a time,
and no more of them are drawn than are waited for: slow reading slows asking.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from msgspec import Struct

from routewright.call import Call
from routewright.errors import BadInput, RoutewrightError
from routewright.jobs.answering import Asker, RunEnded, spread
from routewright.jobs.lines import ITEM, Template
from routewright.layers.lanes import Lane
from routewright.reply import Answer, Draft, Event, Reply

BatchItem: TypeAlias = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A prompt, or what a template's `{item}` stands for; fields for a template, or `prompt`; or messages."""


class BatchResult(Struct, frozen=True, kw_only=True):
    """What became of one item: an answer or an error, never both."""

    index: int
    """Of the item, from 0."""
    item: BatchItem
    answer: Answer | None = None
    error: RoutewrightError | None = None


class Listed(Struct, frozen=True):
    """An item and its call, or why there is none."""

    index: int
    item: BatchItem
    call: Call | RoutewrightError


def prompt_of(item: BatchItem, template: Template | None) -> str | Sequence[Mapping[str, Any]]:
    """What is asked of an item. Raises BadInput."""
    if template is not None:
        if not isinstance(item, str | Mapping):
            raise BadInput("a template is filled in with a text or with named fields")
        fields = {ITEM: item} if isinstance(item, str) else item
        template.require(fields, "this item")
        return template.fill(fields)
    if isinstance(item, Mapping):
        if not isinstance(item.get("prompt"), str):
            raise BadInput("an item with fields needs `prompt`, or a template")
        return str(item["prompt"])
    return item


async def answered(asker: Asker, listed: Iterable[Listed], lane: Lane) -> AsyncGenerator[BatchResult]:
    """Results as they come. Left early, it gives up what is in flight."""
    results: asyncio.Queue[BatchResult | None] = asyncio.Queue(lane.window.size)

    async def work(one: Listed) -> None:
        await results.put(await _result(asker, one))

    async def all_of_them(items: Iterator[Listed]) -> None:
        try:
            await spread(items, work, lane)
        finally:
            with suppress(asyncio.QueueFull):
                results.put_nowait(None)

    asking = asyncio.create_task(all_of_them(iter(listed)))
    try:
        while not (asking.done() and results.empty()):
            result = await results.get()
            if result is not None:
                yield result
        await asking
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


async def _result(asker: Asker, one: Listed) -> BatchResult:
    if isinstance(one.call, RoutewrightError):
        return BatchResult(index=one.index, item=one.item, error=one.call)
    draft = Draft()

    def take(reply: Reply, events: tuple[Event, ...]) -> None:
        draft.hear(events)

    try:
        reply = await asker.ask(one.call, take)
    except RunEnded as error:
        return BatchResult(index=one.index, item=one.item, error=error.cause)
    except RoutewrightError as error:
        return BatchResult(index=one.index, item=one.item, error=error)
    return BatchResult(index=one.index, item=one.item, answer=draft.answer(reply))
