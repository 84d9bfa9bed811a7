"""Regular expressions that are not ours: of a price document, or of whatever else a file or a caller brings.

They are run by RE2, whose time is linear in the text whatever the pattern, so that none of them can stand still; ours,
which are literals in the code, are run by `re`. RE2 is imported with the first pattern that there is: `import
routewright`, and a start without such patterns, do without it.
"""

from collections.abc import Callable
from typing import TypeAlias

MOST_BYTES = 1024
"""Of a pattern, in UTF-8."""
MOST_PROGRAM_BYTES = 256 * 1024
"""Of what RE2 makes of it: a few characters can stand for very many states, as a thousand letters of any script do."""
MOST_SHOWN = 80
"""Characters of it, in an error."""

Search: TypeAlias = Callable[[str], bool]
"""Whether a pattern has a match anywhere in a text."""


class PatternRefused(ValueError):
    """A pattern that cannot be taken; the message starts with the place where it stands."""


def read_pattern(pattern: str, place: str) -> Search:
    """What looks for a pattern of RE2's syntax; raises PatternRefused, whose message starts with `place`.

    Of look-around, which RE2 does not have, one form is understood, since price documents use it: `^(?!…)` as a whole
    pattern says that a text does not begin with a match of what is inside.
    """
    import re2

    options = re2.Options()
    options.max_mem = MOST_PROGRAM_BYTES
    options.log_errors = False  # it would write to stderr by itself
    is_denial = pattern.startswith("^(?!") and pattern.endswith(")")
    try:
        if len(pattern.encode()) > MOST_BYTES:
            raise _refused(pattern, place, f"it is over {MOST_BYTES:,} bytes")
        found = re2.compile(pattern[4:-1] if is_denial else pattern, options)
    except UnicodeEncodeError as error:
        raise _refused(pattern, place, "it is no text in UTF-8") from error
    except re2.error as error:
        told = error.args[0].decode(errors="replace")
        raise _refused(pattern, place, f"{told}; RE2's syntax has no look-around and no back-references") from error
    if is_denial:
        return lambda text: found.match(text.encode(errors="replace")) is None
    return lambda text: found.search(text.encode(errors="replace")) is not None


def _refused(pattern: str, place: str, why: str) -> PatternRefused:
    shown = pattern if len(pattern) <= MOST_SHOWN else f"{pattern[:MOST_SHOWN]}..."
    return PatternRefused(f"{place}: the pattern {shown!r} cannot be taken: {why}")
