"""Anthropic's `cache_control`, which clients of OpenAI's dialect send as well, where a gateway is known to read it."""

from routewright.call import CacheMark, JsonObject
from routewright.dialects.fields import mapping, wrong

KEY = "cache_control"


def read_mark(fields: JsonObject, at: str) -> CacheMark | None:
    """The mark on these fields, if there is one. Raises InvalidRequest."""
    control = mapping(fields, KEY, at)
    if control is None:
        return None
    lifetime = control.get("ttl")
    if lifetime not in (None, "5m", "1h"):
        raise wrong(f"{at}{KEY}.ttl", '"5m" or "1h"', lifetime)
    return CacheMark(lifetime or "5m")


def write_mark(mark: CacheMark) -> JsonObject:
    """Its `cache_control`."""
    return {"type": "ephemeral"} if mark.lifetime == "5m" else {"type": "ephemeral", "ttl": mark.lifetime}
