"""Which policies there are: what the settings say of them and what the ledger says, put together for one moment.

Under each name a version in force in the ledger goes before the settings, also under the name of the base. A policy
that cannot be used (none of its models is there) keeps its share, and the base answers for it: so nobody else's policy
changes. The kill switch leaves `[policy]` of the settings alone, without anything that the ledger says.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from routewright.catalog.registry import Registry
from routewright.errors import PolicyRefused
from routewright.policies.overlay import NOTHING, Applied, applied
from routewright.policies.rollout import Rollout
from routewright.policies.store import AS_SETTINGS, InForce
from routewright.settings import Settings
from routewright.settings.schema import Overlay


class Planned(Struct, frozen=True, kw_only=True):
    """One policy."""

    name: str
    number: int
    """Of its version in the ledger; `AS_SETTINGS` for what the settings say."""
    overlay: Overlay
    applied: Applied | None
    """None for one that cannot be used now: the base, or for the base `[policy]`, is used instead."""
    trouble: str | None = None
    """Why it cannot be used."""


class Plan(Struct, frozen=True, kw_only=True):
    """All of them."""

    is_off: bool
    """The kill switch, in the settings or the ledger."""
    base: Applied
    """What decides where no other policy does."""
    policies: Mapping[str, Planned]
    """By name: the base first, then those of the settings in their order, then those of the ledger alone."""
    rollout: Rollout
    without_policy: Sequence[str]
    """Names that have a share, and are no policy's: their share goes to the base."""

    def decided(self, version: str) -> Applied:
        """What a route was decided by, from its `policy`; the base for a version that is not among these."""
        known = (each.applied for each in self.policies.values() if each.applied is not None)
        return next((applied for applied in known if applied.policy.version == version), self.base)


def plan_of(settings: Settings, registry: Registry, in_force: InForce) -> Plan:
    """The policies by these settings, this catalog and what the ledger says."""
    plain = applied(settings.policy.name, NOTHING, settings, registry)
    names = dict.fromkeys((settings.policy.name, *settings.policies, *in_force.standings, *in_force.unreadable))
    policies = {name: _planned(name, settings, registry, in_force) for name in names}
    stored = {name: its.share for name, its in in_force.standings.items() if its.share and name != settings.policy.name}
    shares = settings.rollout.shares | stored | settings.rollout.shares  # those of the settings first, and as they say
    is_off = in_force.is_off or not settings.rollout.enabled
    return Plan(
        is_off=is_off,
        base=plain if is_off else policies[settings.policy.name].applied or plain,
        policies=policies,
        rollout=Rollout(shares, settings.rollout.by),
        without_policy=tuple(name for name in shares if name not in policies),
    )


def _planned(name: str, settings: Settings, registry: Registry, in_force: InForce) -> Planned:
    number, overlay = AS_SETTINGS, settings.policies.get(name, NOTHING)
    if name in in_force.unreadable:
        return Planned(name=name, number=number, overlay=overlay, applied=None, trouble=in_force.unreadable[name])
    if name in in_force.standings:
        version = in_force.standings[name].version
        number, overlay = version.number, version.overlay
    try:
        its, trouble = applied(name, overlay, settings, registry), None
    except PolicyRefused as error:
        its, trouble = None, error.message
    return Planned(name=name, number=number, overlay=overlay, applied=its, trouble=trouble)
