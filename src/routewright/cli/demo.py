"""`routewright demo`: a day of prompts through the whole engine, routed and always to the strongest; simulated."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from routewright.call import Call, Cause, Options
from routewright.catalog.registry import Tier
from routewright.cli import logs
from routewright.cli.comparison import Comparison, Line, Outcome, Prompt, Trouble, agreement, compare
from routewright.cli.options import Within, json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table
from routewright.dialects.openai_chat import OpenAIChat
from routewright.engine import Engine
from routewright.errors import RoutewrightError
from routewright.ledger.store import AttemptRecord, Store
from routewright.reply import Answer
from routewright.runtime import Runtime
from routewright.settings.sources import ConfigPlace
from routewright.settings_source import SettingsSource
from routewright.simulator import FaultPlan, FaultRates, Simulator, succeeds
from routewright.text import counted, percent, usd

FAULTS = FaultPlan(
    rates=FaultRates(rate_limited=0.02, failed=0.02, slow=0.01),
    retry_after_s=0,  # a named pause is not scaled as answers are: a second of it would be minutes of this day
    slow_s=5.0,
)
"""Enough that every run shows retries (after a 429 or a 5xx) and failovers (when an answer does not come)."""
RESPONSE_TIMEOUT_MS = 1000
"""Short, as the answers are; `--set policy.response_timeout_ms=…` overrides it."""

MOST_TOKENS = 1000
"""Of an answer, as most programs say: an attempt of which nothing came back is settled at the longest answer it may
have made, and where nobody said how long, that is as long as the model can."""

HEADING = (
    "simulated: answers, success and latency are made up by a seeded simulator; prices are list prices",
    "routing, retries, fallbacks and the ledger are the real ones; no provider was called",
)
NEXT = (
    ("see one decision", 'routewright route "Prove that every finite integral domain is a field"'),
    ("serve the OpenAI API", "routewright serve"),
    ("use real models", "export OPENAI_API_KEY=… ANTHROPIC_API_KEY=…, then routewright doctor"),
)

Tick = Callable[[], object]


@click.command("demo", short_help="See routing at work on 360 prompts, simulated: no key, no cost.")
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="Whatever is drawn is drawn from it.")
@click.option(
    "--speed",
    type=Within(min=1),
    metavar="FACTOR",
    default=100.0,
    show_default=True,
    help="How many times faster than life the simulated models answer.",
)
@json_option
@settings_options
def command(seed: int, speed: float, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """See routing at work on 360 prompts, simulated: no key, no cost.

    Every prompt goes through the whole engine twice, once routed and once to the strongest model, with a few faults of
    providers on the way. Keys are not looked at, no provider is called, and the ledger is deleted afterwards.
    """
    logs.configure(level=logging.ERROR, no_color="NO_COLOR" in os.environ)
    prompts = load_prompts()
    with TemporaryDirectory(prefix="routewright-demo-") as folder, _progress(2 * len(prompts)) as tick:
        runs = _Runs(prompts, Path(folder), seed=seed, speed=speed, config=config, flags=flags)
        routed, strongest = asyncio.run(runs.both(tick))
    comparison = compare(routed, strongest, seed=seed, strongest_model=runs.strongest_model)
    if as_json:
        print_json({"simulated": True, "comparison": comparison, "classified": agreement(routed)})
    else:
        show(comparison)


def load_prompts() -> list[Prompt]:
    """The prompts that come with the package."""
    lines = (files("routewright") / "data" / "prompts.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Prompt) for line in lines]


class _Runs:
    """Both runs over the same prompts, each with an engine, a simulator and a ledger of its own."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        folder: Path,
        *,
        seed: int,
        speed: float,
        config: ConfigPlace | None,
        flags: Mapping[str, str],
    ) -> None:
        self.strongest_model = ""
        self._prompts = prompts
        self._folder = folder
        self._seed = seed
        self._speed = speed
        self._config = config.resolve() if isinstance(config, Path) else config
        self._flags = flags

    async def both(self, tick: Tick) -> tuple[list[Outcome], list[Outcome]]:
        """One after the other, so that neither is in the other's way."""
        routed = await self._run("auto", tick)
        return routed, await self._run(self.strongest_model, tick)

    async def _run(self, model: str, tick: Tick) -> list[Outcome]:
        runtime = self._open(self._folder / model.replace("/", "-"))
        try:
            calls = [_call(prompt, model, runtime.engine.mint_id()) for prompt in self._prompts]
            if not self.strongest_model:
                self.strongest_model = runtime.engine.route(calls[0]).baseline_model or calls[0].model
            answers = await _answers(runtime.engine, calls, tick)
            await runtime.flush()
            return [
                self._outcome(prompt, call, answers[call.id], runtime)
                for prompt, call in zip(self._prompts, calls, strict=True)
            ]
        finally:
            await runtime.close()

    def _open(self, folder: Path) -> Runtime:
        """Away from the user's keys, files and ledger; only what was said on the command line counts."""
        source = SettingsSource(
            environ={"HOME": str(self._folder)},
            cwd=self._folder,
            config=self._config,
            flags={
                "policy.response_timeout_ms": RESPONSE_TIMEOUT_MS,
                **self._flags,
                "ledger.path": str(folder),
            },
            simulate=True,
        )
        return Runtime.open(source, simulator=Simulator(seed=self._seed, time_scale=1 / self._speed, faults=FAULTS))

    def _outcome(self, prompt: Prompt, call: Call, answer: Answer | None, runtime: Runtime) -> Outcome:
        tier = runtime.engine.registry.models[answer.model].tier if answer else None
        route = answer.route if answer else runtime.engine.route(call)
        cost_nanousd, overhead_us, attempts = _recorded(runtime.store, call.id)
        return Outcome(
            prompt_id=prompt.id,
            label=prompt.tier,
            guess=route.verdict.tier if route.verdict else None,
            model=answer.model if answer else None,
            answered_by=tier,
            succeeded=tier is not None and self._succeeds(prompt, tier),
            cost_nanousd=cost_nanousd,
            attempts=len(attempts),
            failovers=sum(_cause(attempt) == Cause.FALLBACK for attempt in attempts),
            overhead_us=overhead_us,
        )

    def _succeeds(self, prompt: Prompt, tier: Tier) -> bool:
        return succeeds(seed=self._seed, prompt_id=prompt.id, model_tier=tier, task_tier=prompt.tier)


