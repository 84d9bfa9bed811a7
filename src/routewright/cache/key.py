"""What an answer is kept under: a hash of all that it depends on. Pure.

The whole SHA-256, over parts that each have their length before them: two requests with the same key are the same
request, however their parts are cut. Of a body everything counts but the few fields that are known to change nothing,
so that a field nobody here has heard of makes another request.
"""

from hashlib import sha256

import msgspec

from routewright.call import Call

WITHOUT_EFFECT = frozenset(
    {
        "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "service_tier",
    }
)  # fmt: skip
"""Fields that say who asks, how the answer is delivered and at which price, and nothing of what it says.

`stream` has a part of the key of its own: the bytes of a stream cannot be made from those of a whole answer, nor the
other way round, without losing what only the provider's dialect knows.
"""
_LENGTH_BYTES = 8

_encode = msgspec.json.Encoder(order="sorted").encode


def key_of(call: Call, *, is_shared: bool) -> bytes:
    """The key of a call that has a body, 32 bytes; with `is_shared`, the same for all tenants."""
    options = call.options
    wishes = (options.tier, options.min_quality, options.max_cost_nanousd)
    digest = sha256()
    for part in (
        b"shared" if is_shared else b"tenant",
        b"" if is_shared else call.tenant.key.encode(),
        call.dialect.encode(),
        b"stream" if call.stream else b"whole",
        _encode(wishes),
        _encode({name: value for name, value in call.body.items() if name not in WITHOUT_EFFECT}),
    ):
        digest.update(len(part).to_bytes(_LENGTH_BYTES))
        digest.update(part)
    return digest.digest()
