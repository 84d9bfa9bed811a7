"""What a job holds in memory does not grow with its items. `benchmarks/batch.py` measures a million."""

import tracemalloc
from collections import deque
from pathlib import Path

import pytest
from msgspec.structs import replace

from routewright.jobs import planning
from routewright.jobs.inputs import Input
from routewright.jobs.lines import Asking
from routewright.jobs.opening import Wish, opened
from routewright.jobs.planning import Spec
from simulated import open_runtime

FEW, MANY = 2_500, 10_000


async def test_reading_noting_and_walking_a_long_input_takes_no_more_than_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_ITEMS_AT_ONCE", 500)
    runtime = open_runtime(tmp_path)
    wish = Wish(source=None, output=tmp_path / "out.jsonl", asking=Asking(), spec=Spec(dedupe=True))
    peaks: list[int] = []
    try:
        for count in (FEW, FEW, MANY):  # the first fills caches
            path = tmp_path / f"in-{len(peaks)}.txt"
            path.write_text("".join(f"Tell me of number {number}\n" for number in range(count)))
            its = replace(wish, source=path, output=path.with_suffix(".jsonl"))
            tracemalloc.start()
            with opened(runtime, Input(path, Asking()), its) as (run, planned):
                deque(run._drawn(), maxlen=0)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert planned.job.total == count
    finally:
        await runtime.close()
    assert peaks[2] < peaks[1] * 1.1
