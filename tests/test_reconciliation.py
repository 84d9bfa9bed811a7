"""Every difference between ledger and export has its cause, seen in the data, or is said to have none."""

from collections.abc import Iterable

import msgspec

from routewright.exports import CLASSES, Export, ExportRow
from routewright.reconciliation import MONEY, Comparison, Difference, Reconciliation, Recorded, Why, only_key
from routewright.usage import Usage

FIRST, SECOND, THIRD = "2026-11-01", "2026-11-02", "2026-11-03"


def told(day: str = FIRST, model: str = "swift", **changes: object) -> ExportRow:
    return msgspec.structs.replace(ExportRow(day=day, model=model, tokens={"input": 100, "output": 10}), **changes)


def charged(cost_nanousd: int, resolution: int = 1, day: str = FIRST) -> ExportRow:
    return ExportRow(day=day, model="swift", cost_nanousd=cost_nanousd, resolution_nanousd=resolution)


def recorded(day: str = FIRST, model: str = "swift", **changes: object) -> Recorded:
    plain = Recorded(day=day, model=model, usage=Usage(input=100, output=10), cost_nanousd=1_000)
    return msgspec.structs.replace(plain, **changes)


def compared(
    rows: Iterable[ExportRow], *attempts: Recorded, classes: tuple[str, ...] = ("input", "output")
) -> Reconciliation:
    comparison = Comparison(Export(provider="acme", classes=classes, rows=tuple(rows)), str.lower)
    for attempt in attempts:
        comparison.add(attempt)
    return comparison.result()


def only(found: Reconciliation) -> Difference:
    (difference,) = found.differences
    return difference


def causes(difference: Difference) -> list[tuple[Why, int]]:
    return [(cause.why, cause.amount) for cause in difference.causes]


def test_what_is_the_same_on_both_sides_is_no_difference() -> None:
    found = compared([told(), told(SECOND)], recorded(), recorded(SECOND))
    assert (found.compared, found.differences, found.unexplained) == (4, (), ())
    assert (found.first_day, found.last_day) == (FIRST, SECOND)


def test_an_empty_export_has_nothing_to_compare() -> None:
    found = compared([], recorded())
    assert (found.compared, found.first_day, found.differences) == (0, "", ())


def test_attempts_outside_the_days_of_the_export_are_left_out() -> None:
    assert compared([told(SECOND)], recorded(FIRST), recorded(SECOND), recorded(THIRD)).differences == ()


def test_classes_that_the_export_does_not_count_are_within_those_it_does() -> None:
    usage = Usage(1, 2, 4, 8, 16, 32, 64, 128, 256)
    row = told(tokens={"input": 1 + 2 + 4 + 8 + 64 + 128, "output": 16 + 32 + 256})
    assert compared([row], recorded(usage=usage)).differences == ()
    fuller = told(tokens={"input": 1 + 64, "cache_read": 2 + 128, "cache_write": 4 + 8, "output": 16 + 32 + 256})
    classes = ("input", "cache_read", "cache_write", "output")
    assert compared([fuller], recorded(usage=usage), classes=classes).differences == ()
    all_of_it = told(tokens={**{name: getattr(usage, name) for name in CLASSES}, "output": 16 + 32})
    assert compared([all_of_it], recorded(usage=usage), classes=CLASSES).differences == ()


def test_an_estimate_explains_what_is_too_much_up_to_itself() -> None:
    estimate = recorded(usage=Usage(input=50), is_estimated=True)
    difference = only(compared([told(tokens={"input": 80, "output": 10})], recorded(), estimate))
    assert (difference.exported, difference.recorded, difference.difference) == (80, 150, -70)
    assert causes(difference) == [(Why.ESTIMATED, -50)]
    assert difference.unexplained == -20


def test_an_estimate_explains_nothing_that_is_missing() -> None:
    difference = only(compared([told(tokens={"input": 200, "output": 10})], recorded(is_estimated=True)))
    assert (causes(difference), difference.unexplained) == ([], 100)


def test_attempts_whose_tokens_nobody_knows_explain_what_is_missing() -> None:
    crashed = recorded(usage=Usage(), is_unknown=True)
    difference = only(compared([told(tokens={"input": 130, "output": 10})], recorded(), crashed))
    assert causes(difference) == [(Why.CRASHED, 30)]
    fewer = only(compared([told(tokens={"input": 90, "output": 10})], recorded(), crashed))
    assert (causes(fewer), fewer.unexplained) == ([], -10)


