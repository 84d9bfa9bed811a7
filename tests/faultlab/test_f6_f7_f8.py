"""F6, F7 and F8 in small, on the simulated clock; `benchmarks/prove.py --only f6,f7,f8` has them whole."""

from pathlib import Path

from routewright.proofs.brownout import measure as measure_brownouts
from routewright.proofs.overload import Trigger, measure_one
from routewright.proofs.recovery import OUTAGE_S, Outage, try_outage

SEED = 20261127


def test_f6_an_outage_of_all_is_over_within_seconds_of_its_end(tmp_path: Path) -> None:
    outage = Outage(seed=SEED, failure="error", places=2, has_fallback=False, is_of_all=True, rate=5.0)
    found = try_outage(tmp_path, outage)
    assert found.during == 0
    assert found.first_success_s <= 2
    assert found.served >= 0.99


def test_f6_a_dead_primary_is_left_alone_while_another_serves(tmp_path: Path) -> None:
    outage = Outage(seed=SEED, failure="refuse", places=2, has_fallback=False, is_of_all=False, rate=5.0)
    found = try_outage(tmp_path, outage)
    assert 1 <= found.probes <= OUTAGE_S / 5
    assert found.during >= 0.99
    assert found.served >= 0.99


def test_f7_one_of_three_places_that_is_slow_or_falls_silent_is_hardly_noticed(tmp_path: Path) -> None:
    found = measure_brownouts(tmp_path, SEED, 1, kinds=("slow", "stalls"), rates=(5.0,), hedged=(False,), lasts_s=100)
    assert len(found) == 2
    for each in found:
        assert each.success >= 0.9995
        assert 0 < each.share < 0.15, "it was reached, and hardly"


def test_f8_after_each_trigger_all_is_well_by_itself(tmp_path: Path) -> None:
    triggers: tuple[Trigger, ...] = ("overloaded", "crowd")
    for trigger in triggers:
        found = measure_one(tmp_path / trigger, SEED, trigger, places=1, patience_s=10.0, workers=20)
        assert found.during < 0.6, "it was felt"
        assert found.attempts_per_request <= 1.1
        assert found.goodput >= 0.99
