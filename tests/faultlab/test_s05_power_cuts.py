"""S05: power cuts lose nothing that was promised. `ROUTEWRIGHT_CUTS=10000 pytest tests/faultlab/test_s05_power_cuts.py`
makes more of them than the default."""

import os
from pathlib import Path
from random import Random

import pytest

from routewright.proofs.power import Content, Disk, Power, Truncation, Write
from routewright.proofs.power_cuts import Lost, cut_power

CUTS = int(os.environ.get("ROUTEWRIGHT_CUTS", "300"))
SEED = 20261126


def test_s05_no_promised_event_is_lost_doubled_or_changed_and_none_invented() -> None:
    tally = cut_power(CUTS, SEED)
    assert tally.cuts == CUTS
    assert tally.promised > 100, "there was something to lose"
    assert tally.survived_unpromised, "of the rest some survived, and some did not"
    assert tally.crashed, "cuts came between hold and settlement"
    assert tally.while_opening, "and during recovery"


class LyingFiles(Disk):
    """A disk that says so and does nothing, for the journal's own files."""

    def sync(self, fd: int, /) -> None:
        pass


class NamelessDisk(Disk):
    """A disk on which nobody syncs a directory."""

    def sync_names(self, directory: Path) -> None:
        pass


@pytest.mark.parametrize("disk", [LyingFiles, NamelessDisk])
def test_a_disk_that_does_not_keep_its_word_is_found_out(disk: type[Disk]) -> None:
    with pytest.raises(Lost, match=r"lost|changed"):  # whichever comes first
        cut_power(200, SEED, disk=disk)


# ---- the disk itself


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "disk", Random(1))


def test_without_luck_only_what_was_synced_survives(disk: Disk) -> None:
    disk.root.mkdir()
    path = disk.root / "a"
    fd = disk.create(path, 4)
    disk.write(fd, b"kept", 0)
    disk.sync(fd)
    disk.write(fd, b"lost", 4)
    disk.rename(path, disk.root / "b")
    disk.cut(512, share=0)
    assert [(file.name, file.read_bytes()) for file in disk.root.iterdir()] == [("a", b"kept")]


def test_with_luck_everything_survives(disk: Disk) -> None:
    disk.root.mkdir()
    fd = disk.create(disk.root / "a", 4)
    disk.write(fd, b"x" * 2000, 0)
    disk.truncate(fd, 1500)
    disk.rename(disk.root / "a", disk.root / "b")
    disk.unlink(disk.root / "b")
    disk.close(disk.create(disk.root / "c", 2))
    disk.cut(512, share=1)
    assert [(file.name, file.read_bytes()) for file in disk.root.iterdir()] == [("c", bytes(2))]


def test_a_later_write_to_a_sector_never_survives_without_an_earlier_one() -> None:
    seen = set()
    for seed in range(200):
        content = Content(bytes(1024))
        content.on_its_way += [Write(0, b"a" * 512), Write(512, b"b" * 512), Write(0, b"c" * 512)]
        found = content.after_cut(Random(seed), 512, 0.5)
        seen.add((found[511:512], found[1023:]))
    assert seen == {(first, second) for first in (b"\0", b"a", b"c") for second in (b"\0", b"b")}


def test_a_file_may_be_as_long_as_before_or_after_it_was_cut_off() -> None:
    sizes = set()
    for seed in range(20):
        content = Content(bytes(1024))
        content.on_its_way.append(Truncation(100))
        sizes.add(len(content.after_cut(Random(seed), 512, 0.5)))
    assert sizes == {100, 1024}


def test_nothing_happens_any_more_once_the_power_is_off(disk: Disk) -> None:
    disk.root.mkdir()
    fd = disk.create(disk.root / "a", 0)
    disk.power = Power(left=2)
    disk.write(fd, b"1", 0)
    for _ in range(2):
        with pytest.raises(OSError, match="power"):
            disk.write(fd, b"2", 0)
    disk.cut(512, share=1)
    assert (disk.root / "a").read_bytes() == b"1"
