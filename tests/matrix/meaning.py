"""What clients ask and providers say, in no dialect: both ends of a translation are read into these, and compared."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct


class Words(Struct, frozen=True):
    """Said by `system`, `user` or `assistant`."""

    role: str
    text: str


class Picture(Struct, frozen=True):
    """By a `data:` URL."""

    url: str


class File(Struct, frozen=True):
    """By a `data:` URL."""

    url: str


class Thought(Struct, frozen=True):
    """With the seal of whoever thought it; empty where the dialect has none."""

    text: str
    seal: str = ""


class Use(Struct, frozen=True):
    """A tool that the model wants used."""

    id: str
    name: str
    arguments: Mapping[str, Any]


class Outcome(Struct, frozen=True):
    """What came of it."""

    id: str
    text: str
    is_error: bool = False
    pictures: tuple[Picture, ...] = ()


class Given(Struct, frozen=True):
    """A turn of the model's, as its client was given it, in the client's own types."""

    native: Any


Line: TypeAlias = Words | Picture | File | Thought | Use | Outcome | Given


class Function(Struct, frozen=True):
    """A tool that may be used."""

    name: str
    parameters: Mapping[str, Any]


class Wish(Struct, frozen=True, kw_only=True):
    """A request. What a provider has understood is one too, without `Given` lines."""

    lines: tuple[Line, ...]
    functions: tuple[Function, ...] = ()
    has_hosted_tool: bool = False
    """A tool that only the client's own dialect knows is offered too."""
    choice: str = ""
    """`none`, `required`, or the name of the function that must be called."""
    is_parallel: bool = True
    schema: Mapping[str, Any] | None = None
    effort: str = ""
    stop: str = ""
    max_tokens: int = 4_000
    wants_logprobs: bool = False
    is_marked: bool = False
    """The system prompt may be kept in the provider's cache."""


class Spent(Struct, frozen=True, kw_only=True):
    """Tokens, each counted once."""

    fresh: int = 11
    cached: int = 0
    output: int = 5

    @property
    def cost_nanousd(self) -> int:
        """At the lab's prices: $1 a million, $0.10 from the cache, $2 out."""
        return self.fresh * 1_000 + self.cached * 100 + self.output * 2_000


class Said(Struct, frozen=True, kw_only=True):
    """An answer."""

    pieces: tuple[str, ...] = ()
    """The words, as a stream cuts them."""
    thoughts: tuple[Thought, ...] = ()
    uses: tuple[Use, ...] = ()
    finish: str = "stop"
    """`stop`, `length`, `tools` or `refusal`."""
    stopped_by: str = ""
    """The stop sequence that ended it."""
    refusal: str = ""
    logprobs: tuple[tuple[str, float], ...] = ()
    spent: Spent = Spent()

    @property
    def text(self) -> str:
        """All words."""
        return "".join(self.pieces)
