"""From tables and written prompts to an artefact: one linear model for the kinds of work, one for the need of strength.

Everything is fitted twice: first without every tenth prompt, to measure and to set how sure the posterior may be, then
on all.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.feature_selection import chi2
from sklearn.linear_model import LogisticRegression

from routewright.catalog.registry import Tier
from routewright.decision.artefact import Card, Vocabulary
from routewright.decision.evaluation import IntArray
from routewright.decision.features import extract, extract_text
from routewright.decision.intent import UPWARDS
from routewright.decision.odds import FloatArray
from routewright.decision.posterior import known_features, look
from routewright.decision.sketch import BUCKETS, FOLDED, Buckets, Sketch, fold
from routewright.errors import ArtefactError
from routewright.training.prompts import Prompt
from routewright.training.tables import Row
from routewright.training.writing import dump

KINDS_PENALTY = 1 / 16
NEED_PENALTY = 4.0
WRITTEN_VOCABULARY = 9_000
TABLE_VOCABULARY = 7_000
"""Features that are kept, of half a million buckets: on prompts held out as good as all of them, and in 400 KB."""
RARER = 2.0
"""Exam questions are half of what is learned from but little of what is asked: so much less log odds for them."""
SELDOM = 2
"""A feature in fewer prompts tells nothing."""
HELD_OUT = 10
"""Every so-manieth prompt, by its hash, is for measuring."""
WRITTEN_WEIGHT = 2.0
"""Of a written prompt, against a row of a table: there are fewer of them, for more kinds."""
COUNTS_WEIGHT = 0.2
"""Counts and shape beside the unit length of the words, so that the penalty falls on them alike."""

LEAST_KINDS = 3
"""With two, scikit-learn fits one column for both."""

COMPLEX_KINDS = frozenset(
    {
        "college_maths",
        "graduate_science",
        "hard_chemistry",
        "hard_engineering",
        "hard_law",
        "hard_math",
        "hard_physics",
        "logic_puzzle",
        "maths_problem",
    }
)
"""Of the kinds that only tables have; all others there are questions for the standard tier."""
RATE_BY_STEP = {-3: 0.5, -2: 0.62, -1: 0.76, 0: 0.92, 1: 0.94, 2: 0.95, 3: 0.96}
"""Believed success of a tier on work, by how many tiers above (or, below zero, under) the right one it is.

An assumption, worth `PRIOR_STRENGTH` outcomes: no recorded outcome speaks of these models and kinds.
"""
CONFIDENT = 0.7
"""The default of `policy.confidence_threshold`, by which the measured share is told."""
MOST_KNOWN = 64.0
"""No more outcomes of a known model and kind are held against the user's own."""

OUTPUT_TOKENS = {
    "design": 1800, "debugging": 1200, "proof": 1500, "hard_code": 1800, "expert": 1400, "conversation": 150,
    "explanation": 500, "advice": 600, "writing": 450, "everyday_code": 450, "question": 120, "extraction": 150,
    "labelling": 15, "tool_use": 60, "conversion": 300, "rename": 400, "boilerplate": 700, "documentation": 400,
    "reformat": 300, "translation": 250, "summary": 120, "agent_step": 120, "maths_problem": 600, "logic_puzzle": 500,
}  # fmt: skip
"""Believed length of an answer; measured means replace them once the ledger has some."""
QUESTION_TOKENS = 100
"""Of the kinds that only tables have: questions with a short answer."""

LIMITS = (
    "Kinds of work come from written prompts and exam questions; success rates of tiers are assumptions worth few "
    "outcomes. On a kind of work that is not among these it knows next to nothing until the ledger has outcomes."
)
"""For the card."""


class Example(Struct, frozen=True, eq=False):
    """A prompt as the linear models see it."""

    seen: Sketch
    shape: tuple[float, ...]
    kind: str
    """Empty when it is not told."""
    tier: Tier
    is_written: bool
    """Rather than a row of a table."""
    is_held: bool
    """Not learned from at first, to measure by."""


