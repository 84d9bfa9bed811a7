"""`run`: everything that a plan asks for, as one report."""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from routewright.bench.configurations import all_running, configuration_figures
from routewright.bench.decision import decision_us
from routewright.bench.library import library_us
from routewright.bench.nginx import nginx
from routewright.bench.plan import Part, Plan
from routewright.bench.processes import Child, require_linux, running
from routewright.bench.proxies import PROMPT_CHARS, Sides, ask_once, latency_figures, request_figures, stream_figures
from routewright.bench.report import Figure, Machine, Report, figure
from routewright.bench.settings import write_settings
from routewright.bench.starting import first_answers, starts
from routewright.bench.streams import delay_figures, open_figures
from routewright.bench.workers import worker_figures
from routewright.decision.learned import is_compiled

__all__ = ["Part", "Plan", "Report", "run"]

Progress = Callable[[str], None]

SETTLED_S = 2.0
"""What a gateway does aside when it starts is over by then."""


def run(plan: Plan, progress: Progress) -> Report:
    """Measure what the plan names; `progress` is told each step before it begins.

    Everything happens on loopback and in a temporary folder; afterwards that is gone, and every program has ended.
    Raises BenchFailed when something does not start, does not answer or ends too early, and anywhere but on Linux.
    """
    require_linux()
    begun = time.monotonic()
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="routewright-bench-") as name, ExitStack() as programs:
        folder = Path(name)
        progress("starting the upstream")
        upstream = programs.enter_context(running("upstream", ["-m", "routewright.bench.upstream"], folder))
        config = write_settings(folder, upstream)
        if Part.DECISION in plan.parts:
            progress("deciding")
            figures += _decision_figures(plan, config)
        if Part.START in plan.parts:
            progress("starting Python and the command line")
            figures += _start_figures(plan, config)
        if plan.parts & {Part.GATEWAY, Part.OPEN}:
            figures += _gateway_figures(plan, config, upstream, progress)
        if Part.CONFIGURATIONS in plan.parts:
            progress("the gateway in its configurations")
            with all_running(upstream, folder) as gateways:
                figures += uvloop.run(configuration_figures(plan, gateways))
        if Part.WORKERS in plan.parts:
            progress("two processes against one")
            figures += worker_figures(plan, upstream, folder, cores=os.cpu_count() or 1)
        if Part.LIBRARY in plan.parts:
            progress("asking from Python")
            figures += _library_figures(plan, config)
    return Report(machine=machine(), figures=tuple(figures), elapsed_s=time.monotonic() - begun)


def _decision_figures(plan: Plan, config: Path) -> list[Figure]:
    rounds = decision_us(config, prompt_chars=PROMPT_CHARS, decisions=plan.decisions, rounds=plan.rounds)
    return [figure("decision_us", "decision (features, classify, select), 1 KB prompt", "µs CPU", rounds, bar=150)]


def _start_figures(plan: Plan, config: Path) -> list[Figure]:
    folder, figures = config.parent, []
    for name, what, arguments, bar in (
        ("python", "python -c pass", ["-c", "pass"], None),
        ("import", "import routewright", ["-c", "import routewright"], 150),
        ("router", "from routewright import Router", ["-c", "from routewright import Router"], None),
        ("help", "routewright --help", ["-m", "routewright", "--help"], 250),
    ):
        rounds = starts(arguments, folder, rounds=plan.rounds)
        figures.append(figure(f"{name}_cpu_ms", what, "ms CPU", [each.cpu_ms for each in rounds], bar=bar))
        figures.append(figure(f"{name}_wall_ms", what, "ms", [each.wall_ms for each in rounds], bar=bar))
    answers, what = first_answers(config, rounds=plan.rounds), "gateway, from its start to its first answer"
    figures.append(figure("first_answer_cpu_ms", what, "ms CPU", [each.cpu_ms for each in answers]))
    figures.append(figure("first_answer_wall_ms", what, "ms", [each.wall_ms for each in answers], bar=1000))
    return figures


def _gateway_figures(plan: Plan, config: Path, upstream: Child, progress: Progress) -> list[Figure]:
    folder = config.parent
    serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    progress("starting the gateway, the floor and nginx")
    with (
        nginx(upstream, folder) as plain,
        running("floor", ["-m", "routewright.bench.floor", "--upstream", upstream.url], folder) as floor,
        running("gateway", serve, folder) as gateway,
    ):
        sides = Sides(gateway, floor, plain)
        figures = uvloop.run(_idle_figures(plan, sides))
        if Part.GATEWAY in plan.parts:
            progress("unstreamed requests, in turn")
            figures += uvloop.run(request_figures(plan, sides))
            progress("streams, in turn")
            figures += uvloop.run(stream_figures(plan, sides))
            progress("delays of chunks")
            figures += uvloop.run(delay_figures(plan, upstream, sides))
            progress(f"latency at {plan.paced_per_s} requests/s")
            figures += uvloop.run(latency_figures(plan, upstream, sides))
            figures.append(
                figure("gateway_loaded_mb", "gateway, memory after all that", "MB", [gateway.resident_mb()], bar=150)
            )
        if Part.OPEN in plan.parts:
            progress(f"{plan.open_streams:,} open streams")
            figures += uvloop.run(open_figures(plan, sides))
    return figures


async def _idle_figures(plan: Plan, sides: Sides) -> list[Figure]:
    """Memory a while after the first request, when everything is loaded that serving takes."""
    for child in sides.named().values():
        await ask_once(plan, child)
    await asyncio.sleep(SETTLED_S)
    return [
        figure(
            f"{name}_resident_mb",
            f"{name}, idle memory",
            "MB",
            [child.resident_mb()],
            bar=60 if name == "gateway" else None,
        )
        for name, child in sides.named().items()
    ]


def _library_figures(plan: Plan, config: Path) -> list[Figure]:
    rounds = uvloop.run(
        library_us(
            config,
            prompt_chars=PROMPT_CHARS,
            calls=plan.requests,
            concurrency=plan.concurrency,
            rounds=plan.rounds,
        )
    )
    return [figure("library_us", "library, `await router.ask`, 1 KB prompt, ledger on", "µs CPU", rounds, bar=250)]


def machine() -> Machine:
    """This one."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        decision="compiled" if is_compiled() else "numpy",
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
