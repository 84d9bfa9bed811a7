"""What a report is: lines of sums, a table of lines for each way to group them, and what was saved."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routewright.ledger.spending import Dimension, Keys, Sums, added


class Line(Struct, frozen=True, gc=False):
    """One row of a table."""

    keys: Keys
    """One for each dimension of the table."""
    sums: Sums


class Table(Struct, frozen=True):
    """Lines by the same dimensions, in their order, and all of them together."""

    by: tuple[Dimension, ...]
    lines: tuple[Line, ...]
    total: Sums
    overlaps: bool = False
    """A request may stand in several lines (it has several tags), so they add up to more than the total."""


class Saving(Struct, frozen=True, kw_only=True):
    """What routing saved, and what it is made of; all in nano-USD.

    The answered requests that have a baseline, all their attempts included, against the same tokens at the baseline;
    less what requests cost that nobody answered, which the baseline might have been spared.
    """

    baselines: tuple[str, ...]
    """Whose prices the answers were priced at; usually one."""
    requests: int
    """How many were compared."""
    actual_nanousd: int
    baseline_nanousd: int
    failed_nanousd: int
    saved_nanousd: int
    """Below zero when routing cost more than the baseline would have."""
    errands_nanousd: int
    """Of all money, what small calls of our own took (judges, summaries, shadows)."""
    shadows_nanousd: int = 0
    """Of that, copies of requests to other models and their comparisons; they come on top of what requests cost."""
    estimated: int
    """Requests with a part that the provider did not report."""
    low_nanousd: int
    high_nanousd: int
    """Between these lies the saving; the same when nothing is estimated."""


class Report(Struct, frozen=True, kw_only=True):
    """All that is said, and the form of `--json`."""

    since: str | None
    """UTC; None from the beginning, as `until` to the end."""
    until: str | None
    only: Mapping[str, str]
    """What was left in, by dimension; empty for everything."""
    totals: Sums
    saving: Saving
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know to take the figures for what they are."""


def merged(lines: Iterable[Line], places: Sequence[int]) -> tuple[Line, ...]:
    """The lines with only these of their keys, those that are then about the same added up; in order of their keys."""
    sums: dict[Keys, Sums] = {}
    for line in lines:
        keys = tuple(line.keys[place] for place in places)
        sums[keys] = sums[keys] + line.sums if keys in sums else line.sums
    return tuple(Line(keys, sums[keys]) for keys in sorted(sums, key=_in_order))


def _in_order(keys: Keys) -> tuple[tuple[bool, str], ...]:
    """Known ones by name, then what is not known."""
    return tuple((key is None, key or "") for key in keys)


def together(lines: Iterable[Line]) -> Sums:
    """All lines as one."""
    return added(line.sums for line in lines)


def saving_of(total: Sums, baselines: Iterable[str], shadows_nanousd: int = 0) -> Saving:
    """What was saved, from the sums of all requests, and what shadows cost beside them."""
    saved = total.baseline_cost_nanousd - total.compared_cost_nanousd - total.failed_cost_nanousd - shadows_nanousd
    return Saving(
        baselines=tuple(sorted(set(baselines))),
        requests=total.compared,
        actual_nanousd=total.compared_cost_nanousd,
        baseline_nanousd=total.baseline_cost_nanousd,
        failed_nanousd=total.failed_cost_nanousd,
        saved_nanousd=saved,
        errands_nanousd=total.errand_cost_nanousd,
        shadows_nanousd=shadows_nanousd,
        estimated=total.unsure,
        low_nanousd=total.least_saved_nanousd - shadows_nanousd,
        high_nanousd=total.most_saved_nanousd - shadows_nanousd,
    )


# ---- columns ----------------------------------------------------------------------------------------------------


class Measure(Struct, frozen=True):
    """A column of figures: what it is called in a file and for people, its unit, and where it stands in the sums."""

    name: str
    title: str
    unit: str
    """`count`, `usd` (nano-USD), or `share` of `whole`."""
    read: Callable[[Sums], int | None]
    """None where there is nothing to tell."""
    whole: Callable[[Sums], int] | None = None


def _if_compared(read: Callable[[Sums], int]) -> Callable[[Sums], int | None]:
    return lambda sums: read(sums) if sums.compared else None


