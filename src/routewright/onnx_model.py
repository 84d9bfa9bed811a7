"""A sentence-embedding model in an ONNX file, run on this machine's processors. Needs the extra `onnx`."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from routewright.decision.neighbours import Vector
from routewright.errors import EmbeddingFailed, SettingsError

MOST_TOKENS = 512
"""What most such models were trained with; the rest of a text is left out."""

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxModel:
    """Tokenizer and model. Its first output is a vector of the text, or one of each token; these are averaged."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        """Load both files. Raises SettingsError when the extra is not installed or a file is not what it should be."""
        self._tokenizer, self._session = _load(model, tokenizer)
        self._inputs = [each.name for each in self._session.get_inputs()]
        if unknown := [name for name in self._inputs if name not in _INPUTS]:
            raise SettingsError(
                f"second_opinion.onnx: {model} wants {', '.join(unknown)}; known are {', '.join(_INPUTS)}",
                hint="name a sentence-embedding model, exported for feature extraction",
            )
        self.name = f"onnx:{_digest(model, tokenizer)}"

    def embed(self, text: str) -> Vector:
        """The vector of a text. Raises EmbeddingFailed."""
        encoding = self._tokenizer.encode(text)
        mask = np.array([encoding.attention_mask], np.int64)
        fed = {
            "input_ids": np.array([encoding.ids], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([encoding.type_ids], np.int64),
        }
        try:
            output = self._session.run(None, {name: fed[name] for name in self._inputs})[0]
        except Exception as error:  # the one border where onnxruntime's errors, which have no common base, become ours
            raise EmbeddingFailed(f"the ONNX model failed: {error}") from error
        return _pooled(np.asarray(output, np.float32), mask)


def _load(model: Path, tokenizer: Path) -> tuple[Any, Any]:
    try:
        import onnxruntime
        import tokenizers
    except ImportError as error:
        raise SettingsError(
            f"second_opinion.onnx: {error.name} is not installed", hint="run: pip install 'routewright[onnx]'"
        ) from error
    for key, path in (("onnx", model), ("tokenizer", tokenizer)):
        if not path.is_file():
            raise SettingsError(f"second_opinion.{key}: there is no file {path}", hint="give the path of the file")
    try:
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        words = tokenizers.Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # as above: both libraries raise their own, without a common base
        raise SettingsError(
            f"second_opinion.onnx: cannot load {model} with {tokenizer}: {error}",
            hint="name an .onnx file and the tokenizer.json that belongs to it",
        ) from error
    words.enable_truncation(MOST_TOKENS)
    words.no_padding()
    return words, session


def _pooled(output: Vector, mask: npt.NDArray[np.int64]) -> Vector:
    """`[1, dimensions]` as it is; of `[1, tokens, dimensions]` the mean over the tokens that count."""
    if output.ndim == 2 and len(output) == 1:
        return output.reshape(-1)
    if output.ndim != 3 or output.shape[:2] != mask.shape or not mask.any():
        raise EmbeddingFailed(f"the ONNX model's first output has the shape {output.shape}: no embedding")
    weights = mask[0].astype(np.float32)
    mean: Vector = (weights @ output[0]) / weights.sum()
    return mean


def _digest(*paths: Path) -> str:
    """First 12 hex digits of the SHA-256 of the files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
