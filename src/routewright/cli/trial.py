"""A migrated settings file tried out: read by the loader, served by a gateway in this process, asked for one answer."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from routewright.errors import SettingsError
from routewright.gateway.app import Gateway
from routewright.gateway.batches_running import JobRunner
from routewright.gateway.http import Gathered, Kept, Request
from routewright.migration.draft import Draft, as_toml
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

_ELSEWHERE = ("alerts", "redis")
"""Sections that lead to other machines: read, but not used in a trial."""
_STAND_INS = {"url": "redis://127.0.0.1:6379/0", "slack_webhook": "https://127.0.0.1/", "base_url": "https://127.0.0.1"}
_KEY = "a-stand-in"


class Trial(Struct, frozen=True):
    """What came of it."""

    models: int
    """How many can be asked for."""
    model: str
    """Which one was asked."""


async def try_out(draft: Draft, text: str) -> Trial:
    """Try a draft, written as `text`. Raises SettingsError for what the loader refuses, or if nobody answers.

    Nothing outside is touched: models are simulated, the ledger is a temporary one, and what the settings refer to in
    the environment is stood in for.
    """
    with TemporaryDirectory(prefix="routewright-check-") as folder:
        home = Path(folder)
        environ = {"HOME": folder, **stand_ins(draft)}
        settings = home / "routewright.toml"
        settings.write_text(text, encoding="utf-8")
        _, registry = SettingsSource(environ=environ, cwd=home, simulate=True).load()
        inside = {key: value for key, value in draft.settings.items() if key[0] not in _ELSEWHERE}
        settings.write_text(as_toml(inside), encoding="utf-8")
        flags = {"ledger.path": folder, "cache.store": "memory"}
        source = SettingsSource(environ=environ, cwd=home, flags=flags, simulate=True)
        answering = (name for name in draft.models if ("models", name, "embedding") not in draft.settings)
        model = next(answering, "auto")
        await _ask(source, model)
    return Trial(len(registry.models), model)


def stand_ins(draft: Draft) -> dict[str, str]:
    """A value for each environment variable that the settings refer to."""
    return {name: _STAND_INS.get(key[-1], _KEY) for name, key in draft.variables.items()}


async def _ask(source: SettingsSource, model: str) -> None:
    """One request, as a client would send it."""
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    try:
        gateway = Gateway(
            runtime.engine,
            runtime.clock,
            keyring=runtime.keyring,
            directory=runtime.directory,
            jobs=JobRunner(runtime),
            policies=runtime.policies,
            payer_of=runtime.payer_of,
        )
        body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})
        headers = {b"host": b"localhost", b"authorization": f"Bearer {_KEY}".encode()}
        answer = Gathered()
        await gateway(Request("POST", "/v1/chat/completions", headers, Kept(body)), answer)
        if answer.status != 200:
            hint = "correct the file, and check it once more"
            raise SettingsError(f"{model} did not answer: {answer.body.decode()}", hint=hint)
    finally:
        await runtime.close()
