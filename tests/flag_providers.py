"""Providers of flags, as they are named in settings; each is made without arguments."""

from typing import Any

from openfeature.exception import FlagNotFoundError, GeneralError
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

FLAGS: dict[str, InMemoryFlag[Any]] = {}
"""What `in_memory` has; a test puts them here."""


def in_memory() -> InMemoryProvider:
    """The SDK's own."""
    return InMemoryProvider(FLAGS)


def flag(value: object) -> InMemoryFlag[Any]:
    """A flag that is the same for everybody."""
    return InMemoryFlag("it", {"it": value})


class Failing(InMemoryProvider):
    """One whose evaluation fails."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked = 0

    def resolve_boolean_details(self, *arguments: Any) -> FlagResolutionDetails[bool]:
        """Fail."""
        self.asked += 1
        raise GeneralError("out of order")


class Raising(InMemoryProvider):
    """One that raises where others say `FLAG_NOT_FOUND`."""

    def __init__(self) -> None:
        super().__init__({})

    def _resolve(self, flag_key: str, *arguments: Any) -> FlagResolutionDetails[Any]:
        raise FlagNotFoundError(flag_key)


class Late(InMemoryProvider):
    """One that does not start the first time."""

    def __init__(self) -> None:
        super().__init__({})
        self.starts = 0

    def initialize(self, evaluation_context: object) -> None:
        """Start, the second time."""
        self.starts += 1
        if self.starts == 1:
            raise GeneralError("not yet")


def broken() -> None:
    """Make none."""
    raise OSError("no such host")
