"""What a caller asks of the router itself: one vocabulary for `routewright: {…}` in a body and for our headers."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from routewright.call import JsonObject, Options
from routewright.catalog.registry import LONGEST_NAME, Tier
from routewright.dialects.check_options import read_checks
from routewright.dialects.fields import array, boolean, required_text, text, whole_number, wrong
from routewright.errors import InvalidRequest

KEY = "routewright"

MOST_TAGS = 32
"""Of a request: money is summed for each of them."""
LONGEST_TAG = 200
MOST_DROPPED = 32
_NAMES = (
    "tier",
    "max_cost_usd",
    "min_quality",
    "deadline_ms",
    "tags",
    "user",
    "no_log",
    "cache",
    "shadow",
    "drop",
    "checks",
    "agreement",
    "policy",
)
_FORMS = ("choice", "number", "text", "json", "off")
_LONGEST_DEADLINE_MS = 86_400_000
_SHARE = re.compile(r"0|1|[01]\.0*|0?\.\d{1,20}")
_USD = re.compile(r"\d{1,9}(?:\.\d+)?")


def read_options(fields: JsonObject, at: str = f"{KEY}.") -> Options:
    """The options in these fields; `at` is what error messages put before a field's name. Raises InvalidRequest."""
    for name in fields:
        if name not in _NAMES:
            shown = at + name[:LONGEST_NAME]
            raise InvalidRequest(f"{shown} is not an option", param=shown, hint=f"there are {', '.join(_NAMES)}")
    deadline_ms = whole_number(fields, "deadline_ms", 1, _LONGEST_DEADLINE_MS, at)
    return Options(
        tier=_tier(fields, at),
        max_cost_nanousd=_nanousd(fields.get("max_cost_usd"), at + "max_cost_usd"),
        min_quality=_probability(fields.get("min_quality"), at + "min_quality"),
        deadline_s=None if deadline_ms is None else deadline_ms / 1000,
        tags=_names(array(fields, "tags", at) or [], at + "tags", MOST_TAGS, LONGEST_TAG),
        user=_user(fields, at),
        no_log=boolean(fields, "no_log", at) or False,
        cache=_switch(fields.get("cache"), at + "cache"),
        shadow=_switch(fields.get("shadow"), at + "shadow"),
        checks=read_checks(array(fields, "checks", at), at + "checks"),
        agreement=_agreement(fields, at),
        drop=_names(array(fields, "drop", at) or [], at + "drop", MOST_DROPPED, LONGEST_NAME),
        policy=text(fields, "policy", at) or "",
    )


def with_body_options(options: Options, fields: object) -> Options:
    """`options`, which came by header and win, filled up from the body's own. Raises InvalidRequest."""
    if type(fields) is not dict:
        raise wrong(KEY, "an object", fields)
    asked = read_options(fields)
    absent = Options()
    missing = {
        name: getattr(asked, name)
        for name in Options.__struct_fields__
        if getattr(options, name) == getattr(absent, name)
    }
    return msgspec.structs.replace(options, **missing)


def with_usual_fields(options: Options, fields: JsonObject) -> Options:
    """`options`, filled up from what clients of other gateways say in a body of OpenAI's: `user`, and `metadata.tags`.

    Tags are taken out, since in OpenAI's own API metadata are texts; the user goes on to the provider. Raises
    InvalidRequest for tags that cannot be.
    """
    metadata, user = fields.get("metadata"), fields.get("user")
    if type(metadata) is dict and type(metadata.get("tags")) is list:
        tags = _names(metadata.pop("tags"), "metadata.tags", MOST_TAGS, LONGEST_TAG)
        options = msgspec.structs.replace(options, tags=options.tags or tags)
        if not metadata:
            del fields["metadata"]
    if options.user is None and type(user) is str and 0 < len(user) <= LONGEST_NAME:
        options = msgspec.structs.replace(options, user=user)
    return options


def _user(fields: JsonObject, at: str) -> str | None:
    name = text(fields, "user", at)
    if name is not None and len(name) > LONGEST_NAME:
        raise wrong(at + "user", f"a string of at most {LONGEST_NAME} characters", name)
    return name


def _tier(fields: JsonObject, at: str) -> Tier | None:
    if fields.get("tier") is None:
        return None
    name = required_text(fields, "tier", at)
    try:
        return Tier(name)
    except ValueError:
        raise wrong(at + "tier", f"one of {', '.join(Tier)}", name) from None


def _nanousd(value: object, param: str) -> int | None:
    """A limit in USD as nano-USD; below a nano-USD it is rounded down, so that the limit holds."""
    if value is None:
        return None
    digits = value
    if type(value) is int or type(value) is float:
        digits = format(Decimal(str(value)), "f")  # the shortest text of a float is what its author wrote
    if type(digits) is not str or not _USD.fullmatch(digits):
        raise wrong(param, 'an amount of USD such as 0.05 or "0.05"', value)
    return int(Decimal(digits).scaleb(9))


def _probability(value: object, param: str) -> float | None:
    if value is None:
        return None
    digits = str(value) if type(value) in (int, float) else value
    if type(digits) is not str or not _SHARE.fullmatch(digits):
        raise wrong(param, "a number from 0 to 1 such as 0.9", value)
    return float(digits)


def _agreement(fields: JsonObject, at: str) -> str:
    form = text(fields, "agreement", at) or ""
    if form and form not in _FORMS:
        raise wrong(at + "agreement", f"one of {', '.join(_FORMS)}", form)
    return form


def _switch(value: object, param: str) -> bool:
    if value not in (None, "on", "off"):
        raise wrong(param, '"on" or "off"', value)
    return value != "off"


def _names(names: list[Any], param: str, most: int, longest: int) -> tuple[str, ...]:
    if len(names) > most:
        raise wrong(param, f"a list of at most {most} names", names)
    for index, name in enumerate(names):
        if type(name) is not str or not 0 < len(name) <= longest or "\0" in name:  # as it is, no ledger keeps one
            raise wrong(f"{param}[{index}]", f"a string of 1 to {longest} characters without a NUL", name)
    return tuple(names)
