import hashlib
import struct
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import artefacts
from artefacts import CARD, KINDS, KNOWN_MODEL, ROWS
from routewright.catalog.registry import Tier
from routewright.classifiers import load_artefact
from routewright.decision.artefact import (
    MAGIC,
    MOST_BYTES,
    MOST_UNPACKED_BYTES,
    STEPS,
    Header,
    dump,
    load,
)
from routewright.decision.sketch import BUCKETS
from routewright.errors import ArtefactError

WHOLE = artefacts.written()
DIGEST = hashlib.sha256().digest_size
STORED = {
    array.name: array
    for array in msgspec.json.decode(
        WHOLE[12 : 12 + struct.unpack("<I", WHOLE[8:12])[0]],
        type=Header,
    ).arrays
}


def sealed(header: bytes, body: bytes) -> bytes:
    """A file of these parts with a checksum that fits: not damaged, but perhaps made by somebody else."""
    data = MAGIC + struct.pack("<I", len(header)) + header + body
    return data + hashlib.sha256(data).digest()


def made(numbers: dict[str, NDArray[Any]], **changes: Any) -> bytes:
    """A file of arrays as they are given, of whatever shape, with changes to its header."""
    headers = [{"name": name, "kind": array.dtype.str, "shape": array.shape} for name, array in numbers.items()]
    header = {"card": CARD, "kinds": KINDS, "models": (KNOWN_MODEL,), "arrays": headers, **changes}
    return sealed(msgspec.json.encode(header), zlib.compress(b"".join(array.tobytes() for array in numbers.values())))


def plain() -> dict[str, NDArray[Any]]:
    """Arrays of the right shapes."""
    return {name: np.ones(array.shape, array.kind) for name, array in STORED.items()}


def refused(data: bytes) -> str:
    with pytest.raises(ArtefactError) as caught:
        load(data)
    return caught.value.message


# ---- there and back -------------------------------------------------------------------------------------------------


def test_what_was_written_is_read() -> None:
    given, read = artefacts.arrays(), load(WHOLE)
    assert (read.card, read.kinds) == (CARD, KINDS)
    assert read.prior.kinds == KINDS
    assert np.allclose(read.tiers, given["tiers"])
    assert np.allclose(read.output_tokens, given["output_tokens"])
    assert read.tier_sharpness == 1
    assert list(read.prior.rates) == [*Tier, ""]
    assert np.allclose(list(read.prior.rates.values()), given["rates"])
    rates, outcomes = read.prior.models[KNOWN_MODEL]
    assert np.allclose(rates, given["model_rates"][0])
    assert np.allclose(outcomes, given["model_outcomes"][0])


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
@settings(max_examples=10, deadline=None)
def test_weights_are_kept_to_half_a_step_of_their_column(seed: int, scale: float) -> None:
    weights = np.random.default_rng(seed).normal(scale=scale, size=(ROWS, len(KINDS) + 1))
    weights[:, 1] = 0
    read = artefacts.artefact(weights=weights).weights
    step = np.abs(weights).max(axis=0) / STEPS
    assert (np.abs(read - weights).max(axis=0) <= 0.51 * step).all()
    assert not read[:, 1].any()


def test_same_content_has_the_same_version_and_other_content_another() -> None:
    again = load(artefacts.written())
    assert again.version == load(WHOLE).version == WHOLE[-DIGEST:].hex()[:8]
    assert artefacts.artefact(tier_sharpness=np.array(2.0)).version != again.version


def test_artefact_may_know_no_model() -> None:
    none = np.zeros((0, len(KINDS)))
    assert load(dump(CARD, KINDS, (), artefacts.arrays(model_rates=none, model_outcomes=none))).prior.models == {}


def test_artefact_that_ships_is_whole_and_knows_every_tier() -> None:
    shipped = load_artefact(None)
    assert np.allclose(shipped.tiers.sum(axis=1), 1, atol=1e-5)
    assert {Tier(tier) for tier in shipped.prior.rates if tier} == set(Tier)
    assert all(((rates > 0) & (rates < 1)).all() for rates in shipped.prior.rates.values())
    assert (shipped.output_tokens > 0).all()


# ---- damage ---------------------------------------------------------------------------------------------------------


@given(st.integers(len(MAGIC), len(WHOLE) - 1))
@example(len(MAGIC))
@example(len(MAGIC) + 4)
@example(len(MAGIC) + 4 + DIGEST)
@example(len(WHOLE) - DIGEST)
@example(len(WHOLE) - 1)
@settings(deadline=None)
def test_file_cut_short_anywhere_is_damaged(size: int) -> None:
    assert "damaged" in refused(WHOLE[:size])