def fit(
    rows: Sequence[Row],
    prompts: Sequence[Prompt],
    *,
    pairs: Mapping[str, tuple[str, str]],
    command: str,
    data: Mapping[str, str],
) -> bytes:
    """An artefact. Raises ArtefactError where there is too little to learn from.

    `pairs`: table → its weak and strong model, which the need of strength is learned from. `command` and `data` are
    for the card: how it was made, and from what.
    """
    looked = [_of_row(row) for row in rows]
    examples = [*map(_written, prompts), *(example for example in looked if example.kind)]
    kinds = _kinds(examples)
    words, runs = _choose_features(examples)
    vocabulary = Vocabulary.of(words, runs)
    need_weights, need_bias = _fit_need(rows, looked, pairs, vocabulary)
    trial = _try(examples, kinds, vocabulary)
    kind_weights, kind_bias = _fit_kinds(examples, kinds, vocabulary)
    weights = np.column_stack((kind_weights * trial.sharpness, need_weights))
    weights[vocabulary.size :] *= COUNTS_WEIGHT
    tiers = _tiers(examples, kinds)
    models, rates, outcomes = _known_models(rows, kinds)
    card = Card(
        made_on=datetime.now(UTC).date().isoformat(), command=command, data=data, measured=trial.measured, limits=LIMITS
    )
    arrays = {
        "words": words,
        "runs": runs,
        "weights": weights,
        "bias": np.append((kind_bias + _shift(examples, kinds)) * trial.sharpness, need_bias),
        "tiers": tiers,
        "tier_sharpness": np.array(trial.tier_sharpness),
        "rates": _rates(tiers),
        "output_tokens": np.array([OUTPUT_TOKENS.get(kind, QUESTION_TOKENS) for kind in kinds]),
        "feature_weights": _feature_weights(examples),
        "model_rates": rates,
        "model_outcomes": outcomes,
    }
    return dump(card, kinds, models, arrays)


# ---- prompts as numbers ---------------------------------------------------------------------------------------------


def _written(prompt: Prompt) -> Example:
    seen, shape = look(extract(prompt.call()))
    return Example(seen, shape, prompt.kind, prompt.tier, is_written=True, is_held=_is_held(prompt.ask))


def _of_row(row: Row) -> Example:
    seen, shape = look(extract_text(row.prompt))
    tier = Tier.COMPLEX if row.kind in COMPLEX_KINDS else Tier.STANDARD
    return Example(seen, shape, row.kind or "", tier, is_written=False, is_held=_is_held(row.prompt))


def _is_held(text: str) -> bool:
    return hashlib.sha256(text.encode(errors="replace")).digest()[0] % HELD_OUT == 0


def _kinds(examples: Sequence[Example]) -> tuple[str, ...]:
    """Every kind of work, in the order of the artefact. Raises ArtefactError when there are too few prompts to fit."""
    kinds = sorted({example.kind for example in examples})
    if len(kinds) < LEAST_KINDS:
        raise ArtefactError(
            f"there are prompts of {len(kinds)} kinds of work, and no fewer than {LEAST_KINDS} can be told apart",
            hint="add written prompts (--prompts) of other kinds",
        )
    learned = {example.kind for example in examples if not example.is_held}
    unknown = [kind for kind in kinds if kind not in learned]
    if unknown:
        raise ArtefactError(
            f"of some kinds every prompt is held out to measure by, and none is left to learn: {', '.join(unknown)}",
            hint="add more prompts of these kinds; nine of ten are learned from",
        )
    if not any(example.is_written and example.is_held for example in examples):
        raise ArtefactError(
            "of the written prompts none is held out to measure by", hint=f"add more: one of {HELD_OUT} is held out"
        )
    return tuple(kinds)


def _choose_features(examples: Sequence[Example]) -> tuple[IntArray, IntArray]:
    """The buckets of words and of runs that tell most of the kind, by the chi-squared statistic, ascending."""
    is_written = _is_written(examples)
    seen = hstack((_presence([its.seen.words for its in examples]), _presence([its.seen.runs for its in examples])))
    kinds = np.array([example.kind for example in examples])
    best: set[int] = set()
    for its, size in ((is_written, WRITTEN_VOCABULARY), (~is_written, TABLE_VOCABULARY)):
        if not its.any():
            continue
        part = seen.tocsr()[its].tocsc()
        told = np.nan_to_num(chi2(part, kinds[its])[0]) * (np.diff(part.indptr) >= SELDOM)
        best.update(np.argsort(-told, kind="stable")[:size].tolist())
    chosen = np.array(sorted(best))
    return chosen[chosen < BUCKETS], chosen[chosen >= BUCKETS] - BUCKETS


