import re
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.cli.reports.page import MOST_ROWS
from routewright.cli.reports.spending_page import MOST_COLUMNS, Overview, by_span, report_page
from routewright.ledger.spending import Sums
from routewright.reports.values import Line, Report, Table, saving_of, together
from routewright.usage import InputParts, Usage

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title><script>",
    "</svg><script>",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "\x1b[2J\u202e",
]
SOME = Sums(
    requests=2,
    complete=1,
    answered=2,
    attempts=3,
    usage=Usage(input=10, output=5),
    cost_nanousd=2_000_000,
    compared=2,
    baseline_cost_nanousd=10_000_000,
    compared_cost_nanousd=2_000_000,
    input_parts=InputParts(4, 3, 2, 1),
)


def page_of(names: list[str], days: list[str] | None = None, note: str = "") -> str:
    lines = tuple(Line((name,), SOME) for name in names)
    table = Table(("team",), lines, together(lines))
    when = Table(("day",), tuple(Line((day,), SOME) for day in days or ["2026-11-01"]), SOME)
    models = Table(("model",), lines, together(lines))
    report = Report(
        since=None,
        until=None,
        only={"team": names[0]},
        totals=together(lines),
        saving=saving_of(together(lines), names),
        tables=(table,),
        notes=(note,),
    )
    return report_page(report, Overview(when, models, models))


class Elements(HTMLParser):
    """Every element with its attributes, and whether they are closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


PLAIN = Elements(page_of(["a"]))


@pytest.mark.parametrize("text", EVIL)
def test_x11_names_are_text_wherever_they_stand(text: str) -> None:
    page = page_of([text], note=text)
    found = Elements(page)
    assert (found.tags, found.attributes) == (PLAIN.tags, PLAIN.attributes)
    assert found.open == []
    assert "\x1b" not in page
    assert "\u202e" not in page


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=12))
def test_x11_no_name_adds_an_element(names: list[str]) -> None:
    assert Elements(page_of(names)).tags <= PLAIN.tags


def test_page_asks_nobody_for_anything() -> None:
    page = page_of(["https://evil.example/x.png"])
    assert "default-src 'none'" in page
    assert PLAIN.tags.isdisjoint({"script", "link", "img", "iframe", "object", "a", "form", "base"})
    assert PLAIN.attributes.isdisjoint({"src", "href", "style", "onclick", "onload"})
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_every_chart_has_its_table() -> None:
    page = page_of(["a", "b"])
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 5
    assert all("<svg" in figure and "<table>" in figure for figure in figures)


def test_saving_is_named_by_its_baseline_and_a_loss_is_one() -> None:
    page = page_of(["strong"])
    assert "80.0\N{NO-BREAK SPACE}% vs always strong" in page
    loss = Sums(requests=1, compared=1, attempts=1, compared_cost_nanousd=9, baseline_cost_nanousd=1, cost_nanousd=9)
    table = Table(("day",), (Line(("2026-11-01",), loss),), loss)
    report = Report(since=None, until=None, only={}, totals=loss, saving=saving_of(loss, ["m"]), tables=(table,))
    assert '<dd class="bad">-$0.000000008</dd>' in report_page(report, Overview(table, table, table))


def test_lines_beyond_the_bound_are_added_up_and_counted() -> None:
    page = page_of([f"team-{at:05}" for at in range(MOST_ROWS + 7)])
    assert "7 more lines" in page
    assert "team-01006" not in page.partition("By team")[2]
    assert len(page) < 3_000_000


def days(count: int) -> list[str]:
    return [(date(2026, 1, 1) + timedelta(days=at)).isoformat() for at in range(count)]


@pytest.mark.parametrize(
    ("count", "first", "most"),
    [(1, "2026-01-01", 1), (92, "2026-01-01", 92), (93, "2025-12-29/7", 15), (5_000, "2026-01", 165)],
)
def test_many_days_are_shown_by_week_or_month(count: int, first: str, most: int) -> None:
    spans = by_span(Table(("day",), tuple(Line((day,), SOME) for day in days(count)), SOME))
    assert spans.lines[0].keys == (first,)
    assert len(spans.lines) <= most
    assert together(spans.lines).requests == 2 * count


def test_days_without_anything_are_in_the_course_too() -> None:
    lines = (Line(("2026-11-01",), SOME), Line(("2026-11-04",), SOME))
    assert [line.sums.requests for line in by_span(Table(("day",), lines, SOME)).lines] == [2, 0, 0, 2]
    assert MOST_COLUMNS > 31
