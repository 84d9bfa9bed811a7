"""How many tokens a request has, before anybody counted: an estimate to choose by and an upper bound to hold money by.

Exact counting needs each provider's vocabulary (a download) and 50-100 µs per KB. A linear function of character
classes costs 4 and is good enough to choose a model by, since `TokenEstimator` learns what each model really counts.
The coefficients of ASCII text were fitted to cl100k counts of 14,000 public benchmark prompts (English questions,
LaTeX, Python); mean error per prompt 4-10 %, most of it in prompts under 30 tokens. Those of other scripts are set by
hand between cl100k and o200k, which differ by up to a factor of two there; see
`docs/decisions/0007-heuristic-decision.md`.
"""

from collections.abc import Mapping

import msgspec

from routewright.call import (
    CacheMark,
    Call,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    utf8_length,
)
from routewright.decision.census import count_classes

SAMPLE_CHARS = 2048
"""Long text is estimated from three samples of this length: its start, middle and end."""

MESSAGE_TOKENS = 4
"""The role and the separators around one message."""
REPLY_TOKENS = 3
"""What opens the answer."""
IMAGE_TOKENS = 1_000
"""A picture of about a megapixel; 85 to 4,800 by model and size."""

MESSAGE_TOKENS_BOUND = 16
TOOL_TOKENS_BOUND = 32
TOOL_PROMPT_TOKENS_BOUND = 1_024
"""What a provider writes itself when tools are there; the longest published is some 700."""
IMAGE_TOKENS_BOUND = 50_000
"""gpt-4o-mini: 2,833 + 8 tiles of 5,667 = 48,169, the dearest published way to count a picture."""
LOW_DETAIL_IMAGE_TOKENS_BOUND = 3_000
"""gpt-4o-mini counts 2,833."""
OPAQUE_TOKENS_BOUND = 4_096
"""A page of a document as a picture, or minutes of sound, on top of one token per byte."""

ASCII_AND_CONTINUATIONS = bytes(range(0xC0))
"""Of UTF-8 all but the first bytes of what is not ASCII."""


def _hundredths_by_lead_byte() -> bytes:
    """Hundredths of a token for one character, by the first byte of its UTF-8 form."""
    table = bytearray(256)
    for first, last, hundredths in (
        (0xC2, 0xCD, 140),  # Latin with diacritics: each one marks a word that English vocabularies split
        (0xCE, 0xD5, 32),  # Greek, Cyrillic, Armenian
        (0xD6, 0xDF, 40),  # Hebrew, Arabic
        (0xE0, 0xE1, 50),  # Devanagari, Thai and their neighbours
        (0xE2, 0xE2, 100),  # typographic marks, arrows, mathematics
        (0xE3, 0xE3, 75),  # kana
        (0xE4, 0xE9, 95),  # Han
        (0xEA, 0xED, 75),  # Hangul
        (0xEE, 0xEF, 100),  # full-width forms
        (0xF0, 0xF4, 250),  # emoji
    ):
        table[first : last + 1] = bytes([hundredths]) * (last + 1 - first)
    return bytes(table)


_HUNDREDTHS = _hundredths_by_lead_byte()
_COSTS = frozenset(_HUNDREDTHS)


def estimate_tokens(text: str) -> int:
    """The likely number of tokens of a text; long text is sampled, so the cost is bounded."""
    length = len(text)
    if length <= 3 * SAMPLE_CHARS:
        return round(_weigh(text)) if text else 0
    middle = (length - SAMPLE_CHARS) // 2
    samples = text[:SAMPLE_CHARS] + text[middle : middle + SAMPLE_CHARS] + text[-SAMPLE_CHARS:]
    return round(_weigh(samples) * length / (3 * SAMPLE_CHARS))


def message_tokens(message: Message) -> int:
    """The likely number of tokens of one message, by the same rules as the pre-flight estimate of a whole call."""
    return MESSAGE_TOKENS + sum(map(_part_tokens, message.parts))