def _presence(rows: Sequence[Buckets]) -> csr_matrix:
    """[n, BUCKETS]: 1 where a bucket is there."""
    unique = [np.unique(np.array(row, np.int64)) for row in rows]
    starts = np.concatenate(([0], np.cumsum([len(row) for row in unique])))
    return csr_matrix((np.ones(starts[-1]), np.concatenate(unique), starts), shape=(len(rows), BUCKETS))


def _matrix(examples: Sequence[Example], vocabulary: Vocabulary) -> csr_matrix:
    """[n, V + COUNTS + SHAPE]: known features of unit length, then counts and shape."""
    rows = [np.array(known_features(vocabulary, example.seen), np.int64) for example in examples]
    starts = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    words = csr_matrix((np.ones(starts[-1]), np.concatenate(rows), starts), shape=(len(examples), vocabulary.size))
    words = diags(1 / np.sqrt(np.maximum(np.diff(starts), 1))) @ words
    rest = np.stack([np.concatenate((example.seen.counts, example.shape)) for example in examples])
    return hstack((words, rest * COUNTS_WEIGHT)).tocsr()


# ---- fitting --------------------------------------------------------------------------------------------------------


def _fit_kinds(
    examples: Sequence[Example], kinds: Sequence[str], vocabulary: Vocabulary
) -> tuple[FloatArray, FloatArray]:
    """Weights [V + COUNTS + SHAPE, K] and bias [K] of a multinomial logistic regression."""
    weights = [WRITTEN_WEIGHT if example.is_written else 1.0 for example in examples]
    model = LogisticRegression(C=1 / KINDS_PENALTY, max_iter=300)
    model.fit(_matrix(examples, vocabulary), [example.kind for example in examples], weights)
    assert list(model.classes_) == list(kinds), "`_kinds` saw to it that each is among those learned from"
    return model.coef_.T, model.intercept_


def _fit_need(
    rows: Sequence[Row],
    looked: Sequence[Example],
    pairs: Mapping[str, tuple[str, str]],
    vocabulary: Vocabulary,
) -> tuple[FloatArray, float]:
    """Weights [V + COUNTS + SHAPE] and bias: P(a pair's strong model does a prompt well and its weak one does not)."""
    chosen, needed = [], []
    for row, example in zip(rows, looked, strict=True):
        weak, strong = pairs.get(row.table, ("", ""))
        if weak in row.scores and strong in row.scores:
            chosen.append(example)
            needed.append(row.scores[strong] - row.scores[weak] > 0.5)
    if len(set(needed)) < 2:
        raise ArtefactError(
            "no table shows when a strong model is needed: that takes rows where only the strong one of a pair does "
            "well, and others",
            hint="; ".join(f"{table}: {weak} and {strong}" for table, (weak, strong) in pairs.items()),
        )
    model = LogisticRegression(C=1 / NEED_PENALTY, max_iter=300).fit(_matrix(chosen, vocabulary), needed)
    return model.coef_[0], float(model.intercept_[0])


# ---- measuring ------------------------------------------------------------------------------------------------------


class _Trial(Struct, frozen=True):
    """What the prompts that were held out say of what was learned from the others."""

    sharpness: float
    tier_sharpness: float
    measured: dict[str, float]


def _try(examples: Sequence[Example], kinds: Sequence[str], vocabulary: Vocabulary) -> _Trial:
    learned = [example for example in examples if not example.is_held]
    held = [example for example in examples if example.is_held]
    weights, bias = _fit_kinds(learned, kinds, vocabulary)
    odds = _matrix(held, vocabulary) @ weights + bias + _shift(examples, kinds)
    sharpness = _sharpness(odds, held, kinds)
    posterior = _probabilities(odds, sharpness)
    by_tier = posterior @ _tiers(learned, kinds)
    tier_sharpness = _tier_sharpness(by_tier, held)
    by_tier = by_tier**tier_sharpness
    by_tier /= by_tier.sum(axis=1, keepdims=True)
    return _Trial(sharpness, tier_sharpness, _measure(posterior, by_tier, held, kinds))


def _shift(examples: Sequence[Example], kinds: Sequence[str]) -> FloatArray:
    """[K]: what is added to the log odds, because the examples are not as frequent as what is asked."""
    written = {example.kind for example in examples if example.is_written}
    return np.array([0.0 if kind in written else -RARER for kind in kinds])


