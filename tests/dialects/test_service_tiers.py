import pytest

from routewright.dialects.service_tiers import told, wished


@pytest.mark.parametrize("usual", [None, "", "default", "standard", "standard_only", "on_demand", 7, ["flex"]])
def test_the_usual_way_by_any_name_is_empty(usual: object) -> None:
    assert (told(usual), wished(usual)) == ("", "")


@pytest.mark.parametrize("tier", ["flex", "priority", "fast", "scale"])
def test_any_other_tier_keeps_its_name(tier: str) -> None:
    assert (told(tier), wished(tier)) == (tier, tier)


def test_auto_is_a_wish_and_no_answer() -> None:
    assert (told("auto"), wished("auto")) == ("", "auto")


def test_nobody_gets_a_batch_by_asking_for_it() -> None:
    assert (told("batch"), wished("batch")) == ("batch", "auto")


def test_a_name_is_bounded() -> None:
    assert (told("x" * 100), wished("x" * 100)) == ("x" * 64, "x" * 64)
