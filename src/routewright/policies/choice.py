"""The policy of one call: what the kill switch leaves, what the caller names, what a flag says, else what is drawn.

No way of choosing ever fails a request: whatever is wrong, the base decides, and it is counted.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Call
from routewright.policies.rollout import Rollout

BASE = ""
"""No named policy."""


class Flagged(Struct, frozen=True):
    """What flags say for one call; the defaults stand for flags that say nothing."""

    is_on: bool = True
    """Off, the base decides."""
    policy: str = BASE
    """The policy to use; `BASE` leaves it to the shares."""
    shares: Mapping[str, float] | None = None
    """In place of those that are set; None leaves these."""


class Flags(Protocol):
    """Who knows what flags say. It answers at once: it is asked for every call, in the event loop."""

    def of(self, unit: str, call: Call) -> Flagged | None:
        """For a call that is drawn by `unit`; None when it cannot be found out."""
        ...

    def close(self) -> None:
        """Let go of what it has open."""
        ...


class Chooser:
    """Chooses for each call; of one snapshot."""

    def __init__(self, rollout: Rollout, *, is_off: bool, flags: Flags | None, fallbacks: Counter[str]) -> None:
        """`fallbacks` counts what the base had to decide because something was wrong, by what it was."""
        self._rollout = rollout
        self._is_off = is_off
        self._flags = flags
        self._fallbacks = fallbacks

    def choose(self, call: Call) -> str:
        """The name of the policy."""
        if self._is_off:
            return BASE
        rollout, named = self._rollout, call.options.policy
        if self._flags is None:
            return named or rollout.draw(rollout.unit(call)) or BASE
        unit = rollout.unit(call)
        flagged = self._flags.of(unit, call)
        if flagged is None:
            self._fallbacks["flags"] += 1
            return BASE
        if not flagged.is_on:
            return BASE
        if flagged.shares is not None:
            rollout = replace(rollout, shares=flagged.shares)
        return named or flagged.policy or rollout.draw(unit) or BASE
