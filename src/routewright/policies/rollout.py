"""Who gets which policy: shares of the requests, drawn by a hash of the session or the key, so that each keeps its own.

Policies are asked in their order, and each draws with a hash of its own from those whom none before it has taken: with
shares of 10 and 30 percent, the first takes a tenth of all, the second a third of the other nine tenths. So

* a policy whose share grows keeps all that it has;
* nobody leaves the base for a policy that has not grown, but for as many as fill up what a grown one took of it;
* one that is last in the order takes from the base alone; so does one that is new there.

No fixed rule can do without the second line for three policies: which of them a bucket goes to would have to follow
from each share alone, and then two that have half each would have the same half.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from routewright.call import Call
from routewright.decision.session import opening_of

ALL = 100.0
"""Shares are in percent."""


class Rollout(Struct, frozen=True):
    """Shares of named policies; the base has the rest."""

    shares: Mapping[str, float] = {}
    """In percent of all, together at most 100; those before keep what they have."""
    by: Literal["session", "key"] = "session"

    def draw(self, unit: str) -> str | None:
        """The policy of a session or key; None for the base."""
        left = ALL
        for name, share in self.shares.items():
            if share and _drawn(name, unit) * left < share:
                return name
            left -= share
        return None

    def unit(self, call: Call) -> str:
        """What a call is drawn by.

        A call that says no session is known by how its conversation begins, and a conversation keeps its policy so;
        a call without a key is drawn by its session.
        """
        if self.by == "key" and call.tenant.key:
            return call.tenant.key
        return call.session or opening_of(call)


def _drawn(name: str, unit: str) -> float:
    """A number from [0, 1), the same for ever for one unit and policy."""
    digest = blake2b(f"{name}\0{unit}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
