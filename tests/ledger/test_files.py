import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

import pytest

from routewright.ledger import files
from routewright.ledger.files import OsFiles


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories whose names were made durable, in order."""
    found: list[Path] = []
    monkeypatch.setattr(files, "sync_directory", found.append)
    return found


def test_a_new_directory_and_those_above_it_are_durable(tmp_path: Path, synced: list[Path]) -> None:
    OsFiles().make_directory(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_directory_that_is_there_is_made_durable_all_the_same(tmp_path: Path, synced: list[Path]) -> None:
    OsFiles().make_directory(tmp_path)
    assert synced == [tmp_path.parent]


def test_a_new_file_has_its_room_and_a_durable_name(tmp_path: Path, synced: list[Path]) -> None:
    path = tmp_path / "1.log"
    fd = OsFiles().create(path, 5000)
    assert synced == [tmp_path]
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (5000, 0o600)
    assert path.stat().st_blocks * 512 >= 5000
    assert os.pwrite(fd, b"x", 0) == 1
    os.close(fd)
    with pytest.raises(FileExistsError):
        OsFiles().create(path, 5000)


def test_a_file_that_cannot_be_made_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    close = os.close

    def closing(fd: int) -> None:
        closed.append(fd)
        close(fd)

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(os, "close", closing)
    with pytest.raises(OSError, match="no room"):
        OsFiles().create(tmp_path / "1.log", 5000)
    assert list(tmp_path.iterdir()) == []
    assert len(closed) == 1


def test_only_a_new_lock_needs_its_directory_synced(tmp_path: Path, synced: list[Path]) -> None:
    for _ in range(2):
        fd = OsFiles().open_lock(tmp_path / "lock")
        assert os.pwrite(fd, b"x", 0) == 1
        os.close(fd)
        assert synced == [tmp_path]
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_macos_flushes_the_drives_cache_and_cannot_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, what: asked.append(what))
    fd = OsFiles().create(tmp_path / "1.log", 5000)
    assert asked == [51]
    assert (tmp_path / "1.log").stat().st_size == 0
    os.close(fd)


def test_a_directory_is_really_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((fd, stat.S_ISDIR(os.fstat(fd).st_mode))))
    files.sync_directory(tmp_path)
    ((fd, is_directory),) = seen
    assert is_directory
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.skipif(sys.platform == "darwin", reason="has another call for it")
def test_what_is_synced_is_the_file_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "fdatasync", asked.append)
    OsFiles().sync(7)
    assert asked == [7]
