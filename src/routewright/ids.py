"""Identifiers that we mint ourselves; no name a client sends is ever used as one."""

import re
from random import Random

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def uuid7(time_ns: int, random: Random) -> str:
    """A version 7 UUID (RFC 9562, section 5.7): sorts by time, to the millisecond.

    `time_ns` is UTC in nanoseconds since 1970. `random` must have been seeded by the operating system (as `Random()`
    is): the ids need to differ, not to be secret, and asking the kernel for each would cost more than all the rest.
    """
    value = (time_ns // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid7(text: str) -> bool:
    """Whether a text has the form of an id that `uuid7` mints."""
    return _UUID7.fullmatch(text) is not None
