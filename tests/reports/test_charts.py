import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.reports.charts import HEIGHT, WIDE, Point, Share, columns, curve, legend, shares

values = st.integers(0, 2**63)
points = st.lists(st.builds(Point, st.text(max_size=8), st.tuples(values, values), st.none() | values), max_size=100)
_NO_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]")


def drawn(svg: str) -> ElementTree.Element:
    """What a browser would draw; raises ParseError on what is no SVG."""
    return ElementTree.fromstring(_NO_XML.sub("", svg))  # noqa: S314 our own


@settings(deadline=None)
@given(points)
def test_no_column_leaves_its_chart(drawing: list[Point]) -> None:
    svg = drawn(columns(drawing, title="t", description="d", words=str, names=["a", "b"], full=WIDE))
    for box in svg.iter("rect"):
        x, y, width, height = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= WIDE
        assert 0 <= y <= y + height <= HEIGHT


@settings(deadline=None)
@given(points)
def test_curve_is_drawn_whatever_it_shows(drawing: list[Point]) -> None:
    svg = drawn(curve(drawing, title="t", description="d", words=str))
    known = [point for point in drawing if point.line is not None]
    assert len(list(svg.iter("circle"))) == len(known)


def test_charts_have_a_name_and_a_description_for_who_cannot_see_them() -> None:
    share = Share("</text><script>", 1, "$1")
    for svg in (
        columns([Point("a", (1,))], title="Spend <b>", description="One & all", words=str, names=["spent"]),
        curve([Point("a", (), 1)], title="Spend <b>", description="One & all", words=str),
        shares([share], title="Spend <b>", description="One & all"),
    ):
        chart = drawn(svg)
        assert chart.get("role") == "img"
        assert (chart.findtext("title"), chart.findtext("desc")) == ("Spend <b>", "One & all")
        assert "<script" not in svg


def test_nothing_to_show_is_a_chart_too() -> None:
    for svg in (
        columns([], title="t", description="d", words=str, names=[]),
        curve([], title="t", description="d", words=str),
        shares([], title="t", description="d"),
        shares([Share("a", 0, "0")], title="t", description="d"),
    ):
        drawn(svg)


def test_one_series_needs_no_legend() -> None:
    assert legend(["spent"]) == ""
    assert "would have cost &lt;b&gt;" in legend(["spent"], "would have cost <b>")
