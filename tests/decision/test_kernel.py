"""The compiled look tells what numpy's does."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import artefacts
from routewright.classifiers import load_artefact
from routewright.decision.artefact import SHAPE, Artefact, Vocabulary
from routewright.decision.features import EDGE_CHARS
from routewright.decision.glance import Glancer, NumpyGlancer
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import Numbers
from routewright.decision.success import FEATURES

kernel = pytest.importorskip("routewright.decision._kernel", reason="the kernel was not compiled here")

MADE, SHIPPED = artefacts.artefact(), load_artefact(None)
PLAIN = (0.0,) * SHAPE
SHAPES = st.tuples(*[st.floats(0, 1, width=32)] * SHAPE)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=3_000),
    st.text("aB 1?\n.)_", max_size=3_000),
    st.text("翻ほ번é \u0130ẞ", max_size=2_500),
)


def asked(artefact: Artefact, columns: int, residuals: int) -> tuple[FloatArray, Numbers]:
    """So many numbers to be known of kinds, and of words."""
    chance = np.random.default_rng(0)
    return chance.random((len(artefact.kinds), columns)), chance.normal(size=(FEATURES, residuals)).astype(np.float32)


def both(artefact: Artefact, columns: int, residuals: int) -> tuple[Glancer, Glancer]:
    """Asked the same."""
    its = asked(artefact, columns, residuals)
    return kernel.CompiledGlancer(artefact, *its), NumpyGlancer(artefact, *its)


PAIRS = [both(MADE, 7, 3), both(SHIPPED, 7, 3), both(SHIPPED, 0, 0), both(SHIPPED, 41, 1)]


@given(TEXTS, SHAPES)
@example("", PLAIN)
@example(" ", PLAIN)
@example("a", PLAIN)
@example("\x00", PLAIN)
@example("\udfff\ud800 \udc00", PLAIN)
@example("design extract translate and what nobody knows", PLAIN)
@example("a" * 2 * EDGE_CHARS, PLAIN)
@example("\U0001f600" * 100_000, PLAIN)
@example("\u0130" * 2 * EDGE_CHARS, PLAIN)
@example("\n" * 3_000 + "A.\nA)\nA", PLAIN)
@example("\nA", PLAIN)
@example("1 22 333" * 300, PLAIN)
@settings(deadline=None)
def test_any_text_is_seen_as_by_numpy(text: str, shape: tuple[float, ...]) -> None:
    for compiled, numpy in PAIRS:
        one, other = compiled.glance(text, shape), numpy.glance(text, shape)
        assert one.fingerprint == other.fingerprint
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        assert one.means == pytest.approx(other.means, abs=1e-6)
        assert one.corrections == pytest.approx(other.corrections, abs=1e-4)
        by_numpy = dict(zip(other.kinds, other.probabilities, strict=True))
        for kind, probability in zip(one.kinds, one.probabilities, strict=True):  # of equals any may be told
            assert probability == pytest.approx(by_numpy.get(kind, min(other.probabilities)), abs=1e-6)


def test_look_leaves_nothing_behind() -> None:
    for compiled, _ in PAIRS:
        before = compiled.glance("Translate 3 lines:\nA. Hello?", PLAIN)
        compiled.glance("設計 " * 700, (1.0,) * SHAPE)
        after = compiled.glance("Translate 3 lines:\nA. Hello?", PLAIN)
        assert (before.means, before.corrections) == (after.means, after.corrections)
        assert (before.kinds, before.probabilities, before.fingerprint) == (
            after.kinds,
            after.probabilities,
            after.fingerprint,
        )


def test_threads_that_look_at_once_see_their_own_texts() -> None:
    compiled, _ = PAIRS[1]
    texts = [f"Prove theorem {number} of {number * 7} and translate it into French. " * 20 for number in range(40)]
    alone = [compiled.glance(text, PLAIN) for text in texts]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda text: compiled.glance(text, PLAIN), texts * 20))
    finally:
        sys.setswitchinterval(interval)
    for seen, expected in zip(together, alone * 20, strict=True):
        assert (seen.means, seen.fingerprint) == (expected.means, expected.fingerprint)


@pytest.mark.parametrize(
    "changes",
    [
        {"bias": np.zeros(3, np.float32)},
        {"scales": np.zeros(3, np.float32)},
        {"steps": np.zeros((5, 4), np.int8)},
        {"kinds": ()},
        {"vocabulary": Vocabulary(np.zeros(8, np.uint16), np.zeros(8, np.uint16), 3)},
    ],
    ids=["bias", "scales", "rows", "no kinds", "few buckets"],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_is_read(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        kernel.CompiledGlancer(replace(MADE, **changes), *asked(MADE, 4, 1))


def test_what_is_asked_must_fit_the_artefact() -> None:
    columns, residuals = asked(MADE, 4, 1)
    with pytest.raises(ValueError, match="does not fit"):
        kernel.CompiledGlancer(MADE, columns[:2], residuals)
    with pytest.raises(ValueError, match="does not fit"):
        kernel.CompiledGlancer(MADE, columns, residuals[1:])
    with pytest.raises(ValueError, match="a shape is"):
        kernel.CompiledGlancer(MADE, columns, residuals).glance("Hello", (0.0,))
