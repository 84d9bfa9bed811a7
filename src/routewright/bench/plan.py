"""How much is measured: the sizes behind every figure. All of them are bounds, so a run ends by itself."""

from enum import StrEnum
from typing import Annotated, Self

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]


class Part(StrEnum):
    """What can be measured on its own."""

    DECISION = "decision"
    """Deciding alone: no socket, no file."""
    START = "start"
    """Starting Python with routewright in it."""
    GATEWAY = "gateway"
    """The gateway beside the floor, and beside nginx where it is installed."""
    CONFIGURATIONS = "configurations"
    """The gateway with less, and with more, of what it does."""
    OPEN = "open"
    """Many streams that are open at once."""
    WORKERS = "workers"
    """Two processes against one."""
    LIBRARY = "library"
    """Asking from Python."""


class Plan(Struct, frozen=True, kw_only=True):
    """Sizes of a run; the default one takes about five minutes."""

    parts: frozenset[Part] = frozenset(Part)
    rounds: Count = 5
    decisions: Count = 2_000
    """Per round."""
    requests: Count = 2_000
    """Of 1 KB, per round and side."""
    large_requests: Count = 500
    """Of 32 KB, per round and side."""
    streams: Count = 128
    """Of each length, per round and side."""
    paced_requests: Count = 500
    """For the latency figures, per round, side and kind of upstream."""
    paced_per_s: Count = 200
    delayed_streams: Count = 32
    """At once, for the delay of chunks, per round and side."""
    open_streams: Count = 5_000
    """At once, with a chunk each second."""
    open_s: Count = 8
    """How long they are looked at."""
    concurrency: Count = 64
    patience_s: float = 60.0
    """No load of one round may take longer."""

    @classmethod
    def quick(cls) -> Self:
        """For a first impression, in about two minutes."""
        return cls(
            rounds=3,
            decisions=500,
            requests=500,
            large_requests=200,
            streams=64,
            paced_requests=200,
            open_streams=500,
            open_s=3,
        )
