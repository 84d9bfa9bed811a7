import pytest

from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.proxies import Sides
from routewright.bench.streams import delay_figures, open_figures

PLAN = Plan(rounds=1, delayed_streams=2, open_streams=20, open_s=1)


async def test_a_chunks_delay_is_what_is_added_to_the_upstreams_own(
    upstream: Child, floor: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routewright.bench.streams.CHUNKS", 5)
    figures = {each.name: each for each in await delay_figures(PLAN, upstream, Sides(floor, floor))}
    assert 0 < figures["direct_chunk_p50"].median < 100
    assert figures["direct_chunk_p50"].median <= figures["direct_chunk_p99"].median
    assert (figures["gateway_chunk_p50"].bar, figures["gateway_chunk_p99"].bar) == (0.3, 3)


async def test_streams_are_held_open_while_they_are_looked_at(floor: Child) -> None:
    figures = {each.name: each for each in await open_figures(PLAN, Sides(floor, floor))}
    assert figures["gateway_open_share"].median > 0
    assert (figures["gateway_open_share"].bar, figures["gateway_open_kb"].bar) == (60, 60)
