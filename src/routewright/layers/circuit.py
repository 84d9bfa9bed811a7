"""Circuit: the health of a deployment, and whether a call may pass. Pure; the layer that keeps to it is `breaker`.

Faults that may be our side's are counted apart from the provider's. A 429 is a cooldown that the provider asked for,
not an illness.

    closed ─ TRIPPED ─► open ─ RESTED ─► half-open ─ PROVED ─► ramping ─ RAMPED ─► closed
                         ▲ ◄── TRIPPED ──┘                       │
                         └──────────────── TRIPPED ──────────────┘

Where every place of a route rests, refusing helps nobody: half of the answers are better than none, so all calls pass
there that have nobody else to ask. Only a place that is dead refuses them, one that has failed so often without an
answer that chance will not have it; it is probed once a second, whatever its rest is, and one answer brings it back.
Gateways that share a Redis rest together, and probe one at a time: see `hearsay`.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from random import Random

from msgspec import Struct

from routewright.dialects.provider_errors import LONGEST_PAUSE_S
from routewright.layers.hearsay import Finding, News

WINDOW_S = 30.0
MINIMUM_CALLS = 10
FAILURE_RATE = 0.5
FAILURES_IN_A_ROW = 5
DEAD_AFTER = 40
"""So many failures without an answer between them: at 80 % failures, that is one call in 38,000."""
FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
OUTAGE_REST_S = 1.0
"""The longest rest where nobody else is left: recovery is then found within two seconds."""
SUCCESSES_TO_PROVE = 3
RAMP_S = 3.0
"""How long the share of calls that is admitted grows, once the probes went well: a cold provider is not run over."""
FIRST_SHARE = 0.25
FEW_FAILURES = 0.1
"""Up to this share, a deployment does well."""
OVERLOADED_S = 10.0
"""So long after a 429 it does not."""
TURN_PAUSE_S = 0.1
"""So long after another gateway was found to probe, its turn is not asked for again."""
MAX_SAMPLES = 1000
"""The window's memory; beyond it the oldest call is forgotten early."""


class State(StrEnum):
    """Where a circuit is."""

    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """It rests; the first call after that is the probe."""
    HALF_OPEN = "half_open"
    """Probed by one call at a time."""
    RAMPING = "ramping"
    """Probes went well; a growing share of the calls passes."""


class Change(StrEnum):
    """What moves a circuit from one state to another."""

    TRIPPED = "tripped"
    RESTED = "rested"
    PROVED = "proved"
    RAMPED = "ramped"


TRANSITIONS: Mapping[tuple[State, Change], State] = {
    (State.CLOSED, Change.TRIPPED): State.OPEN,
    (State.OPEN, Change.RESTED): State.HALF_OPEN,
    (State.HALF_OPEN, Change.PROVED): State.RAMPING,
    (State.HALF_OPEN, Change.TRIPPED): State.OPEN,
    (State.RAMPING, Change.TRIPPED): State.OPEN,
    (State.RAMPING, Change.RAMPED): State.CLOSED,
}
"""All there are; any other is a bug, and a KeyError."""


class Origin(StrEnum):
    """Where a failure comes from, as far as one can tell from here."""

    LOCAL = "could not be reached"
    """No connection, no name, no trust: as likely our network as theirs."""
    PROVIDER = "failed"
    """It was reached, and did not do it."""
    SLOW = "was far slower than its siblings"
    """It does it, and others do it better."""


class Pass(Struct, frozen=True):
    """A call was admitted; what becomes of it is told by this."""

    opening: int
    """How often the circuit had opened by then: what a call from before that met says nothing about now."""
    is_probe: bool = False


