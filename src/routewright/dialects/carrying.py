"""What messages hold that other dialects than the client's cannot say, or need not."""

from collections.abc import Callable, Iterator

from routewright.call import CacheMark, Call, JsonObject, Opaque, Part, Text, Thinking

HINTS = frozenset(
    {
        "client_metadata", "context_management", "diagnostics", "metadata", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "safety_identifier", "service_tier", "speed", "store", "text.citations",
        "thinking.display", "tools.allowed_callers", "tools.defer_loading", "tools.eager_input_streaming", "truncation",
        "user", "user_profile_id", "verbosity", "workspace_id",
    }
)  # fmt: skip
"""Fields of other dialects that change speed, price, bookkeeping or tone, but not what is asked."""
_NEUTRAL: JsonObject = {
    "frequency_penalty": 0,
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "presence_penalty": 0,
    "top_logprobs": 0,
}
"""Values of OpenAI's fields that ask for nothing: many clients send every field they know."""
LOGPROBS = frozenset({"include", "logprobs", "top_logprobs"})
"""Where they ask for log-probabilities; what they ask is in `Call.logprobs`."""

_SILENCE = ((), (Text(""),))
"""Parts that say nothing; empty words are not sent where they are refused."""

FAILED = "Error: "
"""Before the result of a tool that failed, which OpenAI's dialects do not say otherwise."""


def asks_for_nothing(call: Call, field: str) -> bool:
    """Whether a client's field has a value that changes nothing."""
    return field in _NEUTRAL and call.body.get(field) == _NEUTRAL[field]


def _parts(call: Call) -> Iterator[tuple[int, Part]]:
    for index, message in enumerate(call.messages):
        for part in message.parts:
            yield index, part


def nothing_said(call: Call) -> str | None:
    """What is told of a call in which nobody but the system says anything, where a provider wants a turn to answer."""
    for message in call.messages:
        if message.role != "system" and message.parts not in _SILENCE:
            return None
    return "messages (nothing but the system's)"


def unsayable_part(call: Call, says: Callable[[Part], bool] = lambda part: True) -> str | None:
    """Where a message holds a part that only the client's own dialect knows, or that `says` denies, if one does."""
    for index, part in _parts(call):
        if type(part) is Opaque:
            return f"messages[{index}] ({part.kind})"
        if not says(part):
            return f"messages[{index}] ({type(part).__name__.lower()} of this kind or in this place)"
    return None


def unsaid_parts(call: Call, dialect: str) -> Iterator[str]:
    """What is left out beside fields without changing what is asked: betas, marks for a cache, and others' thoughts.

    Thoughts without a seal are taken back by nobody; those of `dialect` itself are not left out.
    """
    if "anthropic-beta" in call.headers:
        yield "anthropic-beta"
    parts = [part for _, part in _parts(call)]
    if any(type(part) is CacheMark for part in parts) or any(tool.cache_mark for tool in call.tools):
        yield "cache_control"
    if any(type(part) is Thinking and not (part.seal and part.dialect == dialect) for part in parts):
        yield "thinking"
