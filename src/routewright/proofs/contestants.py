"""The gateways that are put through the same trials, ours among them: what each runs with, and how it is asked.

Each has its defaults, and the same models: one for each fault of the provider's, and pairs of a deployment that fails
in one way and one that is well, in the way that each has for two deployments of one model.
"""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from routewright.bench import programs
from routewright.bench.processes import running
from routewright.bench.programs import Ready, Running
from routewright.version import running_version

GROUPS = 5
"""Models of a fault that breaks streams, so that none of them is left out for failing too often."""
SINGLES = (
    "ok",
    "held",
    "malformed",
    "error-200",
    *(f"{fault}_{number}" for fault in ("cut", "ended") for number in range(GROUPS)),
)
PAIRS = {
    "pair-500": "status-500",
    "pair-429": "status-429",
    "pair-refused": "dead",
    "pair-hang": "hang",
    "pair-hung": "hang",
}
"""Each with the fault of its first deployment; that of `dead` is a port where nobody listens."""


class Places(Struct, frozen=True):
    """Where providers are: the mock one, and none."""

    mock: str
    dead: str

    def of(self, fault: str) -> str:
        """The address for a deployment with this fault."""
        return self.dead if fault == "dead" else self.mock


@contextmanager
def places(mock_port: int) -> Iterator[Places]:
    """A port is taken, and never listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Places(f"http://127.0.0.1:{mock_port}/v1", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")


class Contestant(NamedTuple):
    """A gateway."""

    run: Callable[[Places, Path, Path, Ready], AbstractContextManager[Running]]
    """Started for the trials of faults, installed at a place, with a folder of its own."""
    told: Callable[[Places, str], Sequence[str]] = lambda *_: ()
    """Lines of the head of a request for this model."""
    note: str = ""
    """What there is to know about how it was run."""
    is_its_program: bool = True
    """What runs is a program of its makers, which has its own way to stop."""


# ---- ours -----------------------------------------------------------------------------------------------------------

OURS = """\
[providers.mock]
base_url = "{places.mock}"

[providers.dead]
base_url = "{places.dead}"
"""
OUR_MODEL = """
[models."{name}"]
tier = "standard"
context_window = 100_000
deployments = [{deployments}]
price = {{ input = "1", output = "2" }}
"""


def _ours(places: Places, _: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    singles = {name: [f"mock/{name}"] for name in SINGLES}
    pairs = {
        name: [f"{'dead' if fault == 'dead' else 'mock'}/{fault}_{name}", f"mock/ok_{name}"]
        for name, fault in PAIRS.items()
    }
    models = (
        OUR_MODEL.format(name=name, deployments=", ".join(f'"{each}"' for each in deployments))
        for name, deployments in (singles | pairs).items()
    )
    return serving(OURS.format(places=places) + "".join(models), folder, ready)


@contextmanager
def serving(settings: str, folder: Path, ready: Ready) -> Iterator[Running]:
    """Ours with these settings, its ledger in the folder."""
    config = folder / "routewright.toml"
    config.write_text(settings)
    serve = ["-m", "routewright", "serve", "--port", "0", "--config", str(config)]
    with running("routewright", serve, folder) as child:
        ready(child)
        shown = f"routewright serve --config …/{config.name}\n\n# {config.name}\n{settings.strip()}"
        yield Running(child, running_version(), 0.0, shown)


# ---- LiteLLM --------------------------------------------------------------------------------------------------------

LITELLM_DEPLOYMENT = """\
  - model_name: {name}
    litellm_params: {{model: openai/{model}, api_base: "{place}", api_key: sk-none}}
"""


def _litellm(places: Places, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    deployments = [(name, name, places.mock) for name in SINGLES]
    for name, fault in PAIRS.items():
        deployments += [(name, f"{fault}_{name}", places.of(fault)), (name, f"ok_{name}", places.mock)]
    config = "".join(LITELLM_DEPLOYMENT.format(name=name, model=model, place=at) for name, model, at in deployments)
    return programs.litellm({"litellm.yaml": f"model_list:\n{config}"}, place, folder, ready)


# ---- Portkey --------------------------------------------------------------------------------------------------------


def _portkey(_: Places, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    return programs.portkey(place, folder, ready)


def _told_portkey(places: Places, model: str) -> Sequence[str]:
    if model not in PAIRS:
        return (
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {places.mock}",
            "authorization: Bearer sk-none",
        )
    targets = [
        {
            "provider": "openai",
            "api_key": "sk-none",
            "custom_host": places.of(fault),
            "override_params": {"model": fault},
        }
        for fault in (PAIRS[model], "ok")
    ]
    return (f"x-portkey-config: {json.dumps({'strategy': {'mode': 'fallback'}, 'targets': targets})}",)


# ---- Switchyard -----------------------------------------------------------------------------------------------------

SWITCHYARD = """\
schema_version = 1

[llm_clients.mock]
format = "openai_chat"
base_url = "{places.mock}"

[llm_clients.dead]
format = "openai_chat"
base_url = "{places.dead}"
"""
SWITCHYARD_TARGET = """
[targets.{name}]
id = "{model}"
llm_client = "{client}"
"""
SWITCHYARD_SINGLE = """
[routes.{name}]
id = "{name}"
type = "passthrough"
target = "{name}"
"""
SWITCHYARD_PAIR = """
[routes.{name}]
id = "{name}"
type = "random"
targets = ["{name}-first", "{name}-second"]
"""


def _switchyard(places: Places, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    config = [SWITCHYARD.format(places=places)]
    for name in SINGLES:
        config.append(SWITCHYARD_TARGET.format(name=name, model=name, client="mock"))
        config.append(SWITCHYARD_SINGLE.format(name=name))
    for name, fault in PAIRS.items():
        client = "dead" if fault == "dead" else "mock"
        config.append(SWITCHYARD_TARGET.format(name=f"{name}-first", model=f"{fault}_{name}", client=client))
        config.append(SWITCHYARD_TARGET.format(name=f"{name}-second", model=f"ok_{name}", client="mock"))
        config.append(SWITCHYARD_PAIR.format(name=name))
    return programs.switchyard("".join(config), place, folder, ready)


CONTESTANTS = {
    "routewright": Contestant(
        _ours,
        note="of two deployments it takes the less busy one, by chance while they are alike; it tries twice again at "
        "most, the other one first (`max_retry_attempts`), and rests who fails. A stream that has not begun when the "
        "other one surely would have, as far as that is known, is tried there; for a whole answer of a request's last "
        "model it waits until the deadline (600 s, `deadline_ms`), until enough is known of its other deployment",
    ),
    "litellm": Contestant(
        _litellm,
        note="of two deployments it takes one by chance (`simple-shuffle`), tries twice again, each time by chance, so "
        "that all three may meet the one that fails, rests who fails for 5 s, and waits 6,000 s for an answer "
        "(`request_timeout`)",
    ),
    "portkey": Contestant(
        _portkey,
        _told_portkey,
        note="two deployments are its `fallback` here, which asks the first one, the one that fails, each time; it "
        "does not try one again (`retry`), and waits without limit (`request_timeout`). Installed with an older "
        "server below it than npm would take, as with that one it breaks every stream "
        "([#1389](https://github.com/Portkey-AI/gateway/issues/1389))",
    ),
    "switchyard": Contestant(
        _switchyard,
        note="of two deployments it takes one by chance (`random`), and tries each twice again (`max_retries`). Its "
        "makers call its server one for demos and evaluation. Here it is that of its wheel, started by Python, as its "
        "program is built from Rust and not on PyPI; what that makes of SIGTERM was not tried",
        is_its_program=False,
    ),
}
