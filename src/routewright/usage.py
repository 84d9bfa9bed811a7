"""What one attempt consumed, in the one form in which all of the project counts tokens.

Providers disagree: OpenAI's `prompt_tokens` includes cached tokens and its `completion_tokens` includes reasoning,
while Anthropic's `input_tokens` excludes what the cache gave or took. Here the classes are *disjoint*: every token is
counted in exactly one, so that a cost is a plain sum. The dialects convert; behind them nobody asks where a count came
from.
"""

from msgspec import Struct

IMPLAUSIBLE_TOKENS = 1_000_000_000
"""Hundreds of times the longest context on sale: a count above it is a provider's error, not a request."""


class Usage(Struct, frozen=True, gc=False):
    """Token counts of one attempt; the classes are disjoint.

    `input` excludes everything cached, `cache_write` are writes that live five minutes (the default), `cache_write_1h`
    those that live an hour, and `output` excludes reasoning. Where a provider counts sound apart, it is in the audio
    classes and in no other.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_cache_read: int = 0
    audio_output: int = 0

    @property
    def input_total(self) -> int:
        """All tokens sent, cached or not: what context windows and long-context prices are measured by."""
        text = self.input + self.cache_read + self.cache_write + self.cache_write_1h
        return text + self.audio_input + self.audio_cache_read

    @property
    def output_total(self) -> int:
        """All tokens generated, shown to the client or not."""
        return self.output + self.reasoning + self.audio_output

    @property
    def total(self) -> int:
        """All tokens, sent and generated."""
        return self.input_total + self.output_total

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.cache_write_1h + other.cache_write_1h,
            self.output + other.output,
            self.reasoning + other.reasoning,
            self.audio_input + other.audio_input,
            self.audio_cache_read + other.audio_cache_read,
            self.audio_output + other.audio_output,
        )

    def plausible(self, limit: int = IMPLAUSIBLE_TOKENS) -> "Usage":
        """This usage if every count is from 0 to `limit` tokens; else raises ValueError naming one that is not."""
        for name in self.__struct_fields__:
            count = getattr(self, name)
            if not 0 <= count <= limit:
                raise ValueError(
                    f"usage reports {count} {name} tokens, which is not from 0 to {limit}: "
                    "do not bill it, settle on an estimate"
                )
        return self


class InputParts(Struct, frozen=True, omit_defaults=True, gc=False):
    """What the input of a request consists of, in tokens; the parts are disjoint and add up to all of it."""

    system: int = 0
    """The system prompt."""
    history: int = 0
    """All else that stands beside the last user turn: few-shot examples, earlier turns, what tools gave back."""
    tools: int = 0
    """Definitions of tools, and of the form that the answer must have."""
    user: int = 0
    """The last user turn, with its pictures, and what opens the answer."""

    @property
    def total(self) -> int:
        """All of the input."""
        return self.system + self.history + self.tools + self.user

    def __add__(self, other: "InputParts") -> "InputParts":
        return InputParts(
            self.system + other.system,
            self.history + other.history,
            self.tools + other.tools,
            self.user + other.user,
        )


NO_INPUT = InputParts()
"""Of a request that was sent to nobody."""
