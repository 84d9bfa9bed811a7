import pytest
from msgspec.structs import replace

from routewright.bench.plan import Plan
from routewright.bench.processes import Child
from routewright.bench.proxies import (
    CHUNKS,
    SLOW_MS,
    Sides,
    Spent,
    in_turn,
    latency_figures,
    per_chunk_us,
    ratios,
    request_figures,
    stream_figures,
    whole,
)

PLAN = Plan(rounds=1, requests=20, large_requests=8, streams=4, paced_requests=20, paced_per_s=1_000, concurrency=4)


async def test_requests_are_compared_with_the_floor(floor: Child) -> None:
    figures = {each.name: each for each in await request_figures(PLAN, Sides(floor, floor))}
    for size in ("request", "large"):
        gateway, least = figures[f"gateway_{size}_us"].median, figures[f"floor_{size}_us"].median
        assert gateway > 0
        assert figures[f"{size}_ratio"].median == pytest.approx(gateway / least)
    assert not any("nginx" in name for name in figures), "it is not there"


async def test_each_round_is_told_before_it_begins(floor: Child) -> None:
    told: list[int] = []
    found = await in_turn(replace(PLAN, rounds=2), {"floor": floor}, whole(100), 4, told.append)
    assert told == [1, 2]
    assert len(found["floor"]) == 2


async def test_requests_are_compared_with_nginx_where_it_is_installed(floor: Child) -> None:
    figures = {each.name: each for each in await request_figures(PLAN, Sides(floor, floor, floor))}
    for size, bar in (("request", 8), ("large", 6)):
        ratio = figures[f"{size}_nginx_ratio"]
        gateway, least = figures[f"gateway_{size}_us"].median, figures[f"nginx_{size}_us"].median
        assert ratio.median == pytest.approx(gateway / least)
        assert ratio.bar == bar


async def test_a_whole_stream_has_its_bar_in_terms_of_nginx(floor: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.bench.proxies.CHUNKS", 5)
    figures = {each.name: each for each in await stream_figures(PLAN, Sides(floor, floor, floor))}
    assert figures["stream_nginx_ratio"].bar == 2.5
    assert figures["gateway_stream_us"].median > 0


def test_ratios_are_those_of_each_round() -> None:
    def round_(cpu_us: float) -> Spent:
        return Spent(cpu_us=cpu_us, pieces=1, per_s=1)

    rounds = {"gateway": [round_(30), round_(80)], "nginx": [round_(10), round_(20)]}
    assert ratios(rounds, "gateway", "nginx") == [3, 4]


async def test_latency_is_what_is_added_to_the_upstream_alone(upstream: Child, floor: Child) -> None:
    figures = {each.name: each for each in await latency_figures(PLAN, upstream, Sides(floor, floor))}
    assert len(figures) == 2 * 2 * 3
    assert figures["direct_p50_at_once"].median > 0
    assert figures["direct_p50_after_50_ms"].median >= SLOW_MS - 1  # timers of libuv count whole milliseconds
    assert {"gateway_added_p99_at_once", "floor_added_p50_after_50_ms"} <= figures.keys()
    assert (figures["gateway_added_p50_at_once"].bar, figures["floor_added_p50_at_once"].bar) == (0.6, None)


def test_a_chunk_costs_what_a_long_stream_takes_more_than_a_short_one() -> None:
    short, long = Spent(cpu_us=300, pieces=2, per_s=1), Spent(cpu_us=300 + 49 * 25, pieces=51, per_s=1)
    assert CHUNKS == 50
    assert per_chunk_us([short], [long]) == [25]
