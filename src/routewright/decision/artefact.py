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
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.decision.rows import Vector
from routewright.decision.sketch import BUCKETS, COUNTS, FOLDED, Numbers
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
STORED_AS: Mapping[str, _StoredAs] = {"weights": "|i1", "words": "<i4", "runs": "<i4"}
"""All others are `<f4`."""
_TYPECODES: Mapping[_StoredAs, str] = {"|i1": "b", "<i4": "i", "<f4": "f"}
_NO_STEPS = bytes(set(range(256)) - {step & 255 for step in range(-STEPS, STEPS + 1)})
_FROM_LOWEST = bytes([byte + STEPS & 255 for byte in range(256)])
"""A step as it is stored → the same counted from the lowest."""
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


class Vocabulary(Struct, frozen=True, eq=False, dict=True):
    """The features that an artefact knows, in the order of the weights' rows: these words, then these runs."""

    words: "array[int]"
    """Buckets of words and pairs."""
    runs: "array[int]"
    """Buckets of runs."""

    @staticmethod
    def of(words: Iterable[int], runs: Iterable[int]) -> "Vocabulary":
        """Raises ValueError for what is no bucket."""
        its = Vocabulary(array("i", words), array("i", runs))
        if any(buckets and not 0 <= min(buckets) <= max(buckets) < BUCKETS for buckets in (its.words, its.runs)):
            raise ValueError("it knows features that cannot be")
        return its

    @property
    def size(self) -> int:
        """How many."""
        return len(self.words) + len(self.runs)

    @cached_property
    def row_of_word(self) -> dict[int, int]:
        """Of each known bucket."""
        return {bucket: row for row, bucket in enumerate(self.words)}

    @cached_property
    def row_of_run(self) -> dict[int, int]:
        """Of each known bucket."""
        return {bucket: row for row, bucket in enumerate(self.runs, len(self.words))}


class Artefact(Struct, frozen=True, eq=False, kw_only=True, dict=True):
    """The trained part of the decision: V known features, K kinds of work."""

    version: str
    """First 8 hex digits of the content's SHA-256."""
    card: Card
    kinds: tuple[str, ...]
    vocabulary: Vocabulary
    steps: bytes
    """[V + COUNTS + SHAPE, K + 1], row after row, up to `STEPS` to each side: weights as they are stored.

    They are log odds of each kind, and in the last column how much a strong model is needed.
    """
    scales: Numbers
    """[K + 1]: what a step is worth."""
    bias: Numbers
    """[K + 1]."""
    tiers: tuple[Vector, ...]
    """[4, K]: how often each kind is work for each tier, in the order of `Tier`."""
    tier_sharpness: float
    """The power that makes the tiers' probabilities true."""
    output_tokens: Vector
    """[K]: the usual length of an answer."""
    prior: Prior

    @cached_property
    def weights_beside(self) -> list[list[float]]:
        """[COUNTS + SHAPE, K + 1]: those of what is seen beside the features."""
        width = len(self.scales)
        steps = array("b", self.steps[self.vocabulary.size * width :])
        rows = (steps[start : start + width] for start in range(0, len(steps), width))
        return [[step * scale for step, scale in zip(row, self.scales, strict=True)] for row in rows]

    def added_up(self, rows: Iterable[int]) -> "array[int]":
        """[K + 1]: the sum of the steps of these features, each counted from the lowest."""
        total = sum(map(self._as_numbers.__getitem__, rows))
        sums = array("I", total.to_bytes(4 * len(self.scales), sys.byteorder))
        return sums if sys.byteorder == "little" else sums[::-1]

    @cached_property
    def _as_numbers(self) -> list[int]:
        """[V]: a row as one number, with four bytes for each column: to add up two numbers is to add up two rows."""
        width = 4 * len(self.scales)
        wide = bytearray(4 * len(self.steps))
        wide[::4] = self.steps.translate(_FROM_LOWEST)
        starts = range(0, self.vocabulary.size * width, width)
        return [int.from_bytes(wide[start : start + width], "little") for start in starts]


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


def _unpack(header: Header, body: bytes) -> "dict[str, array[Any]]":
    shapes = _shapes(header)
    if {each.name for each in header.arrays} != shapes.keys():
        raise ValueError("it has not the arrays of an artefact")
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(body, MOST_UNPACKED_BYTES)
    if not inflater.eof:
        raise ValueError(f"its body is cut short, or unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")
    arrays: dict[str, array[Any]] = {}
    at = 0
    for stored in header.arrays:
        if stored.kind != STORED_AS.get(stored.name, "<f4"):
            raise ValueError(f"{stored.name} is stored as {stored.kind}")
        if stored.shape != shapes[stored.name]:
            raise ValueError(f"{stored.name} has the shape {stored.shape}, not {shapes[stored.name]}")
        numbers = array(_TYPECODES[stored.kind])
        size = numbers.itemsize * math.prod(stored.shape)
        numbers.frombytes(inflated[at : at + size])
        if sys.byteorder == "big":
            numbers.byteswap()
        if len(numbers) != math.prod(stored.shape):
            raise ValueError(f"of {stored.name} a part is missing")
        if stored.kind == "<f4" and not all(map(math.isfinite, numbers)):
            raise ValueError(f"{stored.name} holds what is no number")
        arrays[stored.name] = numbers
        at += size
    return arrays


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    """What each array must be, so that a wrong one fails when it is read and not in a request."""
    kinds, models = len(header.kinds), len(header.models)
    sizes = {each.name: math.prod(each.shape) for each in header.arrays}
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


def _artefact(header: Header, arrays: "Mapping[str, array[Any]]", *, version: str) -> Artefact:
    kinds, steps = len(header.kinds), arrays["weights"].tobytes()
    if steps.translate(None, delete=_NO_STEPS) != steps:
        raise ValueError(f"a weight is more than {STEPS} steps from zero")

    def rows(name: str) -> list[Vector]:
        numbers = arrays[name].tolist()
        return [numbers[start : start + kinds] for start in range(0, len(numbers), kinds)]

    known = zip(header.models, rows("model_rates"), rows("model_outcomes"), strict=True)
    return Artefact(
        version=version,
        card=header.card,
        kinds=header.kinds,
        vocabulary=Vocabulary.of(arrays["words"], arrays["runs"]),
        steps=steps,
        scales=arrays["scales"],
        bias=arrays["bias"],
        tiers=tuple([arrays["tiers"].tolist()[at :: len(Tier)] for at in range(len(Tier))]),
        tier_sharpness=arrays["tier_sharpness"][0],
        output_tokens=arrays["output_tokens"].tolist(),
        prior=Prior(
            kinds=header.kinds,
            rates=dict(zip((*Tier, ""), rows("rates"), strict=True)),
            weights=arrays["feature_weights"],
            models={model: (rates, outcomes) for model, rates, outcomes in known},
        ),
    )
