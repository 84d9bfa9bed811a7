"""Who is asked where the classifier is not sure: built as the settings say, kept while it would be the same again."""

from collections.abc import Callable, Mapping, Set
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from routewright.call import Attempt
from routewright.catalog.registry import Registry
from routewright.clock import Clock
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.wire import Upstream as Dialect
from routewright.errors import SettingsError
from routewright.layers.decide import Decider, SecondOpinion
from routewright.layers.errand import Errands
from routewright.layers.second_opinion import Judge
from routewright.layers.service import Service
from routewright.ledger.ledger import Experiences, Ledger
from routewright.settings import Settings

if TYPE_CHECKING:  # they are imported when there is something to compare with them
    from routewright.layers.embedder import Embedder
    from routewright.layers.neighbours import Memory
    from routewright.onnx_model import OnnxModel

Attempts: TypeAlias = Callable[[Settings, Mapping[str, Dialect]], Service[Attempt]]
"""The part of a stack that tries one model, in these dialects."""


class SecondOpinions:
    """What was read of the ledger is kept, as it may be hundreds of MB, and so is a model on this machine."""

    def __init__(
        self, ledger: Ledger, clock: Clock, random: Random, *, experiences: Experiences | None, attempts: Attempts
    ) -> None:
        """Without `experiences` no neighbours are asked; `attempts` is how an endpoint for embeddings is."""
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._experiences = experiences
        self._attempts = attempts
        self._memories: dict[tuple[str, int, str], Memory] = {}
        self._local_model: tuple[object, OnnxModel] | None = None

    def keep_only(self, catalogs: Set[str]) -> None:
        """Forget what was read of the ledger for catalogs of other versions."""
        self._memories = {key: memory for key, memory in self._memories.items() if key[-1] in catalogs}

    def of(self, settings: Settings, registry: Registry, decider: Decider) -> SecondOpinion | None:
        """None where nobody is asked. Raises SettingsError if what that takes is not installed."""
        second = settings.second_opinion
        if second.kind == "judge":
            return Judge(
                Errands(decider.decide, self._clock),
                model=second.model,
                max_output_tokens=second.max_output_tokens,
                limit_s=second.timeout_ms / 1000,
            )
        if second.kind == "none" or self._experiences is None:
            return None
        return self._neighbours(settings, registry, self._experiences)

    def _neighbours(self, settings: Settings, registry: Registry, experiences: Experiences) -> SecondOpinion:
        try:
            from routewright.layers.neighbours import Memory, Neighbours
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"second_opinion: similar requests cannot be found without {error.name}, which is not installed",
                hint="run: pip install 'routewright[evidence]'",
            ) from error

        second, embedder = settings.second_opinion, self._embedder(settings)
        key = embedder.name, second.max_entries, registry.version
        if key not in self._memories:
            self._memories = {its: memory for its, memory in self._memories.items() if its[:2] == key[:2]}
            tiers = {name: model.tier for name, model in registry.models.items()}
            memory = Memory(
                experiences, embedder.name, tier_of=tiers.get, max_entries=second.max_entries, clock=self._clock
            )
            self._memories[key] = memory
        return Neighbours(
            embedder,
            self._memories[key],
            self._ledger,
            self._clock,
            k=second.k,
            least_similarity=second.least_similarity,
            limit_s=second.timeout_ms / 1000,
        )

    def _embedder(self, settings: Settings) -> "Embedder":
        from routewright.dialects.vectors import read_vector
        from routewright.layers.embedder import EndpointEmbedder, LocalEmbedder
        from routewright.onnx_model import OnnxModel
        from routewright.settings.embeddings import embedding_model

        second = settings.second_opinion
        if second.embeddings is not None:
            # beside the others, because here the vector itself is read
            dialect = OpenAIEmbeddings(read_vector)
            attempts = self._attempts(settings, {dialect.name: dialect})
            return EndpointEmbedder(embedding_model(settings, second.embeddings), attempts, self._clock, self._random)
        assert second.onnx is not None
        assert second.tokenizer is not None
        key = second.onnx, second.tokenizer
        if self._local_model is None or self._local_model[0] != key:
            self._local_model = key, OnnxModel(second.onnx, second.tokenizer)
        return LocalEmbedder(self._local_model[1])
