from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import attempt, call, model
from routewright.decision.holds import affordable_output_tokens, hold_nanousd, most_output_tokens

SWIFT = model()
ASKED = call(max_output_tokens=1000)


def affordable(room: int, *, least: int = 1, choices: int = 1) -> int | None:
    asked = attempt(replace(ASKED, choices=choices), SWIFT)
    return affordable_output_tokens(asked, 100, 0, room_nanousd=room, least=least)


def test_an_answer_is_as_long_as_the_call_allows_or_the_model() -> None:
    assert most_output_tokens(attempt(ASKED, SWIFT)) == 1000
    assert most_output_tokens(attempt(call(), SWIFT)) == SWIFT.max_output_tokens


def test_a_model_without_a_price_holds_nobody_knows_what() -> None:
    unpriced = attempt(ASKED, model(prices=None))
    assert hold_nanousd(unpriced, 100, 0) is None
    assert affordable_output_tokens(unpriced, 100, 0, room_nanousd=10**12, least=1) is None


@given(room=st.integers(0, 3_000_000), choices=st.integers(1, 4), least=st.integers(1, 1200))
def test_the_longest_answer_that_fits_fits_and_a_token_more_does_not(room: int, choices: int, least: int) -> None:
    tokens = affordable(room, least=least, choices=choices)

    def held(length: int) -> int:
        asked = replace(ASKED, choices=choices, max_output_tokens=length)
        amount = hold_nanousd(attempt(asked, SWIFT), 100, 0)
        assert amount is not None
        return amount

    if tokens is None:
        assert least > 1000 or held(least) > room
    else:
        assert least <= tokens <= 1000
        assert held(tokens) <= room
        assert tokens == 1000 or held(tokens + 1) > room
