"""What the Python is worth that the gateway runs on: `python benchmarks/pythons.py NAME=PYTHON … [--into PAGE]`.

Each is an environment's `bin/python` in which routewright is installed, with the name that the table gives it. The
gateway runs on all of them at once and they take turns, as CPython is built in ways that differ in speed. CPU a
request, and how many times that of the first one it is, round by round. Install nginx before.
"""

import argparse
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gateway import lines  # noqa: E402 our neighbours
from benchmarks.page import put  # noqa: E402

from routewright.bench import proxies  # noqa: E402
from routewright.bench.measure import machine  # noqa: E402
from routewright.bench.nginx import nginx  # noqa: E402
from routewright.bench.plan import Plan  # noqa: E402
from routewright.bench.processes import Child, running  # noqa: E402
from routewright.bench.proxies import CHUNKS, PROMPT_CHARS, Rounds  # noqa: E402
from routewright.bench.report import Figure, Report, figure  # noqa: E402
from routewright.bench.settings import write_settings  # noqa: E402

NGINX = "nginx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="+", metavar="NAME=PYTHON", help="the first is what the others are beside")
    parser.add_argument("--into", type=Path, help="the page to write to")
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    options = parser.parse_args()
    pythons = dict(each.split("=", 1) for each in options.pythons)
    figures = _measured(pythons, Plan(rounds=options.rounds))
    found = lines(Report(machine=machine(), figures=tuple(figures), elapsed_s=0))
    print("\n".join(found))
    if options.into:
        put(options.into, "pythons", found)


def _measured(pythons: dict[str, str], plan: Plan) -> list[Figure]:
    with TemporaryDirectory(prefix="routewright-pythons-") as name, ExitStack() as programs:
        upstream = programs.enter_context(running("upstream", ["-m", "routewright.bench.upstream"], Path(name)))
        plain = programs.enter_context(nginx(upstream, Path(name)))
        if plain is None:
            raise SystemExit("nginx is not installed: apt-get install nginx")
        sides: dict[str, Child] = {NGINX: plain}
        for number, (label, python) in enumerate(pythons.items()):
            _say(f"starting the gateway on {label}")
            home = Path(name, str(number))
            home.mkdir()
            serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(write_settings(home, upstream))]
            sides[label] = programs.enter_context(running(f"gateway-{number}", serve, home, python=python))
        return uvloop.run(_figures(plan, sides))


async def _figures(plan: Plan, sides: dict[str, Child]) -> list[Figure]:
    for child in sides.values():
        await proxies.ask_once(plan, child)
    rounds = partial(_say_round, plan)
    requests = await proxies.in_turn(
        plan, sides, proxies.whole(PROMPT_CHARS), plan.requests, partial(rounds, "unstreamed requests")
    )
    streams = await proxies.in_turn(plan, sides, proxies.streamed(CHUNKS), plan.streams, partial(rounds, "streams"))
    return _beside(requests, "request", "1 KB request") + _beside(streams, "stream", f"stream of {CHUNKS} chunks")


def _say_round(plan: Plan, what: str, number: int) -> None:
    _say(f"{what}, round {number} of {plan.rounds}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _beside(rounds: Rounds, name: str, what: str) -> list[Figure]:
    _, first, *others = rounds
    figures = [
        figure(f"{side}_{name}_us", f"{side}, {what}", "µs CPU", proxies.cpu(spent)) for side, spent in rounds.items()
    ]
    for side, base in [(first, NGINX), *((each, base) for each in others for base in (NGINX, first))]:
        figures.append(
            figure(f"{side}_{base}_{name}", f"{side} ÷ {base}, {what}", "×", proxies.ratios(rounds, side, base))
        )
    return figures


if __name__ == "__main__":
    main()
