"""Which system prompts cost what, by month: a roll-up of the answered requests, kept with every batch.

The money of a system prompt is its share of the input tokens of the attempt that answered, times what that input cost,
cached or not. (A provider's cache holds the beginning of the input, so with a warm cache the share is an upper bound
of the system prompt's own.) Requests that nobody answered are not in it, nor are those without a system prompt.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from msgspec import Struct

from routewright.ledger.database import Database, Row, Transaction

MOST_PROMPTS = 10_000
"""Distinct system prompts of a month that have a row of their own; who writes the time into each one has no end."""

OTHER = "other"
"""The row of all prompts beyond that."""

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_NS = 86_400 * 10**9


class Prompt(Struct, frozen=True, kw_only=True):
    """One system prompt in one month (UTC), and what was like it in the month before."""

    hash: str
    """See `decision.audit.text_hash`; `other` for all beyond `MOST_PROMPTS`."""
    opening: str
    """The hash of its first 200 characters, which versions of one prompt share; empty for `other`."""
    preview: str
    """How it begins; empty when content is not kept."""
    characters: int
    """0 for `other`."""
    first_seen_ns: int
    """UTC, nanoseconds since 1970; 0 for `other`."""
    requests: int
    tokens: int
    """Of the system prompt, over all these requests."""
    cost_nanousd: int
    """What these tokens cost."""
    unpriced: int
    """Requests of models without a price: their cost is not in it, and not zero."""
    requests_before: int
    """In the month before, with any prompt of the same opening; as the next field, 0 if there was none."""
    tokens_before: int


class Month(Struct, frozen=True, kw_only=True):
    """All system prompts of a month."""

    month: str
    """`2026-11`, UTC."""
    prompts: int
    """Distinct ones that have a row of their own."""
    requests: int
    tokens: int
    cost_nanousd: int
    unpriced: int


class PromptAudit(Struct, frozen=True, kw_only=True):
    """What system prompts cost."""

    months: tuple[Month, ...]
    """In their order."""
    prompts: tuple[Prompt, ...]
    """Those of the last of these months, dearest first."""


class _Sum(Struct, frozen=True):
    """What a batch adds to one row."""

    opening: str
    preview: str
    characters: int
    first_seen_ns: int
    requests: int
    tokens: int
    cost_nanousd: int
    unpriced: int


def absorb_prompts(transaction: Transaction, new: str, most: int = MOST_PROMPTS) -> None:
    """Add requests to the roll-up: the rows of table `new`, which must be new to the ledger."""
    by_month = _sums(transaction.execute(_NEW.format(new=new)))
    for month, sums in sorted(by_month.items()):
        for name, its in _bounded(transaction, new, month, sums, most).items():
            if name != OTHER:
                transaction.execute(_PROMPT, name, its.opening, its.preview, its.characters, its.first_seen_ns)
            transaction.execute(_ADD, month, name, its.requests, its.tokens, its.cost_nanousd, its.unpriced)


def read_audit(database: Database, since: str, until: str) -> PromptAudit:
    """The months from `since` to `until` (`2026-11`), both included, and the prompts of the last one."""
    months = tuple(Month(**row) for row in database.read(_MONTHS, since, until))
    if not months:
        return PromptAudit(months=(), prompts=())
    last = months[-1].month
    before = {row["opening"]: row for row in database.read(_OPENINGS, month_before(last))}
    nothing = {"requests": 0, "tokens": 0}
    prompts = []
    for row in database.read(_PROMPTS, last):
        was = before.get(row["opening"], nothing)
        prompts.append(Prompt(**row, requests_before=was["requests"], tokens_before=was["tokens"]))
    return PromptAudit(months=months, prompts=tuple(prompts))


def month_before(month: str) -> str:
    """`2026-10` of `2026-11`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02}"


def _sums(rows: Iterable[Row]) -> Mapping[str, dict[str, _Sum]]:
    """By month and hash, from rows by day."""
    by_month: dict[str, dict[str, _Sum]] = {}
    for row in rows:
        month = date.fromordinal(_EPOCH + row.pop("day")).isoformat()[:7]
        sums, name = by_month.setdefault(month, {}), row.pop("hash")
        its = _Sum(**row)
        sums[name] = _added(sums[name], its) if name in sums else its
    return by_month


