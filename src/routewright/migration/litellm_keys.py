"""LiteLLM's virtual keys, as `GET /key/list?return_full_object=true` tells of them → keys of ours.

A key's text is not in there, only its hash by another secret, so each gets a new text. A key that could do more here
than there is left out, with the reason.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from routewright.migration.litellm_budgets import in_calendar

_ALL_MODELS = "all-proxy-models"
_OF_OTHERS = ("all-team-models", "no-default-models")
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
    """The document is not what `/key/list` answers."""


class KeyPlan(Struct, frozen=True, kw_only=True):
    """What becomes of one key."""

    name: str
    fields: Mapping[str, Any] = {}
    """In the words of `POST /admin/keys`; empty for a key that is left out."""
    notes: tuple[str, ...] = ()
    """What is not as it was; of a key that is left out, why."""


def read_keys(document: bytes) -> list[KeyPlan]:
    """What becomes of every key of an answer, or of a JSON list of answers (pages). Raises NoKeys."""
    try:
        told = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoKeys(f"it is no JSON: {error}") from error
    pages = told if isinstance(told, list) else [told]
    return [plan for page in pages for plan in _of_page(page)]


def _of_page(page: object) -> Iterator[KeyPlan]:
    keys = page.get("keys") if isinstance(page, dict) else None
    if not isinstance(keys, list):
        raise NoKeys("there is no list `keys` in it")
    for number, key in enumerate(keys, start=1):
        if not isinstance(key, dict):
            raise NoKeys(f"key {number} is only its hash: it was listed without return_full_object=true")
        yield _plan(key, number)


def _plan(key: Mapping[str, Any], number: int) -> KeyPlan:
    name = next((key[field] for field in ("key_alias", "key_name", "token") if _is_text(key.get(field))), "")
    name = name[:100] if _is_text(key.get("key_alias")) else f"litellm {name[:_SHOWN_CHARS] or number}"
    models = key.get("models") or []
    if key.get("blocked") is True:
        return KeyPlan(name=name, notes=("it is blocked there",))
    if untold := [field for field in _UNTOLD if key.get(field)]:
        return KeyPlan(name=name, notes=(f"a key here has no {', '.join(untold)}: make it by hand",))
    if any(model in _OF_OTHERS for model in models):
        return KeyPlan(name=name, notes=("its models are named elsewhere (its team): make it by hand, with --model",))
    fields: dict[str, Any] = {
        "name": name,
        **{ours: key[theirs] for theirs, ours in _SAME.items() if key.get(theirs) is not None},
    }
    if _ALL_MODELS not in models:
        fields["models"] = models
    if team := next((key[field] for field in ("team_alias", "team_id") if _is_text(key.get(field))), None):
        fields["team"] = team
    metadata = key.get("metadata")
    fields["tags"] = (metadata.get("tags") if isinstance(metadata, dict) else None) or []
    budgets, notes = _budgets(key)
    return KeyPlan(name=name, fields={**fields, "budgets": budgets}, notes=tuple(notes))


def _budgets(key: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The hard budget; what was spent of it is the other ledger's."""
    limit, notes = key.get("max_budget"), list[str]()
    if type(limit) not in (int, float):
        return [], notes
    usd, period, is_exact = in_calendar(Decimal(str(limit)), key.get("budget_duration"))
    if not is_exact:
        notes.append(f"its budget is {usd:f} by {period}: no more can be spent in any time than before")
    if key.get("spend"):
        notes.append(f"of its budget {key['spend']} USD were spent there, which is not known here")
    return [{"limit_usd": f"{usd:f}", "period": period.value, "is_hard": True}], notes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
