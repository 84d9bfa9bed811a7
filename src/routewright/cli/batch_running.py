"""`routewright batch run`: asks all questions of a file; said again, it goes on where it was."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from routewright.catalog.registry import Tier
from routewright.cli import logs
from routewright.cli.opening import source_of
from routewright.cli.options import MOST_TOKENS, json_option, settings_options, simulate_option
from routewright.cli.screen import print_json, say
from routewright.errors import BadInput, RoutewrightError, StoreUnavailable
from routewright.money import MOST_USD, NANO
from routewright.settings.sources import ConfigPlace
from routewright.text import counted

if TYPE_CHECKING:
    from routewright.jobs.opening import Wish
    from routewright.jobs.planning import Planned
    from routewright.jobs.runner import Run
    from routewright.runtime import Runtime
    from routewright.settings_source import SettingsSource

INTERRUPTED = 130
MOST_FORGOTTEN = 20_000
"""Items of old batches, after a run."""
_LONGEST_S = 10 * 366 * 86_400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _usd(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 < amount <= MOST_USD:
        raise click.BadParameter(f"{text!r} is no amount of USD, such as 12.50", ctx, param)
    return int(amount * NANO)


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    with suppress(ValueError):
        if text[-1:] in _UNITS and 0 < (seconds := float(text[:-1]) * _UNITS[text[-1]]) <= _LONGEST_S:
            return seconds
    raise click.BadParameter(f"{text!r} is no time, such as 90s, 30m, 2h or 1d", ctx, param)


@click.command("run")
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where answers go; FILE.results.jsonl if not said.",
)
@click.option("--template", metavar="TEXT", help='What to ask of each line or row, e.g. "Document this: {item}".')
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv", "tsv", "parquet", "lines"]),
    help="What FILE is, if its name does not say.",
)
@click.option("--model", metavar="NAME", help="Ask this model, an alias, or auto, whatever the lines say.")
@click.option("--tier", type=click.Choice([str(tier) for tier in Tier]), help="Take this tier instead of classifying.")
@click.option("--system", metavar="TEXT", help="Instructions that stand before each prompt.")
@click.option("--max-tokens", type=click.IntRange(1, MOST_TOKENS), metavar="N", help="Longest answer, in tokens.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A JSON Schema that answers are asked to fit, and must.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Questions at a time, to begin with; policy.batch_concurrency if not said.",
)
@click.option(
    "--max-concurrency",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="What that may rise to where providers invite to; policy.batch_max_concurrency if not said.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=1,
    show_default=True,
    help="Further tries of each model, for each item.",
)
@click.option(
    "--max-cost", "limit_nanousd", callback=_usd, metavar="USD", help="Never spend more than this on the whole batch."
)
@click.option(
    "--deadline", "deadline_s", callback=_seconds, metavar="TIME", help="Ask nothing after this time: 90s, 30m, 2h, 1d."
)
@click.option(
    "--via",
    type=click.Choice(["auto", "live", "provider"]),
    default="auto",
    help="Ask live, or in files by providers' batch APIs, for half the price and within a day; auto, if not said, does "
    "that where --deadline allows a day.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Who asks: local, if not said, is this process; ray are actors on a Ray cluster.",
)
@click.option(
    "--actors",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Of --engine ray, each with --concurrency; 2 if not said.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="The cluster of --engine ray: auto, or HOST:PORT; RAY_ADDRESS, or one that is started here, if not said.",
)
@click.option("--dedupe", is_flag=True, help="Ask equal questions once, and give each its answer.")
@click.option("--ordered", is_flag=True, help="Write answers in the order of the input, at the end.")
@click.option("--retry-failed", is_flag=True, help="Ask again what failed of a batch that is completed, and only that.")
@click.option("--dry-run", is_flag=True, help="Only tell what is there and what it would cost; asks nobody.")
@json_option
@simulate_option
@settings_options
def run(
    file: str,
    output: Path | None,
    template: str | None,
    kind: str | None,
    model: str | None,
    tier: str | None,
    system: str | None,
    max_tokens: int | None,
    schema: Path | None,
    concurrency: int | None,
    max_concurrency: int | None,
    retries: int,
    limit_nanousd: int | None,
    deadline_s: float | None,
    via: str,
    engine: str,
    actors: int | None,
    ray_address: str | None,
    dedupe: bool,
    ordered: bool,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Ask all questions of FILE; said again, go on where it was left.

    FILE is OpenAI's batch JSONL, JSONL with a `prompt` in each line, CSV or Parquet with a column `prompt` (or a
    --template with names of columns), or text with a prompt, or the template's {item}, in each line; `-` is stdin.
    Answers are lines in OpenAI's form, in the order in which they come; failures go into a file beside them. Whatever
    ends the run (Ctrl-C, a crash, the budget), the same command goes on, and asks nothing again that was answered.
    """
    from routewright.jobs.choosing import Via
    from routewright.jobs.inputs import Format
    from routewright.jobs.lines import Asking, Template
    from routewright.jobs.opening import Wish, usual_output
    from routewright.jobs.planning import Spec
    from routewright.jobs.ray import ACTORS, load_ray

    if max_concurrency and concurrency and max_concurrency < concurrency:
        raise click.UsageError(
            "--max-concurrency is less than --concurrency: leave one of them out, or make them equal"
        )
    source = None if file == "-" else Path(file)
    asking = Asking(
        template=None if template is None else Template(template),
        model=model,
        system=system,
        max_tokens=max_tokens,
        schema=None if schema is None else _read_schema(schema),
    )
    if engine == "local" and (actors or ray_address):
        raise click.UsageError("--actors and --ray-address are for --engine ray")
    if engine == "ray":
        load_ray()
    wish = Wish(
        source=source,
        output=output or usual_output(source),
        asking=asking,
        format=None if kind is None else Format(kind),
        spec=Spec(tier=tier, dedupe=dedupe, ordered=ordered),
        concurrency=concurrency,
        max_concurrency=max_concurrency,
        retries=retries,
        limit_nanousd=limit_nanousd,
        deadline_s=deadline_s,
        via=Via(via),
        retry_failed=retry_failed,
        actors=(actors or ACTORS) if engine == "ray" else 0,
        ray_address=ray_address,
    )
    logs.configure(level=logging.WARNING, no_color="NO_COLOR" in os.environ)
    settings = source_of(config, flags, simulate=simulate)
    if dry_run:
        _tell_forecast(settings, wish, as_json=as_json)
        return
    from routewright.cli.serve import run as run_loop

    run_loop(_run(settings, wish, as_json=as_json))


