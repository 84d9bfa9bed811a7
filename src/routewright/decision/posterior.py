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


_LADDERS = tuple(
    [
        tuple([max(1 - abs(math.log2(words + 1) - step), 0.0) for step in range(1, 1 + _WORD_STEPS)])
        for words in range(2 ** (_WORD_STEPS + 1))
    ]
)
"""Number of words → its ladder; that of the last one goes for all higher ones too, which are beyond all steps."""


def shape_of(features: Features) -> tuple[float, ...]:
    """`SHAPE` numbers, each 0 to 1: what the request looks like beside its words."""
    form, tools, turns = features.output_format.kind, features.tools, features.turns
    return (
        *_LADDERS[min(features.word_count, len(_LADDERS) - 1)],
        features.has_code,
        features.has_data,
        min(features.formulas, 3) / 3,
        min(features.list_items, 5) / 5,
        form == "json_schema",
        form == "json_object",
        features.forced_tool is not None,
        tools > 0,
        tools > 4,
        tools > 15,
        features.is_agent_step,
        turns > 1,
        turns > 3,
        features.images > 0,
        features.tool_result_chars > 0,
        bool(features.earlier_task),
        features.user_chars > 4 * max(features.task_chars, 1),
    )


def kinds_of(artefact: Artefact, seen: Sketch, shape: Numbers) -> tuple[FloatArray, float]:
    """Probability of each kind [K], and the log odds that a strong model is needed."""
    is_there = _known(artefact.vocabulary, seen, COUNTS + SHAPE)
    is_there[-COUNTS - SHAPE :] = True  # so that one product is enough for all
    rows = is_there.nonzero()[0]
    known = len(rows) - COUNTS - SHAPE
    inputs = np.empty(len(rows), np.float32)
    # Features that are there weigh alike; their sum is brought to unit length whatever their number.
    inputs[:known] = 1 / math.sqrt(max(known, 1))
    inputs[known:-SHAPE] = seen.counts
    inputs[-SHAPE:] = shape
    odds = inputs @ artefact.weights.take(rows, axis=0)
    odds += artefact.bias
    kinds = odds[:-1]
    kinds = np.exp(kinds - np.maximum.reduce(kinds)).astype(np.float64)
    kinds /= np.add.reduce(kinds)
    return kinds, float(odds[-1])


def known_features(vocabulary: Vocabulary, seen: Sketch) -> NDArray[np.int64]:
    """The rows of the features that are there, ascending, each once; what an artefact does not know is passed over."""
    return _known(vocabulary, seen, 1)[:-1].nonzero()[0]


def _known(vocabulary: Vocabulary, seen: Sketch, others: int) -> NDArray[np.bool_]:
    """[size + others]: which rows are there. The first of the `others` stands for all that is not known."""
    is_there = np.zeros(vocabulary.size + others, np.bool_)
    is_there[vocabulary.row_of_word.take(seen.words)] = True
    is_there[vocabulary.row_of_run.take(seen.runs)] = True
    return is_there


def look(features: Features) -> tuple[Sketch, Numbers]:
    """What the artefact is asked about."""
    return sketch(features.text), np.array(shape_of(features), np.float32)
