"""Lists as OpenAI pages them: `limit` and `after` in, `data` and `has_more` out."""

from collections.abc import Iterable
from typing import Protocol
from urllib.parse import parse_qs

from msgspec import Struct

from routewright.dialects.fields import wrong
from routewright.gateway.http import Request


class Listed(Protocol):
    """What can be in a list."""

    @property
    def id(self) -> str:
        """By which a page goes on."""
        ...


class Page(Struct, frozen=True, kw_only=True):
    """A part of a list."""

    data: tuple[Listed, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


def query_of(request: Request) -> dict[str, str]:
    """The fields of a query, of each the last."""
    return {name: values[-1] for name, values in parse_qs(request.query.decode("latin-1")).items()}


def read_limit(asked: dict[str, str], usual: int, most: int) -> int:
    """How many are asked for. Raises InvalidRequest."""
    limit = asked.get("limit", str(usual))
    if not limit.isdecimal() or not limit.isascii() or len(limit) > 9 or not 1 <= int(limit) <= most:
        raise wrong("limit", f"a whole number from 1 to {most}", limit)
    return int(limit)


def page(found: Iterable[Listed], *, limit: int, after: str | None) -> Page:
    """The next `limit` of a list behind the one named `after`. Raises InvalidRequest for one that is not there."""
    rest = list(found)
    if after is not None:
        ids = [each.id for each in rest]
        if after not in ids:
            raise wrong("after", "the id of one in the list", after)
        rest = rest[ids.index(after) + 1 :]
    shown = tuple(rest[:limit])
    return Page(
        data=shown,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
        has_more=len(rest) > limit,
    )