def _read_schema(path: Path) -> dict[str, Any]:
    from routewright.decision.schemas import SchemaRefused, read_schema

    try:
        text = path.read_text("utf-8")
        read_schema(text, str(path), is_trusted=True)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except (SchemaRefused, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no JSON Schema: {error}") from error
    schema: dict[str, Any] = msgspec.json.decode(text)
    return schema


def _tell_forecast(source: "SettingsSource", wish: "Wish", *, as_json: bool) -> None:
    from routewright.cli.batch_tables import print_forecast
    from routewright.cli.opening import deciding_only, in_force_if_known
    from routewright.clock import SystemClock
    from routewright.jobs.forecast import forecast
    from routewright.jobs.opening import input_of

    settings, registry = source.load()
    engine = deciding_only(settings, registry, in_force_if_known(settings))
    now_s = SystemClock().time_ns() // 10**9
    questions = input_of(wish, sys.stdin.buffer)
    found = forecast(engine.route, registry, questions, wish.spec, now_s=now_s)
    if wish.source is None:
        questions.path.unlink()
    if as_json:
        print_json(found)
    else:
        print_forecast(found)


async def _run(source: "SettingsSource", wish: "Wish", *, as_json: bool) -> None:
    from routewright.cli.batch_tables import print_summary, summary_of
    from routewright.jobs.opening import input_of, opened
    from routewright.runtime import Runtime

    questions = input_of(wish, sys.stdin.buffer)
    runtime = Runtime.open(source)
    try:
        with opened(runtime, questions, wish) as (running, planned):
            _introduce(planned)
            if not planned.job.state.is_over:
                say(f"asked {running.way}")
                _tell_fit(running)
            was_interrupted = await _attended(running)
        await runtime.flush()
        summary = summary_of(runtime.store.database, planned.job.id)
        _forget_old(runtime)
        if wish.source is None and summary.job.state.is_over:
            questions.path.unlink()  # what was kept of stdin
        if as_json:
            print_json(summary)
        else:
            print_summary(summary)
    finally:
        await runtime.close()
    if running.ended_by is not None:
        raise _ended(running.ended_by)
    if was_interrupted:
        say("stopped; the same command goes on from here")
        raise click.exceptions.Exit(INTERRUPTED)
    if summary.counts.failed or summary.counts.done < summary.job.total:
        raise click.exceptions.Exit(1)


def _forget_old(runtime: "Runtime") -> None:
    """Where no gateway runs, nobody else would."""
    from routewright.jobs.pruning import prune
    from routewright.jobs.store import JobStore

    kept_days = runtime.engine.settings.batches.kept_days
    with suppress(StoreUnavailable):  # the next run does it
        prune(JobStore(runtime.store.database), runtime.clock.time_ns(), kept_days, most=MOST_FORGOTTEN)


def _introduce(planned: "Planned") -> None:
    job = planned.job
    if planned.retried:
        say(f"{job.id}: {counted(planned.retried, 'failed item')} of {job.total:,} asked again")
    elif planned.is_new:
        say(f"{job.id}: {counted(job.total, 'item')} from {job.source}")
    elif job.state.is_over:
        say(f"{job.id} is {job.state} already; nothing is asked again")
    else:
        say(f"{job.id} goes on where it was")
    for reason in planned.malformed:
        say(f"  {reason}")
    if (more := planned.malformed_count - len(planned.malformed)) > 0:
        say(f"  and {counted(more, 'more malformed record')}")


def _tell_fit(running: "Run") -> None:
    """Say so if the budget holds back more than the concurrency does: each answer is held at its full length."""
    fit = running.fit()
    if fit is None or fit.at_a_time >= fit.wanted:
        return
    say(
        f"an answer of {fit.model} may be {fit.longest_tokens:,} tokens long: of what is left to spend, "
        f"{fit.at_a_time} such fit at a time; others wait, or go elsewhere"
    )
    if fit.tokens_for_all is not None:
        hint = f"--max-tokens {fit.tokens_for_all} lets {fit.wanted} fit"
        say(f"hint: {hint}; as that is another question, it needs another -o")


async def _attended(running: "Run") -> bool:
    """Run it to its end, or to the second Ctrl-C; returns whether it was interrupted."""
    from routewright.cli.batch_line import follow

    work = asyncio.create_task(running.run())
    interruptions = 0

    def interrupted() -> None:
        nonlocal interruptions
        interruptions += 1
        if interruptions == 1:
            running.stop()
            say("what is in flight is awaited; Ctrl-C again gives it up")
        else:
            work.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    line = asyncio.create_task(follow(running.progress))
    try:
        await work
    except asyncio.CancelledError:
        if interruptions < 2:
            raise
    finally:
        line.cancel()
        with suppress(asyncio.CancelledError):
            await line
    return bool(interruptions)


def _ended(error: RoutewrightError) -> RoutewrightError:
    hint = "the same command goes on where it was"
    error.hint = f"{error.hint}; {hint}" if error.hint else hint
    return error
