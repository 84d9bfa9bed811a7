"""The decision as a predictor of outcomes, for `routewright eval` and for anyone who measures routers.

Prompts are given as texts, or as what the ledger kept of them (`Known`). Learning from a table uses what learning from
the ledger uses, nothing more.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.decision.artefact import Artefact
from routewright.decision.features import extract_text
from routewright.decision.learned import kept_features, kinds_row
from routewright.decision.odds import FloatArray, expit
from routewright.decision.posterior import kinds_of, look
from routewright.decision.rows import Row
from routewright.decision.success import Evidence, Experience, Tally, features_of, learn
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
    """A prompt as the learner sees it."""

    kinds: Row
    features: Row
    needed: float
    """Log odds that a strong model is needed."""


class Appraiser:
    """What an artefact says of prompts."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self._every_kind = range(len(artefact.kinds))

    def see(self, prompts: Sequence[Prompt]) -> list[_Seen]:
        """Look at prompts. Raises ArtefactError for one that is known by kinds of work of another artefact."""
        return list(map(self._see, prompts))

    def _see(self, prompt: Prompt) -> _Seen:
        if isinstance(prompt, Known):
            known = kinds_row(self.artefact, prompt.kinds)
            if known is None:
                raise ArtefactError("no kind of work of a row is one that this artefact knows")
            return _Seen(known, kept_features(self.artefact, prompt.sketch), 0.0)
        seen, shape = look(extract_text(prompt))
        kinds, needed = kinds_of(self.artefact, seen, shape)
        return _Seen(Row.of(self._every_kind, kinds, "d"), features_of(seen, self.artefact.prior.weights), needed)

    def needs(self, prompts: Sequence[Prompt]) -> FloatArray:
        """[n]: probability that a strong model is needed."""
        return expit(np.array([seen.needed for seen in self.see(prompts)], np.float64))

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: probability of a good answer of each model or tier. Raises ArtefactError for an unknown one."""
        known = [*self.artefact.prior.models, *Tier]
        for model in models:
            if model not in known:
                raise ArtefactError(f"nothing is known of {model!r}", hint=f"known are: {', '.join(known)}")
        evidence = Evidence(self.artefact.prior, {}, {})
        tiers = {tier.value: tier.value for tier in Tier}
        return _success(evidence, self.see(prompts), [(model, tiers.get(model, "")) for model in models])

    def fit(
        self, prompts: Sequence[Prompt], scores: Mapping[str, FloatArray], costs: Mapping[str, FloatArray]
    ) -> "Learned":
        """Learn from outcomes: for each model one score a prompt, nan where there is none, and what it cost in USD."""
        seen = self.see(prompts)
        experiences = [
            Experience(str(row), model, float(score), seen[row].kinds, seen[row].features)
            for model, its in scores.items()
            for row, score in enumerate(its)
            if not np.isnan(score)
        ]
        evidence = learn(self.artefact.prior, experiences, {})
        return Learned(self, evidence, {model: self._cost_by_kind(seen, its) for model, its in costs.items()})

    def _cost_by_kind(self, seen: Sequence[_Seen], costs: FloatArray) -> FloatArray:
        """[K]: mean cost of each kind of work, drawn to the mean of all."""
        known = [(its.kinds, cost) for its, cost in zip(seen, costs.tolist(), strict=True) if not math.isnan(cost)]
        if not known:
            return np.full(len(self.artefact.kinds), np.nan)
        paid = [cost for _, cost in known]
        counted = Tally.of([kinds for kinds, _ in known], paid, Tally.none(len(self.artefact.kinds)))
        mean = sum(paid) / len(paid)
        return np.asarray((np.array(counted.good) + COST_STRENGTH * mean) / (np.array(counted.tried) + COST_STRENGTH))


class Learned:
    """An artefact with the outcomes of a table."""

    def __init__(self, appraiser: Appraiser, evidence: Evidence, costs: Mapping[str, FloatArray]) -> None:
        self.evidence = evidence
        self._appraiser = appraiser
        self._costs = costs

    def success(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: probability of a good answer."""
        return _success(self.evidence, self._appraiser.see(prompts), [(model, "") for model in models])

    def cost(self, prompts: Sequence[Prompt], models: Sequence[str]) -> FloatArray:
        """[n, m]: expected USD; nan for a model whose costs were not learned."""
        nothing = np.full(len(self._appraiser.artefact.kinds), np.nan)
        costs = [self._costs.get(model, nothing).tolist() for model in models]
        rows = [[its.kinds.times(of) for of in costs] for its in self._appraiser.see(prompts)]
        return np.array(rows, np.float64).reshape(len(prompts), len(models))


def _success(evidence: Evidence, prompts: Sequence[_Seen], models: Sequence[tuple[str, str]]) -> FloatArray:
    """[n, m]: of each model, by its name and tier."""
    rows = [[evidence.of(model, tier, its.kinds, its.features) for model, tier in models] for its in prompts]
    return np.array(rows, np.float64).reshape(len(prompts), len(models))
