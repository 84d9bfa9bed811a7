"""The decision as a predictor of outcomes, for `routewright eval` and for anyone who measures routers.

Prompts are given as texts, or as what the ledger kept of them (`Known`). Learning from a table uses what learning from
the ledger uses, nothing more.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.decision.artefact import Artefact
from routewright.decision.features import extract_text
from routewright.decision.learned import kept_features, kinds_vector
from routewright.decision.posterior import kinds_of, look
from routewright.decision.residual import FloatArray, expit
from routewright.decision.sketch import Numbers
from routewright.decision.success import FEATURES, Evidence, Experience, features_of, learn
from routewright.errors import ArtefactError
from routewright.route import KindShare

COST_STRENGTH = 5.0
"""How many costs a model's mean cost is worth, for each kind of work."""


class Known(Struct, frozen=True):
    """A prompt of which only what a verdict says is known."""

    kinds: tuple[KindShare, ...]
    sketch: bytes


Prompt: TypeAlias = str | Known


class _Seen(Struct, frozen=True, eq=False):
    """Prompts as the learner sees them: one row each."""

    kinds: FloatArray
    """[n, K]."""
    features: Numbers
    """[n, FEATURES]."""
    needs: FloatArray
    """[n]: log odds that a strong model is needed."""


class Appraiser:
    """What an artefact says of prompts."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact

    def see(self, prompts: Sequence[Prompt]) -> _Seen:
        """Look at prompts. Raises ArtefactError for one that is known by kinds of work of another artefact."""
        if not prompts:
            nobody = np.zeros((0, FEATURES), np.float32)
            return _Seen(np.zeros((0, len(self.artefact.kinds))), nobody, np.zeros(0))
        rows = [self._see(prompt) for prompt in prompts]
        return _Seen(
            np.array([kinds for kinds, _, _ in rows]),
            np.array([features for _, features, _ in rows]),
            np.array([needed for _, _, needed in rows]),
        )

    def _see(self, prompt: Prompt) -> tuple[FloatArray, Numbers, float]:
        if isinstance(prompt, Known):
            kinds = kinds_vector(self.artefact, prompt.kinds)
            if kinds is None:
                raise ArtefactError("no kind of work of a row is one that this artefact knows")
            return kinds, kept_features(self.artefact, prompt.sketch), 0.0
        seen, shape = look(extract_text(prompt))
        kinds, needed = kinds_of(self.artefact, seen, shape)
        return kinds, features_of(seen, self.artefact.prior.weights), needed

    def needs(self, prompts: Sequence[Prompt]) -> FloatArray:
        """[n]: probability that a strong model is needed."""
        return np.asarray(expit(self.see(prompts).needs))

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: probability of a good answer of each model or tier. Raises ArtefactError for an unknown one."""
        known = [*self.artefact.prior.models, *Tier]
        for model in models:
            if model not in known:
                raise ArtefactError(f"nothing is known of {model!r}", hint=f"known are: {', '.join(known)}")
        evidence = Evidence(self.artefact.prior, {}, {})
        tiers = {tier.value: tier.value for tier in Tier}
        seen = self.see(prompts)
        columns = [evidence.batch(model, tiers.get(model, ""), seen.kinds, seen.features) for model in models]
        return _side_by_side(columns, len(prompts))

    def fit(
        self, prompts: Sequence[Prompt], scores: Mapping[str, FloatArray], costs: Mapping[str, FloatArray]
    ) -> "Learned":
        """Learn from outcomes: for each model one score a prompt, nan where there is none, and what it cost in USD."""
        seen = self.see(prompts)
        experiences = [
            Experience(str(row), model, float(score), seen.kinds[row], seen.features[row])
            for model, its in scores.items()
            for row, score in enumerate(its)
            if not np.isnan(score)
        ]
        evidence = learn(self.artefact.prior, experiences, {})
        return Learned(self, evidence, {model: _cost_by_kind(seen.kinds, its) for model, its in costs.items()})


class Learned:
    """An artefact with the outcomes of a table."""

    def __init__(self, appraiser: Appraiser, evidence: Evidence, costs: Mapping[str, FloatArray]) -> None:
        self.evidence = evidence
        self._appraiser = appraiser
        self._costs = costs

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: probability of a good answer."""
        seen = self._appraiser.see(prompts)
        columns = [self.evidence.batch(model, "", seen.kinds, seen.features) for model in models]
        return _side_by_side(columns, len(prompts))

    def cost(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: expected USD; nan for a model whose costs were not learned."""
        kinds = self._appraiser.see(prompts).kinds
        nothing = np.full(kinds.shape[1], np.nan)
        return _side_by_side([kinds @ self._costs.get(model, nothing) for model in models], len(prompts))


def _cost_by_kind(kinds: FloatArray, costs: FloatArray) -> FloatArray:
    """[K]: mean cost of each kind of work, drawn to the mean of all."""
    is_known = ~np.isnan(costs)
    if not is_known.any():
        return np.full(kinds.shape[1], np.nan)
    shares, paid = kinds[is_known], costs[is_known]
    return np.asarray((shares.T @ paid + COST_STRENGTH * paid.mean()) / (shares.sum(axis=0) + COST_STRENGTH))


def _side_by_side(columns: Sequence[FloatArray], rows: int) -> FloatArray:
    """[rows, columns]; also when there is no column."""
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0))
