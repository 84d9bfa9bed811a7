"""`run`: everything that a plan asks for, as one report."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from routewright.bench.decision import decision_us
from routewright.bench.library import library_us
from routewright.bench.plan import Part, Plan
from routewright.bench.processes import Child, require_linux, running
from routewright.bench.proxies import PROMPT_CHARS, ask_once, latency_figures, request_figures, stream_figures
from routewright.bench.report import Figure, Machine, Report, figure
from routewright.bench.starting import starts

__all__ = ["Part", "Plan", "Report", "run"]

Progress = Callable[[str], None]

_SETTINGS = """\
[server]
drain_seconds = 1

[ledger]
path = "{folder}/ledger"

[providers.bench]
base_url = "{upstream}/v1"
"""
_MODEL = """
[models."{name}"]
deployments = ["bench/{name}"]
"""
_MODELS = ("claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3")


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
            figures += _start_figures(plan, folder)
        if Part.GATEWAY in plan.parts:
            figures += _gateway_figures(plan, config, upstream, progress)
        if Part.LIBRARY in plan.parts:
            progress("asking from Python")
            figures += _library_figures(plan, config)
    return Report(machine=_machine(), figures=tuple(figures), elapsed_s=time.monotonic() - begun)


def write_settings(folder: Path, upstream: Child) -> Path:
    """A settings file that takes the built-in models, one of each tier, from the mock; its ledger is in `folder`."""
    config = folder / "routewright.toml"
    models = "".join(_MODEL.format(name=name) for name in _MODELS)
    config.write_text(_SETTINGS.format(folder=folder, upstream=upstream.url) + models)
    return config


def _decision_figures(plan: Plan, config: Path) -> list[Figure]:
    rounds = decision_us(config, prompt_chars=PROMPT_CHARS, decisions=plan.decisions, rounds=plan.rounds)
    return [figure("decision_us", "decision (features, classify, select), 1 KB prompt", "µs CPU", rounds, bar=150)]


def _start_figures(plan: Plan, folder: Path) -> list[Figure]:
    figures = []
    for name, what, arguments, bar in (
        ("python", "python -c pass", ["-c", "pass"], None),
        ("import", "import routewright", ["-c", "import routewright"], 150),
        ("router", "from routewright import Router", ["-c", "from routewright import Router"], None),
        ("help", "routewright --help", ["-m", "routewright", "--help"], 250),
    ):
        rounds = starts(arguments, folder, rounds=plan.rounds)
        figures.append(figure(f"{name}_cpu_ms", what, "ms CPU", [each.cpu_ms for each in rounds], bar=bar))
        figures.append(figure(f"{name}_wall_ms", what, "ms", [each.wall_ms for each in rounds], bar=bar))
    return figures


def _gateway_figures(plan: Plan, config: Path, upstream: Child, progress: Progress) -> list[Figure]:
    folder = config.parent
    serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    progress("starting the gateway and the floor")
    with (
        running("gateway", serve, folder) as gateway,
        running("floor", ["-m", "routewright.bench.floor", "--upstream", upstream.url], folder) as floor,
    ):
        figures = uvloop.run(_memory_figures(plan, gateway, floor))
        progress("unstreamed requests, gateway and floor in turn")
        figures += uvloop.run(request_figures(plan, gateway, floor))
        progress("streams, gateway and floor in turn")
        figures += uvloop.run(stream_figures(plan, gateway, floor))
        progress(f"latency at {plan.paced_per_s} requests/s")
        figures += uvloop.run(latency_figures(plan, upstream, gateway, floor))
    return figures


async def _memory_figures(plan: Plan, gateway: Child, floor: Child) -> list[Figure]:
    """Memory after the first request, when everything is loaded that serving takes."""
    await ask_once(plan, gateway)
    await ask_once(plan, floor)
    return [
        figure("gateway_resident_mb", "gateway, idle memory", "MB", [gateway.resident_mb()], bar=80),
        figure("floor_resident_mb", "floor, idle memory", "MB", [floor.resident_mb()]),
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
    return [figure("library_us", "library, `await router.ask`, 1 KB prompt, ledger on", "µs CPU", rounds)]


def _machine() -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
