import pytest

from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.proxies import CHUNKS, SLOW_MS, Spent, latency_figures, per_chunk_us, request_figures

PLAN = Plan(rounds=1, requests=20, large_requests=8, paced_requests=20, paced_per_s=1_000, concurrency=4)


async def test_requests_are_compared_with_the_floor(floor: Child) -> None:
    figures = {each.name: each for each in await request_figures(PLAN, floor, floor)}
    for size in ("request", "large"):
        gateway, least = figures[f"gateway_{size}_us"].median, figures[f"floor_{size}_us"].median
        assert gateway > 0
        assert figures[f"{size}_ratio"].median == pytest.approx(gateway / least)
    assert figures["gateway_request_us"].bar == 400


async def test_latency_is_what_is_added_to_the_upstream_alone(upstream: Child, floor: Child) -> None:
    figures = {each.name: each for each in await latency_figures(PLAN, upstream, floor, floor)}
    assert len(figures) == 2 * 2 * 3
    assert figures["direct_p50_at_once"].median > 0
    assert figures["direct_p50_after_50_ms"].median >= SLOW_MS - 1  # timers of libuv count whole milliseconds
    assert {"gateway_added_p99_at_once", "floor_added_p50_after_50_ms"} <= figures.keys()


def test_a_chunk_costs_what_a_long_stream_takes_more_than_a_short_one() -> None:
    short, long = Spent(cpu_us=300, pieces=2), Spent(cpu_us=300 + 49 * 25, pieces=51)
    assert CHUNKS == 50
    assert per_chunk_us([short], [long]) == [25]
