"""What shadows cost those who wait for answers: two gateways of the same settings, one of them with shadows, in turns.

Both are real processes over one mock provider, asked at a fixed rate whatever the answers do. Shadows are asked of a
twentieth of the requests, which is the default, and of all of them, which is more than anybody would.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.quality import Figure

from routewright.bench.load import Clients, Load
from routewright.bench.processes import Child, running
from routewright.bench.proxies import whole
from routewright.bench.settings import write_settings

ROUNDS = 21
REQUESTS = 600
PER_S = 100
DELAY_MS = 50
PATIENCE_S = 60.0
MOST = 1.05
SHADOW = '\n[shadow]\nmodels = ["gpt-5.5"]\nshare = {share}\ndaily_usd = 10000\n'


def figures(data: Path | None) -> Iterator[Figure]:
    """One line for each share; nothing of `data` is needed."""
    for share, bar in ((0.05, f"≤ {MOST}"), (1.0, "")):
        plain, shadowed = asyncio.run(_measure(share))
        ratios = sorted(with_it / without for with_it, without in zip(shadowed, plain, strict=True))
        ratio = median(ratios)
        low, high = ratios[len(ratios) // 4], ratios[-len(ratios) // 4]
        told = f"{ratio:.3f} × (quartiles {low:.3f} – {high:.3f}); {median(plain):.1f} ms without"
        what = f"p99 of {PER_S} requests/s at a provider of {DELAY_MS} ms, {share:.0%} of them shadowed, ÷ without"
        yield Figure(what, bar, told, ratio <= MOST)


async def _measure(share: float) -> tuple[list[float], list[float]]:
    """The p99 of each round, without and with shadows, in ms."""
    with TemporaryDirectory(prefix="routewright-shadow-") as name, ExitStack() as programs:
        folder = Path(name)
        upstream = programs.enter_context(running("upstream", ["-m", "routewright.bench.upstream"], folder))
        plain, shadowed = (
            programs.enter_context(_gateway(folder / each, upstream, settings))
            for each, settings in (("plain", ""), ("shadowed", SHADOW.format(share=share)))
        )
        load = whole(1_000, delay_ms=DELAY_MS)
        await _p99_ms(plain, load), await _p99_ms(shadowed, load)  # caches are filled, connections opened
        rounds = [(await _p99_ms(plain, load), await _p99_ms(shadowed, load)) for _ in range(ROUNDS)]
    return [each for each, _ in rounds], [each for _, each in rounds]


def _gateway(folder: Path, upstream: Child, settings: str) -> AbstractContextManager[Child]:
    folder.mkdir()
    config = write_settings(folder, upstream)
    config.write_text(config.read_text() + settings)
    arguments = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    return running("gateway", arguments, folder)


async def _p99_ms(gateway: Child, load: Load) -> float:
    async with Clients(gateway, patience_s=PATIENCE_S) as clients:
        run = await clients.open_loop(load, REQUESTS, per_s=PER_S)
    return quantiles(run.latencies_s, n=100)[-1] * 1000
