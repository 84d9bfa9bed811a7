"""What two gateways made of the same questions: values, sums, and a table. Nobody is asked here."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from routewright.cli.screen import Column, print_table
from routewright.text import one_line, percent, usd

MOST_SHOWN = 100
"""Questions of a table; `--json` has all of them."""
NOT_REACHED = 0
"""The status of a question that a gateway gave no answer to at all."""

_COLUMNS = (
    Column("question"),
    *(Column(title, is_number=True) for title in ("status", "tokens in", "tokens out", "cost", "latency")),
    Column("answered by"),
)


class Said(Struct, frozen=True, kw_only=True):
    """What one gateway made of one question. None for what it did not tell."""

    status: int
    """Of HTTP, or `NOT_REACHED`."""
    latency_ms: float
    """Until the whole answer was there."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None
    model: str = ""
    error: str = ""
    """The code of what went wrong."""

    @property
    def is_answered(self) -> bool:
        """Whether there was an answer."""
        return 200 <= self.status < 300


class Pair(Struct, frozen=True, kw_only=True):
    """One question, and what both made of it."""

    custom_id: str
    ours: Said
    theirs: Said


class Sums(Struct, frozen=True, kw_only=True):
    """Over all questions of one gateway. What was not told is in no sum, and how often it was told is beside it."""

    answered: int
    input_tokens: int
    output_tokens: int
    usage_told: int
    cost_nanousd: int
    cost_told: int
    latency_ms_p50: float | None
    """Of what was answered, as the next."""
    latency_ms_p95: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """All of it, as `--json` has it."""

    against: str
    questions: int
    not_asked: int
    """What the file had beyond `--limit`."""
    status_differs: int
    cost_told_by_both: int
    ours_cost_nanousd: int
    """Of the questions whose cost both told, and so has the next: what can be compared."""
    theirs_cost_nanousd: int
    ours: Sums
    theirs: Sums
    pairs: tuple[Pair, ...]


def compared(pairs: Sequence[Pair], *, against: str, not_asked: int) -> Comparison:
    """The sums of what was asked."""
    costs = [
        (pair.ours.cost_nanousd, pair.theirs.cost_nanousd)
        for pair in pairs
        if pair.ours.cost_nanousd is not None and pair.theirs.cost_nanousd is not None
    ]
    return Comparison(
        against=against,
        questions=len(pairs),
        not_asked=not_asked,
        status_differs=sum(pair.ours.status != pair.theirs.status for pair in pairs),
        cost_told_by_both=len(costs),
        ours_cost_nanousd=sum(ours for ours, _ in costs),
        theirs_cost_nanousd=sum(theirs for _, theirs in costs),
        ours=_sums([pair.ours for pair in pairs]),
        theirs=_sums([pair.theirs for pair in pairs]),
        pairs=tuple(pairs),
    )


def _sums(said: Sequence[Said]) -> Sums:
    latencies = sorted(each.latency_ms for each in said if each.is_answered)
    return Sums(
        answered=len(latencies),
        input_tokens=sum(each.input_tokens or 0 for each in said),
        output_tokens=sum(each.output_tokens or 0 for each in said),
        usage_told=sum(each.output_tokens is not None for each in said),
        cost_nanousd=sum(each.cost_nanousd or 0 for each in said),
        cost_told=sum(each.cost_nanousd is not None for each in said),
        latency_ms_p50=_quantile(latencies, 0.5),
        latency_ms_p95=_quantile(latencies, 0.95),
    )


def _quantile(ascending: Sequence[float], share: float) -> float | None:
    """The value that this share is not above; None of nothing."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else None


def print_comparison(found: Comparison) -> list[str]:
    """The table, ours before theirs in every cell; returns what is to be said beside it."""
    ordered = sorted(found.pairs, key=lambda pair: pair.ours.status == pair.theirs.status)
    ours, theirs = found.ours, found.theirs
    total = (
        f"{found.questions:,} questions",
        f"{ours.answered:,} / {theirs.answered:,}",
        f"{ours.input_tokens:,} / {theirs.input_tokens:,}",
        f"{ours.output_tokens:,} / {theirs.output_tokens:,}",
        f"{usd(ours.cost_nanousd)} / {usd(theirs.cost_nanousd)}",
        f"{_ms(ours.latency_ms_p50)} / {_ms(theirs.latency_ms_p50)}",
        "answered · sums · median latency",
    )
    print_table(_COLUMNS, [_row(pair) for pair in ordered[:MOST_SHOWN]], total=total)
    return _beside(found)


def _beside(found: Comparison) -> list[str]:
    said = [f"ours / {found.against}: the status differs in {found.status_differs} of {found.questions}"]
    if found.cost_told_by_both:
        ours, theirs = found.ours_cost_nanousd, found.theirs_cost_nanousd
        said.append(
            f"cost, where both tell it ({found.cost_told_by_both} of {found.questions}): {usd(ours)} / {usd(theirs)}, "
            f"saved {usd(theirs - ours)} ({percent(theirs - ours, theirs)})"
        )
    else:
        said.append("cost: not told by both of any question, so it cannot be compared")
    said.append(f"latency of 95 %: {_ms(found.ours.latency_ms_p95)} / {_ms(found.theirs.latency_ms_p95)}")
    if len(found.pairs) > MOST_SHOWN:
        said.append(
            f"{MOST_SHOWN} of {len(found.pairs):,} questions are shown, different statuses first; --json has all"
        )
    if found.not_asked:
        said.append(f"{found.not_asked:,} more questions of the file were not asked: --limit")
    return said


def _row(pair: Pair) -> tuple[str, ...]:
    def both(shown: Callable[[Said], str]) -> str:
        return f"{shown(pair.ours)} / {shown(pair.theirs)}"

    return (
        one_line(pair.custom_id),
        both(lambda said: str(said.status or "–")),
        both(lambda said: _count(said.input_tokens)),
        both(lambda said: _count(said.output_tokens)),
        both(lambda said: "–" if said.cost_nanousd is None else usd(said.cost_nanousd)),
        both(lambda said: _ms(said.latency_ms)),
        both(lambda said: one_line(said.model or said.error) or "–"),
    )


def _count(tokens: int | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"


def _ms(latency_ms: float | None) -> str:
    return "–" if latency_ms is None else f"{latency_ms:,.0f} ms"
