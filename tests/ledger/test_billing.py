"""An attempt is held at the dearest it may cost and billed by who answered, where, when, and in which tier."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, call, deployment, message, model
from routewright.call import Message, Opaque
from routewright.catalog.pricing import Price, PriceSchedule, Tariff
from routewright.catalog.registry import Deployment, Model
from routewright.catalog.served import Priced
from routewright.ledger.billing import Bill, Pinned, may_sound, priced_usage
from routewright.usage import Usage

NOW = 1_790_000_000
USAGE = Usage(input=100, output=10)


def flat(price: int, **own: int) -> PriceSchedule:
    return PriceSchedule((Price(input=price, output=price, **own),))


TIERED = model(prices=flat(1_000), variants={"flex": flat(500), "priority": flat(3_000), "batch": flat(400)})


def held(asked: str, *, dialect: str = "library", place: str = "library") -> int | None:
    asking = call(max_output_tokens=10, service_tier=asked, dialect=dialect)
    at = model(
        "swift",
        deployment("acme/swift", dialect=place),
        prices=TIERED.prices,
        variants=TIERED.variants,
    )
    return Pinned(attempt(asking, at), NOW).upper_bound_nanousd(100)


@pytest.mark.parametrize(
    ("asked", "rate"), [("", 1), ("flex", 1), ("priority", 3), ("auto", 3), ("unheard of", 3), ("batch", 0.4)]
)
def test_a_hold_is_at_the_dearest_tier_that_may_come_of_what_was_asked(asked: str, rate: float) -> None:
    assert held(asked) == 110 * rate


def test_a_wish_that_the_places_dialect_does_not_carry_costs_nothing() -> None:
    assert held("priority", dialect="openai_chat", place="anthropic_messages") == 110
    assert held("priority", dialect="openai_chat", place="openai_chat") == 330


@pytest.mark.parametrize(
    ("tier", "cost", "is_estimated"),
    [("", 110, False), ("flex", 55, False), ("priority", 330, False), ("batch", 44, False), ("scale", 330, True)],
)
def test_an_attempt_is_billed_in_the_tier_it_was_served_in(tier: str, cost: int, is_estimated: bool) -> None:
    bill = Pinned(attempt(at=TIERED), NOW).bill(USAGE, served_model="swift", service_tier=tier)
    assert bill == Bill(cost, "test", tier, is_estimated, input_cost_nanousd=cost * 10 // 11)


def test_an_unknown_tier_of_a_model_without_tiers_costs_the_usual_price_and_is_flagged() -> None:
    bill = Pinned(attempt(at=model(prices=flat(1_000))), NOW).bill(USAGE, served_model="", service_tier="flex")
    assert bill == Bill(110, "test", "flex", is_estimated=True, input_cost_nanousd=100)


def test_a_place_with_prices_of_its_own_is_held_and_billed_at_them() -> None:
    place = deployment("dear/swift", tariff=Tariff(flat(7_000)), price_version="dear")
    pinned = Pinned(attempt(call(max_output_tokens=10), model("swift", place, prices=flat(1_000))), NOW)
    assert pinned.version == "dear"
    assert pinned.upper_bound_nanousd(100) == 770
    assert pinned.bill(USAGE, served_model="", service_tier="") == Bill(
        770, "dear", "", is_estimated=False, input_cost_nanousd=700
    )


def test_without_a_price_nothing_is_held_and_nothing_billed() -> None:
    pinned = Pinned(attempt(at=model(prices=None, price_version="unpriced")), NOW)
    assert pinned.upper_bound_nanousd(100) is None
    assert pinned.bill(USAGE, served_model="", service_tier="flex") == Bill(None, "unpriced", "flex", False)


def test_u24_another_model_that_answered_is_billed_at_its_own_prices() -> None:
    asked: list[tuple[str, str, str]] = []

    def served(asked_model: Model, place: Deployment, answered: str) -> Priced | None:
        asked.append((asked_model.name, place.id, answered))
        return Priced(Tariff(flat(5_000)), "other")

    bill = Pinned(attempt(), NOW, served).bill(USAGE, served_model="strong", service_tier="")
    assert bill == Bill(550, "other", "", is_estimated=False, input_cost_nanousd=500)
    assert asked == [("swift", "acme/swift", "strong")]


def test_s12_the_moment_of_the_hold_decides_whatever_happens_to_prices_meanwhile() -> None:
    changing = PriceSchedule((Price(input=1_000, output=1_000), Price(input=9_000, output=9_000, since=NOW + 1)))
    assert (
        Pinned(attempt(at=model(prices=changing)), NOW).bill(USAGE, served_model="", service_tier="").cost_nanousd
        == 110
    )
    later = Pinned(attempt(at=model(prices=changing)), NOW + 1)
    assert later.bill(USAGE, served_model="", service_tier="").cost_nanousd == 990


SOUND = model(prices=flat(1_000, audio_input=40_000, audio_output=80_000))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"body": {"modalities": ["text"]}}, False),
        ({"body": {"modalities": None}}, False),
        ({"body": {"modalities": ["text", "audio"]}}, True),
        ({"body": {"audio": {"voice": "alloy"}}}, True),
        ({"messages": (message("a"), Message("user", (Opaque("input_audio"),)))}, True),
        ({"messages": (Message("user", (Opaque("file"),)),)}, True),
    ],
)
def test_sound_is_held_where_there_may_be_some(changes: dict[str, Any], expected: bool) -> None:
    asked = call(max_output_tokens=10, **changes)
    assert may_sound(asked) is expected
    bound = Pinned(attempt(asked, SOUND), NOW).upper_bound_nanousd(100)
    assert bound == (100 * 40 + 10 * 80 if expected else 110)


TIERS = st.sampled_from(["", "flex", "priority", "batch", "unheard of"])
ASKED = st.sampled_from(["", "flex", "priority", "auto"])


@given(ASKED, TIERS, st.integers(0, 100), st.integers(0, 10))
def test_no_tier_within_reach_of_the_wish_costs_more_than_was_held(
    asked: str, got: str, sent: int, written: int
) -> None:
    reach = {"": [""], "flex": ["", "flex"], "priority": ["", "priority"], "auto": ["", "flex", "priority"]}[asked]
    pinned = Pinned(attempt(call(max_output_tokens=10, service_tier=asked, dialect="openai_chat"), TIERED), NOW)
    bound = pinned.upper_bound_nanousd(100)
    cost = pinned.bill(Usage(input=sent, output=written), served_model="", service_tier=got).cost_nanousd
    assert bound is not None
    assert cost is not None
    assert got not in reach or cost <= bound


def test_usage_is_priced_by_the_length_of_its_whole_input() -> None:
    long = PriceSchedule((Price(input=1_000, output=1_000), Price(input=2_000, output=2_000, above_tokens=99)))
    assert priced_usage(Tariff(long), Usage(input=50, audio_input=50), NOW, "") == 200
    assert priced_usage(Tariff(long), Usage(input=50, audio_input=49), NOW, "") == 99


def test_what_is_sent_as_a_batch_is_held_and_billed_as_one_by_any_dialect() -> None:
    pinned = Pinned(attempt(call(max_output_tokens=10, service_tier="batch", dialect="openai_chat"), TIERED), NOW)
    assert pinned.upper_bound_nanousd(100) == 44
    assert pinned.bill(USAGE, served_model="", service_tier="") == Bill(
        44, "test", "batch", is_estimated=False, input_cost_nanousd=40
    )
    across = model("swift", deployment("acme/swift", dialect="other"), prices=flat(1_000), variants=TIERED.variants)
    sent = attempt(call(max_output_tokens=10, service_tier="batch", dialect="openai_chat"), across)
    assert Pinned(sent, NOW).upper_bound_nanousd(100) == 44


def test_a_batch_without_a_price_of_its_own_is_held_and_billed_at_the_usual_price_and_flagged() -> None:
    dear = model(prices=flat(1_000), variants={"priority": flat(3_000)})
    pinned = Pinned(attempt(call(max_output_tokens=10, service_tier="batch"), dear), NOW)
    assert pinned.upper_bound_nanousd(100) == 110
    assert pinned.bill(USAGE, served_model="", service_tier="batch") == Bill(
        110, "test", "batch", is_estimated=True, input_cost_nanousd=100
    )