def _probabilities(odds: FloatArray, sharpness: float) -> FloatArray:
    scaled = np.exp((odds - odds.max(axis=1, keepdims=True)) * sharpness)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def _sharpness(odds: FloatArray, examples: Sequence[Example], kinds: Sequence[str]) -> float:
    """How far the odds must be scaled for the probabilities to be true (temperature scaling, Guo et al. 2017)."""
    right = np.array([kinds.index(example.kind) for example in examples])
    every = np.arange(len(right))

    def loss(sharpness: float) -> float:
        return float(-np.mean(np.log(_probabilities(odds, sharpness)[every, right] + 1e-9)))

    return float(min(np.linspace(0.3, 2.0, 69), key=loss))


def _is_written(examples: Sequence[Example]) -> NDArray[np.bool_]:
    return np.array([example.is_written for example in examples])


def _tier_sharpness(by_tier: FloatArray, examples: Sequence[Example]) -> float:
    """The power of the tiers' probabilities that makes them true on written prompts."""
    is_written = _is_written(examples)
    order = list(Tier)
    right = np.array([order.index(example.tier) for example in examples])[is_written]
    every = np.arange(len(right))

    def loss(power: float) -> float:
        powered = by_tier[is_written] ** power
        return float(-np.mean(np.log(powered[every, right] / powered.sum(axis=1))))

    return float(min(np.linspace(0.5, 2.5, 81), key=loss))


def _measure(
    posterior: FloatArray, by_tier: FloatArray, examples: Sequence[Example], kinds: Sequence[str]
) -> dict[str, float]:
    """Figures on examples that were not learned from; one that there is nothing to measure by is left out."""
    is_written = _is_written(examples)
    order = list(Tier)
    right_kind = np.array([kinds[at] == its.kind for at, its in zip(posterior.argmax(1), examples, strict=True)])
    right_tier = np.array([order[at] is its.tier for at, its in zip(by_tier.argmax(1), examples, strict=True)])
    is_sure = by_tier.max(axis=1) >= CONFIDENT
    figures = {
        "kind right, written prompts": right_kind[is_written],
        "tier right, written prompts": right_tier[is_written],
        f"share of written prompts with confidence {CONFIDENT} or more": is_sure[is_written],
        "tier right among these": right_tier[is_written & is_sure],
        "kind right, table rows": right_kind[~is_written],
    }
    return {name: round(float(each.mean()), 4) for name, each in figures.items() if len(each)}


# ---- what is believed before any outcome ----------------------------------------------------------------------------


def _tiers(examples: Sequence[Example], kinds: Sequence[str]) -> FloatArray:
    """[K, 4]: how often each kind is work for each tier, one imagined case of each added."""
    order = list(Tier)
    counts = np.full((len(kinds), len(order)), 0.5)
    for example in examples:
        counts[kinds.index(example.kind), order.index(example.tier)] += 1
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _rates(tiers: FloatArray) -> FloatArray:
    """[5, K]: believed success of each tier, in the order of `Tier`, then of a model whose tier is not known."""
    order = list(Tier)
    rates = np.zeros((len(order) + 1, len(tiers)))
    for row, tier in enumerate(order):
        for column, right in enumerate(order):
            step = UPWARDS.index(tier) - UPWARDS.index(right)
            rates[row] += tiers[:, column] * RATE_BY_STEP[step]
    rates[-1] = rates[:-1].mean(axis=0)
    return rates


def _feature_weights(examples: Sequence[Example]) -> NDArray[np.float32]:
    """[FOLDED]: the square root of each bucket's inverse document frequency."""
    seen = np.zeros(FOLDED)
    for example in examples:
        seen[fold(example.seen.words)] += 1
    weights: NDArray[np.float32] = np.sqrt(np.log((len(examples) + 1) / (seen + 1))).astype(np.float32)
    return weights


def _known_models(rows: Sequence[Row], kinds: Sequence[str]) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Success rate and outcomes of each recorded model by kind."""
    models = tuple(sorted({model for row in rows for model in row.scores}))
    good, tried = np.zeros((len(models), len(kinds))), np.zeros((len(models), len(kinds)))
    for row in rows:
        for model, score in row.scores.items():
            if row.kind:
                place = models.index(model), kinds.index(row.kind)
                good[place] += score
                tried[place] += 1
    return models, good / np.maximum(tried, 1), np.minimum(tried, MOST_KNOWN)
