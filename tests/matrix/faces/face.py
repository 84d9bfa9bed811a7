"""What the suite needs of an official SDK: a wish in its own words, and its answer in ours."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol

from msgspec import Struct

from matrix.meaning import Said, Wish


class Heard(Struct, frozen=True, kw_only=True):
    """An answer as the SDK has put it together."""

    said: Said
    native: Any
    """What goes back into the conversation."""
    headers: Mapping[str, str]
    cost_usd: str | None
    """Of the body, or else of the headers; a stream of Anthropic's own that is passed on says it nowhere."""


class Face(Protocol):
    """One SDK against one address."""

    name: str
    """The client's dialect."""
    sdk: ModuleType
    """Where its exceptions are."""
    classes: Mapping[str, str]
    """What is raised, where the two SDKs do not call it by the same name: by status, and `cut` for a broken stream."""
    lacks: frozenset[str]
    """What its dialect has no word for: fields of `Wish`, and `error`, a tool's."""

    def ask(
        self, wish: Wish, *, model: str, stream: bool, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Heard:
        """Ask, and read to the end; `more` are further fields of the body. Raises the SDK's errors."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
