"""The classifier that was trained: what kind of work a request is, and so which tier is enough for it."""

from collections.abc import Iterable

import numpy as np

from routewright.catalog.registry import Model, Tier
from routewright.decision.artefact import Artefact
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features
from routewright.decision.forecast import Forecaster, Lessons
from routewright.decision.glance import Glance, Glancer, NumpyGlancer
from routewright.decision.posterior import shape_of
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import COUNT_STEP, FINGERPRINT_BYTES, FOLDED, Numbers
from routewright.decision.success import FEATURES, Experience, dense_row
from routewright.route import KindShare, Verdict

LEAST_SHARE = 0.02
"""Less probable kinds are not told, nor learned from."""
_TIERS = list(Tier)


def _best_glancer() -> type[Glancer]:
    try:
        from routewright.decision._kernel import CompiledGlancer
    except ImportError:  # installed without a compiler
        return NumpyGlancer
    return CompiledGlancer


GLANCER = _best_glancer()
"""What looks at requests here."""


def is_compiled() -> bool:
    """Whether that is compiled code, rather than numpy."""
    return GLANCER is not NumpyGlancer


class LearnedClassifier:
    """Hashed words and counts → kinds of work → tiers and expectations, by one look at the request."""

    def __init__(self, artefact: Artefact, lessons: Lessons, models: Iterable[Model]) -> None:
        self.name = f"learned@{artefact.version}+{lessons.evidence.version}"
        self._forecaster = forecaster = Forecaster(artefact, lessons, models)
        columns = np.hstack((forecaster.right_tiers, forecaster.columns))
        self._glancer = GLANCER(artefact, columns, forecaster.residuals)
        self._sharpness = artefact.tier_sharpness
        self._spoken = {kind: kind.replace("_", " ") for kind in artefact.kinds}

    def classify(self, features: Features) -> Verdict:
        """The tier that suits the request, and how sure that is."""
        return self.consider(features)[0]

    def consider(self, features: Features) -> tuple[Verdict, Forecast]:
        """The tier that suits the request, how sure that is, and what to expect of each model for it."""
        seen = self._glancer.glance(features.text, shape_of(features))
        sharpness, means = self._sharpness, seen.means
        odds = [probability**sharpness for probability in means[: len(_TIERS)]]
        most = max(odds)
        shares = _shares(seen)
        verdict = Verdict(
            tier=_TIERS[odds.index(most)],
            confidence=_rounded(most / sum(odds), 10_000),
            reason=self._told(shares) if features.text else "there are no words to go by",
            classifier=self.name,
            kinds=shares,
            sketch=seen.fingerprint,
        )
        return verdict, self._forecaster.forecast(means[len(_TIERS) :], seen.corrections)

    def _told(self, shares: tuple[KindShare, ...]) -> str:
        first = shares[0]
        if len(shares) == 1 or shares[1].probability < first.probability / 2:
            return f"looks like {self._spoken[first.kind]}"
        return f"looks like {self._spoken[first.kind]} or {self._spoken[shares[1].kind]}"


def _shares(seen: Glance) -> tuple[KindShare, ...]:
    told = [_rounded(probability, 1_000) for probability in seen.probabilities]
    told = [share for share in told if share >= LEAST_SHARE] or told[:1]
    return tuple(map(KindShare, seen.kinds, told))


def _rounded(number: float, steps: int) -> float:
    """To steps of 1 / `steps`, of a number that is not negative; `round` goes by way of text, and takes longer."""
    return int(number * steps + 0.5) / steps


# ---- what is kept of a text -----------------------------------------------------------------------------------------


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
    if len(kept) != FINGERPRINT_BYTES:
        return np.zeros(FEATURES, np.float32)
    bits = np.unpackbits(np.frombuffer(kept[: FOLDED // 8], np.uint8))
    counts = np.frombuffer(kept[FOLDED // 8 :], np.int8) * np.float32(COUNT_STEP)
    return dense_row(np.flatnonzero(bits), counts, artefact.prior.weights)
