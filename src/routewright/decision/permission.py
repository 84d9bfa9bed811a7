"""What a tenant may ask for, and who may answer it. A tenant that names no models and no tiers may have everything.

A name that may not be asked for is treated as one that does not exist, in the same words, so that nobody can find out
what there is. Of names that let routewright choose (`auto`, …) only those that are listed may be asked; the choice is
then among the models that are listed too, or among all if only such names are.
"""

from collections.abc import Iterable, Mapping, Set

from msgspec import Struct

from routewright.call import Call
from routewright.catalog.registry import VIRTUAL_MODELS, Deployment, Lineup, Model, Registry, model_not_found
from routewright.tenant import Tenant

NOT_ALLOWED = "not allowed for this key"


class Permission(Struct, frozen=True):
    """Who may answer a tenant, of the models of one registry."""

    models: Mapping[str, frozenset[str] | None] | None
    """Model → the ids of its deployments that may be used, None for all of them; None for every model."""
    tiers: tuple[str, ...]
    """Empty for all."""

    def admits(self, model: Model) -> bool:
        """Whether the model may answer."""
        return (not self.tiers or model.tier in self.tiers) and (self.models is None or model.name in self.models)

    def denied(self, lineup: Lineup) -> Set[int]:
        """The places of all models that may not answer."""
        every = range(len(lineup.names))
        named = every if self.models is None else [lineup.place[name] for name in self.models]
        return frozenset(every).difference([at for at in named if self.admits(lineup.models[at])])

    def usable(self, model: Model) -> tuple[Deployment, ...]:
        """The deployments of an admitted model that may be used."""
        ids = None if self.models is None else self.models[model.name]
        return model.deployments if ids is None else tuple(place for place in model.deployments if place.id in ids)

    def narrowed(self, lineup: Lineup) -> Iterable[int]:
        """The places of admitted models of which only some deployments may be used."""
        return [lineup.place[name] for name, ids in (self.models or {}).items() if ids is not None]


def is_restricted(tenant: Tenant) -> bool:
    """Whether there is anything that the tenant may not ask for."""
    return bool(tenant.models or tenant.tiers)


def permission_of(tenant: Tenant, registry: Registry) -> Permission:
    """Who may answer a tenant. Names that the registry does not know allow nothing."""
    named = [name for name in tenant.models if name not in VIRTUAL_MODELS]
    if not named:
        return Permission(None, tenant.tiers)
    models: dict[str, frozenset[str] | None] = {}
    for name in named:
        model = registry.find(name)
        if model is None:
            continue
        if model is registry.models[model.name]:
            models[model.name] = None
        elif (known := models.get(model.name, frozenset())) is not None:
            models[model.name] = known | {place.id for place in model.deployments}
    return Permission(models, tenant.tiers)


def may_ask(tenant: Tenant, name: str, registry: Registry) -> bool:
    """Whether the tenant may ask for this name: that of a model, an alias, `provider/model`, or `auto` and the like."""
    if tenant.models and name not in tenant.models and not _is_of_a_listed_model(tenant, name, registry):
        return False
    if not tenant.tiers or name in VIRTUAL_MODELS:
        return True
    model = registry.find(name)
    return model is not None and model.tier in tenant.tiers


def _is_of_a_listed_model(tenant: Tenant, name: str, registry: Registry) -> bool:
    """Who may have a model may have it at any provider, and by any name."""
    if name in VIRTUAL_MODELS:
        return False
    model = registry.find(name)
    return model is not None and model.name in tenant.models


def check_permission(call: Call, registry: Registry) -> None:
    """Raises ModelNotFound, as for a model that does not exist, for what the tenant of a call may not ask for."""
    tenant, tier = call.tenant, call.options.tier
    if not may_ask(tenant, call.model, registry) or (tenant.tiers and tier is not None and tier not in tenant.tiers):
        raise model_not_found(call.model)
