"""Two processes of one gateway against one: requests a second, and what one costs."""

from contextlib import ExitStack
from pathlib import Path

import uvloop

from routewright.bench.plan import Plan
from routewright.bench.processes import Child, running
from routewright.bench.proxies import PROMPT_CHARS, in_turn, ratios, whole
from routewright.bench.report import Figure, figure
from routewright.bench.settings import write_settings

BAR = 1.8
ENOUGH_CORES = 4
"""Two for the gateway, one each for who asks and who answers; with fewer, the ratio has no bar."""


def worker_figures(plan: Plan, upstream: Child, folder: Path, *, cores: int) -> list[Figure]:
    """Both run for the whole time, and take turns."""
    with ExitStack() as stack:
        gateways = {}
        for count in (1, 2):
            home = folder / f"workers-{count}"
            home.mkdir()
            config = write_settings(home, upstream)
            serve = ["-m", "routewright", "serve", "--port", "0", "--workers", str(count), "--config", str(config)]
            gateways[str(count)] = stack.enter_context(running(f"gateway-{count}", serve, home))
        rounds = uvloop.run(in_turn(plan, gateways, whole(PROMPT_CHARS), plan.requests))
    one, two = ([each.per_s for each in rounds[count]] for count in "12")
    gain = [more / less for more, less in zip(two, one, strict=True)]
    where = f"two processes ÷ one, on {cores} cores that clients and upstream share"
    return [
        figure("one_per_s", "one process, 1 KB requests in a closed loop", "requests/s", one),
        figure("two_per_s", "two processes, the same", "requests/s", two),
        figure("workers_gain", f"{where}, requests/s", "×", gain, least=BAR if cores >= ENOUGH_CORES else None),
        figure("workers_cpu", "CPU of a request, two processes ÷ one", "×", ratios(rounds, "2", "1"), bar=2 / BAR),
    ]
