"""`routewright compare`: the same questions to routewright and to another gateway, and what differs."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import click

from routewright.cli import logs
from routewright.cli.compared import Pair, compared, print_comparison
from routewright.cli.opening import source_of
from routewright.cli.options import MOST_TOKENS, json_option, settings_options, simulate_option
from routewright.cli.screen import print_json, say
from routewright.cli.sides import EngineSide, GatewaySide, Side
from routewright.errors import BadInput
from routewright.jobs.inputs import Input
from routewright.jobs.lines import Asking, Malformed, Question
from routewright.runtime import Runtime
from routewright.secret import Secret
from routewright.settings.keys import read_reference, resolve
from routewright.settings.sources import ConfigPlace
from routewright.settings_source import SettingsSource
from routewright.transport import HttpTransport

MOST_QUESTIONS = 10_000
USUAL_QUESTIONS = 1_000
MOST_AT_ONCE = 64


def _key(ctx: click.Context, param: click.Parameter, text: str | None) -> str:
    """The key that a variable of the environment has; a key itself is not taken, as others see command lines."""
    if text is None:
        return ""
    try:
        found = resolve(read_reference(text, "compare.key"), os.environ, {})
    except ValueError:
        found = "a key itself must not stand on a command line; write env:VARIABLE"
    if isinstance(found, Secret):
        return found.reveal()
    raise click.BadParameter(found, ctx, param)


def _url(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """An address of HTTP."""
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, an open bracket
        is_one = False
    if not is_one or not text.isprintable() or " " in text:
        raise click.BadParameter(f"{text!r} is no address; write it like http://localhost:4000", ctx, param)
    return text


@click.command("compare", short_help="Ask this router and another gateway the same, and see what differs.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--against", callback=_url, metavar="URL", required=True, help="The other gateway, such as http://localhost:4000."
)
@click.option("--against-key", callback=_key, metavar="env:NAME", help="Where its key is: a variable's name.")
@click.option("--against-model", metavar="NAME", help="Ask the other one for this model, whatever FILE says.")
@click.option(
    "--via", callback=_url, metavar="URL", help="Ask the routewright that serves there, instead of one in this process."
)
@click.option("--via-key", callback=_key, metavar="env:NAME", help="Where its key is.")
@click.option("--model", metavar="NAME", help="Ask routewright for this model; auto if FILE names none.")
@click.option(
    "--max-tokens", type=click.IntRange(1, MOST_TOKENS), metavar="N", help="Longest answer, where FILE says none."
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_QUESTIONS),
    default=USUAL_QUESTIONS,
    show_default=True,
    help="Ask the first so many questions.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, MOST_AT_ONCE), default=4, show_default=True, help="Questions at a time."
)
@click.option(
    "--timeout", type=click.IntRange(1, 3600), default=120, show_default=True, help="Seconds that an answer may take."
)
@json_option
@simulate_option
@settings_options
def command(
    file: Path,
    against: str,
    against_key: str,
    against_model: str | None,
    via: str | None,
    via_key: str,
    model: str | None,
    max_tokens: int | None,
    limit: int,
    concurrency: int,
    timeout: int,
    as_json: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Ask this router and another gateway the same, and see what differs.

    FILE has questions as `routewright batch run` takes them. Each is asked on both sides, which costs money on both;
    whose turn is first alternates, so that a provider's cache helps both alike.
    """
    questions, not_asked = _questions(file, Asking(model=model, max_tokens=max_tokens), limit)
    logs.configure(level=logging.WARNING, no_color="NO_COLOR" in os.environ)

    async def ask() -> Sequence[Pair]:
        transport = HttpTransport()
        try:
            theirs = GatewaySide(against, against_key, transport, model=against_model, patience_s=timeout)
            await theirs.check()
            if via is not None:
                ours = GatewaySide(via, via_key, transport, patience_s=timeout)
                await ours.check()
                return await ask_both(questions, ours, theirs, concurrency=concurrency)
            async with _engine_side(source_of(config, flags, simulate=simulate)) as engine_side:
                return await ask_both(questions, engine_side, theirs, concurrency=concurrency)
        finally:
            await transport.close()

    found = compared(asyncio.run(ask()), against=against, not_asked=not_asked)
    if as_json:
        print_json(found)
    else:
        for line in print_comparison(found):
            say(line)


@asynccontextmanager
async def _engine_side(source: SettingsSource) -> AsyncIterator[EngineSide]:
    runtime = Runtime.open(source)
    try:
        yield EngineSide(runtime.engine)
    finally:
        await runtime.close()


def _questions(file: Path, asking: Asking, limit: int) -> tuple[list[Question], int]:
    """The first of the file, and how many more there are. Raises BadInput before anybody was asked anything."""
    records = iter(Input(file, asking))
    questions = []
    for record in islice(records, limit):
        entry = record.read()
        if isinstance(entry, Malformed):
            raise BadInput(f"{file}: {entry.reason}")
        questions.append(entry)
    if not questions:
        raise BadInput(f"{file} has no questions")
    return questions, sum(1 for _ in records)


async def ask_both(questions: Iterable[Question], ours: Side, theirs: Side, *, concurrency: int) -> Sequence[Pair]:
    """Every question on both sides, so many questions at a time; in their order."""
    waiting, pairs = enumerate(questions), dict[int, Pair]()

    async def work() -> None:
        for at, question in waiting:
            if at % 2:
                second = await theirs.ask(question)
                first = await ours.ask(question)
            else:
                first = await ours.ask(question)
                second = await theirs.ask(question)
            pairs[at] = Pair(custom_id=question.custom_id, ours=first, theirs=second)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return [pairs[at] for at in sorted(pairs)]
