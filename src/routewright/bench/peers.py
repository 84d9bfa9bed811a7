"""Other gateways in the run of ours, each with its defaults and what stands here.

What can be installed (`programs`) is measured beside nginx, the floor and our gateway, in turn: CPU of the whole tree
of processes for requests of 1 and 32 KB and for streams of 50 chunks, memory, and the time to the first answer. One
process each, one model at the mock provider (Switchyard two, to choose from), logs quiet, no database. Takes some
minutes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop

from routewright.bench import programs
from routewright.bench.load import Clients, Load
from routewright.bench.nginx import nginx
from routewright.bench.plan import Plan
from routewright.bench.processes import BenchFailed, Child, running
from routewright.bench.programs import Ready, Running
from routewright.bench.proxies import CHUNKS, LARGE_PROMPT_CHARS, PROMPT_CHARS, spend, streamed, whole
from routewright.bench.report import Figure, figure
from routewright.bench.settings import write_settings

PLAN = Plan(rounds=3, concurrency=32, patience_s=180)
LITELLM = """\
model_list:
  - model_name: auto
    litellm_params: {{model: openai/bench-model, api_base: "{upstream}/v1", api_key: sk-none}}
"""
SWITCHYARD = """\
schema_version = 1

[llm_clients.bench]
format = "openai_chat"
base_url = "{upstream}/v1"

[targets.capable]
id = "claude-opus-4.7"
llm_client = "bench"

[targets.efficient]
id = "deepseek-v3"
llm_client = "bench"

[routes.auto]
id = "auto"
type = "stage_router"
capable_target = "capable"
efficient_target = "efficient"
picker = "efficient_first"
confidence_threshold = 0.5
"""
PORTKEY = "x-portkey-provider: openai\r\nx-portkey-custom-host: {upstream}/v1\r\nauthorization: Bearer sk-none"


class Kind(NamedTuple):
    """What is sent; how much of it to a light gateway, and to one that takes a hundred times as long."""

    name: str
    load: Load
    many: int
    few: int


KINDS = (
    Kind("1 KB request", whole(PROMPT_CHARS), 2_000, 200),
    Kind("32 KB request", whole(LARGE_PROMPT_CHARS), 500, 100),
    Kind(f"stream of {CHUNKS} chunks", streamed(CHUNKS), 128, 32),
)


class Side(NamedTuple):
    """A gateway that runs."""

    child: Child
    headers: tuple[str, ...] = ()
    is_heavy: bool = False
    first_answer_s: float | None = None


# ---- the peers ------------------------------------------------------------------------------------------------------


def _litellm(upstream: Child, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    return programs.litellm({"litellm.yaml": LITELLM.format(upstream=upstream.url)}, place, folder, ready)


def _portkey(_: Child, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    return programs.portkey(place, folder, ready)


def _switchyard(upstream: Child, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    return programs.switchyard(SWITCHYARD.format(upstream=upstream.url), place, folder, ready)


class Peer(NamedTuple):
    """Another gateway."""

    run: Callable[[Child, Path, Path, Ready], AbstractContextManager[Running]]
    bar: float
    """It takes so many times our CPU for a request of 1 KB, at least."""
    told: str = ""
    """Lines of each request's head."""


PEERS = {
    "litellm": Peer(_litellm, 75),
    "portkey": Peer(_portkey, 8, PORTKEY),
    "switchyard": Peer(_switchyard, 1.8),
}


def _answer_once(child: Child, headers: tuple[str, ...]) -> None:
    uvloop.run(_ask_once(child, headers))


async def _ask_once(child: Child, headers: tuple[str, ...]) -> None:
    async with Clients(child, patience_s=PLAN.patience_s) as clients:
        await clients.closed_loop(msgspec.structs.replace(KINDS[0].load, headers=headers), 1, concurrency=1)


# ---- the run --------------------------------------------------------------------------------------------------------


def measure(names: Sequence[str], place: Path, notes: list[str], told: Callable[[str], object]) -> list[Figure]:
    """All of them, in turn; `told` hears what is done, `notes` gets versions, settings, and what was left out.

    A peer that cannot be installed or does not start is left out.
    """
    with tempfile.TemporaryDirectory(prefix="routewright-peers-") as home, ExitStack() as stack:
        folder = Path(home)
        upstream = stack.enter_context(running("upstream", ["-m", "routewright.bench.upstream"], folder))
        plain = stack.enter_context(nginx(upstream, folder))
        sides = {} if plain is None else {"nginx": Side(plain)}
        floor = ["-m", "routewright.bench.floor", "--upstream", upstream.url]
        sides["floor"] = Side(stack.enter_context(running("floor", floor, folder)))
        serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(write_settings(folder, upstream))]
        sides["routewright"] = Side(stack.enter_context(running("gateway", serve, folder)))
        for name in names:
            told(f"installing and starting {name}")
            peer = PEERS[name]
            headers = (peer.told.format(upstream=upstream.url),) if peer.told else ()
            ready = partial(_answer_once, headers=headers)
            try:
                running_peer = stack.enter_context(peer.run(upstream, place, folder, ready))
            except BenchFailed as error:
                notes.append(f"{name}: left out, as it {error.message}")
            else:
                sides[name] = Side(
                    running_peer.child, headers, is_heavy=True, first_answer_s=running_peer.first_answer_s
                )
                notes.append(f"{name} {running_peer.version}\n{running_peer.settings}")
        return uvloop.run(_figures(sides, notes, told))


async def _figures(sides: Mapping[str, Side], notes: list[str], told: Callable[[str], object]) -> list[Figure]:
    figures = []
    for kind in KINDS:
        told(kind.name)
        rounds = await _rounds(sides, kind, notes)
        for name, took in rounds.items():
            figures.append(figure(name, f"{name}, {kind.name}", "µs CPU", took))
        for name in (name for name in rounds if sides[name].is_heavy):
            ratio = [its / ours for its, ours in zip(rounds[name], rounds["routewright"], strict=True)]
            least = PEERS[name].bar if kind is KINDS[0] else None
            figures.append(figure(name, f"{name} ÷ routewright, {kind.name}", "×", ratio, least=least))
    for name, side in sides.items():
        figures.append(figure(name, f"{name}, memory after that", "MB", [side.child.resident_mb()]))
        if side.first_answer_s is not None:
            figures.append(figure(name, f"{name}, start to first answer", "s", [side.first_answer_s]))
    return figures


async def _rounds(sides: Mapping[str, Side], kind: Kind, notes: list[str]) -> dict[str, list[float]]:
    """CPU of a request by side; without a peer that does not answer this kind, which is noted."""
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(PLAN.rounds):
        for name in list(rounds):
            side = sides[name]
            load = msgspec.structs.replace(kind.load, headers=side.headers * len(kind.load.bodies))
            try:
                spent = await spend(PLAN, side.child, load, kind.few if side.is_heavy else kind.many)
            except BenchFailed as error:
                if not side.is_heavy:
                    raise
                notes.append(f"{kind.name}: left out, as {error.message}")
                del rounds[name]
            else:
                rounds[name].append(spent.cpu_us)
    return rounds
