"""How much memory there may be, and who looks."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from routewright.gateway.memory import limit_bytes, resident_bytes, watch_memory
from routewright.gateway.overload import Work, Workload

MIB = 1024 * 1024
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def given(folder: Path, of_this: str, **limits: str) -> int:
    """The limit where the files say this."""
    (folder / "cgroup").write_text(of_this)
    for name, text in limits.items():
        path = folder / "groups" / name.replace("__", "/").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return limit_bytes(0, cgroups=folder / "groups", of_this=folder / "cgroup")


def test_r04_the_settings_come_first(tmp_path: Path) -> None:
    assert limit_bytes(7, cgroups=tmp_path, of_this=tmp_path / "none") == 7 * MIB


def test_r04_then_the_smallest_limit_of_the_groups_around_this_process(tmp_path: Path) -> None:
    limits = {"pods__one__memory_max": "max\n", "pods__memory_max": f"{64 * MIB}\n", "memory_max": f"{90 * MIB}\n"}
    assert given(tmp_path, "0::/pods/one\n", **limits) == 64 * MIB


def test_r04_also_in_version_1(tmp_path: Path) -> None:
    path = tmp_path / "groups/memory/pods/memory.limit_in_bytes"
    path.parent.mkdir(parents=True)
    path.write_text(str(32 * MIB))
    assert given(tmp_path, "12:memory:/pods\n3:cpu:/elsewhere\n") == 32 * MIB


def test_r04_then_what_the_machine_has(tmp_path: Path) -> None:
    assert limit_bytes(0, cgroups=tmp_path, of_this=tmp_path / "none") == MACHINE
    assert given(tmp_path, "0::/\n", memory_max="max\n") == MACHINE


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_r04_what_this_process_has_is_read() -> None:
    before = resident_bytes()
    assert before is not None
    ballast = bytearray(os.urandom(1)) * (64 * MIB)
    after = resident_bytes()
    assert after is not None
    assert len(ballast) * 0.9 < after - before < len(ballast) * 1.5


async def test_r04_memory_that_can_be_given_back_ends_nothing() -> None:
    workload, told = Workload(), [95, 80]

    def read() -> int | None:
        return told.pop(0) if told else None

    workload.admit("a", Work())
    async with asyncio.timeout(5):
        await watch_memory(workload, 100, read)
    workload.admit("a", Work())


async def test_r04_where_nobody_says_how_much_is_used_nothing_is_limited() -> None:
    async with asyncio.timeout(1):
        await watch_memory(Workload(), 1, lambda: None)