class Circuit:
    """The health of one deployment with one credential. `now` is in monotonic seconds, and never goes back."""

    def __init__(self, random: Random, uncalm: Callable[[], object] = bool) -> None:
        """`uncalm` is called when it takes calls no more, or not all of them, until it is calm again."""
        self.state = State.CLOSED
        self.why = ""
        """What opened it last, in words."""
        self._random = random
        self._uncalm = uncalm
        self._samples: deque[tuple[float, Origin | None]] = deque(maxlen=MAX_SAMPLES)
        self._failed_in_a_row: Counter[Origin] = Counter()
        self._unanswered = 0
        """How many calls failed since the last answer began, whenever they were admitted."""
        self._succeeded_at: float | None = None
        self._overloaded_at = float("-inf")
        self._openings_in_a_row = 0
        self._opened_at = 0.0
        self._rests_until = 0.0
        self._cools_until = 0.0
        self._ramping_since = 0.0
        self._closed_at = float("-inf")
        self._probe: Pass | None = None
        self._probed_at = 0.0
        self._probes_succeeded = 0
        self._fell_silent = False
        """That opened it: silence within answers."""
        self._usual = Pass(0)
        self._opened_by: Origin | None = None
        """Of the failure that opened it last; None where another gateway met it."""
        self._is_proved_here = False
        self._pauses = 0
        self._pause_until = 0.0
        self._others_turn_until = 0.0

    def admit(self, now: float, *, is_only: bool = False) -> Pass | None:
        """Leave for one call to pass, or None. `is_only`: there is nobody else to ask."""
        if now < self._cools_until:
            return None
        if self.state is State.CLOSED or (self.state is State.RAMPING and self._ramp(now, is_only)):
            return self._usual
        if self.state is not State.RAMPING and self._may_probe(now, is_only):
            return self._begin_probe(now)
        return self._usual if is_only and not self.is_dead else None

    @property
    def is_dead(self) -> bool:
        """Whether it answers nothing at all, as far as one can tell: even those are refused who have nobody else."""
        return self._unanswered >= DEAD_AFTER

    def _may_probe(self, now: float, is_only: bool) -> bool:
        if now < max(self._wakes_at(is_only), self._others_turn_until):
            return False
        return self._probe is None or (is_only and self._is_probe_late(now))

    def _begin_probe(self, now: float) -> Pass:
        if self.state is State.OPEN:
            self._change(Change.RESTED)
        self._probe, self._probed_at = Pass(self._usual.opening, is_probe=True), now
        return self._probe

    def is_calm(self, now: float) -> bool:
        """Whether it takes calls, and nothing is being found out about it: of most circuits, most of the time."""
        return self.state is State.CLOSED and self._probe is None and now >= self._cools_until

    def cools_for_s(self, now: float) -> float:
        """How long the pause lasts that the provider asked for, in seconds; 0 when it is over."""
        return max(0.0, self._cools_until - now)

    def rests_for_s(self, now: float, *, is_only: bool = False) -> float:
        """How long calls are still refused after failures, in seconds; 0 when one may pass, or some of them do."""
        if self.state is State.OPEN:
            return max(0.0, self._wakes_at(is_only) - now)
        return 0.0 if self._probe is None else FIRST_REST_S

    def is_proven(self, now: float) -> bool:
        """Whether it does well: the last that was heard is a success, few calls failed, and none was too many."""
        if self._succeeded_at is None or self.state is not State.CLOSED or self._failed_in_a_row:
            return False
        if now - self._succeeded_at > WINDOW_S or now - self._overloaded_at <= OVERLOADED_S:
            return False
        calls = self._calls(now)
        return calls.total() - calls[None] <= FEW_FAILURES * calls.total()

    def is_current(self, passed: Pass) -> bool:
        """Whether a call was admitted after the last opening: what others meet says nothing of how it is now."""
        return passed.opening == self._usual.opening

    def answered(self, passed: Pass, now: float) -> None:
        """A call's first event has come: enough for a probe, which need not be waited for to its end.

        Unless silence within answers opened the circuit: that may come again.
        """
        self._unanswered = 0
        if passed.opening == self._usual.opening:
            self._succeeded_at = now
        if passed.is_probe and not self._fell_silent:
            self._probed_well(passed, now)

    def _probed_well(self, passed: Pass, now: float) -> None:
        if self.state is not State.HALF_OPEN or not passed.is_probe or not self.is_current(passed):
            return
        self._probe = None
        self._probes_succeeded += 1
        if self._probes_succeeded >= SUCCESSES_TO_PROVE:
            self._prove(now)
            self._is_proved_here = True

    def succeeded(self, passed: Pass, now: float, *, is_stream: bool = True) -> None:
        """A call went well to its end.

        What came whole shows nothing of silence within answers, and is only listened to if no stream comes.
        """
        if passed.opening == self._usual.opening:
            self._succeeded_at = now
            self._samples.append((now, None))
            if self._failed_in_a_row:
                self._failed_in_a_row.clear()
        if not passed.is_probe:
            return
        if self._fell_silent and (is_stream or now >= self._rests_until + WINDOW_S):
            self._probed_well(passed, now)
        else:
            self.gave_no_verdict(passed)

    def failed(
        self,
        passed: Pass,
        now: float,
        origin: Origin = Origin.PROVIDER,
        *,
        is_lasting: bool = False,
        fell_silent: bool = False,
    ) -> None:
        """A call met the deployment's own failure; a lasting one is enough by itself.

        `fell_silent`: the answer had begun, and did not go on.
        """
        if origin is not Origin.SLOW:
            self._unanswered = DEAD_AFTER if is_lasting else self._unanswered + 1
        if not self.is_current(passed) or self.state is State.OPEN:
            return
        if self.state is State.HALF_OPEN and passed is not self._probe:
            return
        self._samples.append((now, origin))
        self._failed_in_a_row[origin] += 1
        if origin is Origin.PROVIDER:
            self._failed_in_a_row.pop(Origin.LOCAL, None)  # it was reached
        self._end_ramp(now)
        why = self._trips(now, origin, is_lasting)
        if why:
            self._open(now, why, origin)
            self._fell_silent = fell_silent

    def cooled(self, passed: Pass, now: float, pause_s: float) -> None:
        """The provider asked for a pause; if it did not say how long, that is 0 s."""
        if pause_s > 0:
            self._pauses += 1
            self._pause_until = now + pause_s
        self._cool(now, pause_s)
        self.gave_no_verdict(passed)

    def gave_no_verdict(self, passed: Pass) -> None:
        """A call ended without saying anything about health; if it was the probe, the next call is the probe."""
        if passed is self._probe:
            self._probe = None

    def _is_probe_late(self, now: float) -> bool:
        """Whether the probe has been out for so long that another may see: it may hang where nothing hangs any more."""
        return now - self._probed_at >= OUTAGE_REST_S

    def is_anothers_turn(self, passed: Pass, now: float) -> None:
        """The call was to be a probe, and another gateway probes just now."""
        self._others_turn_until = now + TURN_PAUSE_S
        self.gave_no_verdict(passed)

    @property
    def is_probed(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None

    def findings(self, now: float) -> Iterator[Finding]:
        """What was found here and holds still, for other gateways."""
        if self.state is State.OPEN and self._opened_by is Origin.PROVIDER and now < self._rests_until:
            yield Finding(News.RESTS, self._usual.opening, self._rests_until - now, self.why)
        ramps_until = self._ramping_since + RAMP_S
        if self.state is State.RAMPING and self._is_proved_here and now < ramps_until:
            yield Finding(News.PROVED, self._usual.opening, ramps_until - now)
        if now < self._pause_until:
            yield Finding(News.COOLS, self._pauses, self._pause_until - now)

    def heard(self, finding: Finding, now: float) -> None:
        """Another gateway found something; what is being found out here just now is waited for."""
        if finding.news is News.COOLS:
            self._cool(now, min(finding.lasts_s, LONGEST_PAUSE_S))
        elif self._probe is not None:
            return
        elif finding.news is News.RESTS:
            until = now + min(finding.lasts_s, LONGEST_REST_S)
            if self.state is not State.OPEN:
                self._rest(now, until, f"{finding.why}, as another gateway met", None)
            self._rests_until = max(self._rests_until, until)
        elif self.state in (State.OPEN, State.HALF_OPEN) and self._opened_by not in (Origin.LOCAL, Origin.SLOW):
            if self.state is State.OPEN:
                self._change(Change.RESTED)
            self._prove(now)
            self._is_proved_here = False

    def _cool(self, now: float, pause_s: float) -> None:
        self._overloaded_at = now
        self._cools_until = max(self._cools_until, now + pause_s)
        self._uncalm()

    def _prove(self, now: float) -> None:
        self._change(Change.PROVED)
        self._ramping_since = now
        self._samples.clear()
        self._failed_in_a_row.clear()

    def _wakes_at(self, is_only: bool) -> float:
        if self.state is State.HALF_OPEN:
            return 0.0  # between two probes
        return min(self._rests_until, self._opened_at + OUTAGE_REST_S) if is_only else self._rests_until

    def _ramp(self, now: float, is_only: bool) -> bool:
        """Whether a call is in the share that passes already."""
        self._end_ramp(now)
        if self.state is State.CLOSED or is_only:
            return True
        share = FIRST_SHARE + (1 - FIRST_SHARE) * (now - self._ramping_since) / RAMP_S
        return self._random.random() < share

    def _end_ramp(self, now: float) -> None:
        if self.state is State.RAMPING and now - self._ramping_since >= RAMP_S:
            self._change(Change.RAMPED)
            self._closed_at = now

    def _trips(self, now: float, origin: Origin, is_lasting: bool) -> str:
        """Why the circuit is to open after a failure; empty if it is not."""
        if is_lasting:
            return f"it {origin} in a way that lasts"
        if self.state is not State.CLOSED:
            return f"it {origin} again"
        if self._failed_in_a_row[origin] >= FAILURES_IN_A_ROW:
            return f"it {origin} {FAILURES_IN_A_ROW} times in a row"
        calls = self._calls(now)
        failures = calls.total() - calls[None]
        if calls.total() < MINIMUM_CALLS or failures < FAILURE_RATE * calls.total():
            return ""
        return ", ".join(f"it {each} in {calls[each]} of {calls.total()} calls" for each in Origin if calls[each])

    def _calls(self, now: float) -> Counter[Origin | None]:
        """The calls of the window by what they met."""
        while self._samples and self._samples[0][0] < now - WINDOW_S:
            self._samples.popleft()
        return Counter(sample for _, sample in self._samples)

    def _open(self, now: float, why: str, origin: Origin) -> None:
        # One that flaps has not recovered: the rest goes on growing unless it was well for a whole window.
        # Who was dead and is slow now has recovered from that: it is the crowd that waited for it.
        is_same = (origin is Origin.SLOW) is (self._opened_by is Origin.SLOW)
        is_relapse = is_same and (self.state is not State.CLOSED or now - self._closed_at < WINDOW_S)
        self._openings_in_a_row = self._openings_in_a_row + 1 if is_relapse else 0
        longest_s = min(LONGEST_REST_S, FIRST_REST_S * 2 ** min(self._openings_in_a_row, 10))
        self._rest(now, now + longest_s * self._random.uniform(0.5, 1), why, origin)

    def _rest(self, now: float, until: float, why: str, origin: Origin | None) -> None:
        self._change(Change.TRIPPED)
        self.why = why
        self._opened_by = origin
        self._opened_at = now
        self._rests_until = until
        self._probe = None
        self._probes_succeeded = 0
        self._fell_silent = False
        self._usual = Pass(self._usual.opening + 1)
        self._uncalm()

    def _change(self, change: Change) -> None:
        self.state = TRANSITIONS[self.state, change]
