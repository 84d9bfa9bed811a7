"""The classifier that was trained: what kind of work a request is, and so which tier is enough for it."""

from collections.abc import Iterable

import numpy as np

from routewright.catalog.registry import Model, Tier
from routewright.decision.artefact import Artefact
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.forecast import Forecaster, Lessons
from routewright.decision.posterior import kinds_of, look
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import COUNTS, FOLDED, Numbers, Sketch, folded
from routewright.decision.success import FEATURES, Experience, dense_row
from routewright.route import KindShare, Verdict

MOST_KINDS = 5
"""So many kinds are told of a request, and kept for learning."""
LEAST_SHARE = 0.02
"""Less probable kinds are not told, nor learned from."""
_COUNT_STEP = 1 / 64
"""Counts are kept as bytes in these steps."""
_TIERS = list(Tier)


class LearnedClassifier:
    """Hashed words and counts → kinds of work → tiers and expectations, in some ninety microseconds."""

    def __init__(self, artefact: Artefact, lessons: Lessons, models: Iterable[Model]) -> None:
        self.name = f"learned@{artefact.version}+{lessons.evidence.version}"
        self._artefact = artefact
        self._forecaster = Forecaster(artefact, lessons, models)

    def classify(self, features: Features) -> Verdict:
        """The tier that suits the request, and how sure that is."""
        return self.consider(features)[0]

    def consider(self, features: Features) -> tuple[Verdict, Forecast]:
        """The tier that suits the request, how sure that is, and what to expect of each model for it."""
        seen, shape = look(features)
        kinds, _ = kinds_of(self._artefact, seen, shape)
        tiers = (kinds @ self._forecaster.right_tiers) ** self._artefact.tier_sharpness
        odds = tiers.tolist()
        most = max(odds)
        shares = self._shares(kinds)
        verdict = Verdict(
            tier=_TIERS[odds.index(most)],
            confidence=round(most / sum(odds), 4),
            reason=f"looks like {_told(shares)}" if features.text else "there are no words to go by",
            classifier=self.name,
            kinds=shares,
            sketch=fingerprint(seen),
        )
        return verdict, self._forecaster.forecast(kinds, seen)

    def _shares(self, kinds: FloatArray) -> tuple[KindShare, ...]:
        most = kinds.argsort()[: -MOST_KINDS - 1 : -1].tolist()
        names, probabilities = self._artefact.kinds, kinds.tolist()
        shares = [(names[at], round(probabilities[at], 3)) for at in most]
        told = [share for share in shares if share[1] >= LEAST_SHARE] or shares[:1]
        return tuple([KindShare(*share) for share in told])


def _told(shares: tuple[KindShare, ...]) -> str:
    first = shares[0].kind.replace("_", " ")
    if len(shares) == 1 or shares[1].probability < shares[0].probability / 2:
        return first
    return f"{first} or {shares[1].kind.replace('_', ' ')}"


# ---- what is kept of a text -----------------------------------------------------------------------------------------


def fingerprint(seen: Sketch) -> bytes:
    """A sketch in some 300 bytes: one bit for each folded bucket, then the counts."""
    counts = np.rint(seen.counts * (1 / _COUNT_STEP)).astype(np.int8)
    return bytes(np.packbits(folded(seen.words))) + bytes(counts)


def experience(artefact: Artefact, request: str, model: str, score: float, verdict: Verdict) -> Experience | None:
    """An outcome as the learner sees it; None when the verdict does not say what kind of work it was."""
    kinds = kinds_vector(artefact, verdict.kinds)
    return None if kinds is None else Experience(request, model, score, kinds, kept_features(artefact, verdict.sketch))


def kinds_vector(artefact: Artefact, shares: tuple[KindShare, ...]) -> FloatArray | None:
    """[K], summing to 1; None when no kind is one that the artefact knows."""
    kinds = np.zeros(len(artefact.kinds))
    for share in shares:
        if share.kind in artefact.kinds:
            kinds[artefact.kinds.index(share.kind)] = share.probability
    return kinds / kinds.sum() if kinds.any() else None


def kept_features(artefact: Artefact, kept: bytes) -> Numbers:
    """The dense row of a fingerprint; zeros when it is none."""
    if len(kept) != FOLDED // 8 + COUNTS:
        return np.zeros(FEATURES, np.float32)
    bits = np.unpackbits(np.frombuffer(kept[: FOLDED // 8], np.uint8))
    counts = np.frombuffer(kept[FOLDED // 8 :], np.int8) * np.float32(_COUNT_STEP)
    return dense_row(np.flatnonzero(bits), counts, artefact.prior.weights)
