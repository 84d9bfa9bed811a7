"""Points in a plane: drawn within it, and told to those who cannot see them."""

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.reports.charts import HALF, HEIGHT
from routewright.reports.plots import Axis, Dot, around, plane

SHARE = Axis(0.0, 1.0, lambda value: f"{value:.0%}")
values = st.floats(-2, 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.builds(lambda x, y: Dot(x=x, y=y, low=y - 1, high=y + 1, told="<b>&"), values, values), max_size=6))
def test_whatever_the_values_are_all_is_within_the_picture(dots: list[Dot]) -> None:
    svg = plane(dots, title="a<b", description="d", across=SHARE, up=SHARE, is_curve=True, has_diagonal=True)
    root = ElementTree.fromstring(svg)  # noqa: S314 our own
    assert [circle.find("title").text for circle in root.iter("circle")] == ["<b>&"] * len(dots)  # type: ignore[union-attr]
    for circle in root.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= HALF
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_a_curve_has_its_band_and_single_points_have_their_intervals() -> None:
    dots = [Dot(x=x, y=0.5, low=0.4, high=0.6, told="", series=at) for at, x in enumerate((0.9, 0.1))]
    curve = plane(dots, title="t", description="d", across=SHARE, up=SHARE, is_curve=True)
    assert curve.count('class="area"') == 1
    single = plane(dots, title="t", description="d", across=SHARE, up=SHARE)
    assert ('class="area"' in single, single.count('class="reach"')) == (False, 2)
    assert single.index('class="s1"') < single.index('class="s0"'), "from left to right"


def test_an_axis_around_one_value_has_room() -> None:
    for value in (0.0, 5.0, 1e9):
        axis = around([value], str)
        assert axis.least <= value < axis.most
