"""The demonstration's arithmetic: routed beside always-the-strongest, by the tier an expert gave each prompt."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from routewright.call import JsonObject
from routewright.catalog.registry import Tier


class Prompt(Struct, frozen=True):
    """A prompt of the demonstration."""

    id: str
    tier: Tier
    """The expert's label."""
    request: JsonObject
    """A chat body without `model`."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one prompt in one run."""

    prompt_id: str
    label: Tier
    guess: Tier | None
    """The classifier's; None when it was not asked."""
    model: str | None
    """The one that answered; None when none did."""
    answered_by: Tier | None
    """That model's tier."""
    succeeded: bool
    cost_nanousd: int
    """All attempts, failed ones included."""
    attempts: int
    failovers: int
    """Attempts at another model, because one failed."""
    overhead_us: int | None
    """Our own time before the first byte was sent."""


class Side(Struct, frozen=True):
    """How one way of choosing models did on some prompts."""

    successes: int
    cost_nanousd: int


class Line(Struct, frozen=True, kw_only=True):
    """Both ways on the prompts of one tier, or on all."""

    tier: Tier | None
    """The expert's; None for all prompts."""
    prompts: int
    agreed: int
    """Where the classifier gave the expert's tier."""
    routed: Side
    strongest: Side

    @property
    def saved_nanousd(self) -> int:
        """Below zero when routing cost more."""
        return self.strongest.cost_nanousd - self.routed.cost_nanousd


class Trouble(Struct, frozen=True):
    """What went wrong on the way in one run, and was overcome or not."""

    attempts: int
    retries: int
    failovers: int
    unanswered: int


class Comparison(Struct, frozen=True, kw_only=True):
    """The whole result."""

    seed: int
    strongest_model: str
    lines: tuple[Line, ...]
    """By tier, dearest first."""
    total: Line
    overhead_us_median: float
    """Of the routed run: extracting, classifying, selecting."""
    routed_trouble: Trouble
    strongest_trouble: Trouble
    elsewhere: int
    """Prompts that even in the strongest run another model answered."""


def compare(routed: Sequence[Outcome], strongest: Sequence[Outcome], *, seed: int, strongest_model: str) -> Comparison:
    """Both runs side by side; they must be of the same prompts."""
    other = {outcome.prompt_id: outcome for outcome in strongest}
    pairs = [(outcome, other[outcome.prompt_id]) for outcome in routed]
    by_tier = {tier: [pair for pair in pairs if pair[0].label is tier] for tier in Tier}
    overheads = [outcome.overhead_us for outcome in routed if outcome.overhead_us is not None]
    return Comparison(
        seed=seed,
        strongest_model=strongest_model,
        lines=tuple(_line(tier, its) for tier, its in by_tier.items() if its),
        total=_line(None, pairs),
        overhead_us_median=median(overheads) if overheads else 0.0,
        routed_trouble=_trouble(routed),
        strongest_trouble=_trouble(strongest),
        elsewhere=sum(outcome.model not in (strongest_model, None) for outcome in strongest),
    )


def agreement(outcomes: Iterable[Outcome]) -> Mapping[Tier, Mapping[Tier, int]]:
    """How often the classifier gave which tier (inner) to prompts of which label (outer)."""
    counts = {label: dict.fromkeys(Tier, 0) for label in Tier}
    for outcome in outcomes:
        if outcome.guess is not None:
            counts[outcome.label][outcome.guess] += 1
    return counts


def _line(tier: Tier | None, pairs: Sequence[tuple[Outcome, Outcome]]) -> Line:
    return Line(
        tier=tier,
        prompts=len(pairs),
        agreed=sum(routed.guess is routed.label for routed, _ in pairs),
        routed=_side(routed for routed, _ in pairs),
        strongest=_side(strongest for _, strongest in pairs),
    )


def _side(outcomes: Iterable[Outcome]) -> Side:
    its = list(outcomes)
    return Side(sum(outcome.succeeded for outcome in its), sum(outcome.cost_nanousd for outcome in its))


def _trouble(outcomes: Sequence[Outcome]) -> Trouble:
    attempts = sum(outcome.attempts for outcome in outcomes)
    failovers = sum(outcome.failovers for outcome in outcomes)
    first_tries = sum(outcome.attempts > 0 for outcome in outcomes)
    return Trouble(
        attempts=attempts,
        retries=attempts - failovers - first_tries,
        failovers=failovers,
        unanswered=sum(outcome.answered_by is None for outcome in outcomes),
    )
