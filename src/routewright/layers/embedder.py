"""Embedders: a request's words as a vector, from a provider's endpoint or from a model file on this machine."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Protocol

from routewright.call import Attempt, Call, Cause, Message, Options, Routed, Text
from routewright.catalog.registry import Model
from routewright.clock import Clock
from routewright.decision.neighbours import Vector
from routewright.decision.tokens import estimate_tokens
from routewright.dialects.openai_embeddings import DIALECT
from routewright.dialects.vectors import read_vector
from routewright.ids import uuid7
from routewright.layers.service import Service
from routewright.route import Route


class Embedder(Protocol):
    """Whoever makes vectors of words."""

    @property
    def name(self) -> str:
        """Vectors of the same name can be compared."""
        ...

    async def embed(self, text: str, call: Call, deadline_at: float) -> Vector:
        """The vector of `text`, made on behalf of `call` until `deadline_at` (monotonic seconds).

        Raises RoutewrightError.
        """
        ...


class EndpointEmbedder:
    """Asks a provider's `/embeddings`, by attempts of their own: under the request's id, with their own holds."""

    def __init__(self, model: Model, attempts: Service[Attempt], clock: Clock, random: Random) -> None:
        """`model` has one deployment, which speaks `openai_embeddings`; `attempts` is the stack below fallback."""
        self._model = model
        self._attempts = attempts
        self._clock = clock
        self._random = random

    @property
    def name(self) -> str:
        """`provider/model`."""
        return self._model.deployments[0].id

    async def embed(self, text: str, call: Call, deadline_at: float) -> Vector:
        reply = await self._attempts(self._attempt(text, call, deadline_at))
        try:
            body = b"".join([event.raw async for event in reply])
        finally:
            reply.close()
        return read_vector(body)

    def _attempt(self, text: str, call: Call, deadline_at: float) -> Attempt:
        asked = Call(
            id=call.id,
            dialect=DIALECT,
            model=self._model.name,
            messages=(Message("user", (Text(text),)),),
            body={},
            max_output_tokens=1,  # a vector is no output that is billed, and a hold needs a bound
            options=Options(tags=call.options.tags, user=call.options.user),
            tenant=call.tenant,
            deadline_at=deadline_at,
        )
        route = Route(
            verdict=None,
            tier=self._model.tier,
            reason="named in the settings",
            written=(),
            input_tokens=estimate_tokens(text),
            output_tokens=0,
            catalog="",
            classifier=None,
            policy="",
        )
        return Attempt(
            id=uuid7(self._clock.time_ns(), self._random),
            routed=Routed(asked, route, Cause.JUDGE),
            model=self._model,
            deployment=self._model.deployments[0],
            number=1,
            cause=Cause.JUDGE,
            is_last_model=True,
        )


class LocalModel(Protocol):
    """A model in this process; see `onnx_model.OnnxModel`."""

    @property
    def name(self) -> str:
        """Changes with the content of its files."""
        ...

    def embed(self, text: str) -> Vector:
        """The vector of a text, computed in the calling thread. Raises RoutewrightError."""
        ...


class LocalEmbedder:
    """Asks a model on this machine, in a thread: costs nothing but time, so it leaves no trace in the ledger."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(1, "embedder")  # one text at a time: each uses all the processors there are

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    async def embed(self, text: str, call: Call, deadline_at: float) -> Vector:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._model.embed, text)