def upper_bound_tokens(call: Call) -> int:
    """A number of input tokens that no byte-level tokeniser exceeds: one per UTF-8 byte, and some for the rest.

    Of files and sounds only what is in the body itself can be bounded; one named by id or URL gets an allowance.
    """
    bound = MESSAGE_TOKENS_BOUND
    for message in call.messages:
        bound += MESSAGE_TOKENS_BOUND
        for part in message.parts:
            bound += _part_bound(part, call)
    if call.tools:
        bound += TOOL_PROMPT_TOKENS_BOUND + TOOL_TOKENS_BOUND * len(call.tools) + len(msgspec.json.encode(call.tools))
    if call.output_format.schema is not None:
        bound += len(msgspec.json.encode(call.output_format.schema)) + utf8_length(call.output_format.description)
    for name in call.extra_fields:
        bound += len(msgspec.json.encode(call.body.get(name)))
    return bound


class TokenEstimator:
    """Learns, for each model, what its provider counts for a token of ours.

    Tokenisers differ, and providers add text of their own; the ratio of counted to estimated tokens is steady for one
    model and its traffic. It is smoothed exponentially, moves faster while little is known, and stays within [0.5,
    3], so that no odd report can shut a model out or let an overlong request through by more than that.
    """

    LOWEST, HIGHEST = 0.5, 3.0
    WEIGHT = 0.05
    """Of one observation, once enough were made."""
    FEWEST_TOKENS = 32
    """A shorter estimate is mostly rounding."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}
        self._observations: dict[str, int] = {}

    @property
    def ratios(self) -> Mapping[str, float]:
        """`ratio` of each model of which something was observed."""
        return self._ratios

    def ratio(self, model: str) -> float:
        """What to multiply an estimate by for this model; 1.0 until something was observed."""
        return self._ratios.get(model, 1.0)

    def observe(self, model: str, estimated: int, actual: int) -> None:
        """Take note that `model` counted `actual` input tokens where `Route.input_tokens` said `estimated`."""
        if estimated < self.FEWEST_TOKENS or actual <= 0:
            return
        ratio, seen = self.ratio(model), self._observations.get(model, 0)
        weight = max(self.WEIGHT, 1 / (seen + 2))
        observed = min(max(actual / estimated, self.LOWEST), self.HIGHEST)
        self._ratios[model] = ratio + weight * (observed - ratio)
        self._observations[model] = seen + 1


def _weigh(text: str) -> float:
    data = text.encode(errors="surrogatepass")
    other = 0.0
    if not text.isascii():
        costs = data.translate(_HUNDREDTHS, ASCII_AND_CONTINUATIONS)
        other = sum(cost * costs.count(cost) for cost in _COSTS if cost in costs) / 100
    small, capitals, digits, blanks, marks = count_classes(data)  # a run of blanks is one token
    return 0.073 * (small + capitals) + 0.27 * capitals + 0.77 * blanks + 0.58 * digits + 0.73 * marks + other


def _part_tokens(part: Part) -> int:
    match part:
        case Text(text=text) | Thinking(text=text):
            return estimate_tokens(text)
        case ToolResult(text=text, images=images):
            return estimate_tokens(text) + IMAGE_TOKENS * len(images)
        case ToolCall(name=name, arguments=arguments):
            return MESSAGE_TOKENS + estimate_tokens(name) + estimate_tokens(arguments)
        case Image() | Document() | Opaque():
            return IMAGE_TOKENS
        case CacheMark():
            return 0


def _part_bound(part: Part, call: Call) -> int:
    if type(part) is Text:  # first, as most are
        return utf8_length(part.text)
    match part:
        case Thinking(text, seal):  # a seal may be all of the thoughts, encrypted
            return utf8_length(text) + utf8_length(seal)
        case ToolResult(call_id, text, images=images):
            shown = sum(_part_bound(image, call) for image in images)
            return TOOL_TOKENS_BOUND + utf8_length(call_id) + utf8_length(text) + shown
        case ToolCall(identity, name, arguments):
            return TOOL_TOKENS_BOUND + utf8_length(identity) + utf8_length(name) + utf8_length(arguments)
        case Image(detail=detail):
            return LOW_DETAIL_IMAGE_TOKENS_BOUND if detail == "low" else IMAGE_TOKENS_BOUND
        case Document(url, name):
            return OPAQUE_TOKENS_BOUND + utf8_length(url) + utf8_length(name)
        case CacheMark():
            return 0
        case _:
            said = call.body.get("messages", call.body.get("input"))
            return OPAQUE_TOKENS_BOUND + len(msgspec.json.encode(said))