def _call(prompt: Prompt, model: str, request_id: str) -> Call:
    body = msgspec.json.encode({"max_tokens": MOST_TOKENS, **prompt.request, "model": model})
    return OpenAIChat().read(body, request_id=request_id, options=Options())


async def _answers(engine: Engine, calls: Sequence[Call], tick: Tick) -> dict[str, Answer | None]:
    """All answers by request id, `batch_concurrency` of them at a time; None where every attempt failed."""
    answers: dict[str, Answer | None] = {}
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            answers[call.id] = await _answer(engine, call)
            tick()

    async with asyncio.TaskGroup() as workers:
        for _ in range(engine.settings.policy.batch_concurrency):
            workers.create_task(work())
    return answers


async def _answer(engine: Engine, call: Call) -> Answer | None:
    try:
        return await (await engine.ask(call)).read()
    except RoutewrightError:
        return None


def _recorded(store: Store, request_id: str) -> tuple[int, int | None, tuple[AttemptRecord, ...]]:
    """What the ledger has of a request: its cost, our overhead, and its attempts."""
    found = store.request(request_id)
    if found is None or found.request is None:
        return 0, None, ()
    return found.request.cost_nanousd, found.request.overhead_us, found.attempts


def _cause(attempt: AttemptRecord) -> str:
    named = attempt.hold or attempt.close
    return named.cause if named else ""


@contextmanager
def _progress(total: int) -> Iterator[Tick]:
    """A bar on stderr, if somebody looks."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("asking, simulated"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


# ---- the result -------------------------------------------------------------------------------------------------


def show(comparison: Comparison) -> None:
    """The result, and first of all what is made up about it."""
    for line in HEADING:
        click.echo(line)
    click.echo()
    columns = [
        Column("expert's tier"),
        *(
            Column(title, is_number=True)
            for title in (
                "prompts",
                "classified alike",
                "success, routed",
                "success, strongest",
                "cost, routed",
                "cost, strongest",
                "saved",
            )
        ),
    ]
    print_table(columns, [row(line) for line in comparison.lines], total=row(comparison.total))
    click.echo()
    for told in findings(comparison):
        click.echo(told)
    click.echo("\nnext:")
    for what, how in NEXT:
        click.echo(f"  {what:<22}{how}")


def row(line: Line) -> tuple[str, ...]:
    """A line of the table."""
    return (
        line.tier or "all",
        str(line.prompts),
        percent(line.agreed, line.prompts),
        percent(line.routed.successes, line.prompts),
        percent(line.strongest.successes, line.prompts),
        usd(line.routed.cost_nanousd),
        usd(line.strongest.cost_nanousd),
        percent(line.saved_nanousd, line.strongest.cost_nanousd),
    )


def findings(comparison: Comparison) -> list[str]:
    """The result in words."""
    total = comparison.total
    return [
        f"vs always {comparison.strongest_model} (strongest): saved {usd(total.saved_nanousd)} "
        f"({percent(total.saved_nanousd, total.strongest.cost_nanousd)}), net of routing: "
        "every attempt is counted, also retries and those that failed",
        f"of a request, {comparison.overhead_us_median:,.0f} µs were our own (median, until the first byte was sent)",
        f"routed: {_told(comparison.routed_trouble)}",
        f"always {comparison.strongest_model}: {_told(comparison.strongest_trouble)}; "
        f"{counted(comparison.elsewhere, 'prompt')} answered by another model, as it cannot take them or was failing",
    ]


def _told(trouble: Trouble) -> str:
    return (
        f"{counted(trouble.attempts, 'attempt')}, {trouble.retries} tried again, "
        f"{trouble.failovers} failed over to another model, {counted(trouble.unanswered, 'prompt')} unanswered"
    )
