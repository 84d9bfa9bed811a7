"""Memory: how much of it this process has, and how much it may have.

The limit is that of the settings; else the container's (cgroup), and the machine's where there is none. Without
`/proc`, where nobody says what a process has now (only the most it ever had), nothing is limited.
"""

import asyncio
import ctypes
import logging
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from routewright.gateway.overload import REFUSE_AT, Workload

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
_MIB = 1024 * 1024
_STATM = Path("/proc/self/statm")
_CGROUPS = Path("/sys/fs/cgroup")
_OF_THIS = Path("/proc/self/cgroup")


def resident_bytes() -> int | None:
    """What of this process is in memory; None where that is not told."""
    try:
        return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def limit_bytes(settings_mb: int, *, cgroups: Path = _CGROUPS, of_this: Path = _OF_THIS) -> int:
    """How much it may be; `settings_mb` of 0 for what the container or the machine has."""
    if settings_mb:
        return settings_mb * _MIB
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits(cgroups, of_this)])


def _cgroup_limits(cgroups: Path, of_this: Path) -> list[int]:
    """Of the group of this process and all above it: version 2, else version 1; none where nothing is said."""
    try:
        lines = of_this.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            root, name = (cgroups / controllers), ("memory.limit_in_bytes" if controllers else "memory.max")
            own = root / group.strip("/")
            limits += [_number(folder / name) for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return [limit for limit in limits if limit is not None]


def _number(path: Path) -> int | None:
    """The number in a file; None for `max`, or where there is no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def give_back() -> None:
    """Have the allocator return what it keeps for later; only glibc's can be told to, and keeps up to a tenth."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def watch_memory(workload: Workload, limit: int, read: Callable[[], int | None] = resident_bytes) -> None:
    """Have the workload kept within `limit` bytes, for as long as it is awaited, or until nobody says what is used."""
    give_back()  # what starting took
    while (used := read()) is not None:
        if used >= REFUSE_AT * limit:
            give_back()
            used = read() or used
        if ended := workload.weigh(used, limit):
            log.error(
                "%d of %d MiB of memory are used: ended the %d largest requests", used // _MIB, limit // _MIB, ended
            )
        await asyncio.sleep(LOOK_EVERY_S)
