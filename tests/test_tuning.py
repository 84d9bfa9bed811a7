"""Which logged decisions a policy is proposed from, and by what."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from routewright.catalog.registry import Tier
from routewright.errors import TooFewOutcomes
from routewright.ledger.experience import Logged
from routewright.ledger.ledger import OutcomeRecorded, RequestRecorded
from routewright.route import Asked
from routewright.settings.schema import Overlay
from routewright.tuning import _with_tiers, outcomes_of
from tuned import HARD, ledger

THERE = {"sage", "swift", "rare"}


def logged(*events: object) -> list[Logged]:
    """Requests with their outcomes, as the ledger gives them back."""
    outcomes = [event for event in events if isinstance(event, OutcomeRecorded)]
    found = []
    for row in events:
        if isinstance(row, RequestRecorded):
            assert row.route is not None
            assert row.model is not None
            scores = {each.model: each.score for each in outcomes if each.request_id == row.request_id}
            found.append(
                Logged(
                    request_id=row.request_id,
                    at_ns=row.at_ns,
                    route=row.route,
                    model=row.model,
                    score=scores.get(row.model),
                    scores=scores,
                    cost_nanousd=row.cost_nanousd,
                    answers=(),
                )
            )
    return found


def asking(rows: Sequence[Logged], asked: Asked) -> list[Logged]:
    return [replace(row, route=replace(row.route, asked=asked)) for row in rows]


def test_requests_that_say_themselves_what_they_want_do_not_count() -> None:
    rows = logged(*ledger(30))
    others = (
        Asked(model="sage"),
        Asked(model="auto", tier=Tier.BULK),
        Asked(model="auto", min_quality=0.5),
        Asked(model="auto", background="a title"),
    )
    mixed = rows + [each for asked in others for each in asking(rows, asked)]
    assert len(outcomes_of(mixed, "sage", THERE).logged) == 30
    with pytest.raises(TooFewOutcomes, match="of 0 requests"):
        outcomes_of(asking(rows, others[0]), "sage", THERE)


def test_compared_scores_are_as_observed_and_the_baseline_comes_first() -> None:
    rows = logged(*ledger(30))
    found = outcomes_of(rows, "sage", THERE)
    assert (found.how, found.models, found.rarest) == ("compared", ("sage", "swift"), 1.0)
    assert found.scores.tolist() == [[row.scores["sage"], row.scores["swift"]] for row in rows]
    assert found.costs[0].tolist() == pytest.approx([0.01, 0.001])


def test_weighted_scores_are_right_in_the_mean_however_wrong_the_expectation() -> None:
    found = outcomes_of(logged(*ledger(1_000, "drawn", swift=(0.6, 0.1), seed=3)), "sage", THERE)
    assert (found.how, found.rarest) == ("weighted", 0.5)
    swift = found.scores[:, found.models.index("swift")]
    error = float(np.std(swift)) / 1_000**0.5
    assert swift.mean() == pytest.approx(0.6 * (1 - HARD) + 0.1 * HARD, abs=4 * error)


def test_model_that_few_were_compared_with_takes_no_part() -> None:
    rows = logged(*ledger(30))
    rare = replace(rows[0].route.candidates[0], model="rare")
    rows = [replace(row, route=replace(row.route, written=(*row.route.candidates, rare))) for row in rows]
    rows[3] = replace(rows[3], scores={**rows[3].scores, "rare": 1.0, "unheard-of": 1.0})
    assert outcomes_of(rows, "sage", THERE).models == ("sage", "swift")
    rows = [replace(row, scores={**row.scores, "rare": 1.0}) for row in rows]
    assert set(outcomes_of(rows, "sage", THERE).models) == {"sage", "swift", "rare"}


def test_model_that_is_gone_takes_no_part_and_costs_no_request() -> None:
    rows = logged(*ledger(30))
    gone = replace(rows[0].route.candidates[0], model="gone")
    rows = [
        replace(
            row, scores={**row.scores, "gone": 1.0}, route=replace(row.route, written=(*row.route.candidates, gone))
        )
        for row in rows
    ]
    found = outcomes_of(rows, "sage", THERE)
    assert (set(found.models), len(found.logged)) == ({"sage", "swift"}, 30)


def test_tiers_are_those_that_a_model_serves_and_the_stronger_stands_in_first() -> None:
    overlay = _with_tiers(Overlay(exploration=0.01), ("a", "a", "b", "c"))
    assert overlay.tiers == {"a": Tier.STRUCTURED, "b": Tier.STANDARD, "c": Tier.COMPLEX}
    assert overlay.fallbacks == {"a": ("b", "c"), "b": ("c", "a"), "c": ("b", "a")}
    assert overlay.models == ("a", "b", "c")
    assert overlay.exploration == 0.01