@given(st.integers(len(MAGIC), len(WHOLE) - 1), st.integers(1, 255))
@settings(deadline=None)
def test_one_other_byte_anywhere_is_damage(at: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    assert "damaged" in refused(bytes(data))


def test_bytes_after_the_end_are_damage() -> None:
    assert "damaged" in refused(WHOLE + b"\0")


@pytest.mark.parametrize("data", [b"", b"RW", b"PAR1" + WHOLE, b"<html>not found</html>", b"\0" * 10_000])
def test_other_file_is_no_artefact(data: bytes) -> None:
    assert refused(data) == "it is no artefact"


def test_artefact_of_another_version_says_so() -> None:
    assert "another version" in refused(b"RWLEARN2" + WHOLE[8:])


def test_file_beyond_the_bound_is_neither_read_nor_written() -> None:
    assert f"more than {MOST_BYTES:,}" in refused(MAGIC + b"\0" * MOST_BYTES)
    words = np.arange(11_000)
    noise = np.random.default_rng(1).normal(size=(len(words) + ROWS - len(KINDS), 121))
    kinds = tuple(f"kind {number}" for number in range(120))
    with pytest.raises(ArtefactError, match=f"more than {MOST_BYTES:,}"):
        dump(CARD, kinds, (), artefacts.arrays(words=words, weights=noise))


# ---- whole, but not what it should be -------------------------------------------------------------------------------


def test_plain_made_file_is_read() -> None:
    assert load(made(plain())).kinds == KINDS


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("shape", [(), (2,), (ROWS, 2), (1, 2, 3), (0,)])
def test_array_of_another_shape_is_refused_by_its_name(name: str, shape: tuple[int, ...]) -> None:
    arrays = plain()
    if arrays[name].shape == shape:
        return
    arrays[name] = np.ones(shape, arrays[name].dtype)
    blamed = "weights" if name in ("words", "runs") and len(shape) == 1 else name  # rows are as many as features
    assert f"{blamed} has the shape" in refused(made(arrays))


@pytest.mark.parametrize("name", STORED)
def test_missing_array_is_refused(name: str) -> None:
    arrays = plain()
    del arrays[name]
    assert "has not the arrays" in refused(made(arrays))


def test_unknown_array_is_refused() -> None:
    assert "has not the arrays" in refused(made({**plain(), "more": np.ones(1, np.float32)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_array_that_holds_no_numbers_is_refused(value: float) -> None:
    arrays = plain()
    arrays["bias"][1] = value
    assert "bias holds what is no number" in refused(made(arrays))


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("kind", ["O", "|O", "<f8", "V4", "U3", "nonsense", "", "|i1", "<i4", "<f4"])
def test_array_of_another_type_is_refused(name: str, kind: str) -> None:
    if kind == STORED[name].kind:
        return
    kinds = {each: array.kind for each, array in STORED.items()} | {name: kind}
    headers = [{"name": each, "kind": kinds[each], "shape": array.shape} for each, array in STORED.items()]
    assert "does not fit this version" in refused(made(plain(), arrays=headers))


@pytest.mark.parametrize("bucket", [-1, BUCKETS, 2**31 - 1])
def test_feature_that_cannot_be_is_refused(bucket: int) -> None:
    assert "features that cannot be" in refused(made(plain() | {"words": np.array([0, bucket, 1], np.int32)}))


def test_weight_beyond_the_last_step_is_refused() -> None:
    for weight in (STEPS + 1, -STEPS - 1, -128):
        weights = plain()["weights"]
        weights[1, 1] = weight
        assert "steps from zero" in refused(made(plain() | {"weights": weights}))


def test_more_features_than_can_be_numbered_are_refused() -> None:
    many, rows = np.zeros(70_000, np.int32), 70_000 + ROWS - len(KINDS)
    arrays = plain() | {"words": many, "weights": np.zeros((rows, len(KINDS) + 1), np.int8)}
    assert "70,000 features, more than" in refused(made(arrays))


@pytest.mark.parametrize("shape", [(-1,), (2**40, 2**40), (2**63,)])
def test_array_of_an_absurd_shape_is_refused(shape: tuple[int, ...]) -> None:
    headers = [{"name": name, "kind": array.kind, "shape": shape} for name, array in STORED.items()]
    assert "does not fit this version" in refused(made(plain(), arrays=headers))


def test_artefact_without_kinds_is_refused() -> None:
    assert "knows no kind of work" in refused(made(plain(), kinds=()))


def test_header_that_is_no_json_is_refused() -> None:
    for header in (b"", b"{", b"[]", b'{"kinds": 3}', b"\xff\xfe"):
        assert "does not fit this version" in refused(sealed(header, b""))


def test_header_longer_than_the_file_is_refused() -> None:
    data = MAGIC + struct.pack("<I", 2**32 - 1) + b"{}"
    assert "does not fit this version" in refused(data + hashlib.sha256(data).digest())


def test_body_that_is_not_deflated_or_not_whole_is_refused() -> None:
    header = msgspec.json.encode(Header(card=CARD, kinds=KINDS, models=(KNOWN_MODEL,), arrays=tuple(STORED.values())))
    body = zlib.compress(b"".join(array.tobytes() for array in plain().values()))
    assert load(sealed(header, body)).kinds == KINDS
    assert "does not fit this version" in refused(sealed(header, b"plain bytes"))
    assert "cut short" in refused(sealed(header, body[:-8]))
    assert "does not fit this version" in refused(sealed(header, zlib.compress(b"\0" * 100)))


def test_body_that_inflates_without_end_is_refused() -> None:
    header = msgspec.json.encode(Header(card=CARD, kinds=KINDS, models=(KNOWN_MODEL,), arrays=tuple(STORED.values())))
    bomb = zlib.compress(b"\0" * (20 * MOST_UNPACKED_BYTES), 9)
    assert len(bomb) < MOST_BYTES
    assert f"more than {MOST_UNPACKED_BYTES:,} bytes" in refused(sealed(header, bomb))
