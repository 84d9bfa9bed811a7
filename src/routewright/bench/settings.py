"""The settings that gateways are measured with."""

from pathlib import Path

from routewright.bench.processes import Child

MODELS = ("claude-opus-4.7", "claude-sonnet-4.6", "gpt-5.5", "deepseek-v3")
_SETTINGS = """\
[server]
drain_seconds = 1
max_connections_per_address = 10_000

[ledger]
path = "{folder}/ledger"

[providers.bench]
base_url = "{upstream}/v1"
"""
_MODEL = """
[models."{name}"]
deployments = ["bench/{name}"]
"""


def write_settings(folder: Path, upstream: Child, *, more: str = "") -> Path:
    """A settings file that takes the built-in models, one of each tier, from the mock; its ledger is in `folder`."""
    config = folder / "routewright.toml"
    listed = "".join(_MODEL.format(name=name) for name in MODELS)
    config.write_text(_SETTINGS.format(folder=folder, upstream=upstream.url) + listed + more)
    return config
