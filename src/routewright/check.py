"""What an answer can be checked for, and what was found: the words that settings, requests and the ledger share."""

from enum import StrEnum

from msgspec import Struct


class CheckKind(StrEnum):
    """What is looked at."""

    JSON_SCHEMA = "json_schema"
    JSON = "json"
    RESPONSE_FORMAT = "response_format"
    """The form that the request itself asks for: JSON, or JSON that fits its schema."""
    REGEX = "regex"
    LENGTH = "length"
    TRUNCATION = "truncation"
    """Whether the answer came to its own end."""
    REFUSAL = "refusal"
    LANGUAGE = "language"
    TOOL_CALL = "tool_call"
    """Whether the tool was called that must be, with arguments that fit."""
    PLUG_IN = "plug_in"


OF_JSON = frozenset({CheckKind.JSON_SCHEMA, CheckKind.JSON, CheckKind.RESPONSE_FORMAT})
"""What a repair can mend."""
AGREEMENT = "agreement"
"""By this name it is told whether answers agreed; no check can have it."""
BARE = frozenset(
    {CheckKind.JSON, CheckKind.RESPONSE_FORMAT, CheckKind.TRUNCATION, CheckKind.REFUSAL, CheckKind.TOOL_CALL}
)
"""Those that need no more than their kind: a request may name them like that."""


class Check(Struct, frozen=True, kw_only=True):
    """One thing that an answer must do; of the parameters, each kind reads its own."""

    name: str
    kind: CheckKind
    schema: str = ""
    """A JSON Schema, as JSON."""
    pattern: str = ""
    """What the text must have a match of, anywhere; …"""
    forbidden: bool = False
    """… or must not."""
    least_chars: int = 0
    most_chars: int | None = None
    language: str = ""
    """ISO 639-1: `en`."""
    tool: str = ""
    """Which one must be called; empty for whichever the request requires."""
    plug_in: str = ""
    """The name of its entry point."""
    is_trusted: bool = False
    """It is the operator's: what it costs is theirs to say."""


class Finding(Struct, frozen=True):
    """What a check found in one answer."""

    check: str
    """The check's name."""
    is_ok: bool
    reason: str = ""
    """Why it is not, in words for the model that is asked again. It may quote the answer, so it is kept nowhere."""