def test_what_is_missing_on_one_day_and_too_much_on_the_next_is_the_boundary() -> None:
    rows = [told(FIRST, tokens={"input": 130, "output": 10}), told(SECOND, tokens={"input": 60, "output": 10})]
    first, second = compared(rows, recorded(FIRST), recorded(SECOND)).differences
    assert causes(first) == [(Why.BOUNDARY, 30)]
    assert causes(second) == [(Why.BOUNDARY, -30)]
    assert (first.unexplained, second.unexplained) == (0, -10)
    turned = compared(
        [told(FIRST, tokens={"input": 60, "output": 10}), told(SECOND, tokens={"input": 130, "output": 10})],
        recorded(FIRST),
        recorded(SECOND),
    )
    assert [causes(each) for each in turned.differences] == [[(Why.BOUNDARY, -30)], [(Why.BOUNDARY, 30)]]


def test_days_that_are_not_beside_each_other_or_differ_alike_have_no_boundary() -> None:
    apart = [told(FIRST, tokens={"input": 130, "output": 10}), told(THIRD, tokens={"input": 70, "output": 10})]
    alike = [told(day, tokens={"input": 130, "output": 10}) for day in (FIRST, SECOND)]
    for rows, attempts in ((apart, (FIRST, THIRD)), (alike, (FIRST, SECOND))):
        found = compared(rows, *map(recorded, attempts))
        assert [causes(each) for each in found.differences] == [[], []]


def test_a_model_that_nobody_called_here_is_not_in_the_ledger() -> None:
    found = compared([told(), told(model="Other")], recorded())
    assert [(each.model, causes(each)) for each in found.differences] == [
        ("other", [(Why.UNKNOWN_MODEL, 100)]),
        ("other", [(Why.UNKNOWN_MODEL, 10)]),
    ]
    assert found.unexplained == ()


def test_more_requests_than_attempts_came_another_way() -> None:
    difference = only(compared([told(tokens={"input": 130, "output": 10}, requests=3)], recorded()))
    assert causes(difference) == [(Why.NOT_ROUTED, 30)]
    assert difference.causes[0].detail.startswith("2 requests")
    as_many = only(compared([told(tokens={"input": 130, "output": 10}, requests=1)], recorded()))
    assert (causes(as_many), as_many.unexplained) == ([], 30)


def test_several_keys_explain_what_is_missing_and_one_of_them_can_be_looked_at_alone() -> None:
    rows = (told(key="ours"), told(key="theirs", tokens={"input": 30, "output": 0}))
    assert causes(only(compared(rows, recorded()))) == [(Why.OTHER_KEYS, 30)]
    export = only_key(Export(provider="acme", classes=("input",), rows=rows), "ours")
    assert [row.key for row in export.rows] == ["ours"]


def test_what_the_ledger_alone_has_stays_unexplained() -> None:
    found = compared([told()], recorded(), recorded(model="odd"))
    assert [(each.measure, each.unexplained) for each in found.unexplained] == [("input", -100), ("output", -10)]


def money(rows: Iterable[ExportRow], *attempts: Recorded) -> Difference:
    return only(compared(rows, *attempts, classes=()))


def test_rounding_explains_as_much_as_half_of_each_rows_last_digit() -> None:
    assert causes(money([charged(1_005, 10)], recorded())) == [(Why.ROUNDING, 5)]
    assert causes(money([charged(500, 10), charged(490, 10)], recorded())) == [(Why.ROUNDING, -10)]
    beyond = money([charged(1_006, 10)], recorded())
    assert (causes(beyond), beyond.unexplained, beyond.measure) == ([], 6, MONEY)


def test_another_price_explains_what_it_comes_to() -> None:
    attempt = recorded(list_nanousd={"": 1_200, "batch": 600})
    assert causes(money([charged(1_200)], attempt)) == [(Why.PRICE_VERSION, 200)]
    assert causes(money([charged(1_203, 10)], attempt)) == [(Why.PRICE_VERSION, 200), (Why.ROUNDING, 3)]
    assert causes(money([charged(2_400)], attempt, attempt)) == [(Why.PRICE_VERSION, 400)]


def test_another_service_tier_explains_what_it_comes_to() -> None:
    difference = money([charged(500)], recorded(list_nanousd={"": 1_000, "batch": 500}))
    assert causes(difference) == [(Why.SERVICE_TIER, -500)]
    assert difference.causes[0].detail == "billed as batch"


def test_holds_of_crashed_attempts_and_estimates_explain_what_is_too_much_in_money() -> None:
    estimate = recorded(is_estimated=True, cost_nanousd=100)
    crashed = recorded(is_unknown=True, cost_nanousd=300, usage=Usage())
    difference = money([charged(1_050)], recorded(), estimate, crashed)
    assert causes(difference) == [(Why.ESTIMATED, -100), (Why.CRASHED, -250)]
    assert difference.unexplained == 0
    more = money([charged(1_900)], recorded(), estimate, crashed)
    assert (causes(more), more.unexplained) == ([], 500)
