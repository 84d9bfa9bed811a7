"""The ONNX embedder against stand-ins for its two libraries, which are an extra and not installed for the tests."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from routewright.errors import EmbeddingFailed, SettingsError
from routewright.onnx_model import MOST_TOKENS, OnnxModel


class Words:
    """A tokenizer: a word is its length."""

    def __init__(self) -> None:
        self.truncated_to = 0

    def encode(self, text: str) -> SimpleNamespace:
        ids = [len(word) for word in text.split()]
        return SimpleNamespace(ids=ids, attention_mask=[1] * len(ids), type_ids=[0] * len(ids))

    def enable_truncation(self, tokens: int) -> None:
        self.truncated_to = tokens

    def no_padding(self) -> None:
        """As it is."""


class Session:
    """A model: each token's vector is its id and 1; or what it was told to give."""

    def __init__(self, inputs: tuple[str, ...], output: object = None) -> None:
        self.inputs = inputs
        self.output = output
        self.fed: dict[str, object] = {}

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.inputs]

    def run(self, names: None, fed: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]) -> list[object]:
        self.fed = dict(fed)
        if isinstance(self.output, Exception):
            raise self.output
        if self.output is not None:
            return [self.output]
        ids = fed["input_ids"].astype(np.float32)
        return [np.stack([ids, np.ones_like(ids)], axis=-1)]


class Lab:
    """Where models are loaded from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        self.model.write_bytes(b"model")
        self.tokenizer.write_bytes(b"tokenizer")
        self.words = Words()
        self.session: Session | Exception = Session(("input_ids", "attention_mask"))
        onnxruntime, tokenizers = ModuleType("onnxruntime"), ModuleType("tokenizers")
        onnxruntime.InferenceSession = self._open  # type: ignore[attr-defined]
        tokenizers.Tokenizer = SimpleNamespace(from_file=lambda path: self.words)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)
        monkeypatch.setitem(sys.modules, "tokenizers", tokenizers)

    def load(self) -> OnnxModel:
        return OnnxModel(self.model, self.tokenizer)

    def _open(self, path: str, providers: list[str]) -> Session:
        if isinstance(self.session, Exception):
            raise self.session
        return self.session


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_the_vectors_of_tokens_are_averaged(lab: Lab) -> None:
    assert lab.load().embed("a abc").tolist() == [2.0, 1.0]
    assert lab.words.truncated_to == MOST_TOKENS


def test_a_vector_of_the_whole_text_is_taken_as_it_is(lab: Lab) -> None:
    lab.session = Session(("input_ids",), np.array([[3.0, 4.0]], np.float32))
    assert lab.load().embed("a abc").tolist() == [3.0, 4.0]


def test_only_what_the_model_wants_is_fed(lab: Lab) -> None:
    lab.session = Session(("input_ids", "token_type_ids"))
    lab.load().embed("a")
    assert lab.session.fed.keys() == {"input_ids", "token_type_ids"}


def test_its_name_changes_with_its_files(lab: Lab) -> None:
    before = lab.load().name
    assert lab.load().name == before
    lab.tokenizer.write_bytes(b"another")
    assert lab.load().name != before


@pytest.mark.parametrize("output", [np.zeros((2, 3, 4, 5)), np.zeros((1, 9, 4)), np.zeros(3), RuntimeError("bad node")])
def test_what_is_no_embedding_is_told(lab: Lab, output: object) -> None:
    lab.session = Session(("input_ids",), output)
    model = lab.load()
    with pytest.raises(EmbeddingFailed):
        model.embed("a abc")


def test_a_text_without_a_token_has_no_embedding(lab: Lab) -> None:
    model = lab.load()
    with pytest.raises(EmbeddingFailed):
        model.embed("")


def test_without_the_extra_the_command_that_brings_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError) as refused:
        OnnxModel(tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    assert "onnxruntime is not installed" in refused.value.message
    assert refused.value.hint == "run: pip install 'routewright[onnx]'"


def test_a_file_that_is_not_there_is_told(lab: Lab) -> None:
    lab.tokenizer.unlink()
    with pytest.raises(SettingsError, match=r"second_opinion\.tokenizer: there is no file"):
        lab.load()


def test_a_file_that_is_no_model_is_told(lab: Lab) -> None:
    lab.session = RuntimeError("protobuf parsing failed")
    with pytest.raises(SettingsError, match=r"cannot load .* protobuf parsing failed"):
        lab.load()


def test_a_model_of_another_kind_is_told(lab: Lab) -> None:
    lab.session = Session(("pixel_values",))
    with pytest.raises(SettingsError, match="wants pixel_values"):
        lab.load()
