"""The compiled look is that of numpy."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import artefacts
from routewright.classifiers import load_artefact
from routewright.decision.artefact import SHAPE, Artefact
from routewright.decision.features import EDGE_CHARS
from routewright.decision.glance import MOST_KINDS, Glance, Glancer, NumpyGlancer
from routewright.decision.success import FEATURES

kernel = pytest.importorskip("routewright.decision._kernel", reason="the kernel was not compiled here")

MADE, SHIPPED = artefacts.artefact(), load_artefact(None)
SHAPES = st.lists(st.floats(0, 1, width=32), min_size=SHAPE, max_size=SHAPE).map(tuple)
PLAIN_SHAPE = (0.0,) * SHAPE
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=3_000),
    st.text("aB 1?\n.)_", max_size=3_000),
    st.text("翻訳ほん번역é \u0130ẞ", max_size=2_000),
)


def asked_of(artefact: Artefact, columns: int = 7, residuals: int = 3) -> tuple[Glancer, Glancer]:
    """Both, asked the same."""
    chance = np.random.default_rng(0)
    asked = chance.random((len(artefact.kinds), columns)), chance.normal(size=(FEATURES, residuals)).astype(np.float32)
    return kernel.CompiledGlancer(artefact, *asked), NumpyGlancer(artefact, *asked)


PAIRS = [asked_of(MADE), asked_of(SHIPPED), asked_of(SHIPPED, 0, 0), asked_of(SHIPPED, 40, 1)]


def assert_same(text: str, shape: tuple[float, ...] = PLAIN_SHAPE) -> None:
    for compiled, numpy in PAIRS:
        one, other = compiled.glance(text, shape), numpy.glance(text, shape)
        assert one.fingerprint == other.fingerprint
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        assert one.means == pytest.approx(other.means, abs=1e-6)
        assert one.corrections == pytest.approx(other.corrections, abs=1e-4)
        for mine, theirs, by in zip(one.kinds, other.kinds, other.probabilities, strict=True):
            assert mine == theirs or other.probabilities.count(pytest.approx(by, abs=1e-6)) > 1


@given(TEXTS, SHAPES)
@example("", PLAIN_SHAPE)
@example(" ", PLAIN_SHAPE)
@example("\x00", PLAIN_SHAPE)
@example("\udfff\ud800 \udc00", PLAIN_SHAPE)
@example("a" * 2 * EDGE_CHARS, PLAIN_SHAPE)
@example("\u0130" * 2 * EDGE_CHARS, PLAIN_SHAPE)
@example("\n" * 3_000 + "A.\nA)\nA", PLAIN_SHAPE)
@example("1 22 333" * 300, PLAIN_SHAPE)
@settings(deadline=None)
def test_any_text_is_seen_alike(text: str, shape: tuple[float, ...]) -> None:
    assert_same(text, shape)
