"""How long an answer a given amount of money allows."""

from msgspec import structs

from routewright.call import Attempt
from routewright.ledger.billing import Pinned


def most_output_tokens(attempt: Attempt) -> int:
    """The longest that one answer can be."""
    return attempt.call.max_output_tokens or attempt.model.max_output_tokens


def hold_nanousd(attempt: Attempt, input_tokens_ub: int, now_s: int) -> int | None:
    """The most that an attempt made now can cost; None for a model without a price.

    `input_tokens_ub` is `tokens.upper_bound_tokens(attempt.call)`; `now_s` is UTC in seconds since 1970.
    """
    return Pinned(attempt, now_s).upper_bound_nanousd(input_tokens_ub)


def shortened(attempt: Attempt, max_output_tokens: int) -> Attempt:
    """The same attempt with another bound on the length of its answer."""
    call = structs.replace(attempt.call, max_output_tokens=max_output_tokens)
    return structs.replace(attempt, routed=structs.replace(attempt.routed, call=call))


def affordable_output_tokens(
    attempt: Attempt, input_tokens_ub: int, now_s: int, *, room_nanousd: int, least: int
) -> int | None:
    """The longest answer whose hold fits into `room_nanousd`, from `least` tokens up to what the call allows anyway.

    None when there is none, or the model has no price.
    """

    def fits(tokens: int) -> bool:
        held = hold_nanousd(shortened(attempt, tokens), input_tokens_ub, now_s)
        return held is not None and held <= room_nanousd

    low, high = least, most_output_tokens(attempt)
    if low > high or not fits(low):
        return None
    while low < high:  # invariant: `low` fits, nothing above `high` is asked about
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
