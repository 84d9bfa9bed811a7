"""Policies and their versions as they are shown, by the command line and the admin API alike."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from routewright.catalog.registry import Registry
from routewright.errors import PolicyRefused
from routewright.policies.overlay import applied, document_of, unknown_models
from routewright.policies.plan import Plan
from routewright.policies.rollout import ALL
from routewright.policies.store import Change, Version
from routewright.settings import Settings
from routewright.settings.given import did_you_mean
from routewright.settings.schema import Overlay


class PolicyTold(Struct, frozen=True, kw_only=True):
    """A policy that can be used now, or should be."""

    name: str
    version: str | None
    """As routes and reports have it; None for one that cannot be used."""
    number: int
    """Of its version in the ledger; 0 for what the settings say."""
    share: float
    """Percent of the requests that name no policy."""
    is_base: bool
    changes: Mapping[str, Any]
    """In the words of `[policies.NAME]`."""
    trouble: str | None


class VersionTold(Struct, frozen=True, kw_only=True):
    """A version as it was written."""

    name: str
    number: int
    at: datetime
    author: str
    changes: Mapping[str, Any]
    evidence: Mapping[str, Any]


class ChangeTold(Struct, frozen=True, kw_only=True):
    """What was put in force, and when."""

    at: datetime
    kind: str
    name: str
    number: int
    share: float | None
    author: str
    reason: str


def told(plan: Plan) -> list[PolicyTold]:
    """All policies of a plan; switched off, the base has everything and stands as `[policy]` says."""
    shares = {} if plan.is_off else {**plan.rollout.shares}
    base = plan.base.policy
    shares[base.name] = max(0.0, ALL - sum(shares.values()))
    versions = {name: each.applied.policy.version for name, each in plan.policies.items() if each.applied is not None}
    versions[base.name] = base.version
    return [
        PolicyTold(
            name=name,
            version=versions.get(name),
            number=each.number,
            share=shares.get(name, 0.0),
            is_base=name == base.name,
            changes=document_of(each.overlay),
            trouble=each.trouble,
        )
        for name, each in plan.policies.items()
    ]


def told_version(version: Version) -> VersionTold:
    """A version as it is shown."""
    return VersionTold(
        name=version.name,
        number=version.number,
        at=_moment(version.at_ns),
        author=version.author,
        changes=document_of(version.overlay),
        evidence=version.evidence,
    )


def told_change(change: Change) -> ChangeTold:
    """A change as it is shown."""
    return ChangeTold(
        at=_moment(change.at_ns),
        kind=change.kind,
        name=change.name,
        number=change.number,
        share=change.share,
        author=change.author,
        reason=change.reason,
    )


def check(name: str, overlay: Overlay, settings: Settings, registry: Registry) -> None:
    """Before an overlay is put in force: raises PolicyRefused if it names what is no model, or cannot be used."""
    known = settings.models.keys() | registry.models.keys()
    for unknown in unknown_models(overlay, settings, registry):
        raise PolicyRefused(f"policy {name}: no model is called {unknown!r}{did_you_mean(unknown, known)}")
    applied(name, overlay, settings, registry)


def _moment(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // 10**9, UTC)
