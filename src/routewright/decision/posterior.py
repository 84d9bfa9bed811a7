"""Which kind of work a request is: `Features` → the probability of each kind the artefact knows.

One linear model over the hashed words of the last user turn, a few counts, and the shape of the request. Of system
prompts, tools and what tools gave back it sees that they are there, never their words.
"""

import math

from routewright.decision.artefact import STEPS, Artefact, Vocabulary
from routewright.decision.features import Features
from routewright.decision.sketch import Sketch, sketch

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


def kinds_of(artefact: Artefact, seen: Sketch, shape: tuple[float, ...]) -> tuple[list[float], float]:
    """Probability of each kind [K], and the log odds that a strong model is needed."""
    rows = known_features(artefact.vocabulary, seen)
    # Features that are there weigh alike; their sum is brought to unit length whatever their number.
    length = math.sqrt(max(len(rows), 1))
    lowest = STEPS * len(rows)
    odds = [
        (steps - lowest) * scale / length + bias
        for steps, scale, bias in zip(artefact.added_up(rows), artefact.scales, artefact.bias, strict=True)
    ]
    for number, weights in zip((*seen.counts, *shape), artefact.weights_beside, strict=True):
        if number:
            odds = [its + number * weight for its, weight in zip(odds, weights, strict=True)]
    needed = odds.pop()
    most = max(odds)
    kinds = [math.exp(its - most) for its in odds]
    total = sum(kinds)
    return [its / total for its in kinds], needed


def known_features(vocabulary: Vocabulary, seen: Sketch) -> list[int]:
    """The rows of the features that are there, ascending, each once; what an artefact does not know is passed over."""
    rows = {*map(vocabulary.row_of_word.get, seen.words), *map(vocabulary.row_of_run.get, seen.runs)}
    return sorted([row for row in rows if row is not None])


def look(features: Features) -> tuple[Sketch, tuple[float, ...]]:
    """What the artefact is asked about."""
    return sketch(features.text), shape_of(features)
