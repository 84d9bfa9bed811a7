"""Drift: whether what a model does is still what it did in its reference window; a state machine for one stream.

A stream's first values are *pinned* as its reference. After that every value is a bet against "nothing has changed".
What is bet on are yes-or-no questions: for a rate, whether it went badly; for a quantity, whether it is beyond a mark
that the first part of the reference has set (its median, its outer tenths), so nothing is assumed of how it is spread.

With `k` times yes in the `n` values before, the chance of a yes is taken as `(k + 1) / (n + 1)`, and a bet on `tilt`
times the odds multiplies its stake by `(tilt if yes else 1) / (1 + (tilt - 1) * chance)`. At any moment this is at most
1 on average, if nothing has changed, whatever the true chance is and however short the reference. New stakes are laid
all the time, since nobody knows when a change begins: the sum of what became of them is an e-detector (Shin, Ramdas,
Rinaldo, 2024) of Shiryaev's and Roberts' kind, and all that is ever laid is the budget of false alarms. An alarm is
raised when what stands has reached 1. What that promises, with proof and figures: docs/decisions/0042-drift.md.

Evidence says that there is a change, and nothing of how large it is: where values hardly vary, a change of a third of a
per cent is soon beyond doubt. So marks are set further out by the smallest change that matters, and an alarm also wants
a mean that is so far from the reference's. The former asks another question of the same kind, the latter only withholds
alarms.
"""

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct, field

MONTH_NS = 30 * 86_400 * 10**9
"""What the false-alarm budget is for."""
FIRST_STAKE = 1 / 30
"""Of a stream's share of the budget, laid when its reference is complete: as much as in a day."""
BLOCK = 25
"""Values between two new stakes."""
RECENT_BLOCKS = 8
"""What "now" means: the latest 200 values."""
TILTS = (1.5, 2.2, 3.5, 10.0)
"""Changes that are bet on, as a ratio of odds; what lies between is found nearly as fast."""
RULER_SHARE = 5
"""A fifth of the reference sets the marks; the rest is counted by them."""
CLEARS_AT = math.log(10_000)
"""An alarm clears when the latest values are so much likelier as in the reference than as since the change."""
MOST_EVIDENCE = 10_000.0
"""Of one bet, while an alarm is withheld; as much speaks against an alarm when it clears."""
MOST_EXAMPLES = 5


class Quantity(StrEnum):
    """What is watched of a model."""

    SUCCESS = "success"
    """Whether an answer turned out well: feedback, checks, comparisons, judges."""
    FAILURES = "failures"
    """Attempts that the provider failed."""
    REFUSALS = "refusals"
    LENGTH = "length"
    """Tokens of a complete answer."""
    LATENCY = "latency"
    """Milliseconds of a complete answer."""
    COST = "cost"
    """Nano-USD of a complete answer, by kind of work."""

    @property
    def is_rate(self) -> bool:
        """Whether its values are 0 (well) and 1 (badly)."""
        return self in (Quantity.SUCCESS, Quantity.FAILURES, Quantity.REFUSALS)


class Seen(Struct, frozen=True, gc=False):
    """One value of a stream; 1 for what went badly and 0 for what went well, if it is a rate."""

    value: float
    at_ns: int
    request_id: str


class Rules(Struct, frozen=True, kw_only=True):
    """What the settings say of all streams."""

    reference: int
    """How many values are pinned."""
    deviation: float | None = None
    """The classic rule instead: how far the mean of the latest 200 values may be from the reference's, in points for a
    rate, as a share of it for a quantity. It promises nothing about false alarms."""
    smallest_change: float = 0.0
    """How far the mean must be from the reference's for an alarm of the sequential rule, in the alarm's direction and
    the unit of `deviation`; of a rate, twice as much is far enough. With 0 nothing is asked of the mean."""


class Summary(Struct, array_like=True):
    """Values, added up."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.n += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        """0 of nothing."""
        return self.total / self.n if self.n else 0.0

    def interval(self, *, is_rate: bool, z: float = 1.96) -> tuple[float, float]:
        """Where the true mean is, 95 % sure, by Wilson's score for a rate, by the normal approximation for others."""
        n, mean = max(1, self.n), self.mean
        if not is_rate:
            error = z * math.sqrt(max(0.0, self.squares / n - mean * mean) / n)
            return max(0.0, mean - error), mean + error
        middle, wide = mean + z * z / (2 * n), z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - wide) / scale), min(1.0, (middle + wide) / scale)


