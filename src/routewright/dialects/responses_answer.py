"""Our replies in the form of OpenAI's responses: the object, its items, and where it stands in what was sent."""

from collections.abc import Sequence
from itertools import chain

import msgspec
from msgspec import Raw, Struct

from routewright.call import JsonObject, ToolCall
from routewright.dialects.bill import told_cost, told_usage
from routewright.dialects.responses_items import DIALECT
from routewright.dialects.seals import wrapped
from routewright.dialects.sse import payload
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import RoutewrightError
from routewright.reply import Answer, Reply
from routewright.usage import Usage

_UNSAID: JsonObject = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what it says where the request said nothing."""


# ---- items ----------------------------------------------------------------------------------------------------------


def item_id(kind: str, reply: Reply, index: int) -> str:
    """The id of the output item at `index`; `kind` is `msg`, `fc` or `rs`."""
    return f"{kind}_{_hex(reply)}{index:03x}"


def reasoning_item(id_: str, text: str, seal: str, reply: Reply) -> JsonObject:
    """What the model thought, with the seal of who made it, even an empty one: it must not come back to another."""
    maker = reply.attempt.deployment.dialect
    item: JsonObject = {"id": id_, "type": "reasoning", "summary": [summary_part(text)] if text else []}
    if seal or maker != DIALECT:
        item["encrypted_content"] = seal if maker == DIALECT else wrapped(seal, maker)
    return item


def message_item(id_: str, parts: Sequence[JsonObject], status: str) -> JsonObject:
    """What the model said."""
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def call_item(id_: str, call: ToolCall, status: str) -> JsonObject:
    """Which tool the model asks for."""
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def summary_part(text: str) -> JsonObject:
    """A stretch of thinking."""
    return {"type": "summary_text", "text": text}


def text_part(text: str, logprobs: Sequence[Raw] = ()) -> JsonObject:
    """Words; `logprobs` are JSON lists that follow one another."""
    entries = chain.from_iterable(msgspec.json.decode(each, type=list[Raw]) for each in logprobs)
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(entries)}


def refusal_part(refusal: str) -> JsonObject:
    """Words of refusal."""
    return {"type": "refusal", "refusal": refusal}


# ---- the response -----------------------------------------------------------------------------------------------


def write_response(reply: Reply, answer: Answer, created_s: int) -> bytes:
    """The `response` for an answer that came in another dialect."""
    status = ending(reply)
    output: list[JsonObject] = []
    for thought in answer.thinking:
        output.append(reasoning_item(item_id("rs", reply, len(output)), thought.text, thought.seal, reply))
    parts = (
        [text_part(answer.text, answer.logprobs)] if answer.text or not (answer.refusal or answer.tool_calls) else []
    )
    parts += [refusal_part(answer.refusal)] if answer.refusal else []
    if parts:
        output.append(message_item(item_id("msg", reply, len(output)), parts, status))
    for call in answer.tool_calls:
        output.append(call_item(item_id("fc", reply, len(output)), call, status))
    return msgspec.json.encode(finished(reply, output, created_s))


def ending(reply: Reply) -> str:
    """`completed` or `incomplete`: the status of the response, and of an item that was cut by a limit."""
    return "incomplete" if reply.finish in ("length", "content_filter") else "completed"


def finished(reply: Reply, output: Sequence[JsonObject], created_s: int) -> JsonObject:
    """The response at its proper end, with its usage and cost."""
    response = begun(reply, created_s) | {"status": ending(reply), "output": output}
    if response["status"] == "incomplete":
        reason = "content_filter" if reply.finish == "content_filter" else "max_output_tokens"
        response["incomplete_details"] = {"reason": reason}
    usage, is_estimated = told_usage(reply, reply.receipt)
    response["usage"] = _write_usage(usage) | told_cost(reply.receipt, is_estimated=is_estimated)
    return response


def failed(reply: Reply, error: RoutewrightError, created_s: int) -> JsonObject:
    """The response of a stream that broke off."""
    return begun(reply, created_s) | {"status": "failed", "error": {"code": error.code, "message": error.message}}


def begun(reply: Reply, created_s: int) -> JsonObject:
    """The response before it has said anything."""
    call = reply.attempt.call
    asked = call.body if call.dialect == DIALECT else {}
    return {
        "id": (reply.provider_id if reply.attempt.deployment.dialect == DIALECT else "") or f"resp_{_hex(reply)}",
        "object": "response",
        "created_at": created_s,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": reply.served_model or reply.attempt.model.name,
        "output": [],
        "usage": None,
        "service_tier": reply.service_tier or "default",
        **{name: default if asked.get(name) is None else asked[name] for name, default in _UNSAID.items()},
    }


def _hex(reply: Reply) -> str:
    return reply.attempt.call.id.replace("-", "")


def _write_usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


# ---- what was sent --------------------------------------------------------------------------------------------------


class _Last(Struct):
    response: Raw


def with_cost(raw: bytes, reply: Reply) -> bytes:
    """The last event of a provider's own stream with the cost added; every other member stays as it came."""
    try:
        event = msgspec.json.decode(payload(raw), type=dict[str, Raw])
        response = msgspec.json.decode(event["response"], type=dict[str, Raw])
        usage = msgspec.json.decode(response["usage"], type=dict[str, Raw])
    except (*UNREADABLE, KeyError):  # there is no place for a cost
        return raw
    response["usage"] = Raw(msgspec.json.encode(usage | told_cost(reply.receipt)))
    event["response"] = Raw(msgspec.json.encode(response))
    name = msgspec.json.decode(event["type"], type=str).encode()
    return b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(event))


def response_in(sent: bytes) -> bytes:
    """The response in a whole body, or in the last event of a stream. Raises msgspec.MsgspecError without one."""
    if sent.startswith(b"{"):
        return sent
    last = sent.rstrip(b"\n").rpartition(b"\n")[2]
    return bytes(msgspec.json.decode(last.removeprefix(b"data: "), type=_Last).response)
