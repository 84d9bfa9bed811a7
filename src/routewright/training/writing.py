"""An artefact as the file that `decision.artefact` reads."""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from routewright.decision.artefact import MAGIC, MOST_BYTES, STEPS, STORED_AS, ArrayHeader, Card, Header
from routewright.errors import ArtefactError


def dump(card: Card, kinds: tuple[str, ...], models: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write an artefact; its `weights` are quantised here. Raises ArtefactError when it grows too large."""
    weights = arrays["weights"]
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-6) / STEPS
    quantised = {**arrays, "scales": scales, "weights": np.rint(weights / scales.astype(np.float32))}
    stored = {name: np.asarray(array, STORED_AS.get(name, "<f4")) for name, array in quantised.items()}
    headers = tuple(ArrayHeader(name, STORED_AS.get(name, "<f4"), array.shape) for name, array in stored.items())
    header = msgspec.json.encode(Header(card=card, kinds=kinds, models=models, arrays=headers))
    body = zlib.compress(b"".join(array.tobytes() for array in stored.values()), 9)
    data = MAGIC + struct.pack("<I", len(header)) + header + body
    data += hashlib.sha256(data).digest()
    if len(data) > MOST_BYTES:
        raise ArtefactError(f"it would take {len(data):,} bytes, more than {MOST_BYTES:,}")
    return data
