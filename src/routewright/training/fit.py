"""From tables and written prompts to an artefact: one linear model for the kinds of work, one for the need of strength.

Everything is fitted twice: first without every tenth prompt, to measure and to set how sure the posterior may be, then
on all.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression

from routewright.call import Call, Message, Text
from routewright.catalog.registry import Tier
from routewright.decision.artefact import ROWS, SHAPE, Card, dump
from routewright.decision.features import extract
from routewright.decision.posterior import look
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import BUCKETS, COUNTS, FOLDED, Numbers, Sketch
from routewright.decision.success import fold
from routewright.training.prompts import Prompt
from routewright.training.tables import Row

KINDS_PENALTY = 1 / 16
NEED_PENALTY = 4.0
HELD_OUT = 10
"""Every so-manieth prompt, by its hash, is for measuring."""
WRITTEN_WEIGHT = 2.0
"""Of a written prompt, against a row of a table: there are fewer of them, for more kinds."""
COUNTS_WEIGHT = 0.2
"""Counts and shape beside the unit length of the words, so that the penalty falls on them alike."""

COMPLEX_KINDS = frozenset(
    ("college_maths", "graduate_science", "hard_chemistry", "hard_engineering", "hard_law", "hard_math", "hard_physics")
    + ("logic_puzzle", "maths_problem")
)
"""Of the kinds that only tables have; all others there are questions for the standard tier."""
UPWARDS = (Tier.BULK, Tier.STRUCTURED, Tier.STANDARD, Tier.COMPLEX)
RATE_BY_STEP = {-3: 0.5, -2: 0.62, -1: 0.76, 0: 0.92, 1: 0.94, 2: 0.95, 3: 0.96}
"""Believed success of a tier on work, by how many tiers above (or, below zero, under) the right one it is.

