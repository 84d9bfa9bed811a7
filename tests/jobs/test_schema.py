"""Batches whose answers must fit a JSON Schema."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lobby import SETTINGS
from routewright.jobs.job import JobState
from routewright.jobs.lines import Asking
from routewright.jobs.opening import Wish, errors_path, input_of, opened
from routewright.jobs.runner import Run
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from saying import Saying

SCHEMA = {"type": "object", "required": ["a"]}
RIGHT, WRONG, FENCED = '{"a": 1}', '{"b": 1}', '```json\n{"a": 1}\n```'


@asynccontextmanager
async def house(folder: Path, **says: list[str] | str) -> AsyncIterator[Runtime]:
    (folder / "routewright.toml").write_text(SETTINGS.replace("tier =", 'capabilities = ["json_schema"]\ntier ='))
    source = SettingsSource(environ={"HOME": str(folder)}, cwd=folder)
    runtime = Runtime.open(source, simulator=Saying(**says))
    yield runtime
    await runtime.close()


async def done(runtime: Runtime, folder: Path) -> tuple[Run, list[Any], list[Any]]:
    """The run, its answers' texts, and its failures."""
    path = folder / "in.jsonl"
    path.write_text('{"prompt": "Extract it", "model": "plain"}\n')
    wish = Wish(source=path, output=folder / "out.jsonl", asking=Asking(schema=SCHEMA, model="auto"))
    with opened(runtime, input_of(wish, io.BytesIO()), wish) as (run, _):
        job = await run.run()
    assert job.state is JobState.COMPLETED
    out, failed = (
        [json.loads(line) for line in each.read_text().splitlines()] if each.exists() else []
        for each in (wish.output, errors_path(wish.output))
    )
    return run, [line["response"]["body"]["choices"][0]["message"]["content"] for line in out], failed


MODELS = ("plain", "swift", "strong")


async def test_an_answer_is_repaired_before_it_is_written(tmp_path: Path) -> None:
    async with house(tmp_path, **dict.fromkeys(MODELS, FENCED)) as runtime:
        _, texts, failed = await done(runtime, tmp_path)
        assert (texts, failed) == ([RIGHT], [])


async def test_one_that_does_not_fit_is_asked_for_again_and_paid_for_twice(tmp_path: Path) -> None:
    async with house(tmp_path, **{name: [WRONG, RIGHT] for name in MODELS}) as runtime:
        run, texts, failed = await done(runtime, tmp_path)
        assert (texts, failed) == ([RIGHT], [])
        await runtime.flush()
        (row,) = runtime.store.tail(5)
        assert (row.attempts, row.cost_nanousd) == (2, run.progress.cost_nanousd)


async def test_an_item_whose_answers_never_fit_fails_with_the_reason(tmp_path: Path) -> None:
    async with house(tmp_path, **dict.fromkeys(MODELS, WRONG)) as runtime:
        run, texts, failed = await done(runtime, tmp_path)
        assert (texts, run.progress.failed) == ([], 1)
        error = failed[0]["response"]["body"]["error"]
        assert (failed[0]["response"]["status_code"], error["code"]) == (422, "check_failed")
        assert error["message"].startswith('schema: it does not fit the JSON Schema: at /: "a" is a required property')
        await runtime.flush()
        (row,) = runtime.store.tail(5)
        assert row.cost_nanousd > 0
        assert (row.outcome, row.is_estimated) == ("complete", False)
