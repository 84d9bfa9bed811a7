import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.ledger.spending import Sums
from routewright.reports.csv_text import guarded, table_csv
from routewright.reports.values import MONEY, Line, Table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"])
def test_x11_no_spreadsheet_takes_a_name_for_a_formula(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "claude-opus-4.7", "a=b", "2026-11-01", "'quoted'"])
def test_any_other_name_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_x11_whatever_a_name_has_in_it_it_stays_one_harmless_cell(names: list[str]) -> None:
    lines = tuple(Line((name,), Sums(requests=at)) for at, name in enumerate(names))
    text = table_csv(Table(("team",), lines, Sums()), MONEY)
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["requests"] for row in read] == [str(at) for at in range(len(names))]
    assert not any(row["team"].lstrip(" ").startswith(("=", "+", "-", "@")) for row in read)


def test_a_loss_stays_a_number() -> None:
    loss = Sums(requests=1, compared=1, compared_cost_nanousd=3_000_000_000, baseline_cost_nanousd=1_000_000_000)
    (row,) = csv.DictReader(io.StringIO(table_csv(Table(("team",), (Line(("a",), loss),), loss), MONEY)))
    assert (row["saved_usd"], row["saved_share"]) == ("-2.000000000", "-2.000000")
