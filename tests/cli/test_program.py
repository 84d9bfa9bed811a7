import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from routewright.cli import explain
from routewright.cli.program import VERBS, Verb, program
from routewright.errors import ModelNotFound
from terminal import Terminal


def test_help_lists_every_verb_in_its_section(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("--help")
    assert result.exit_code == 0
    for verb in VERBS:
        assert f"{verb.section}:" in result.stdout
        assert verb.help in " ".join(result.stdout.split())


def test_help_imports_no_verb_and_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from routewright.cli.program import program\n"
        "program(['--help'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=Terminal(tmp_path).environ, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert not loaded & {verb.module for verb in VERBS}
    assert not loaded & {"rich", "msgspec", "asyncio", "apsw", "uvicorn", "uvloop", "routewright.settings"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_verb_says_of_itself_what_the_table_says_of_it(verb: Verb) -> None:
    context = click.Context(program)
    command = program.get_command(context, verb.name)
    assert command is not None
    assert command.name == verb.name
    assert command.short_help == verb.help
    assert (command.help or "").splitlines()[0] == verb.help


def test_unknown_verb_is_a_usage_error(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("dmeo")
    assert result.exit_code == 2
    assert "No such command 'dmeo'" in result.stderr


def test_bad_settings_exit_with_78_and_name_the_line(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.settings("[policy]\nconfidence_treshold = 0.8\n")
    result = terminal.run("config", "show")
    assert result.exit_code == 78
    assert result.stderr.startswith('error[E404]: unknown key "confidence_treshold" in [policy] (routewright.toml:2:1)')


def test_error_has_its_number_its_hint_and_exit_code_1(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("keys", "remove", "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("error[E502]: there is no key 'nobody'")
    assert "\nhint: `routewright keys list` has the names\n" in result.stderr
    assert "\x1b" not in result.stderr


def test_error_text_from_outside_cannot_drive_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ModelNotFound("no \x1b[2Jmodel\x07", hint="\x9b31mred")

    monkeypatch.setattr(explain, "errors", fail)
    result = Terminal(tmp_path).run("explain")
    assert result.stderr == "error[E107]: no model\nhint: red\n"


def test_ctrl_c_exits_with_130_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "errors", interrupt)
    result = Terminal(tmp_path).run("explain")
    assert (result.exit_code, result.stderr) == (130, "")


def test_bug_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(explain, "errors", break_down)
    with pytest.raises(ZeroDivisionError):
        Terminal(tmp_path).run("explain")


@pytest.mark.parametrize("arguments", [("explain",), ("explain", "--json")])
def test_reader_that_went_away_is_no_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "routewright", *arguments],
        env=Terminal(tmp_path).environ,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.stderr == b""


def test_setting_without_a_value_is_a_usage_error(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("config", "show", "--set", "server.port")
    assert result.exit_code == 2
    assert "'server.port' is not key=value" in result.stderr
