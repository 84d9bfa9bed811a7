"""What a named policy changes (`Overlay`), laid over the settings and the catalog: all that is needed to decide by it.

An overlay is written in one form only, that of `[policies.NAME]` in the settings: the ledger keeps the same words as
JSON, read by the same rules. How good an answer must be is said in one of three ways (`quality`, `min_quality`,
`success_value_usd`); an overlay that says it in one of them replaces whatever the settings say in any.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.catalog.registry import Model, Registry, build_registry
from routewright.decision.intent import Match, Policy
from routewright.errors import PolicyRefused
from routewright.settings import Settings
from routewright.settings.given import Given
from routewright.settings.places import KeyPath
from routewright.settings.schema import Overlay, PolicySettings
from routewright.settings.sources import Origin, Source, flat

NOTHING = Overlay()
"""The settings as they are."""
_WISHES = ("quality", "min_quality", "success_value_usd")
_OF_CATALOG = ("models", "tiers", "fallbacks")


class Applied(Struct, frozen=True):
    """What is decided by under one policy."""

    settings: Settings
    registry: Registry
    policy: Policy


def applied(name: str, overlay: Overlay, settings: Settings, registry: Registry) -> Applied:
    """An overlay over settings and catalog, under a name.

    What it says of models that are not in the catalog now (a key is missing, a server is down) has no effect. Raises
    PolicyRefused when none of its models is there: by it no request could be answered.
    """
    if overlay.models and not any(
        name in registry.models and registry.models[name].deployments for name in overlay.models
    ):
        raise PolicyRefused(f"policy {name}: none of its models can be called: {', '.join(overlay.models)}")
    said = {key: value for key in Overlay.__struct_fields__ if (value := getattr(overlay, key)) not in (None, (), {})}
    changes = {key: value for key, value in said.items() if key not in _OF_CATALOG}
    if not changes.keys().isdisjoint(_WISHES):
        changes = {**dict.fromkeys(_WISHES), **changes}
    settings = replace(settings, policy=replace(settings.policy, name=name, **changes))
    return Applied(settings, _catalog(overlay, registry), policy_of(settings.policy, overlay))


def bare_of(now: Overlay) -> Overlay:
    """What is in force, without all that decides who answers: the rest goes on as it is."""
    return replace(
        now,
        confidence_threshold=None,
        quality=None,
        min_quality=None,
        success_value_usd=None,
        caution=None,
        models=(),
        tiers={},
        fallbacks={},
    )


def policy_of(policy: PolicySettings, overlay: Overlay = NOTHING) -> Policy:
    """What the decision needs of `[policy]`; of an overlay only what is not in there, as it is applied already."""
    value_usd = policy.success_value_usd
    return Policy(
        name=policy.name,
        confidence_threshold=policy.confidence_threshold,
        baseline=policy.baseline,
        match=policy.quality,
        min_quality=policy.min_quality,
        success_value_nanousd=None if value_usd is None else int(value_usd * 10**9),
        caution=policy.caution,
        exploration=policy.exploration,
        session_evidence=policy.session_evidence,
        models=frozenset(overlay.models),
        overlay=digest_of(overlay),
    )


def unknown_models(overlay: Overlay, settings: Settings, registry: Registry) -> Iterator[str]:
    """The names in an overlay that are no model's, neither in the settings nor in the catalog."""
    known = settings.models.keys() | registry.models.keys()
    wished = () if overlay.quality is None else (registry.aliases.get(overlay.quality.model, overlay.quality.model),)
    baseline = () if overlay.baseline is None else (overlay.baseline,)
    stand_ins = (name for names in overlay.fallbacks.values() for name in names)
    named = (*overlay.models, *overlay.tiers, *overlay.fallbacks, *stand_ins, *wished, *baseline)
    return (name for name in dict.fromkeys(named) if name not in known)


def digest_of(overlay: Overlay) -> str:
    """The first 8 hex digits of the SHA-256 of what it says; empty where it says nothing."""
    return "" if overlay == NOTHING else hashlib.sha256(text_of(overlay).encode()).hexdigest()[:8]


# ---- as text ----------------------------------------------------------------------------------------------------


def document_of(overlay: Overlay) -> Mapping[str, Any]:
    """What it says in plain values, as `read_overlay` takes them."""
    document: dict[str, Any] = msgspec.to_builtins(replace(overlay, quality=None), order="sorted")
    if overlay.quality is not None:
        document["quality"] = _wish_of(overlay.quality)
    return dict(sorted(document.items()))


def text_of(overlay: Overlay) -> str:
    """The same as JSON; equal overlays have equal texts."""
    return msgspec.json.encode(document_of(overlay), order="deterministic").decode()


def read_overlay(document: Mapping[str, object], *, name: str, shown_as: str) -> Overlay:
    """An overlay from the plain values of one `[policies.NAME]`; `shown_as` is what messages call their place.

    Raises SettingsError that tells all mistakes.
    """
    path = ("policies", name)
    return read_table(Source(values=dict(flat(document)), origins={}), path, Origin(shown_as))


def read_table(source: Source, path: KeyPath, place: Origin) -> Overlay:
    """The same of a file's values, each with its line; `place` is the whole file's. Raises SettingsError."""
    given = Given()
    given.add(
        Source(
            values={(*path, *key): value for key, value in source.values.items()},
            origins={path: place, **{(*path, *key): origin for key, origin in source.origins.items()}},
        )
    )
    return given.section(Overlay, path)


def _wish_of(wish: Match) -> str:
    return f"match {wish.model} within {round(wish.within * 100, 6):g} %"


# ---- the catalog ------------------------------------------------------------------------------------------------


def _catalog(overlay: Overlay, registry: Registry) -> Registry:
    if not (overlay.tiers or overlay.fallbacks):
        return registry
    return build_registry((_changed(model, overlay, registry) for model in registry.models.values()), registry.aliases)


def _changed(model: Model, overlay: Overlay, registry: Registry) -> Model:
    tier, fallbacks = overlay.tiers.get(model.name, model.tier), model.fallbacks
    if model.name in overlay.fallbacks:
        there = overlay.fallbacks[model.name]
        fallbacks = tuple(name for name in there if name in registry.models and name != model.name)
    return replace(model, tier=tier, fallbacks=fallbacks)
