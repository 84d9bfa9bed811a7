"""The program: which verbs there are, and the one border where errors become words and exit codes.

The table of verbs is all that `routewright --help` reads; a verb's module is imported when the verb is used, so that
asking for help, or for the wrong thing, takes no longer than starting Python does.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, NamedTuple

import click

from routewright.errors import RoutewrightError, SchemaRefused, SettingsError
from routewright.text import plain

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""


class Verb(NamedTuple):
    """A verb before its module is imported. `module` is the one below `routewright.cli` whose `command` it is."""

    name: str
    section: str
    help: str

    @property
    def module(self) -> str:
        """Where its command is."""
        return f"routewright.cli.{self.name}"


VERBS = (
    Verb("demo", "Start", "See routing at work on 360 prompts, simulated: no key, no cost."),
    Verb("init", "Start", "Write a settings file to begin with, or from LiteLLM's."),
    Verb("serve", "Start", "Serve the OpenAI API, routed, on this machine."),
    Verb("launch", "Start", "Run Claude Code, Codex or any program by the gateway, and say what it cost."),
    Verb("ask", "Use", "Ask one question; the answer comes as it is written."),
    Verb("route", "Use", "Show which model a question would go to, and why; calls nobody."),
    Verb("batch", "Use", "Ask many questions from a file, each answered and paid for once."),
    Verb("report", "Learn", "What was spent, and what routing saved against the baseline."),
    Verb("backtest", "Learn", "What another policy would have cost on your traffic, and how good it would be."),
    Verb("top", "Learn", "Watch a running gateway: requests, spending, latency, breakers, budgets."),
    Verb("drift", "Learn", "See whether models are still what they were."),
    Verb("shadow", "Learn", "See how other models did beside those that answered."),
    Verb("eval", "Learn", "Measure on recorded outcomes how well routing decides."),
    Verb("calibrate", "Learn", "Find the quality floor that keeps a promise, and what it saves."),
    Verb("tune", "Learn", "Propose the cheapest policy that keeps a promise, from the ledger; apply and watch it."),
    Verb("policies", "Learn", "See and change which policy decides, for whom."),
    Verb("train", "Learn", "Make the artefact that requests are classified by; for developers."),
    Verb("compare", "Check", "Ask this router and another gateway the same, and see what differs."),
    Verb("doctor", "Check", "Check this installation, and say how to mend what is wrong."),
    Verb("bench", "Check", "Measure on this machine what routing costs in time."),
    Verb("prove", "Check", "Try on this machine what is promised, and report it with its bars."),
    Verb("config", "Check", "Check the settings, or show where each comes from."),
    Verb("prices", "Check", "Look at prices, renew them, and price history anew."),
    Verb("keys", "Check", "Keys of providers, and virtual keys for those who use the gateway."),
    Verb("budgets", "Check", "See how budgets stand, and thaw a frozen one."),
    Verb("ledger", "Check", "Look at single requests; check, export and move the accounts."),
    Verb("explain", "Check", "Say what an error number means and what helps."),
)


class Failed(click.ClickException):
    """One of our errors as the user of a terminal sees it."""

    def __init__(self, error: RoutewrightError) -> None:
        super().__init__(error.message)
        self._error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """The number, what happened, and what to do about it."""
        stream = file or sys.stderr
        label = f"error[{self._error.number}]"
        if stream.isatty() and "NO_COLOR" not in os.environ:
            label = click.style(label, fg="red", bold=True)
        click.echo(f"{label}: {plain(self._error.message)}", file=stream)
        if self._error.hint:
            click.echo(f"hint: {plain(self._error.hint)}", file=stream)


class Misconfigured(Failed):
    """The same, with the exit code for what no second start would mend: wrong settings, a ledger of another version."""

    exit_code = 78  # EX_CONFIG of sysexits.h


class Program(click.Group):
    """A group that knows its verbs by name and one line of help, and imports one of them when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        for verb in VERBS:
            if verb.name == cmd_name:
                command: click.Command = import_module(verb.module).command
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All verbs, by section, from the table alone."""
        for section in dict.fromkeys(verb.section for verb in VERBS):
            with formatter.section(section):
                formatter.write_dl([(verb.name, verb.help) for verb in VERBS if verb.section == section])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb that was named."""
        with _border():
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where it is no error if nobody reads any more
            return result


@contextmanager
def _border() -> Iterator[None]:
    """What is raised on purpose becomes a message and an exit code; a bug keeps its traceback."""
    try:
        yield
    except (SettingsError, SchemaRefused) as error:
        raise Misconfigured(error) from error
    except RoutewrightError as error:
        raise Failed(error) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None


def version_line() -> str:
    """The name of the program and its version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"routewright {version('routewright')}"
    except PackageNotFoundError:
        return "routewright, not installed"


def _print_version(ctx: click.Context, param: click.Parameter, is_asked: bool) -> None:
    if not is_asked or ctx.resilient_parsing:
        return
    click.echo(version_line())
    ctx.exit()


_version_option: Callable[[Callable[[], None]], Callable[[], None]] = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)


@click.group(
    cls=Program,
    epilog="`routewright VERB --help` says more. Without any settings, keys in the environment and model servers on "
    "this machine are used; without these, everything is simulated.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_version_option
def program() -> None:
    """The cheapest model that will do it well, every token accounted for."""


def main() -> None:
    """Run the program with the arguments of this process."""
    program(prog_name="routewright")
