"""LiteLLM's virtual keys, as `GET /key/list?return_full_object=true` tells of them → keys of ours.

Their teams, as `GET /team/list` does → a budget each in our settings.

A key's text is not in there, only its hash by another secret, so each gets a new text. A key that could do more here
than there is left out, with the reason.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from routewright.ledger.budgets import Period
from routewright.migration.litellm_budgets import in_calendar

_ALL_MODELS = "all-proxy-models"
_TEAMS_MODELS = "all-team-models"
_NO_MODELS = "no-default-models"
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")
_SAME: Mapping[str, str] = {
    "rpm_limit": "requests_per_minute",
    "tpm_limit": "tokens_per_minute",
    "max_parallel_requests": "concurrency",
    "expires": "expires_at",
}
_UNTOLD = (
    "aliases",
    "config",
    "permissions",
    "allowed_routes",
    "model_max_budget",
    "model_rpm_limit",
    "model_tpm_limit",
)
"""What has no counterpart in a key of ours, and restricts it or changes what it means."""
_SHOWN_CHARS = 12


class NoKeys(ValueError):
    """The document is not what `/key/list` or `/team/list` answers."""


class KeyPlan(Struct, frozen=True, kw_only=True):
    """What becomes of one key."""

    name: str
    fields: Mapping[str, Any] = {}
    """In the words of `POST /admin/keys`; empty for a key that is left out."""
    notes: tuple[str, ...] = ()
    """What is not as it was; of a key that is left out, why."""


class Team(Struct, frozen=True, kw_only=True):
    """What a team gives its keys, and has for itself."""

    name: str
    models: tuple[str, ...] = ()
    """Empty for all."""
    is_blocked: bool = False
    limit_usd: Decimal | None = None
    period: Period = Period.FOREVER

    @property
    def settings(self) -> str:
        """Its budget, as a section of routewright.toml; empty without one."""
        if self.limit_usd is None:
            return ""
        section = f"team-{_UNUSUAL.sub('-', self.name)[:50]}".rstrip("-._")
        scope = msgspec.json.encode(f"team:{self.name}").decode()
        return f'[budgets."{section}"]\nscope = {scope}\nlimit_usd = "{self.limit_usd:f}"\nperiod = "{self.period}"\n'


def read_keys(document: bytes, teams: Mapping[str, Team]) -> list[KeyPlan]:
    """What becomes of every key of an answer, or of a JSON list of answers (pages). Raises NoKeys.

    `teams` are those that are known, by their id: what a key may do can be its team's to say.
    """
    told = _decoded(document)
    pages = told if isinstance(told, list) else [told]
    return [plan for page in pages for plan in _of_page(page, teams)]


def read_teams(document: bytes) -> Mapping[str, Team]:
    """The teams of an answer to `/team/list`, by their id. Raises NoKeys."""
    told = _decoded(document)
    listed = told.get("teams") if isinstance(told, dict) else told
    if not isinstance(listed, list) or not all(isinstance(team, dict) for team in listed):
        raise NoKeys("there is no list of teams in it")
    return {str(team.get("team_id")): _team(team) for team in listed}


def _team(team: Mapping[str, Any]) -> Team:
    name = next((team[field] for field in ("team_alias", "team_id") if _is_text(team.get(field))), "")
    models = team.get("models") or []
    limit, duration = team.get("max_budget"), team.get("budget_duration")
    usd, period = None, Period.FOREVER
    if type(limit) in (int, float):
        usd, period, _ = in_calendar(Decimal(str(limit)), None if duration is None else str(duration))
    return Team(
        name=name,
        models=() if _ALL_MODELS in models else tuple(models),
        is_blocked=team.get("blocked") is True,
        limit_usd=usd,
        period=period,
    )


def _decoded(document: bytes) -> object:
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoKeys(f"it is no JSON: {error}") from error


def _of_page(page: object, teams: Mapping[str, Team]) -> Iterator[KeyPlan]:
    keys = page.get("keys") if isinstance(page, dict) else None
    if not isinstance(keys, list):
        raise NoKeys("there is no list `keys` in it")
    for number, key in enumerate(keys, start=1):
        if not isinstance(key, dict):
            raise NoKeys(f"key {number} is only its hash: it was listed without return_full_object=true")
        yield _plan(key, number, teams)


def _plan(key: Mapping[str, Any], number: int, teams: Mapping[str, Team]) -> KeyPlan:
    name = next((key[field] for field in ("key_alias", "key_name", "token") if _is_text(key.get(field))), "")
    name = name[:100] if _is_text(key.get("key_alias")) else f"litellm {name[:_SHOWN_CHARS] or number}"
    team_id = key.get("team_id")
    team = teams.get(str(team_id)) if team_id else None
    if reason := _left_out(key, team):
        return KeyPlan(name=name, notes=(reason,))
    models = key.get("models") or []
    if not models or any(model in (_ALL_MODELS, _TEAMS_MODELS) for model in models):
        models = [] if team is None else team.models
    metadata = key.get("metadata")
    budgets, notes = _budgets(key)
    fields = {
        "name": name,
        **{ours: key[theirs] for theirs, ours in _SAME.items() if key.get(theirs) is not None},
        "models": models,
        "team": team.name if team is not None else str(team_id or ""),
        "tags": (metadata.get("tags") if isinstance(metadata, dict) else None) or [],
        "budgets": budgets,
    }
    return KeyPlan(name=name, fields=fields, notes=tuple(notes))


def _left_out(key: Mapping[str, Any], team: Team | None) -> str:
    """Why a key could do more here than there; empty for one that could not."""
    models = key.get("models") or []
    if key.get("blocked") is True or (team is not None and team.is_blocked):
        return "it is blocked there, or its team is"
    if untold := [field for field in _UNTOLD if key.get(field)]:
        return f"a key here has no {', '.join(untold)}: make it by hand"
    if _NO_MODELS in models:
        return "it names no models of its own: make it by hand, with --model"
    is_open = not models or _ALL_MODELS in models
    if team is None and (_TEAMS_MODELS in models or (is_open and key.get("team_id"))):
        return "its models are its team's to say: give --teams FILE"
    return ""


def _budgets(key: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The hard budget; what was spent of it is the other ledger's."""
    limit, notes = key.get("max_budget"), list[str]()
    if type(limit) not in (int, float):
        return [], notes
    duration = key.get("budget_duration")
    usd, period, is_exact = in_calendar(Decimal(str(limit)), None if duration is None else str(duration))
    if not is_exact:
        notes.append(f"its budget is {usd:f} by {period}: no more can be spent in any time than before")
    if key.get("spend"):
        notes.append(f"of its budget {key['spend']} USD were spent there, which is not known here")
    return [{"limit_usd": f"{usd:f}", "period": period.value, "is_hard": True}], notes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
