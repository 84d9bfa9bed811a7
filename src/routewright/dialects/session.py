"""Which conversation a request belongs to, when its client says so.

A name only groups requests, so that a conversation's warm prefix is found again: nobody is billed, limited or let in by
it. It may be a person's id, so it is hashed where it is read and goes no further.
"""

from hashlib import blake2b

from routewright.call import JsonObject

OPENAI_FIELDS = ("prompt_cache_key", "previous_response_id")
"""The second names a turn, not a conversation: only requests that go on from the same turn share it."""
ANTHROPIC_FIELDS = ("metadata.user_id",)

MAX_NAME_CHARS = 512
"""Claude Code's `metadata.user_id`, the longest name in common use, has some 200."""


def hashed_session(name: object) -> str:
    """`Call.session` for a client's name of it: 32 hex digits; empty for what is no name.

    A name is 1 to `MAX_NAME_CHARS` printable ASCII characters.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        return ""
    if not (name.isascii() and name.isprintable()):
        return ""
    return blake2b(name.encode(), digest_size=16, person=b"named").hexdigest()


def session_in(fields: JsonObject, names: tuple[str, ...]) -> str:
    """`Call.session` by the first of these fields that has a name in it; `a.b` is the field `b` in the object `a`."""
    for name in names:
        outer, _, inner = name.partition(".")
        value = fields.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        if session := hashed_session(value):
            return session
    return ""
