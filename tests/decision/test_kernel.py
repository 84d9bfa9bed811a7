"""The compiled look tells what the plain one does."""

import sys
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import artefacts
from dense_rows import singles
from routewright.classifiers import load_artefact
from routewright.decision.artefact import SHAPE, Artefact, Vocabulary
from routewright.decision.features import EDGE_CHARS
from routewright.decision.glance import Glancer, PlainGlancer
from routewright.decision.residual import FEATURES
from routewright.decision.rows import Vector
from routewright.decision.sketch import BUCKETS, Numbers

kernel = pytest.importorskip("routewright.decision._kernel", reason="the kernel was not compiled here")

MADE, SHIPPED = artefacts.artefact(), load_artefact(None)
PLAIN = (0.0,) * SHAPE
CLOSE = 5e-6
"""One adds up in single precision, the other in double; what is told is rounded to a thousandth."""
SHAPES = st.tuples(*[st.floats(0, 1, width=32)] * SHAPE)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=3_000),
    st.text("aB 1?\n.)_", max_size=3_000),
    st.text("翻ほ번é \u0130ẞ", max_size=2_500),
)


def asked(artefact: Artefact, columns: int, residuals: int) -> tuple[list[Vector], list[Numbers]]:
    """So many numbers to be known of kinds, and of words."""
    chance = np.random.default_rng(0)
    of_kinds = [chance.random(len(artefact.kinds)).tolist() for _ in range(columns)]
    return of_kinds, [singles(chance.normal(size=FEATURES)) for _ in range(residuals)]


def both(artefact: Artefact, columns: int, residuals: int) -> tuple[Glancer, Glancer]:
    """Asked the same."""
    its = asked(artefact, columns, residuals)
    return kernel.CompiledGlancer(artefact, *its), PlainGlancer(artefact, *its)


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
def test_any_text_is_seen_alike(text: str, shape: tuple[float, ...]) -> None:
    for compiled, plain in PAIRS:
        one, other = compiled.glance(text, shape), plain.glance(text, shape)
        assert one.fingerprint == other.fingerprint
        assert one.probabilities == pytest.approx(other.probabilities, abs=CLOSE)
        assert one.means == pytest.approx(other.means, abs=CLOSE)
        assert one.corrections == pytest.approx(other.corrections, abs=1e-4)
        by_plain = dict(zip(other.kinds, other.probabilities, strict=True))
        for kind, probability in zip(one.kinds, one.probabilities, strict=True):  # of equals any may be told
            assert probability == pytest.approx(by_plain.get(kind, min(other.probabilities)), abs=CLOSE)


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
        {"bias": singles([0, 0, 0])},
        {"scales": singles([0, 0, 0])},
        {"steps": bytes(20)},
        {"kinds": ()},
        {"vocabulary": Vocabulary(array("i", [1]), array("i"))},
    ],
    ids=["bias", "scales", "rows", "no kinds", "few features"],
)
@pytest.mark.parametrize("glancer", [kernel.CompiledGlancer, PlainGlancer])
def test_arrays_that_do_not_fit_are_refused_before_anything_is_read(
    glancer: type[Glancer], changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        glancer(replace(MADE, **changes), *asked(MADE, 4, 1))


@pytest.mark.parametrize("bucket", [-1, BUCKETS, 2**31 - 1])
def test_what_is_no_bucket_is_refused(bucket: int) -> None:
    for vocabulary in (
        Vocabulary(array("i", [0, 1, bucket]), array("i")),
        Vocabulary(array("i", [0]), array("i", [bucket, 1])),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            kernel.CompiledGlancer(replace(MADE, vocabulary=vocabulary), *asked(MADE, 4, 1))


def test_what_is_asked_must_fit_the_artefact() -> None:
    columns, residuals = asked(MADE, 4, 1)
    with pytest.raises(ValueError, match="does not fit"):
        kernel.CompiledGlancer(MADE, [column[:2] for column in columns], residuals)
    with pytest.raises(ValueError, match="does not fit"):
        kernel.CompiledGlancer(MADE, columns, [weights[1:] for weights in residuals])
    with pytest.raises(ValueError, match="a shape is"):
        kernel.CompiledGlancer(MADE, columns, residuals).glance("Hello", (0.0,))
