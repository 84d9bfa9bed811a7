import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from routewright.cli.program import program

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
COMMON = ("--json", "--simulate", "--config", "--set")


def commands(group: click.Group = program, above: str = "routewright") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group) and command.invoke_without_command:
            yield f"{above} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")
        elif command is not None:
            yield f"{above} {name}", command


def usage(path: str, command: click.Command) -> str:
    context = click.Context(command)
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    return " ".join([path, *filter(None, arguments)])


def rows(text: str) -> dict[str, str]:
    """The options in the tables of a part of the page."""
    return dict(re.findall(r"^\| `(-.+?)` \| (.+) \|$", text, re.MULTILINE))


def row(option: click.Option, command: click.Command) -> tuple[str, str]:
    """An option as the page should have it."""
    metavar = "" if option.is_flag else f" {option.make_metavar(click.Context(command))}".replace("|", r"\|")
    default = f" Default {option.default:g}." if option.show_default else ""
    return f"{', '.join(option.opts)}{metavar}", f"{option.help}{default}"


COMMANDS = {usage(path, command): command for path, command in commands()}
SECTIONS = dict(re.findall(r"^### `(.+?)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_page_has_every_command_and_no_other() -> None:
    assert list(SECTIONS) == sorted(COMMANDS, key=list(SECTIONS).index)
    assert SECTIONS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_page_has_every_option_of_the_command_in_its_words(command: str) -> None:
    options = [param for param in COMMANDS[command].params if isinstance(param, click.Option)]
    own = [option for option in options if option.opts[-1] not in COMMON]
    assert rows(SECTIONS[command]) == dict(row(option, COMMANDS[command]) for option in own)
    also = re.search(r"^Also (.+)\.$", SECTIONS[command], re.MULTILINE)
    named = re.findall(r"`(--\w+)`", also[1]) if also else []
    assert named == [option.opts[-1] for option in options if option.opts[-1] in COMMON]


def test_common_options_mean_the_same_everywhere() -> None:
    common = rows(PAGE.partition("## Start")[0])
    for command in COMMANDS.values():
        for option in command.params:
            if isinstance(option, click.Option) and option.opts[-1] in COMMON:
                name, told = row(option, command)
                assert common[name] == told
