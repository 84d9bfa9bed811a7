"""Who is billed and limited: the holder of a virtual key, or whoever uses the library."""

from msgspec import Struct


class Tenant(Struct, frozen=True, kw_only=True):
    """What a key says of its holder; without keys, everybody is the tenant without a name."""

    key: str = ""
    """The id of the virtual key; empty without one."""
    team: str = ""
    tags: tuple[str, ...] = ()
    """Of the key itself; a request may bring more."""
    models: tuple[str, ...] = ()
    """Names of models, aliases, `provider/model` and virtual models that may be asked for; empty for all."""
    tiers: tuple[str, ...] = ()
    """Tiers that may answer; empty for all."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


NOBODY = Tenant()
