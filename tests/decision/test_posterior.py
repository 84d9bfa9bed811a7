import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artefacts
from artefacts import KINDS
from builders import call, message
from routewright.call import Call, OutputFormat, Tool, ToolChoice
from routewright.classifiers import load_artefact
from routewright.decision.artefact import SHAPE
from routewright.decision.features import extract
from routewright.decision.posterior import kinds_of, look, shape_of
from routewright.decision.residual import FloatArray

ARTEFACT = artefacts.artefact()
SHIPPED = load_artefact(None)
TOOLS = tuple(Tool(f"tool_{number}", "", {}) for number in range(40))
CALLS = st.builds(
    lambda text, tools, form, forced, turns: call(
        messages=(*(message(f"turn {turn}") for turn in range(turns)), message(text)),
        tools=TOOLS[:tools],
        output_format=OutputFormat(form),
        tool_choice=ToolChoice("required") if forced else None,
    ),
    st.text(st.characters(exclude_categories=()), max_size=600),
    st.integers(0, len(TOOLS)),
    st.sampled_from(["text", "json_object", "json_schema"]),
    st.booleans(),
    st.integers(0, 5),
)


def kinds(asked: Call) -> FloatArray:
    return kinds_of(ARTEFACT, *look(extract(asked)))[0]


@given(CALLS)
@settings(deadline=None)
def test_probabilities_of_any_request_sum_to_one(asked: Call) -> None:
    for artefact in (ARTEFACT, SHIPPED):
        found, needed = kinds_of(artefact, *look(extract(asked)))
        assert found.shape == (len(artefact.kinds),)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert found.sum() == pytest.approx(1)
        assert np.isfinite(needed)


@given(CALLS)
@settings(deadline=None)
def test_shape_is_numbers_from_zero_to_one(asked: Call) -> None:
    shape = shape_of(extract(asked))
    assert len(shape) == SHAPE
    assert all(0 <= number <= 1 for number in shape)


@pytest.mark.parametrize("kind", KINDS)
def test_word_tells_the_kind(kind: str) -> None:
    found = kinds(call(f"Please {kind} this"))
    assert KINDS[int(found.argmax())] == kind
    assert found.max() > 0.9


def test_text_that_tells_nothing_is_of_every_kind_alike() -> None:
    assert kinds(call("")) == pytest.approx(1 / 3)


def test_sharp_odds_are_probabilities_too() -> None:
    sharp = artefacts.artefact(weights=artefacts.arrays()["weights"] * 1e6)
    found, needed = kinds_of(sharp, *look(extract(call("design"))))
    assert found.tolist() == [1, 0, 0]
    assert needed > 1e6


def test_need_of_strength_is_a_column_of_its_own() -> None:
    _, design = kinds_of(ARTEFACT, *look(extract(call("design it"))))
    _, translate = kinds_of(ARTEFACT, *look(extract(call("translate it"))))
    assert design > 1 > translate == 0
