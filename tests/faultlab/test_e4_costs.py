"""E4: what an answer reports costs what the provider bills. `benchmarks/prove.py --only f4` compares more."""

from pathlib import Path

from routewright.proofs.cost_shapes import SHAPES, compare_costs


def test_e4_every_shape_of_usage_costs_what_the_provider_bills(tmp_path: Path) -> None:
    tally = compare_costs(tmp_path, 20261126, 2_000)
    assert tally.attempts == 2_000
    assert len(tally.by_shape) >= len(SHAPES) - 1, "all shapes were met, but perhaps the rarest"
    assert (tally.error_nanousd, tally.wrong, tally.missing) == (0, 0, 0)
    assert (tally.not_flagged, tally.free) == (0, 0)
    assert tally.aborted, "some clients left"
