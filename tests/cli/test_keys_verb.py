import fcntl
import json
import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from terminal import Terminal

KEY = "sk-very-secret-4711"


def test_key_comes_from_stdin_and_is_shown_nowhere(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    result = terminal.run("keys", "set", "openai", stdin=f"{KEY}\n")
    assert result.exit_code == 0
    assert "keys:openai" in result.stderr
    file = tmp_path / ".config/routewright/keys.toml"
    assert KEY in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    listed = terminal.run("keys", "list")
    assert listed.stdout.split() == ["key", "of", "a", "provider", "openai"]
    shown = terminal.run("config", "show", "--origin")
    for output in (result, listed, shown):
        assert KEY not in output.stdout + output.stderr


def test_stored_key_is_used_by_its_provider(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.run("keys", "set", "openai", stdin=KEY)
    result = terminal.run("config", "check", "--json")
    assert "gpt-5.5" in json.loads(result.stdout)["models"]


def test_key_as_an_argument_is_refused_and_not_repeated(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("keys", "set", "openai", KEY)
    assert result.exit_code == 2
    assert "a key is never given as an argument" in result.stderr
    assert KEY not in result.stderr
    assert not (tmp_path / ".config").exists()


@pytest.mark.parametrize("nonsense", ["", "\n", "two words\n"])
def test_what_cannot_be_a_key_is_refused(tmp_path: Path, nonsense: str) -> None:
    result = Terminal(tmp_path).run("keys", "set", "openai", stdin=nonsense)
    assert result.exit_code == 78
    assert "the text given for openai cannot be a key" in result.stderr


def test_key_can_be_removed_once(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.run("keys", "set", "openai", stdin=KEY)
    assert terminal.run("keys", "remove", "openai").exit_code == 0
    assert terminal.run("keys", "remove", "openai").exit_code == 1
    empty = terminal.run("keys", "list")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert json.loads(terminal.run("keys", "list", "--json").stdout) == {"providers": [], "virtual": []}
    assert not terminal.ledger.exists()


def test_key_typed_at_a_terminal_is_not_echoed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    typist, screen = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "routewright", "keys", "set", "openai"],
            env=terminal.environ,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        shown = os.read(typist, 1000)
        os.write(typist, f"{KEY}\n".encode())
        assert process.wait(30) == 0
        shown += os.read(typist, 1000)
    finally:
        os.close(typist)
        os.close(screen)
    assert shown.startswith(b"key for openai (not shown): ")
    assert b"stored in " in shown
    assert KEY.encode() not in shown
    assert KEY in (tmp_path / ".config/routewright/keys.toml").read_text()
