"""`routewright init`: a settings file to begin with, from what is found here or from another gateway's settings."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
from msgspec import Struct

from routewright.cli.options import json_option
from routewright.cli.screen import print_json
from routewright.cli.trial import Trial, try_out
from routewright.detection import Found, detect
from routewright.errors import SettingsError
from routewright.migration.draft import Draft, Fate, Finding, as_toml, one_comment
from routewright.settings import Settings, load_settings
from routewright.settings.sources import read_bounded
from routewright.text import counted, one_line

_HEAD = "# routewright's settings, by `routewright init`. docs/settings.md has every key with its default.\n"
_STARTER = """
[server]
# port = 8484
# api_key = "env:ROUTEWRIGHT_KEY"  # the operator's own; needed to listen on any address but this machine's

[policy]
# quality = "match claude-opus-4.7 within 2 %"  # without it, the kind of work decides
# cost_alert_threshold = 100.0  # USD in a calendar month: an alert, and nothing is refused

# [budgets.all]
# scope = "total"
# limit_usd = "100"  # a calendar month; beyond it requests are refused
"""


class Account(Struct, frozen=True):
    """What came of a migration, for `--json`."""

    output: str
    models: list[str]
    findings: list[Finding]
    variables: list[str]
    """Environment variables that the new settings refer to, or need."""
    unset: list[str]
    """Those of them that are not set here."""
    trial: Trial | None


@click.command("init", short_help="Write a settings file to begin with, or from LiteLLM's.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--from", "make", type=click.Choice(["litellm"]), help="Take over FILE, the settings of that gateway.")
@click.option("--check", is_flag=True, help="Try what was written: read it, and have a request answered, simulated.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path("routewright.toml"),
    help="Write this file, and not ./routewright.toml.",
)
@click.option("--force", is_flag=True, help="Replace a file of that name.")
@json_option
def command(file: Path | None, make: str | None, check: bool, output: Path, force: bool, as_json: bool) -> None:
    """Write a settings file to begin with, or from LiteLLM's.

    Without --from, it names the keys and the model servers that are found here. With it, every line of FILE is told
    with what became of it: kept, changed, or dropped as it has no counterpart; secrets become references, and none is
    shown. A file that is there is never replaced without --force.
    """
    if (file is None) != (make is None):
        raise click.UsageError("FILE and --from belong together: routewright init --from litellm config.yaml")
    if file is not None:
        _take_over(file, output, check=check, force=force, as_json=as_json)
    elif check:
        raise click.UsageError("--check belongs to --from; `routewright doctor` checks what is in force")
    else:
        _begin(output, force=force, as_json=as_json)


def _write(output: Path, text: str, *, force: bool) -> None:
    """Raises SettingsError where that cannot be, or must not."""
    try:
        with output.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise SettingsError(f"{output} is there already", hint="--force replaces it; -o writes another file") from None
    except OSError as error:
        raise SettingsError(f"{output} cannot be written: {error.strerror}", hint="-o writes another file") from error


# ---- from another gateway's -------------------------------------------------------------------------------------


def _take_over(file: Path, output: Path, *, check: bool, force: bool, as_json: bool) -> None:
    draft = _migrated(file)
    text = (
        f"{_HEAD}# From {one_comment(str(file))}; what had no counterpart there is not here.\n{as_toml(draft.settings)}"
    )
    _write(output, text, force=force)
    trial = asyncio.run(try_out(draft, text)) if check else None
    unset = [name for name in draft.variables if not os.environ.get(name)]
    account = Account(str(output), draft.models, draft.findings(), list(draft.variables), unset, trial)
    if as_json:
        print_json(account)
    else:
        for line in told(account, str(file)):
            click.echo(one_line(line))


def _migrated(file: Path) -> Draft:
    from routewright.catalog.sources import load_prices
    from routewright.migration.litellm import migrate
    from routewright.migration.yaml_reading import read_yaml

    try:
        content = read_bounded(file, str(file))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}", hint="check the path") from error
    return migrate(read_yaml(content, str(file)), str(file), load_prices())


def told(account: Account, file: str) -> Iterator[str]:
    """The account in words, a line each; the place first, so that editors find it."""
    for finding in account.findings:
        to = f" → {finding.to}" if finding.to else ""
        why = f" · {finding.why}" if finding.why else ""
        yield f"{file}:{finding.line}: {finding.fate}: {finding.path}{to}{why}"
    counts = Counter(finding.fate for finding in account.findings)
    yield f"wrote {account.output}: {', '.join(f'{counts[fate]} {fate}' for fate in Fate)}"
    if not account.models:
        yield "! no model could be taken over, so the built-in ones are there"
    if account.unset:
        yield f"! set in the environment before `routewright serve`: {', '.join(account.unset)}"
    secrets = [finding for finding in account.findings if finding.is_secret]
    if secrets:
        lines = ", ".join(str(line) for line in sorted({finding.line for finding in secrets}))
        yield f"! secrets stand in clear in {file}, in line {lines}: move them into the environment, and replace them"
    if account.trial:
        answered = f"{account.trial.model} answered a request, simulated"
        yield f"✓ the settings are valid, {counted(account.trial.models, 'model')} in them; {answered}"


# ---- from what is found here ------------------------------------------------------------------------------------


def _begin(output: Path, *, force: bool, as_json: bool) -> None:
    with TemporaryDirectory(prefix="routewright-init-") as nowhere:  # what may be in ./routewright.toml does not count
        settings = load_settings(environ=os.environ, cwd=Path(nowhere))
    found = asyncio.run(detect(settings.local_servers))
    _write(output, starter(settings, found), force=force)
    if as_json:
        print_json({"output": str(output), "keys": list(settings.keys), "servers": msgspec.to_builtins(found.servers)})
        return
    click.echo(f"wrote {output}")
    click.echo(f"  keys: {', '.join(settings.keys) or 'none found'}")
    click.echo(f"  local servers: {', '.join(server.provider for server in found.servers) or 'none found'}")
    click.echo("next: routewright doctor")


def starter(settings: Settings, found: Found) -> str:
    """A settings file that names what is there, and has in comments what is set first."""
    named = [f'[providers.{name}]\napi_key = "{settings.providers[name].api_key}"\n' for name in settings.keys]
    for server in found.servers:
        names = one_comment(", ".join(model.name for model in server.models))
        named.append(f"[providers.{server.provider}]  # has {names}\nlocal = true\n")
    if not named:
        named = ["# No key and no model server was found, so the built-in simulator answers: set one, e.g.\n"]
        named.append('# [providers.openai]\n# api_key = "env:OPENAI_API_KEY"\n')
    return _HEAD + _STARTER + "\n" + "\n".join(named)
