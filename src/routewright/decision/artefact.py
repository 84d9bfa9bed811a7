"""What was trained, as one file: weights, what is believed before any outcome, and the card that says where it is from.

    8 bytes   b"RWLEARN1"
    4 bytes   length of the header, little-endian
    header    JSON: the card, the names, and each array's type, shape and scale
    body      the arrays in the header's order, deflated
    32 bytes  SHA-256 of all before

Weights are bytes with one scale a column: on dev the quantised posterior chose another kind for 1 prompt in 200.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any

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
MOST_UNPACKED_BYTES = 16_000_000
SHAPE = 24
"""Numbers that say what a request looks like beside its words: `posterior.shape_of`."""
ROWS = BUCKETS + COUNTS + SHAPE

STEPS = 31
"""Of a weight to each side of zero, by column; four times as many choose the same kind and take a third more room."""

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
    kind: str
    shape: tuple[int, ...]


class Header(Struct, frozen=True, kw_only=True):
    """All but the numbers."""

    card: Card
    kinds: tuple[str, ...]
    models: tuple[str, ...]
    arrays: tuple[ArrayHeader, ...]


class Artefact(Struct, frozen=True, eq=False, kw_only=True):
    """The trained part of the decision. K kinds of work; rows of `weights` are `ROWS` features."""

    version: str
    """First 8 hex digits of the content's SHA-256."""
    card: Card
    kinds: tuple[str, ...]
    weights: NDArray[np.float32]
    """[ROWS, K + 1]: log odds of each kind, and in the last column how much a strong model is needed."""
    bias: NDArray[np.float32]
    """[K + 1]."""
    tiers: FloatArray
    """[K, 4]: how often each kind is work for each tier, in the order of `Tier`."""
    tier_sharpness: float
    """The power that makes the tiers' probabilities true."""
    output_tokens: FloatArray
    """[K]: the usual length of an answer."""
    prior: Prior


def load(data: bytes) -> Artefact:
    """Read an artefact. Raises ArtefactError, saying what is wrong with it, for anything but a whole one."""
    if data[: len(MAGIC)] != MAGIC:
        known = data[: len(MAGIC) - 1] == MAGIC[:-1]
        raise ArtefactError("it was made for another version of routewright" if known else "it is no artefact")
    if len(data) < len(MAGIC) + 4 + _DIGEST or hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ArtefactError("it is damaged: its checksum does not fit")
    start = len(MAGIC) + 4
    end = start + struct.unpack("<I", data[len(MAGIC) : start])[0]
    try:
        header = msgspec.json.decode(data[start:end], type=Header)
        arrays = _unpack(header, data[end:-_DIGEST])
        return _artefact(header, arrays, version=data[-_DIGEST:].hex()[:8])
    except (msgspec.MsgspecError, zlib.error, KeyError, ValueError) as error:
        raise ArtefactError(f"its content does not fit this version of routewright: {error}") from error


def _unpack(header: Header, body: bytes) -> dict[str, NDArray[Any]]:
    inflated = zlib.decompressobj().decompress(body, MOST_UNPACKED_BYTES)
    arrays = {}
    at = 0
    for array in header.arrays:
        kind = np.dtype(array.kind)
        size = kind.itemsize * int(np.prod(array.shape))
        arrays[array.name] = np.frombuffer(inflated[at : at + size], kind).reshape(array.shape)
        at += size
    return arrays


def _artefact(header: Header, arrays: Mapping[str, NDArray[Any]], *, version: str) -> Artefact:
    kinds = len(header.kinds)
    weights = arrays["weights"] * arrays["scales"]
    if weights.shape != (ROWS, kinds + 1) or arrays["feature_weights"].shape != (FOLDED,):
        raise ValueError(f"weights of shape {weights.shape} for {kinds} kinds")
    rates = dict(zip((*Tier, ""), arrays["rates"].astype(np.float64), strict=True))
    known = zip(header.models, arrays["model_rates"], arrays["model_outcomes"], strict=True)
    return Artefact(
        version=version,
        card=header.card,
        kinds=header.kinds,
        weights=np.ascontiguousarray(weights, np.float32),
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
    """Write an artefact; `weights` [ROWS, K + 1] are quantised here. Raises ArtefactError when it grows too large."""
    weights = arrays["weights"]
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-6).astype(np.float32) / STEPS
    stored = {**arrays, "weights": np.rint(weights / scales).astype(np.int8), "scales": scales}
    headers = tuple(ArrayHeader(name, array.dtype.str, array.shape) for name, array in stored.items())
    header = msgspec.json.encode(Header(card=card, kinds=kinds, models=models, arrays=headers))
    body = zlib.compress(b"".join(np.ascontiguousarray(array).tobytes() for array in stored.values()), 9)
    data = MAGIC + struct.pack("<I", len(header)) + header + body
    data += hashlib.sha256(data).digest()
    if len(data) > MOST_BYTES:
        raise ArtefactError(f"it would take {len(data):,} bytes, more than {MOST_BYTES:,}")
    return data
