"""How other models did beside those that answered: standings of pairs, and single comparisons to read."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.decision.shadow_standing import LEAST_RATED, ShadowStanding, Share, standings
from routewright.ledger.latest import latest_comparisons
from routewright.ledger.ledger import ComparisonRecorded
from routewright.text import counted

MOST_COMPARISONS = 2_000
"""The latest of them are looked at."""
MOST_SHOWN = 50
"""Of those that are asked for, the latest."""
SHOWN: Mapping[str, Callable[[ComparisonRecorded], bool]] = {
    "all": lambda each: True,
    "wins": lambda each: each.result == "win",
    "losses": lambda each: each.result == "loss",
    "different": lambda each: not each.is_same and each.result != "failed",
}
"""Wins and losses are the shadow's; different is whatever was answered and is not the same."""


class Pair(Struct, frozen=True):
    """Two answers to one request, where content is kept."""

    request_id: str
    model: str
    answer: str
    shadow: str
    shadow_answer: str
    result: str


def read(desk: Desk, asked: Parameters) -> View:
    """Two questions: the latest comparisons, and what people say of their answers."""
    show, shadow = asked.choice("show", tuple(SHOWN), "all"), asked.text("shadow")
    found = latest_comparisons(desk.ledger.database, MOST_COMPARISONS)
    every = [each for each in found.comparisons if shadow in (None, each.shadow)]
    chosen = [each for each in every if SHOWN[show](each)]
    table, single = _standings(standings(every, found.ratings)), _single(chosen[:MOST_SHOWN], len(chosen))
    values = {
        "is_empty": not found.comparisons,
        "standings": table,
        "comparisons": single,
        "pairs": pairs_of(chosen[:MOST_SHOWN]),
        "show": show,
        "choices": tuple((name, asked.changed(show=name)) for name in SHOWN),
        "shadow": shadow or "",
        "shadows": sorted({each.shadow for each in found.comparisons}),
        "looked_at": counted(len(found.comparisons), "comparison"),
        "least_rated": LEAST_RATED,
    }
    return View(title="Shadows", template="shadows.html", values=values, listings=(table, single))


def _standings(found: Sequence[ShadowStanding]) -> Listing:
    return Listing(
        name="standings",
        title="Wins, losses and ties",
        columns=(
            Column("shadow", "shadow"),
            Column("beside", "beside"),
            Column("compared", "compared", Kind.COUNT),
            Column("same", "same", Kind.COUNT),
            Column("undecided", "undecided", Kind.COUNT),
            Column("failed", "failed", Kind.COUNT),
            Column("wins", "wins"),
            Column("losses", "losses"),
            Column("ties", "ties"),
            Column("preference", "wins less losses"),
            Column("rated", "rated by people", Kind.COUNT),
            Column("cost_usd", "cost", Kind.USD),
            Column("shadow_cost_usd", "its cost", Kind.USD),
            Column("judge_cost_usd", "judging", Kind.USD),
            Column("median_ms", "median", Kind.MS),
            Column("shadow_median_ms", "its median", Kind.MS),
        ),
        rows=[_standing(each) for each in found],
    )


def _standing(its: ShadowStanding) -> tuple[Cell, ...]:
    preference = None
    if its.preference is not None:
        mean, low, high = its.preference
        preference = f"{mean:+.2f} ({low:+.2f} – {high:+.2f})"
    medians = (None if value is None else round(value) for value in (its.median_ms, its.shadow_median_ms))
    return (
        its.shadow,
        its.model,
        its.comparisons,
        its.same,
        its.undecided,
        its.failed,
        *map(_share, (its.wins, its.losses, its.ties)),
        preference,
        its.rated,
        its.cost_nanousd,
        its.shadow_cost_nanousd,
        its.judge_cost_nanousd,
        *medians,
    )


def _share(share: Share | None) -> str | None:
    return None if share is None else f"{share.count:,} ({share.low:.0%} – {share.high:.0%})"


def _single(found: Sequence[ComparisonRecorded], of: int) -> Listing:
    return Listing(
        name="comparisons",
        title="Single comparisons",
        columns=(
            Column("request", "request"),
            Column("at", "time (UTC)", Kind.TIME),
            Column("answered", "answered"),
            Column("shadow", "shadow"),
            Column("result", "result"),
            Column("by", "by"),
            Column("cost_usd", "cost", Kind.USD),
            Column("shadow_cost_usd", "its cost", Kind.USD),
        ),
        rows=[
            (
                each.request_id,
                each.at_ns,
                each.model,
                each.shadow,
                verdict(each),
                each.decided_by or None,
                each.cost_nanousd,
                each.shadow_cost_nanousd,
            )
            for each in found
        ],
        links=[f"/ui/requests/{each.request_id}" for each in found],
        note=f"The latest {len(found)} of {of:,}." if of > len(found) else "",
    )


def verdict(each: ComparisonRecorded) -> str:
    """What came of it, in a word; win and loss are the shadow's."""
    return "same" if each.is_same else each.result


def pairs_of(found: Sequence[ComparisonRecorded]) -> list[Pair]:
    """The answers themselves, of those whose content was kept."""
    return [
        Pair(each.request_id, each.model, each.answer, each.shadow, each.shadow_answer, each.result)
        for each in found
        if each.answer or each.shadow_answer
    ]
