"""What to expect of each model for one request, as plain numbers."""

from collections.abc import Mapping

from msgspec import Struct


class Expectation(Struct, frozen=True, gc=False):
    """Of one model, for one request."""

    success: float
    """Probability of a good answer."""
    doubt: float
    """Standard deviation of that probability: small where there is much evidence."""
    outcomes: int
    """Recorded outcomes behind it."""
    output_tokens: int
    waste: float
    """What is paid in all for each dollar of complete answers: 1.02 when 2 % more goes to failures."""


class Forecast(Struct, frozen=True):
    """What is expected of each model, by name; a model that is not there was unknown."""

    of: Mapping[str, Expectation]
