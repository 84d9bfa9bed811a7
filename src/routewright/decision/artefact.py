"""What was trained, as one file: weights, what is believed before any outcome, and the card that says where it is from.

    8 bytes   b"RWLEARN1"
    4 bytes   length of the header, little-endian
    header    JSON: the card, the names, and each array's type, shape and scale
    body      the arrays in the header's order, deflated
    32 bytes  SHA-256 of all before

Weights are bytes with one scale a column: on dev the quantised posterior chose another kind for 1 prompt in 200.
"""

import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.catalog.registry import Tier
from routewright.decision.residual import FloatArray
from routewright.decision.sketch import BUCKETS, COUNTS, FOLDED
from routewright.decision.success import Prior
from routewright.errors import ArtefactError

MAGIC = b"RWLEARN1"
MOST_BYTES = 400_000
"""Of the file: a larger one is neither written nor read."""
MOST_UNPACKED_BYTES = 16_000_000
"""Of the arrays: no more is inflated, whatever the body claims."""
MOST_FEATURES = 65_534
"""What a `Vocabulary` can number."""
SHAPE = 24
"""Numbers that say what a request looks like beside its words: `posterior.shape_of`."""

STEPS = 31
"""Of a weight to each side of zero, by column; four times as many choose the same kind and take a third more room."""

_StoredAs: TypeAlias = Literal["|i1", "<i4", "<f4"]
_STORED_AS: Mapping[str, _StoredAs] = {"weights": "|i1", "words": "<i4", "runs": "<i4"}
_DIGEST = 32


class Card(Struct, frozen=True, kw_only=True):
    """Where an artefact comes from: what anyone needs to judge it or make it again."""

    made_on: str
    """Date, `2026-11-26`."""
    command: str
    data: Mapping[str, str]
    """Name of each source → rows, licence."""
    measured: Mapping[str, float]
    """Figures on rows held out of the training, by name."""
    limits: str
    """What it must not be trusted with."""


class ArrayHeader(Struct, frozen=True):
    """How an array is stored."""

    name: str
    kind: _StoredAs
    """As numpy names it: bytes for the quantised weights, whole numbers for buckets, single precision for all else."""
    shape: tuple[int, ...]


class Header(Struct, frozen=True, kw_only=True):
    """All but the numbers."""

    card: Card
    kinds: tuple[str, ...]
    models: tuple[str, ...]
    arrays: tuple[ArrayHeader, ...]


class Vocabulary(Struct, frozen=True, eq=False):
    """The features that an artefact knows: which row of the weights each bucket has, or `size` for none."""

    row_of_word: NDArray[np.uint16]
    """[BUCKETS]."""
    row_of_run: NDArray[np.uint16]
    """[BUCKETS]."""
    size: int

    @staticmethod
    def of(words: NDArray[Any], runs: NDArray[Any]) -> "Vocabulary":
        """Rows in this order: the buckets of words and pairs, then those of runs. Raises ValueError for no bucket."""
        if any(len(its) and not 0 <= int(its.min()) <= int(its.max()) < BUCKETS for its in (words, runs)):
            raise ValueError("it knows features that cannot be")
        size = len(words) + len(runs)
        row_of_word, row_of_run = np.full(BUCKETS, size, np.uint16), np.full(BUCKETS, size, np.uint16)
        row_of_word[words] = np.arange(len(words))
        row_of_run[runs] = np.arange(len(words), size)
        return Vocabulary(row_of_word, row_of_run, size)


class Artefact(Struct, frozen=True, eq=False, kw_only=True, dict=True):
    """The trained part of the decision: V known features, K kinds of work."""

    version: str
    """First 8 hex digits of the content's SHA-256."""
    card: Card
    kinds: tuple[str, ...]
    vocabulary: Vocabulary
    steps: NDArray[np.int8]
    """[V + COUNTS + SHAPE, K + 1], up to `STEPS` to each side: `weights` as they are stored."""
    scales: NDArray[np.float32]
    """[K + 1]: what a step is worth."""
    bias: NDArray[np.float32]
    """[K + 1]."""
    tiers: FloatArray
    """[K, 4]: how often each kind is work for each tier, in the order of `Tier`."""
    tier_sharpness: float
    """The power that makes the tiers' probabilities true."""
    output_tokens: FloatArray
    """[K]: the usual length of an answer."""
    prior: Prior

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """[V + COUNTS + SHAPE, K + 1]: log odds of each kind, and in the last column how much a strong model is needed.

        Four times as large as the steps, and only made where numpy is to multiply them.
        """
        return np.ascontiguousarray(self.steps * self.scales, np.float32)