class Bet(Struct, array_like=True):
    """Stakes on one change of the answers to one question, and since when they have been winning."""

    tilt: float
    evidence: float = 0.0
    score: float = 0.0
    """Logarithm of how much likelier the values since `since_ns` are after this change."""
    since_ns: int = 0
    hits: int = 0
    values: Summary = field(default_factory=Summary)
    """Since `since_ns`."""

    def keep_what_counts(self) -> None:
        """Forget evidence that is beyond doubt, so that it neither grows without end nor long outlives the change."""
        if self.evidence > MOST_EVIDENCE:
            self.score -= math.log(self.evidence / MOST_EVIDENCE)
            self.evidence = MOST_EVIDENCE


class Question(Struct, array_like=True):
    """Is a value above (or below) a bound?"""

    bound: float
    is_above: bool
    hits: int = 0
    """Times yes, in the reference and since."""
    pinned_hits: int = 0
    """Of these, in the reference."""
    latest: list[str] = field(default_factory=list)
    """The requests of the latest ones."""
    bets: list[Bet] = field(default_factory=lambda: [Bet(tilt) for tilt in TILTS])

    def is_yes(self, one: Seen) -> bool:
        """The answer, noted with its example."""
        is_yes = one.value > self.bound if self.is_above else one.value < self.bound
        if is_yes:
            self.latest.append(one.request_id)
            del self.latest[:-MOST_EXAMPLES]
        return is_yes

    def play(self, one: Seen, counted: int, *, is_yes: bool) -> float:
        """Settle all bets by a value, after `counted` others; returns the evidence there is then."""
        fair, evidence = (self.hits + 1) / (counted + 1), 0.0
        self.hits += is_yes
        for bet in self.bets:
            factor = (bet.tilt if is_yes else 1.0) / (1.0 + (bet.tilt - 1.0) * fair)
            bet.evidence *= factor
            evidence += bet.evidence
            if bet.score <= 0:
                bet.score, bet.since_ns, bet.hits, bet.values = 0.0, one.at_ns, 0, Summary()
            bet.score += math.log(factor)
            bet.hits += is_yes
            bet.values.add(one.value)
        return evidence


class Share(Struct, frozen=True, array_like=True):
    """How often a question was answered with yes."""

    yes: int = 0
    of: int = 0

    @property
    def chance(self) -> float:
        """Of a yes; by Laplace's rule, so neither 0 nor 1."""
        return (self.yes + 1) / (self.of + 2)

    def plus(self, other: "Share") -> "Share":
        """Both together."""
        return Share(self.yes + other.yes, self.of + other.of)


class Alarm(Struct, frozen=True, kw_only=True):
    """A stream is not any more what it was."""

    raised_at_ns: int
    since_ns: int
    """When the change began, as it is estimated."""
    is_rise: bool
    reference: float
    """The mean of the reference, in the quantity's own unit."""
    now: float
    """The mean since the change."""
    low: float
    high: float
    """Where the true one is, 95 % sure."""
    values: int
    """Since the change."""
    likelihood_ratio: float | None
    """How much likelier these are after such a change; None by the classic rule, which does not know."""
    examples: tuple[str, ...]
    """Requests since then that show it."""
    question: int = 0
    """Which of the stream's questions is answered differently now."""


class Turn(Struct, frozen=True):
    """An alarm that was raised, or that is over."""

    alarm: Alarm
    cleared_at_ns: int | None = None


