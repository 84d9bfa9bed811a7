"""What an answer is kept under: a hash of all that it depends on. Pure.

The whole SHA-256, over parts that each have their length before them: two requests with the same key are the same
request, however their parts are cut. Everything counts but what is known to change nothing, so that a field nobody here
has heard of makes another request.
"""

from hashlib import sha256

import msgspec

from routewright.call import Call, Options

WITHOUT_EFFECT = frozenset(
    {
        "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "service_tier",
    }
)  # fmt: skip
"""Fields of a body that say who asks, how the answer is delivered and at which price, and nothing of what it says.

`Call.stream` counts all the same: the bytes of a stream cannot be made from those of a whole answer, nor the other way
round, without losing what only the provider's dialect knows.
"""
_SAID_BY_THE_BODY = {
    "messages", "tools", "tool_choice", "parallel_tool_calls", "output_format", "max_output_tokens", "temperature",
    "top_p", "stop", "reasoning_effort", "logprobs", "choices", "extra_fields",
}  # fmt: skip
_WHO_AND_WHEN = {
    "id", "tenant", "session", "deadline_at", "priority", "service_tier", "wants_usage", "max_retries",
    "lane", "trace",
}  # fmt: skip
_OF_CALL = sorted({*Call.__struct_fields__} - _SAID_BY_THE_BODY - _WHO_AND_WHEN - {"body", "options"})
_OF_OPTIONS = sorted({*Options.__struct_fields__} - {"deadline_s", "tags", "user", "no_log", "cache", "shadow"})
_LENGTH_BYTES = 8

_encode = msgspec.json.Encoder(order="sorted").encode


def key_of(call: Call, *, is_shared: bool) -> bytes:
    """The key of a call that has a body, 32 bytes; with `is_shared`, the same for all tenants."""
    digest = sha256()
    for part in (
        b"shared" if is_shared else b"tenant",
        b"" if is_shared else call.tenant.key.encode(),
        _encode([getattr(call, name) for name in _OF_CALL]),
        _encode([getattr(call.options, name) for name in _OF_OPTIONS]),
        _encode({name: value for name, value in call.body.items() if name not in WITHOUT_EFFECT}),
    ):
        digest.update(len(part).to_bytes(_LENGTH_BYTES))
        digest.update(part)
    return digest.digest()
