"""`routewright launch`: a program that is routed, in an environment of its own, and what its session cost."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from random import SystemRandom
from types import FrameType
from typing import Self

import click
import msgspec

from routewright.cli.failures import ProgramNotFound
from routewright.cli.launching import INSTALLING, Gateway, launch_of
from routewright.cli.ledger import reading
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options, simulate_option
from routewright.cli.running import address_of, check_admits, is_serving, started
from routewright.cli.screen import say
from routewright.cli.session_cost import session_cost, told
from routewright.errors import LedgerUnavailable, StoreUnavailable
from routewright.ledger.store import RequestRecord
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace

NO_KEY = "routewright"
"""For a gateway that wants none: clients do not start without any."""
ARRIVED_S = 0.5
MOST_LOOKS = 5
"""A gateway that goes on brings its rows into the ledger a moment after the answer; so often is looked for more."""


@click.command(
    "launch",
    short_help="Run Claude Code, Codex or any program by the gateway, and say what it cost.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--url", metavar="URL", help="The gateway to use, instead of one that is found or started.")
@click.option("--model", metavar="NAME", help="Who answers Claude Code and Codex, instead of claude-auto and auto.")
@json_option
@simulate_option
@settings_options
@click.argument("command", metavar="[PROGRAM] [--] [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    url: str | None,
    model: str | None,
    as_json: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
    command: tuple[str, ...],
) -> None:
    """Run Claude Code, Codex or any program by the gateway, and say what it cost.

    `launch claude -- -p "…"`, `launch codex -- exec "…"`, `launch -- python app.py`. The program is told where the
    gateway is by its environment (Codex by arguments); no file is written for it. The gateway is the one at --url, else
    one that runs as the settings say, else one that is started here and ends with the program. The last lines, on
    stderr, say what was spent; the exit code is the program's.
    """
    words = [command[0], *(command[2:] if command[1:2] == ("--",) else command[1:])]
    _require(words[0])
    settings = settings_of(config, flags)
    started_ns, key = time.time_ns(), os.environ.get("ROUTEWRIGHT_KEY") or NO_KEY
    session = f"launch-{SystemRandom().getrandbits(48):012x}"
    found = url if url is not None or simulate or config or flags else _running(settings)
    options = _options(simulate, config, flags)
    with contextlib.nullcontext(found.rstrip("/").removesuffix("/v1")) if found else started(options) as address:
        check_admits(address, key)
        launch = launch_of(words, os.environ, Gateway(address, key, session), model)
        exit_code = _run(launch.command, launch.environ)
    cost = session_cost(_requests(settings, session, started_ns, is_over=found is None))
    name = PurePath(words[0]).name
    if as_json:
        told_of = {"program": name, "session": session, "gateway": address, "exit_code": exit_code}
        say(msgspec.json.encode({**told_of, **msgspec.to_builtins(cost)}).decode())
    else:
        for number, line in enumerate(told(cost)):
            say(line if number else f"routewright: {name}: {line}")
    raise click.exceptions.Exit(exit_code)


def _require(program: str) -> None:
    if shutil.which(program) is None:
        hint = INSTALLING.get(PurePath(program).name, "check its name, or give its whole path")
        raise ProgramNotFound(f"there is no program {program!r} here", hint=hint)


def _running(settings: Settings) -> str | None:
    host, port = settings.server.host, settings.server.port
    if not port or not is_serving(host, port):
        return None
    return address_of(host, port)


def _options(simulate: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> list[str]:
    """For the gateway that is started, what was said to us."""
    options = ["--simulate"] if simulate else []
    options += [] if config is None else ["--config", str(config)]
    return options + [word for key, value in flags.items() for word in ("--set", f"{key}={value}")]


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program with our terminal; its exit code, as a shell has it."""
    with _PassedOn() as signals:
        process = subprocess.Popen(command, env=dict(environ))  # noqa: S603 it is what our user asked for
        signals.to(process)
        with process:
            code = process.wait()
    return code if code >= 0 else 128 - code


class _PassedOn:
    """While entered, Ctrl-C is the program's own affair, as it reaches it by the terminal; what ends us is passed on.

    Entered before there is a program: a signal in the moment of its start would leave it behind.
    """

    _TOLD_BY_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
    _OURS = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._leave) for number in self._TOLD_BY_THE_TERMINAL}
        self._before |= {number: signal.signal(number, self._pass_on) for number in self._OURS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def to(self, process: "subprocess.Popen[bytes]") -> None:
        """The program has begun; it is told what came before."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        """The terminal has told the program already."""

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _requests(settings: Settings, session: str, since_ns: int, *, is_over: bool) -> list[RequestRecord]:
    """What the ledger has of the session; nothing, and a word about it, where that cannot be read."""
    records: list[RequestRecord] = []
    try:
        for _ in range(MOST_LOOKS):
            before, records = len(records), _look(settings, session, since_ns)
            if is_over or (records and len(records) == before):
                break
            time.sleep(ARRIVED_S)
    except (LedgerUnavailable, StoreUnavailable) as error:
        say(f"routewright: the ledger cannot be read now: {error.message}")
    return records


def _look(settings: Settings, session: str, since_ns: int) -> list[RequestRecord]:
    with reading(settings) as store:
        return store.requests_of(session, since_ns) if store else []