An assumption, worth `PRIOR_STRENGTH` outcomes: no recorded outcome speaks of these models and kinds.
"""
CONFIDENT = 0.7
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


class Example(Struct, frozen=True, eq=False):
    """A prompt as the linear models see it."""

    seen: Sketch
    shape: Numbers
    kind: str
    tier: Tier
    weight: float
    is_held: bool


def fit(rows: Sequence[Row], prompts: Sequence[Prompt], *, pairs: Mapping[str, tuple[str, str]], command: str,
        data: Mapping[str, str]) -> bytes:  # fmt: skip
    """An artefact. `pairs`: table → its weak and strong model, which the need of strength is learned from."""
    examples = [_written(prompt) for prompt in prompts]
    looked = [_of_row(row) for row in rows]
    examples += [example for example in looked if example.kind]
    kinds = tuple(sorted({example.kind for example in examples}))
    features = _matrix(examples)
    held = np.array([example.is_held for example in examples])
    trial = _fit_kinds(features[~held], [example for example in examples if not example.is_held], kinds)
    out = [example for example in examples if example.is_held]
    tiers = _tiers([example for example in examples if not example.is_held], kinds)
    sharpness = _sharpness(features[held] @ trial[0] + trial[1], out, kinds)
    posterior = _probabilities(features[held] @ trial[0] + trial[1], sharpness)
    tier_sharpness = _tier_sharpness(posterior @ tiers, out)
    measured = _measure(posterior, tiers, tier_sharpness, out, kinds)
    weights, bias = _fit_kinds(features, examples, kinds)
    need_weights, need_bias = _fit_need(rows, looked, pairs)
    column = np.concatenate((weights * sharpness, need_weights[:, None]), axis=1)
    column[BUCKETS:] *= COUNTS_WEIGHT
    models, rates, outcomes = _known_models(rows, kinds)
    card = Card(
        made_on=datetime.now(UTC).date().isoformat(),
        command=command,
        data=data,
        measured=measured,
        limits="Kinds of work come from written prompts and exam questions; success rates of tiers are assumptions "
        "worth few outcomes. On a kind of work that is not among these it knows next to nothing until the "
        "ledger has outcomes.",
    )
    arrays = {
        "weights": column.astype(np.float32),
        "bias": np.append(bias * sharpness, need_bias).astype(np.float32),
        "tiers": _tiers(examples, kinds).astype(np.float32),
        "tier_sharpness": np.array(tier_sharpness, np.float32),
        "rates": _rates(_tiers(examples, kinds)).astype(np.float32),
        "output_tokens": np.array([OUTPUT_TOKENS.get(kind, QUESTION_TOKENS) for kind in kinds], np.float32),
        "feature_weights": _feature_weights(examples),
        "model_rates": rates.astype(np.float32),
        "model_outcomes": outcomes.astype(np.float32),
    }
    return dump(card, kinds, models, arrays)


def _written(prompt: Prompt) -> Example:
    seen, shape = look(extract(prompt.call()))
    return Example(seen, shape, prompt.kind, prompt.tier, WRITTEN_WEIGHT, _is_held(prompt.ask))


def _of_row(row: Row) -> Example:
    call = Call(id="0", dialect="openai_chat", model="auto", messages=(Message("user", (Text(row.prompt),)),), body={})
    seen, shape = look(extract(call))
    tier = Tier.COMPLEX if row.kind in COMPLEX_KINDS else Tier.STANDARD
    return Example(seen, shape, row.kind or "", tier, 1.0, _is_held(row.prompt))


def _is_held(text: str) -> bool:
    return hashlib.sha256(text.encode(errors="replace")).digest()[0] % HELD_OUT == 0


def _matrix(examples: Sequence[Example]) -> csr_matrix:
    """[n, ROWS]: words of unit length, then counts and shape."""
    sizes = [len(example.seen.indices) for example in examples]
    starts = np.concatenate(([0], np.cumsum(sizes)))
    words = csr_matrix(
        (np.ones(starts[-1]), np.concatenate([example.seen.indices for example in examples]), starts),
        shape=(len(examples), BUCKETS),
    )
    words = diags(1 / np.sqrt(np.maximum(sizes, 1))) @ words
    rest = np.stack([np.concatenate((example.seen.counts, example.shape)) for example in examples])
    matrix = hstack((words, rest * COUNTS_WEIGHT)).tocsr()
    assert matrix.shape[1] == ROWS == BUCKETS + COUNTS + SHAPE
    return matrix


def _fit_kinds(features: csr_matrix, examples: Sequence[Example], kinds: Sequence[str]) -> tuple[Any, Any]:
    """Weights [ROWS, K] and bias [K] of a multinomial logistic regression."""
    model = LogisticRegression(C=1 / KINDS_PENALTY, max_iter=300)
    model.fit(features, [example.kind for example in examples], [example.weight for example in examples])
    assert list(model.classes_) == list(kinds), "every kind must be among the prompts that are not held out"
    return model.coef_.T, model.intercept_


def _fit_need(
    rows: Sequence[Row], looked: Sequence[Example], pairs: Mapping[str, tuple[str, str]]
) -> tuple[FloatArray, float]:
    """How much a strong model is needed, over all pairs: P(the strong one does it and the weak one does not)."""
    chosen, needed = [], []
    for row, example in zip(rows, looked, strict=True):
        weak, strong = pairs.get(row.table, ("", ""))
        if weak in row.scores and strong in row.scores:
            chosen.append(example)
            needed.append(row.scores[strong] - row.scores[weak] > 0.5)
    model = LogisticRegression(C=1 / NEED_PENALTY, max_iter=300).fit(_matrix(chosen), needed)
    return model.coef_[0], float(model.intercept_[0])


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
    return np.array([example.weight == WRITTEN_WEIGHT for example in examples])


def _tier_sharpness(tiers: FloatArray, examples: Sequence[Example]) -> float:
    """The power of the tiers' probabilities that makes them true on written prompts."""
    is_written = _is_written(examples)
    order = list(Tier)
    right = np.array([order.index(example.tier) for example in examples])[is_written]
    every = np.arange(len(right))

    def loss(power: float) -> float:
        powered = tiers[is_written] ** power
        return float(-np.mean(np.log(powered[every, right] / powered.sum(axis=1))))

    return float(min(np.linspace(0.5, 2.5, 81), key=loss))


def _measure(
    posterior: FloatArray,
    tiers: FloatArray,
    tier_sharpness: float,
    examples: Sequence[Example],
    kinds: Sequence[str],
) -> dict[str, float]:
    """Figures on examples that were not learned from."""
    is_written = _is_written(examples)
    order = list(Tier)
    by_tier = (posterior @ tiers) ** tier_sharpness
    by_tier /= by_tier.sum(axis=1, keepdims=True)
    right_kind = np.array([kinds[at] == its.kind for at, its in zip(posterior.argmax(1), examples, strict=True)])
    right_tier = np.array([order[at] is its.tier for at, its in zip(by_tier.argmax(1), examples, strict=True)])
    sure = is_written & (by_tier.max(axis=1) >= CONFIDENT)
    return {
        "kind right, written prompts": round(float(right_kind[is_written].mean()), 4),
        "tier right, written prompts": round(float(right_tier[is_written].mean()), 4),
        f"share of written prompts with confidence {CONFIDENT} or more": round(float(sure.sum() / is_written.sum()), 4),
        "tier right among these": round(float(right_tier[sure].mean()), 4),
        "kind right, table rows": round(float(right_kind[~is_written].mean()), 4),
    }


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


def _feature_weights(examples: Sequence[Example]) -> Numbers:
    """[FOLDED]: the square root of each bucket's inverse document frequency."""
    seen = np.zeros(FOLDED)
    for example in examples:
        seen[fold(example.seen.indices)] += 1
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
