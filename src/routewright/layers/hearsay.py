"""What gateways tell each other of a deployment's health: findings, which are hints, and turns to probe it.

A gateway that hears of a rest or a pause keeps it as if it had found it itself, but goes on judging by what it meets:
it tells only what it found, so that no rumour feeds itself, and nothing that may be its own network's fault.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from routewright.catalog.registry import Deployment


class News(StrEnum):
    """What there is to tell of a circuit."""

    RESTS = "rests"
    """It opened, by failures of the provider's own."""
    COOLS = "cools"
    """The provider asked for a pause."""
    PROVED = "proved"
    """The probes went well."""


class Finding(Struct, frozen=True):
    """Something that a gateway found out, and that holds still."""

    news: News
    number: int
    """Which of its kind at this circuit and gateway: the same one is told again for as long as it holds."""
    lasts_s: float
    """How much longer."""
    why: str = ""


class Turns(Protocol):
    """Who may probe: one gateway at a time."""

    async def take(self, deployment: Deployment) -> bool:
        """Whether it is this gateway's turn to probe a deployment; known within 50 ms."""
        ...


class NobodyElse:
    """Turns where there is one gateway, or no way to ask the others."""

    async def take(self, deployment: Deployment) -> bool:
        """Always."""
        return True
