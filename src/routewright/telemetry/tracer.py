"""Begins and ends spans: which trace they are in, whether they are kept, how long they took."""

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from routewright.clock import Clock
from routewright.ledger.ledger import NANOSECONDS
from routewright.telemetry.exporter import Exporter
from routewright.telemetry.otlp import Kind, Span, Value, encode_span
from routewright.trace import SpanContext

_NO_PARENT = SpanContext("", "", is_sampled=False)


class OpenSpan(Struct, frozen=True):
    """One that is not over."""

    context: SpanContext
    parent_id: str
    began_ns: int
    """UTC; how long it takes is measured by the other clock."""
    began_at: float


class Tracer:
    """Follows whoever began a trace in whether it is kept; of those begun here, a share is."""

    def __init__(
        self, exporter: Exporter, clock: Clock, random: Random, *, share: float, logs_content: bool = False
    ) -> None:
        """`share` is from 0 to 1; with `logs_content`, what is asked and answered is in the spans."""
        self.logs_content = logs_content
        self._exporter = exporter
        self._clock = clock
        self._random = random
        self._share = share

    def begin(self, parent: SpanContext | None) -> OpenSpan:
        """Begin a child, or a trace."""
        if parent is None:
            trace_id, is_sampled = self._id(128), self._random.random() < self._share
            parent = _NO_PARENT
        else:
            trace_id, is_sampled = parent.trace_id, parent.is_sampled
        context = SpanContext(trace_id, self._id(64), is_sampled, parent.state)
        return OpenSpan(context, parent.span_id, self._clock.time_ns(), self._clock.monotonic())

    def end(
        self,
        span: OpenSpan,
        *,
        name: str,
        kind: Kind,
        attributes: Sequence[tuple[str, Value]],
        is_error: bool,
    ) -> None:
        """End it now, and have it sent."""
        took_ns = int((self._clock.monotonic() - span.began_at) * NANOSECONDS)
        over = Span(
            context=span.context,
            parent_id=span.parent_id,
            name=name,
            kind=kind,
            start_ns=span.began_ns,
            end_ns=span.began_ns + took_ns,
            attributes=attributes,
            is_error=is_error,
        )
        self._exporter.add(encode_span(over))

    def _id(self, bits: int) -> str:
        """Random, and not all zeros, which would be none."""
        return f"{self._random.getrandbits(bits) or 1:0{bits // 4}x}"
