"""How well answers turn out: whether what is claimed of them comes true, and how often each model does well."""

import math
from collections.abc import Mapping, Sequence

from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, Figure, View
from routewright.decision.claimed_success import Band, Claim, bands, calibration_gap
from routewright.decision.success_rates import Aspect, Success, believed, success_by
from routewright.ledger.latest import Opinion, latest_opinions
from routewright.ledger.ledger import MOST_TRUSTED_LAST
from routewright.reports.plots import Axis, Dot, plane
from routewright.text import counted

MOST_OUTCOMES = 3_000
"""The latest of them are looked at."""
BY: Mapping[str, tuple[Aspect, ...]] = {
    "task": ("model", "kind"),
    "model": ("model",),
    "tier": ("tier",),
    "source": ("model", "source"),
    "check": ("model", "check"),
    "week": ("model", "week"),
}
"""What success can be told by."""


def read(desk: Desk, asked: Parameters) -> View:
    """One question: the latest outcomes."""
    by = asked.choice("by", tuple(BY), "task")
    every = latest_opinions(desk.ledger.database, MOST_OUTCOMES)
    models = sorted({opinion.told.model for opinion in every})
    wanted = asked.text("model")
    opinions = [opinion for opinion in every if wanted in (None, opinion.told.model)]
    found = bands(_claims(opinions))
    calibration = _calibration(found)
    success = _success(BY[by], success_by([opinion.told for opinion in opinions], BY[by], MOST_TRUSTED_LAST))
    values = {
        "is_empty": not every,
        "by": by,
        "choices": tuple(BY),
        "model": wanted or "",
        "models": models,
        "figure": calibration,
        "gap": f"{100 * calibration_gap(found):.1f}",
        "wrong": sum(not band.is_right for band in found),
        "success": success,
        "looked_at": counted(len(every), "outcome"),
    }
    return View(title="Quality", template="quality.html", values=values, listings=(success, calibration.listing))


def _claims(opinions: Sequence[Opinion]) -> list[Claim]:
    """What was claimed of answers that somebody has judged, by who is most trusted."""
    claimed = {(each.told.request_id, each.told.model): each.claimed for each in opinions}
    told = believed([each.told for each in opinions], MOST_TRUSTED_LAST)
    known = ((claimed[each.request_id, each.model], each.score) for each in told)
    return [Claim(claim, score) for claim, score in known if claim is not None]


def _calibration(found: Sequence[Band]) -> Figure:
    listing = Listing(
        name="calibration",
        title="Claimed and come",
        columns=(
            Column("band", "band"),
            Column("answers", "answers", Kind.COUNT),
            Column("claimed", "claimed", Kind.SHARE),
            Column("came", "came", Kind.SHARE),
            Column("low", "95 % from", Kind.SHARE),
            Column("high", "to", Kind.SHARE),
            Column("within", "the claim is"),
        ),
        rows=[_band_row(number, band) for number, band in enumerate(found, 1)],
    )
    share = Axis(_tenth_below(found), 1.0, lambda value: f"{value:.0%}")
    dots = [
        Dot(
            x=band.claimed,
            y=band.came,
            low=band.low,
            high=band.high,
            told=f"claimed {band.claimed:.1%}, came {band.came:.1%} ({band.low:.1%} to {band.high:.1%}) "
            f"of {counted(band.answers, 'answer')}",
        )
        for band in found
    ]
    svg = plane(
        dots,
        title=listing.title,
        description=f"{counted(len(found), 'band')} of about equally many answers: on the diagonal, claims come true.",
        across=share,
        up=share,
        is_curve=True,
        has_diagonal=True,
    )
    told = "Across: the probability of a good answer that the decision claimed. Up: how many were good."
    return Figure(listing=listing, subtitle=told, svg=svg)


def _tenth_below(found: Sequence[Band]) -> float:
    """Where the axes begin, so that what is claimed is not all in one corner."""
    return min((math.floor(10 * min(band.claimed, band.low, 0.9)) / 10 for band in found), default=0.0)


def _band_row(number: int, band: Band) -> tuple[Cell, ...]:
    shares = (round(1000 * value) for value in (band.claimed, band.came, band.low, band.high))
    verdict = "as came" if band.is_right else "too high" if band.claimed > band.high else "too low"
    return str(number), band.answers, *shares, verdict


def _success(aspects: Sequence[Aspect], found: Sequence[Success]) -> Listing:
    names = {"kind": "task"}
    return Listing(
        name="success",
        title="How often answers are good",
        columns=(
            *(Column(names.get(aspect, aspect), names.get(aspect, aspect)) for aspect in aspects),
            Column("outcomes", "outcomes", Kind.COUNT),
            Column("success", "good", Kind.SHARE),
            Column("low", "95 % from", Kind.SHARE),
            Column("high", "to", Kind.SHARE),
        ),
        rows=[
            (*each.keys, each.outcomes, *(round(1000 * value) for value in (each.rate, each.low, each.high)))
            for each in found
        ],
    )
