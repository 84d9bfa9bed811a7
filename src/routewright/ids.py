"""Identifiers that we mint ourselves; no name a client sends is ever used as one."""

import re
from random import Random

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def uuid7(time_ns: int, random: Random) -> str:
    """A version 7 UUID (RFC 9562, section 5.7): sorts by time, to the millisecond.

    `time_ns` is UTC in nanoseconds since 1970. `random` must have been seeded by the operating system (as `Random()`
    is): the ids need to differ, not to be secret, and asking the kernel for each would cost more than all the rest.
    """
    milliseconds, chance = time_ns // 1_000_000 & 0xFFFF_FFFF_FFFF, random.getrandbits(80)
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - in half the time of any other way to write it
        milliseconds >> 16,
        milliseconds & 0xFFFF,
        chance >> 64 & 0xFFF,
        chance >> 48 & 0x3FFF | 0x8000,
        chance & 0xFFFF_FFFF_FFFF,
    )


def is_uuid7(text: str) -> bool:
    """Whether a text has the form of an id that `uuid7` mints."""
    return _UUID7.fullmatch(text) is not None
