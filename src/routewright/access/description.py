"""Keys in words: how the command line and the admin API are told of one, and how they tell of one.

Both go through here, so that they know the same fields, with the same bounds, and no other: what is not listed is
refused, never passed over. Nothing of a secret is in what is told.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from routewright.access.keys import KeyBudget, Role, VirtualKey
from routewright.catalog.pricing import parse_usd
from routewright.catalog.registry import Tier
from routewright.errors import InvalidRequest
from routewright.ledger.budgets import Period
from routewright.money import MOST_USD, exact_usd
from routewright.tenant import WhenLeft

Word = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Team = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Few = Meta(max_length=100)
Limit = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Moment = Annotated[datetime, Meta(tz=True)]

_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class BudgetTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget of a key."""

    limit_usd: str
    """A decimal amount."""
    period: Period
    is_hard: bool = True


class KeyWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that may be said of a key; everything else of it is made by routewright."""

    name: Word
    team: Team = ""
    tags: Annotated[tuple[Word, ...], Few] = ()
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)] = (Role.USE,)
    models: Annotated[tuple[Word, ...], Few] = ()
    tiers: Annotated[tuple[Tier, ...], Few] = ()
    budgets: Annotated[tuple[BudgetTold, ...], Few] = ()
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    concurrency: Limit | None = None
    when_left: WhenLeft | None = None
    not_before: Moment | None = None
    expires_at: Moment | None = None


_FIELDS = KeyWish.__struct_fields__


class KeyTold(Struct, frozen=True, kw_only=True):
    """A key as it is shown; times are RFC 3339 in UTC."""

    id: str
    name: str
    state: str
    """`active`, `revoked`, `expired` or `not yet valid`."""
    team: str
    tags: tuple[str, ...]
    roles: tuple[str, ...]
    models: tuple[str, ...]
    tiers: tuple[str, ...]
    budgets: tuple[BudgetTold, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None
    when_left: str | None
    created_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_secret_until: datetime | None
    """Until when the text before the last rotation is taken too."""


def _misfit(error: str) -> InvalidRequest:
    """What msgspec says ("Expected … - at `$.name`"), with the field first."""
    said, _, place = error.partition(" - at `$.")
    if not place:
        return InvalidRequest(f"that cannot be a key: {said}", hint=f"there are {', '.join(_FIELDS)}")
    return InvalidRequest(f"{place.rstrip('`')}: {said[0].lower()}{said[1:]}", param=re.split(r"\W", place)[0])


def read_wish(fields: Mapping[str, Any]) -> VirtualKey:
    """A key as it is wished for: without id, HMAC and time. Raises InvalidRequest naming what is wrong."""
    try:
        wish = msgspec.convert(fields, KeyWish)
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from error
    not_before, expires = _nanoseconds(wish.not_before, "not_before"), _nanoseconds(wish.expires_at, "expires_at")
    if not_before is not None and expires is not None and expires <= not_before:
        raise InvalidRequest("expires_at is not after not_before", param="expires_at")
    return VirtualKey(
        id="",
        name=wish.name,
        team=wish.team,
        tags=_once(wish.tags),
        roles=frozenset(wish.roles),
        models=_once(wish.models),
        tiers=_once(wish.tiers),
        budgets=_budgets(wish.budgets),
        requests_per_minute=wish.requests_per_minute,
        tokens_per_minute=wish.tokens_per_minute,
        concurrency=wish.concurrency,
        when_left=wish.when_left,
        created_at_ns=0,
        not_before_ns=not_before,
        expires_at_ns=expires,
        hmac="",
    )


def changed(key: VirtualKey, fields: Mapping[str, Any]) -> VirtualKey:
    """The key with these fields instead of those it has. Raises InvalidRequest as `read_wish` does."""
    before = msgspec.to_builtins(told(key, 0))
    now = read_wish({**{name: before[name] for name in _FIELDS}, **fields})
    return replace(now, revoked_at_ns=key.revoked_at_ns)


def told(key: VirtualKey, now_ns: int) -> KeyTold:
    """A key as it is shown."""
    return KeyTold(
        id=key.id,
        name=key.name,
        state=key.state(now_ns),
        team=key.team,
        tags=key.tags,
        roles=tuple(role for role in Role if role in key.roles),
        models=key.models,
        tiers=key.tiers,
        budgets=tuple(
            BudgetTold(
                limit_usd=exact_usd(each.limit_nanousd, least_decimals=0), period=each.period, is_hard=each.is_hard
            )
            for each in key.budgets
        ),
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        concurrency=key.concurrency,
        when_left=key.when_left,
        created_at=_moment(key.created_at_ns) or _EPOCH,
        not_before=_moment(key.not_before_ns),
        expires_at=_moment(key.expires_at_ns),
        revoked_at=_moment(key.revoked_at_ns),
        previous_secret_until=_moment(key.previous_until_ns),
    )


def read_budget(text: str) -> dict[str, object]:
    """`10/month` or `10/month/soft` as the fields of a budget. Raises ValueError."""
    amount, _, rest = text.partition("/")
    period, _, kind = rest.partition("/")
    if period not in tuple(Period) or kind not in ("", "hard", "soft"):
        raise ValueError(f'{text!r} is not an amount and a period; write it like "10/month" or "5/day/soft"')
    parse_usd(amount, text)
    return {"limit_usd": amount, "period": period, "is_hard": kind != "soft"}


def _budgets(told: tuple[BudgetTold, ...]) -> tuple[KeyBudget, ...]:
    if len({budget.period for budget in told}) < len(told):
        raise InvalidRequest("a key has one budget for a period", param="budgets")
    return tuple(
        KeyBudget(limit_nanousd=_nanousd(each.limit_usd), period=each.period, is_hard=each.is_hard) for each in told
    )


def _nanousd(text: str) -> int:
    try:
        usd = parse_usd(text, "limit_usd")
    except ValueError as error:
        raise InvalidRequest(f"budgets: {error}", param="budgets", hint='write it like "10" or "0.50"') from error
    if usd > MOST_USD:
        raise InvalidRequest(f"budgets: a limit is at most {MOST_USD:,} USD", param="budgets")
    return int(usd * 10**9)


def _once(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _nanoseconds(moment: datetime | None, name: str) -> int | None:
    if moment is None:
        return None
    if not _EPOCH <= moment <= _LATEST:
        raise InvalidRequest(f"{name} is not between 1970 and 2200", param=name)
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _moment(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else _EPOCH + timedelta(microseconds=at_ns // 1000)
