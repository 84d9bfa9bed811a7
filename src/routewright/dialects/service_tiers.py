"""Service tiers: what providers call the ways in which a request can be served, in the one form that prices have."""

from routewright.catalog.pricing import ANY_TIER, BATCH

_USUAL = frozenset({"", "default", "standard", "standard_only", "on_demand"})
"""What providers call the usual way."""


def told(tier: object) -> str:
    """The tier that an answer says it was served in; empty for the usual way, and when it does not say.

    `auto` in an answer is the wish again and tells nothing.
    """
    return "" if not isinstance(tier, str) or tier in _USUAL or tier == ANY_TIER else tier[:64]


def wished(tier: object) -> str:
    """The tier that a request asks for; empty for the usual way. Nobody gets a batch by asking for it."""
    if not isinstance(tier, str) or tier in _USUAL:
        return ""
    return ANY_TIER if tier == BATCH else tier[:64]
