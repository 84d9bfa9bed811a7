"""What to expect of each model for one request, as plain numbers."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

NOTHING_WASTED: Mapping[int, float] = {}


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
    """What is expected of models: a column for each field of `Expectation`, a place in it for each model.

    In columns, since there may be hundreds of models, of which a decision then looks at a few.
    """

    models: Sequence[str]
    """Names."""
    success: Sequence[float]
    doubt: Sequence[float]
    outcomes: Sequence[int]
    output_tokens: Sequence[int]
    waste: Mapping[int, float] = NOTHING_WASTED
    """By place; models of which nothing was wasted are left out."""
    unknown: frozenset[int] = frozenset()
    """Places of models of which nothing is known; their numbers mean nothing."""

    @staticmethod
    def of_each(expected: Mapping[str, Expectation]) -> "Forecast":
        """Of models by name."""
        each = list(expected.values())
        return Forecast(
            models=tuple(expected),
            success=[its.success for its in each],
            doubt=[its.doubt for its in each],
            outcomes=[its.outcomes for its in each],
            output_tokens=[its.output_tokens for its in each],
            waste={at: its.waste for at, its in enumerate(each) if its.waste != 1},
        )

    @property
    def of(self) -> Mapping[str, Expectation]:
        """By name, of the models that are known."""
        waste = self.waste
        rows = zip(self.models, self.success, self.doubt, self.outcomes, self.output_tokens, strict=True)
        return {
            name: Expectation(success, doubt, outcomes, tokens, waste.get(at, 1.0))
            for at, (name, success, doubt, outcomes, tokens) in enumerate(rows)
            if at not in self.unknown
        }

    def over(self, models: tuple[str, ...]) -> "Forecast":
        """The same for these models, in their order; some of them may be unknown."""
        if self.models == models:
            return self
        known = self.of
        return Forecast(
            models=models,
            success=[known[name].success if name in known else 0.0 for name in models],
            doubt=[known[name].doubt if name in known else 0.0 for name in models],
            outcomes=[known[name].outcomes if name in known else 0 for name in models],
            output_tokens=[known[name].output_tokens if name in known else 0 for name in models],
            waste={at: known[name].waste for at, name in enumerate(models) if name in known and known[name].waste != 1},
            unknown=frozenset(at for at, name in enumerate(models) if name not in known),
        )