class Stream(Struct):
    """What is known of one quantity of one model; changed by `see` only."""

    quantity: Quantity
    ruler: list[float] = field(default_factory=list)
    """Values that will set the marks; empty when they have."""
    questions: list[Question] = field(default_factory=list)
    reference: Summary = field(default_factory=Summary)
    pinned_at_ns: int | None = None
    """When the reference was complete."""
    counted: int = 0
    """Values that the questions were asked of, in the reference and since."""
    pinned_counted: int = 0
    played: int = 0
    """Values since the reference, or since an alarm cleared."""
    staked_at_ns: int = 0
    recent: list[Summary] = field(default_factory=list)
    """The latest values by blocks, oldest first."""
    evidence: float = 0.0
    """An alarm is raised at 1; more than that without one: what has changed is too small to matter."""
    alarm: Alarm | None = None
    changed: Share = Share()
    """While there is an alarm: how its question is answered since the change, without `latest`."""
    latest: Share = Share()
    """The values that may be as in the reference again."""
    recovery: float = 0.0
    """Logarithm of how much likelier that is; the alarm clears at `CLEARS_AT`."""

    @property
    def now(self) -> Summary:
        """The latest values, some 200."""
        return _together(self.recent)

    def see(self, one: Seen, rules: Rules, budget_per_ns: float) -> Turn | None:
        """Take in the next value; returns the alarm that it raises, or clears.

        `budget_per_ns` is this stream's share of the false alarms that may be expected, in a nanosecond.
        """
        is_block_over = self._note(one.value)
        if self.pinned_at_ns is None:
            self._pin(one, rules)
            return None
        if rules.deviation is not None:
            return self._compare(one, rules.deviation) if is_block_over else None
        if self.alarm is not None:
            return self._recover(one, self.alarm)
        return self._bet(one, budget_per_ns, rules.smallest_change)

    # -- the reference

    def _pin(self, one: Seen, rules: Rules) -> None:
        self.reference.add(one.value)
        if not self.questions:
            self._rule(one.value, rules)
        else:
            self._count(one)
        if self.reference.n >= rules.reference and self.questions:
            for question in self.questions:
                question.pinned_hits = question.hits
            self.pinned_counted = self.counted
            self.pinned_at_ns = one.at_ns
            self.staked_at_ns = one.at_ns

    def _rule(self, value: float, rules: Rules) -> None:
        """Set the marks by which values are counted: at once for a rate, which has 0 and 1 only.

        They are moved outwards by the smallest change that matters. Where values hardly vary, a smaller one then moves
        none beyond a mark; where they vary much, it makes no difference.
        """
        if self.quantity.is_rate:
            self.questions = [Question(0.5, is_above=True, hits=int(value > 0.5))]
            self.counted = 1
            return
        self.ruler.append(value)
        if len(self.ruler) < max(10, rules.reference // RULER_SHARE):
            return
        low, median, high = (sorted(self.ruler)[len(self.ruler) * part // 10] for part in (1, 5, 9))
        more, less = 1 + rules.smallest_change, 1 - rules.smallest_change
        self.questions = [Question(median * more, is_above=True), Question(high * more, is_above=True)]
        if self.quantity is Quantity.LENGTH:  # where less is no good news either
            self.questions += [Question(median * less, is_above=False), Question(low * less, is_above=False)]
        self.ruler = []

    def _count(self, one: Seen) -> None:
        for question in self.questions:
            question.hits += question.is_yes(one)
        self.counted += 1

    def _note(self, value: float) -> bool:
        """Keep it among the latest; whether it ends a block."""
        if not self.recent or self.recent[-1].n == BLOCK:
            self.recent = [*self.recent[-(RECENT_BLOCKS - 1) :], Summary()]
        self.recent[-1].add(value)
        return self.recent[-1].n == BLOCK

    # -- sequential bets

    def _bet(self, one: Seen, budget_per_ns: float, smallest: float) -> Turn | None:
        if self.played % BLOCK == 0:
            self._stake(one.at_ns, budget_per_ns)
        self.played += 1
        self.evidence = sum(
            [question.play(one, self.counted, is_yes=question.is_yes(one)) for question in self.questions]
        )
        self.counted += 1
        if self.evidence < 1:
            return None
        place, question, bet = max(self._bets(), key=lambda found: found[2].score)
        if not self._matters(bet.values.mean, smallest, is_rise=question.is_above):
            self._withhold()
            return None
        low, high = bet.values.interval(is_rate=self.quantity.is_rate)
        self.alarm = Alarm(
            raised_at_ns=one.at_ns,
            since_ns=bet.since_ns,
            is_rise=question.is_above,
            reference=self.reference.mean,
            now=bet.values.mean,
            low=low,
            high=high,
            values=bet.values.n,
            likelihood_ratio=math.exp(min(bet.score, 700.0)),
            examples=tuple(question.latest[-bet.hits :]),
            question=place,
        )
        self.changed, self.latest, self.recovery = Share(bet.hits, bet.values.n), Share(), 0.0
        return Turn(self.alarm)

    def _stake(self, now_ns: int, budget_per_ns: float) -> None:
        """Lay what may be laid for the time since it was last done, in equal parts on all bets."""
        passed = MONTH_NS * FIRST_STAKE if not self.played else max(0, now_ns - self.staked_at_ns)
        self.staked_at_ns = max(self.staked_at_ns, now_ns)
        stake = budget_per_ns * passed / (len(self.questions) * len(TILTS))
        for _, _, bet in self._bets():
            bet.evidence += stake

    def _bets(self) -> Iterator[tuple[int, Question, Bet]]:
        for place, question in enumerate(self.questions):
            for bet in question.bets:
                yield place, question, bet

    def _matters(self, mean: float, smallest: float, *, is_rise: bool) -> bool:
        """Whether a mean is far enough from the reference's, in the direction of what is bet on.

        What went badly twice as often as before always is, however rare it was.
        """
        if not smallest:
            return True
        was = self.reference.mean
        moved = mean - was if is_rise else was - mean
        return moved >= (min(smallest, was) if self.quantity.is_rate else smallest * was)

    def _withhold(self) -> None:
        """Raise no alarm; the evidence stays, for the change may grow."""
        for _, _, bet in self._bets():
            bet.keep_what_counts()
        self.evidence = sum([bet.evidence for _, _, bet in self._bets()])

    def _recover(self, one: Seen, alarm: Alarm) -> Turn | None:
        """Weigh "as in the reference" against "as since the change", from where that speaks most for the reference.

        At its beginning a change looks larger than it is, so what it was goes on being learned.
        """
        question = self.questions[alarm.question]
        was, became = Share(question.pinned_hits, self.pinned_counted).chance, self.changed.chance
        is_yes = question.is_yes(one)
        self.latest = self.latest.plus(Share(int(is_yes), 1))
        self.recovery += math.log(was / became if is_yes else (1 - was) / (1 - became))
        if self.recovery <= 0:
            self.changed, self.latest, self.recovery = self.changed.plus(self.latest), Share(), 0.0
        return self._clear(one.at_ns, alarm) if self.recovery >= CLEARS_AT else None

    def _clear(self, now_ns: int, alarm: Alarm) -> Turn:
        """Go on from the reference as it was pinned."""
        self.alarm, self.evidence, self.recovery = None, 0.0, 0.0
        self.counted, self.played, self.staked_at_ns = self.pinned_counted, 0, now_ns
        for question in self.questions:
            question.hits = question.pinned_hits
            question.bets = [Bet(tilt) for tilt in TILTS]
        return Turn(alarm, cleared_at_ns=now_ns)

    # -- the classic rule

    def _compare(self, one: Seen, deviation: float) -> Turn | None:
        now, was, is_rate = self.now, self.reference.mean, self.quantity.is_rate
        if now.n < BLOCK * RECENT_BLOCKS:
            return None
        moved = now.mean - was if is_rate else (now.mean - was) / was if was else 0.0
        is_off = moved > deviation or (self.quantity is Quantity.LENGTH and -moved > deviation)
        if self.alarm is not None:
            return None if is_off else self._clear(one.at_ns, self.alarm)
        if not is_off:
            return None
        low, high = now.interval(is_rate=is_rate)
        self.alarm = Alarm(
            raised_at_ns=one.at_ns,
            since_ns=one.at_ns,
            is_rise=moved > 0,
            reference=was,
            now=now.mean,
            low=low,
            high=high,
            values=now.n,
            likelihood_ratio=None,
            examples=(one.request_id,),
        )
        return Turn(self.alarm)


def _together(parts: Sequence[Summary]) -> Summary:
    return Summary(
        sum(part.n for part in parts), sum(part.total for part in parts), sum(part.squares for part in parts)
    )
