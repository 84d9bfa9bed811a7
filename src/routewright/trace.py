"""Where in a trace something is: W3C Trace Context, which HTTP carries in the headers `traceparent` and `tracestate`.

https://www.w3.org/TR/trace-context/ (level 1, which later levels can be read as).
"""

import re
from collections.abc import Mapping

from msgspec import Struct

MOST_STATE = 512
"""Characters of a `tracestate` that is passed on; a longer one is left out, as the standard allows."""
_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class SpanContext(Struct, frozen=True, gc=False):
    """A span as others name it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 of them."""
    is_sampled: bool
    """Whoever began the trace wants it kept."""
    state: str = ""
    """What other tracing systems say to themselves (`tracestate`)."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By which a server that is called knows whose child it is."""
        parent = f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"
        return {"traceparent": parent, "tracestate": self.state} if self.state else {"traceparent": parent}


def read_parent(parent: str, state: str = "") -> SpanContext | None:
    """The span that a client's headers name; None for what is not such a name: then a new trace begins."""
    match = _PARENT.fullmatch(parent)
    if match is None or (match[1] == "00" and match[5]):
        return None
    if len(state) > MOST_STATE or not (state.isascii() and state.isprintable()):
        state = ""
    return SpanContext(match[2], match[3], bool(int(match[4], 16) & 1), state)