def _added(one: _Sum, other: _Sum) -> _Sum:
    return _Sum(
        opening=one.opening,
        preview=one.preview or other.preview,
        characters=one.characters,
        first_seen_ns=min(one.first_seen_ns, other.first_seen_ns),
        requests=one.requests + other.requests,
        tokens=one.tokens + other.tokens,
        cost_nanousd=one.cost_nanousd + other.cost_nanousd,
        unpriced=one.unpriced + other.unpriced,
    )


def _bounded(transaction: Transaction, new: str, month: str, sums: Mapping[str, _Sum], most: int) -> Mapping[str, _Sum]:
    """The sums of prompts that have a row of their own in the month or may get one, and of all others together."""
    known = {row["hash"] for row in transaction.execute(_KNOWN.format(new=new), month)}
    unknown = sorted(sums.keys() - known)
    if not unknown:
        return sums
    room = max(0, most - int(transaction.execute(_COUNT, month)[0]["prompts"]))
    bounded = {name: its for name, its in sorted(sums.items()) if name in known}
    bounded |= {name: sums[name] for name in unknown[:room]}
    for name in unknown[room:]:
        bounded[OTHER] = _added(bounded[OTHER], sums[name]) if OTHER in bounded else sums[name]
    return bounded


_NEW = f"""
SELECT new.at_ns / {_DAY_NS} AS day, new.system_hash AS hash, max(new.system_opening) AS opening,
       max(new.system_preview) AS preview, max(new.system_chars) AS characters, min(new.at_ns) AS first_seen_ns,
       count(*) AS requests, sum(new.input_system) AS tokens, coalesce(sum(new.system_cost_nanousd), 0) AS cost_nanousd,
       count(*) - count(new.system_cost_nanousd) AS unpriced
FROM {{new}} AS new WHERE new.system_hash <> '' AND new.model IS NOT NULL
GROUP BY new.at_ns / {_DAY_NS}, new.system_hash
"""  # noqa: S608 of our own constants
_PROMPT = """
INSERT INTO system_prompts (hash, opening, preview, characters, first_seen_ns) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET
    preview = CASE WHEN excluded.preview <> '' THEN excluded.preview ELSE system_prompts.preview END,
    first_seen_ns = CASE WHEN excluded.first_seen_ns < system_prompts.first_seen_ns THEN excluded.first_seen_ns
                         ELSE system_prompts.first_seen_ns END
"""
_ADD = """
INSERT INTO prompts_monthly (month, hash, requests, tokens, cost_nanousd, unpriced) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (month, hash) DO UPDATE SET
    requests = prompts_monthly.requests + excluded.requests,
    tokens = prompts_monthly.tokens + excluded.tokens,
    cost_nanousd = prompts_monthly.cost_nanousd + excluded.cost_nanousd,
    unpriced = prompts_monthly.unpriced + excluded.unpriced
"""
_KNOWN = """
SELECT hash FROM prompts_monthly WHERE month = ? AND hash IN (SELECT new.system_hash FROM {new} AS new)
"""
_COUNT = f"SELECT count(*) AS prompts FROM prompts_monthly WHERE month = ? AND hash <> '{OTHER}'"  # noqa: S608 our own
_MONTHS = f"""
SELECT month, count(*) FILTER (WHERE hash <> '{OTHER}') AS prompts, sum(requests) AS requests, sum(tokens) AS tokens,
       sum(cost_nanousd) AS cost_nanousd, sum(unpriced) AS unpriced
FROM prompts_monthly WHERE month >= ? AND month <= ? GROUP BY month ORDER BY month
"""  # noqa: S608 of our own constants
_PROMPTS = f"""
SELECT p.hash, coalesce(s.opening, '') AS opening, coalesce(s.preview, '') AS preview,
       coalesce(s.characters, 0) AS characters, coalesce(s.first_seen_ns, 0) AS first_seen_ns,
       p.requests, p.tokens, p.cost_nanousd, p.unpriced
FROM prompts_monthly AS p LEFT JOIN system_prompts AS s ON s.hash = p.hash
WHERE p.month = ?
ORDER BY CASE p.hash WHEN '{OTHER}' THEN 1 ELSE 0 END, p.cost_nanousd DESC, p.tokens DESC, p.hash
"""  # noqa: S608 of our own constants
_OPENINGS = """
SELECT s.opening, sum(p.requests) AS requests, sum(p.tokens) AS tokens
FROM prompts_monthly AS p JOIN system_prompts AS s ON s.hash = p.hash
WHERE p.month = ? GROUP BY s.opening
"""