def load(data: bytes) -> Artefact:
    """Read an artefact. Raises ArtefactError, saying what is wrong with it, for anything but a whole one."""
    if data[: len(MAGIC)] != MAGIC:
        known = data[: len(MAGIC) - 1] == MAGIC[:-1]
        raise ArtefactError("it was made for another version of routewright" if known else "it is no artefact")
    if len(data) > MOST_BYTES:
        raise ArtefactError(f"it takes {len(data):,} bytes, more than {MOST_BYTES:,}")
    if len(data) < len(MAGIC) + 4 + _DIGEST or hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ArtefactError("it is damaged: its checksum does not fit")
    start = len(MAGIC) + 4
    end = start + struct.unpack("<I", data[len(MAGIC) : start])[0]
    try:
        header = msgspec.json.decode(data[start:end], type=Header)
        arrays = _unpack(header, data[end:-_DIGEST])
        return _artefact(header, arrays, version=data[-_DIGEST:].hex()[:8])
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise ArtefactError(f"its content does not fit this version of routewright: {error}") from error


def _unpack(header: Header, body: bytes) -> dict[str, NDArray[Any]]:
    shapes = _shapes(header)
    if {array.name for array in header.arrays} != shapes.keys():
        raise ValueError("it has not the arrays of an artefact")
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(body, MOST_UNPACKED_BYTES)
    if not inflater.eof:
        raise ValueError(f"its body is cut short, or unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for array in header.arrays:
        if array.kind != _STORED_AS.get(array.name, "<f4"):
            raise ValueError(f"{array.name} is stored as {array.kind}")
        if array.shape != shapes[array.name]:
            raise ValueError(f"{array.name} has the shape {array.shape}, not {shapes[array.name]}")
        size = np.dtype(array.kind).itemsize * math.prod(array.shape)
        numbers = np.frombuffer(inflated[at : at + size], array.kind).reshape(array.shape)
        if not np.isfinite(numbers).all():
            raise ValueError(f"{array.name} holds what is no number")
        arrays[array.name] = numbers
        at += size
    return arrays


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    """What each array must be, so that a wrong one fails when it is read and not in a request."""
    kinds, models = len(header.kinds), len(header.models)
    sizes = {array.name: math.prod(array.shape) for array in header.arrays}
    words, runs = sizes.get("words", 0), sizes.get("runs", 0)
    if words + runs > MOST_FEATURES:
        raise ValueError(f"it has the shape of {words + runs:,} features, more than {MOST_FEATURES:,}")
    if not kinds:
        raise ValueError("it knows no kind of work")
    return {
        "words": (words,),
        "runs": (runs,),
        "weights": (words + runs + COUNTS + SHAPE, kinds + 1),
        "scales": (kinds + 1,),
        "bias": (kinds + 1,),
        "tiers": (kinds, len(Tier)),
        "tier_sharpness": (),
        "rates": (len(Tier) + 1, kinds),
        "output_tokens": (kinds,),
        "feature_weights": (FOLDED,),
        "model_rates": (models, kinds),
        "model_outcomes": (models, kinds),
    }


def _artefact(header: Header, arrays: Mapping[str, NDArray[Any]], *, version: str) -> Artefact:
    rates = dict(zip((*Tier, ""), arrays["rates"].astype(np.float64), strict=True))
    if max(-int(arrays["weights"].min()), int(arrays["weights"].max())) > STEPS:
        raise ValueError(f"a weight is more than {STEPS} steps from zero")
    known = zip(header.models, arrays["model_rates"], arrays["model_outcomes"], strict=True)
    return Artefact(
        version=version,
        card=header.card,
        kinds=header.kinds,
        vocabulary=Vocabulary.of(arrays["words"], arrays["runs"]),
        steps=arrays["weights"],
        scales=arrays["scales"],
        bias=arrays["bias"],
        tiers=arrays["tiers"].astype(np.float64),
        tier_sharpness=float(arrays["tier_sharpness"]),
        output_tokens=arrays["output_tokens"].astype(np.float64),
        prior=Prior(
            kinds=header.kinds,
            rates=rates,
            weights=arrays["feature_weights"],
            models={model: (rate.astype(np.float64), n.astype(np.float64)) for model, rate, n in known},
        ),
    )


def dump(card: Card, kinds: tuple[str, ...], models: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write an artefact; its `weights` are quantised here. Raises ArtefactError when it grows too large."""
    weights = arrays["weights"]
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-6) / STEPS
    quantised = {**arrays, "scales": scales, "weights": np.rint(weights / scales.astype(np.float32))}
    stored = {name: np.asarray(array, _STORED_AS.get(name, "<f4")) for name, array in quantised.items()}
    headers = tuple(ArrayHeader(name, _STORED_AS.get(name, "<f4"), array.shape) for name, array in stored.items())
    header = msgspec.json.encode(Header(card=card, kinds=kinds, models=models, arrays=headers))
    body = zlib.compress(b"".join(array.tobytes() for array in stored.values()), 9)
    data = MAGIC + struct.pack("<I", len(header)) + header + body
    data += hashlib.sha256(data).digest()
    if len(data) > MOST_BYTES:
        raise ArtefactError(f"it would take {len(data):,} bytes, more than {MOST_BYTES:,}")
    return data
