"""Which kind of work a request is: `Features` → the probability of each kind the artefact knows.

One linear model over the hashed words of the last user turn, a few counts, and the shape of the request. Of system
prompts, tools and what tools gave back it sees that they are there, never their words.
"""

import math

import numpy as np
from numpy.typing import NDArray

from routewright.decision.artefact import SHAPE, Artefact, Vocabulary
from routewright.decision.features import Features
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import COUNTS, Numbers, Sketch, sketch

_WORD_STEPS = 7
"""Of the ladder that the number of words becomes: 1, 3, 7, … 127."""


def shape_of(features: Features) -> Numbers:
    """`SHAPE` numbers, each 0 to 1: what the request looks like beside its words."""
    shape = np.zeros(SHAPE, np.float32)
    words = np.log2(len(features.words) + 1)
    shape[:_WORD_STEPS] = np.maximum(1 - np.abs(words - np.arange(1, 1 + _WORD_STEPS)), 0)
    shape[_WORD_STEPS:] = (
        features.has_code,
        features.has_data,
        min(features.formulas, 3) / 3,
        min(features.list_items, 5) / 5,
        features.output_format.kind == "json_schema",
        features.output_format.kind == "json_object",
        features.forced_tool is not None,
        features.tools > 0,
        features.tools > 4,
        features.tools > 15,
        features.is_agent_step,
        features.turns > 1,
        features.turns > 3,
        features.images > 0,
        features.tool_result_chars > 0,
        len(features.earlier_words) > 0,
        features.user_chars > 4 * max(features.task_chars, 1),
    )
    return shape


def kinds_of(artefact: Artefact, seen: Sketch, shape: Numbers) -> tuple[FloatArray, float]:
    """Probability of each kind [K], and the log odds that a strong model is needed."""
    rows = known_features(artefact.vocabulary, seen)
    # Features that are there weigh alike; their sum is brought to unit length whatever their number.
    share = np.full(len(rows), 1 / math.sqrt(max(len(rows), 1)), np.float32)
    odds = share @ artefact.weights.take(rows, axis=0)
    odds += np.concatenate((seen.counts, shape)) @ artefact.weights[-COUNTS - SHAPE :] + artefact.bias
    needed = float(odds[-1])
    kinds = np.exp(odds[:-1] - odds[:-1].max()).astype(np.float64)
    return kinds / kinds.sum(), needed


def known_features(vocabulary: Vocabulary, seen: Sketch) -> NDArray[np.int64]:
    """The rows of the features that are there, ascending, each once; what an artefact does not know is passed over."""
    is_there = np.zeros(vocabulary.size + 1, np.bool_)
    is_there[vocabulary.row_of_word[seen.words]] = True
    is_there[vocabulary.row_of_run[seen.runs]] = True
    return np.flatnonzero(is_there[:-1])


def look(features: Features) -> tuple[Sketch, Numbers]:
    """What the artefact is asked about."""
    return sketch(features.text), shape_of(features)
