import os
from pathlib import Path

import pytest

from routewright.errors import SettingsError
from routewright.settings import FileStamp
from routewright.settings.sources import from_file


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        from_file(path, "s.toml")
    return refused.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb = \n", "s.toml:2:5: is not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "s.toml:2:6: this key or table stands twice"),
        (b"[a]\nb = 1\n[a]\nc = 2\n", "s.toml:3:3: this key or table stands twice"),
        (b'a = 1\nb = "\xff"\n', "s.toml:2: is not UTF-8"),
        ("a = 1".encode("utf-16"), "s.toml:1: is not UTF-8"),
        (b"a = [", "s.toml: is not TOML: Invalid value"),
        (b"a = " + b"[" * 100_000, "s.toml: is nested too deeply"),
        (b"a = " + b"{a=" * 100_000, "s.toml: is nested too deeply"),
        (b"a = " + b"9" * 5000, "s.toml: is not TOML: Exceeds the limit"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    assert refusal(path).startswith(said)


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 50 * 1024 * 1024])
def test_a_file_over_one_mebibyte_is_refused_unread(tmp_path: Path, size: int) -> None:
    path = tmp_path / "s.toml"
    with path.open("wb") as file:
        file.truncate(size)
    assert refusal(path) == "s.toml: is over 1 MiB; that is no settings file"


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "s.toml: is not a file"
    assert refusal(tmp_path) == "s.toml: cannot be read: Is a directory"
    assert refusal(Path("/dev/zero")) == "s.toml: is not a file"


def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "s.toml").symlink_to("s.toml")
    assert refusal(tmp_path / "s.toml").startswith("s.toml: cannot be read: ")


def test_a_missing_file_says_nothing(tmp_path: Path) -> None:
    assert from_file(tmp_path / "s.toml", "s.toml").values == {}


def test_the_mark_that_some_editors_put_at_the_start_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbfserver.port = 1\n")
    source = from_file(path, "s.toml")
    assert source.values == {("server", "port"): 1}
    assert source.origin(("server", "port")).exact == "s.toml:1:8"


def test_a_stamp_changes_when_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    assert FileStamp.of(path) is None
    path.write_text("a = 1")
    first = FileStamp.of(path)
    assert first == FileStamp.of(path)
    path.write_text("a = 22")
    assert FileStamp.of(path) != first
    replacement = tmp_path / "new"
    replacement.write_text("a = 1")
    assert first is not None
    os.utime(replacement, ns=(first.mtime_ns, first.mtime_ns))
    replacement.replace(path)
    assert FileStamp.of(path) != first  # same time and size, but another file
