"""What is there without being named: OpenAI-compatible servers on this machine, and the models they have loaded.

Keys in the environment need no search: the built-in settings refer to them, and `Settings.keys` has what is there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

PATIENCE_S = 0.3
"""A server on loopback answers in a few milliseconds, or is too busy to be a default."""
MAX_ANSWER_BYTES = 1024 * 1024
NOT_FOR_CHAT = ("embed", "rerank", "whisper")
"""Servers list these models among the others, but they do not answer chats."""


class FoundModel(Struct, frozen=True):
    """A model that a server offers."""

    name: str
    context_window: int | None = None
    """Tokens; None when the server does not say."""


class FoundServer(Struct, frozen=True):
    """A server that answered, by the name of its provider."""

    provider: str
    models: tuple[FoundModel, ...]


class Found(Struct, frozen=True):
    """What was found, in the order in which it was looked for."""

    servers: tuple[FoundServer, ...] = ()


Probe: TypeAlias = Callable[[str], Awaitable[tuple[FoundModel, ...] | None]]
"""Base URL → the models there; None when no such server answers."""


async def detect(places: Mapping[str, str], probe: Probe | None = None) -> Found:
    """Ask all `places` (provider → base URL, see `Settings.local_servers`) at the same time; takes at most 0.3 s."""
    answers = await asyncio.gather(*((probe or list_models)(base_url) for base_url in places.values()))
    return Found(tuple(FoundServer(name, models) for name, models in zip(places, answers, strict=True) if models))


class _Meta(Struct):
    n_ctx: Annotated[int, Meta(ge=1)] | None = None
    n_ctx_train: Annotated[int, Meta(ge=1)] | None = None


class _ListedModel(Struct):
    """A model in the words of OpenAI, vLLM (`max_model_len`) and llama.cpp (`meta`)."""

    id: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
    object: Literal["model"]
    max_model_len: Annotated[int, Meta(ge=1)] | None = None
    meta: _Meta | None = None


class _ModelList(Struct):
    object: Literal["list"]
    data: list[_ListedModel] | None
    """Ollama says null when it has none."""


async def list_models(base_url: str) -> tuple[FoundModel, ...] | None:
    """The chat models that `GET base_url/models` lists; None if nothing answers in time, or not like such a server."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return read_models(await _get(f"{base_url}/models"))
    except (OSError, TimeoutError, EOFError, ValueError):
        return None


def read_models(answer: bytes) -> tuple[FoundModel, ...]:
    """The chat models in an HTTP answer. Raises ValueError if it is not 200 with a list of models."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or status != [b"200"]:
        raise ValueError("not an answer with status 200")
    try:
        listed = msgspec.json.decode(body, type=_ModelList).data or []
    except RecursionError:
        raise ValueError("nested too deeply") from None
    chat = [model for model in listed if not any(word in model.id.lower() for word in NOT_FOR_CHAT)]
    return tuple(FoundModel(model.id, _context_window(model)) for model in chat)


def _context_window(model: _ListedModel) -> int | None:
    """What the server was started with, else what the model was trained for."""
    meta = model.meta or _Meta()
    return model.max_model_len or meta.n_ctx or meta.n_ctx_train


async def _get(url: str) -> bytes:
    """The answer to a GET, head and body. In HTTP/1.0, so that the body simply ends with the connection."""
    parts = urlsplit(url)
    is_https = parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=is_https or None)
    try:
        writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n\r\n".encode())
        return await _read_to_end(reader)
    finally:
        writer.transport.abort()


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while chunk := await reader.read(65536):
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is over 1 MiB")
    return bytes(answer)
