"""What a client allows to be left out: fields that change the answer, where a provider's dialect has no word for them.

Without leave such a field removes the model (`Upstream.cannot_carry`). With it (`Options.drop`), the call goes on
without what was named, and the answer says so.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from routewright.call import Call, Opaque, OutputFormat
from routewright.dialects.wire import Upstream

_CLEARED: Mapping[str, Mapping[str, Any]] = {
    "include": {"logprobs": None},
    "logprobs": {"logprobs": None},
    "n": {"choices": 1},
    "parallel_tool_calls": {"parallel_tool_calls": None},
    "reasoning_effort": {"reasoning_effort": None},
    "response_format": {"output_format": OutputFormat()},
    "stop": {"stop": ()},
    "stop_sequences": {"stop": ()},
    "temperature": {"temperature": None},
    "top_p": {"top_p": None},
}
"""Fields of a body that the canonical form holds, and what it is without each."""
_PART = re.compile(r"messages\[\d+\] \((\w+)\)")
"""How a dialect names a part of a message: by its kind, which is what a client allows."""


def carried(call: Call, dialect: Upstream) -> tuple[Call, tuple[str, ...]]:
    """The call as this dialect can carry it, and what of it was left out; nothing more than is allowed, and not all."""
    if not call.options.drop:
        return call, ()
    allowed, dropped = {*call.options.drop}, []
    while allowed and (field := dialect.cannot_carry(call)) is not None:
        part = _PART.fullmatch(field)
        name = part[1] if part else field
        rest = _without_part(call, name) if part else _without_field(call, name)
        if name not in allowed or not rest.messages:
            break
        allowed.remove(name)
        dropped.append(name)
        call = rest
    return call, tuple(dropped)


def _without_field(call: Call, name: str) -> Call:
    """Hosted tools and the like are nowhere but in the body, which no other dialect is written from."""
    others = tuple(field for field in call.extra_fields if field != name)
    return structs.replace(call, extra_fields=others, **_CLEARED.get(name, {}))


def _without_part(call: Call, kind: str) -> Call:
    messages = (
        structs.replace(message, parts=tuple(part for part in message.parts if part != Opaque(kind)))
        for message in call.messages
    )
    return structs.replace(call, messages=tuple(message for message in messages if message.parts))