def _saved(sums: Sums) -> int:
    return sums.baseline_cost_nanousd - sums.compared_cost_nanousd


MONEY = (
    Measure("requests", "requests", "count", lambda sums: sums.requests),
    Measure("complete", "success", "share", lambda sums: sums.complete, lambda sums: sums.requests),
    Measure("attempts", "attempts", "count", lambda sums: sums.attempts),
    Measure("input_tokens", "tokens in", "count", lambda sums: sums.usage.input_total),
    Measure("output_tokens", "tokens out", "count", lambda sums: sums.usage.output_total),
    Measure("cost_usd", "spent", "usd", lambda sums: sums.cost_nanousd),
    Measure("failed_cost_usd", "failed", "usd", lambda sums: sums.failed_cost_nanousd),
    Measure("errand_cost_usd", "errands", "usd", lambda sums: sums.errand_cost_nanousd),
    Measure("from_cache", "from cache", "count", lambda sums: sums.from_cache),
    Measure("cache_saved_usd", "saved by cache", "usd", lambda sums: sums.cache_saved_nanousd),
    Measure("actual_cost_usd", "actual", "usd", _if_compared(lambda sums: sums.compared_cost_nanousd)),
    Measure("baseline_cost_usd", "would have cost", "usd", _if_compared(lambda sums: sums.baseline_cost_nanousd)),
    Measure("saved_usd", "saved", "usd", _if_compared(_saved)),
    Measure("saved_share", "saved %", "share", _if_compared(_saved), lambda sums: sums.baseline_cost_nanousd),
)
"""What was spent, and what it would have cost."""

INPUT = (
    Measure("answered", "answered", "count", lambda sums: sums.answered),
    Measure("input_tokens", "tokens in", "count", lambda sums: sums.input_parts.total),
    Measure("system_tokens", "system prompt", "count", lambda sums: sums.input_parts.system),
    Measure("system_share", "%", "share", lambda sums: sums.input_parts.system, lambda sums: sums.input_parts.total),
    Measure("history_tokens", "history", "count", lambda sums: sums.input_parts.history),
    Measure("history_share", "%", "share", lambda sums: sums.input_parts.history, lambda sums: sums.input_parts.total),
    Measure("tools_tokens", "tools", "count", lambda sums: sums.input_parts.tools),
    Measure("tools_share", "%", "share", lambda sums: sums.input_parts.tools, lambda sums: sums.input_parts.total),
    Measure("user_tokens", "user", "count", lambda sums: sums.input_parts.user),
    Measure("user_share", "%", "share", lambda sums: sums.input_parts.user, lambda sums: sums.input_parts.total),
    Measure("input_cost_usd", "cost of input", "usd", lambda sums: sums.input_cost_nanousd),
    Measure("system_cost_usd", "of system prompt", "usd", lambda sums: sums.system_cost_nanousd),
)
"""What the input of answered requests consists of."""


_OF_REQUESTS = frozenset(
    {
        "requests", "complete", "failed_cost_usd", "from_cache", "cache_saved_usd", "actual_cost_usd",
        "baseline_cost_usd", "saved_usd", "saved_share",
    }
)  # fmt: skip
"""Columns of which an attempt's cause tells nothing."""


def measures(by: Sequence[Dimension], *, of_input: bool) -> tuple[Measure, ...]:
    """The columns of a table about money, or about what the input consists of."""
    if of_input:
        return INPUT
    return tuple(each for each in MONEY if each.name not in _OF_REQUESTS) if "cause" in by else MONEY


def with_key_names(table: Table, names: Mapping[str, str]) -> Table:
    """The table with the names of virtual keys behind their ids, for people."""
    if "key" not in table.by:
        return table
    place = table.by.index("key")

    def named(keys: Keys) -> Keys:
        key = keys[place] or ""
        return (*keys[:place], f"{key} ({names[key]})", *keys[place + 1 :]) if key in names else keys

    return replace(table, lines=tuple(replace(line, keys=named(line.keys)) for line in table.lines))


def name_of(key: str | None, dimension: Dimension) -> str:
    """A key for people."""
    if key is None and dimension == "model":
        return "(nobody)"
    return key or "(none)"


def as_json(report: Report) -> object:
    """The report as a document: integers, money in nano-USD."""
    return msgspec.to_builtins(report)
