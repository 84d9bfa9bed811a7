import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.text import counted, one_line, percent, plain, usd

CONTROL = {*map(chr, range(32)), *map(chr, range(127, 160))} - {"\t", "\n"}


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("over\rwritten\b\x00", "overwritten"),
        ("left\u202eright", "leftright"),
        ("line one\n\tline two", "line one\n\tline two"),
        ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out(hostile: str, harmless: str) -> None:
    assert plain(hostile) == harmless


@given(st.text())
def test_nothing_is_left_that_a_terminal_would_obey(text: str) -> None:
    assert not CONTROL & set(plain(text))
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs"))))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_one_line_has_no_line_breaks() -> None:
    assert one_line(" a\n b\t\x1b[1mc ") == "a b c"


@pytest.mark.parametrize(
    ("nanousd", "shown"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (999, "$0.000000999"),
        (141_000, "$0.000141"),
        (8_137_499, "$0.008137"),
        (999_999_999, "$1.000000"),
        (1_000_000_000, "$1.00"),
        (1_234_567_890_123, "$1,234.57"),
        (-5_309_000, "-$0.005309"),
    ],
)
def test_amounts_show_what_matters(nanousd: int, shown: str) -> None:
    assert usd(nanousd) == shown


@given(st.integers(-(10**15), 10**15))
def test_no_amount_but_nothing_is_shown_as_nothing(nanousd: int) -> None:
    shown = usd(nanousd)
    assert (set(shown) & set("123456789") != set()) == (nanousd != 0)
    assert shown.startswith("-") == (nanousd < 0)


def test_share_of_nothing_is_a_dash() -> None:
    assert percent(0, 0) == "–"
    assert percent(1, 3) == "33.3 %"
    assert percent(-1, 2) == "-50.0 %"


def test_nouns_agree_with_their_number() -> None:
    assert counted(1, "request") == "1 request"
    assert counted(1200, "request") == "1,200 requests"
    assert counted(0, "request") == "0 requests"
