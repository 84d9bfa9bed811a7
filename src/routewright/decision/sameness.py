"""Whether two answers to one request say the same, as far as that can be told without a judge."""

import msgspec

from routewright.call import Call, ToolCall
from routewright.decision.agreement import agree, task_of
from routewright.reply import Answer


def said(answer: Answer) -> str:
    """All that an answer says: its text, and the tools that it calls."""
    calls = (f"{call.name}({call.arguments})" for call in answer.tool_calls)
    return "\n".join([part for part in (answer.text, answer.refusal, *calls) if part])


def says_the_same(call: Call, one: Answer, other: Answer) -> bool:
    """Whether they are the same words, call the same tools with the same arguments, or give the same short answer."""
    if one.tool_calls or other.tool_calls:
        return list(map(_plain, one.tool_calls)) == list(map(_plain, other.tool_calls))
    if said(one).split() == said(other).split():
        return True
    task = task_of(call)
    return task is not None and agree(one.text, other.text, task)


def _plain(call: ToolCall) -> tuple[str, object]:
    """Without its id; arguments as values, if they are JSON."""
    try:
        return call.name, msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return call.name, call.arguments
