"""How a program is told of the gateway: by its environment and its arguments, and by no file of the user's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

CLAUDE, CODEX = "claude", "codex"
INSTALLING: Mapping[str, str] = {
    CLAUDE: "npm install -g @anthropic-ai/claude-code",
    CODEX: "npm install -g @openai/codex",
}

_ELSEWHERE = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "OPENAI_API_BASE")
"""Would send the program past the gateway."""
_ANTHROPIC_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
"""Programs look for the first; Claude Code asks whether it may use that one, and takes the second without a word."""
_CODEX_PROVIDER = "routewright"
_CODEX_WITHOUT = {"web_search": '"disabled"', "features.multi_agent": "false"}
"""Kinds of tools that only OpenAI's own models have (`web_search`, `namespace`): nobody else could be asked."""


class Gateway(NamedTuple):
    """What a program must know."""

    url: str
    """Without `/v1`."""
    key: str
    session: str
    """What the program's requests are counted by: it goes with each of them, as `x-routewright-user`."""

    @property
    def header(self) -> str:
        """For clients that take further headers as text."""
        return f"x-routewright-user: {self.session}"


class Launch(NamedTuple):
    """What is run."""

    command: Sequence[str]
    environ: Mapping[str, str]


def launch_of(command: Sequence[str], environ: Mapping[str, str], gateway: Gateway, model: str | None) -> Launch:
    """The command for this gateway. `model` is who answers, None for the program's usual name of `auto`."""
    name = PurePath(command[0]).stem
    changed = {name: value for name, value in environ.items() if name not in _ELSEWHERE}
    changed |= {
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_CUSTOM_HEADERS": _with_line(environ.get("ANTHROPIC_CUSTOM_HEADERS", ""), gateway.header),
        "OPENAI_BASE_URL": f"{gateway.url}/v1",
        "OPENAI_API_KEY": gateway.key,
        "OPENAI_CUSTOM_HEADERS": _with_line(environ.get("OPENAI_CUSTOM_HEADERS", ""), gateway.header),
    }
    # of the two that Anthropic's clients know only one: they complain of both
    mine, other = _ANTHROPIC_KEYS if name != CLAUDE else reversed(_ANTHROPIC_KEYS)
    changed.pop(other, None)
    changed[mine] = gateway.key
    if name == CLAUDE:
        changed |= {"ANTHROPIC_MODEL": model or "claude-auto", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-auto"}
    elif name == CODEX:
        return Launch([command[0], *_codex_arguments(gateway, model or "auto"), *command[1:]], changed)
    return Launch(command, changed)


def _with_line(lines: str, line: str) -> str:
    return f"{lines}\n{line}" if lines else line


def _codex_arguments(gateway: Gateway, model: str) -> list[str]:
    """Codex takes settings as TOML, of which JSON strings are a part. The user's own come later, and win."""
    name, _, value = gateway.header.partition(": ")
    provider = (
        f'{{name="routewright", base_url={json.dumps(f"{gateway.url}/v1")}, env_key="OPENAI_API_KEY", '
        f'wire_api="responses", http_headers={{{json.dumps(name)}={json.dumps(value)}}}}}'
    )
    settings = {
        "model_provider": json.dumps(_CODEX_PROVIDER),
        f"model_providers.{_CODEX_PROVIDER}": provider,
        "model": json.dumps(model),
        **_CODEX_WITHOUT,
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
