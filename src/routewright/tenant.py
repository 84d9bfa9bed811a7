"""Who is billed and limited: the holder of a virtual key, or whoever uses the library."""

from enum import StrEnum

from msgspec import Struct


class WhenLeft(StrEnum):
    """What becomes of an answer whose client has left."""

    CANCEL = "cancel"
    """It is given up at once; what the provider made of it until then is paid for."""
    FINISH = "finish"
    """It is read to its end: what it used is then known exactly, and `Idempotency-Key` has it for the next time."""


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
    when_left: WhenLeft | None = None
    """None for what the settings say."""


NOBODY = Tenant()
