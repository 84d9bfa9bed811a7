"""What the generations of Claude know and refuse, by their names; and a client's body in the words of another one.

A client writes its request for the model that it names. Where it left the choice to us (`claude-auto`), or its model
failed, the same wish may have another form: how much to think was a budget up to 4.5, is adaptive since 4.7 and can be
either in between; instructions within a conversation are taken since 4.8. A name that is none of Claude's is taken to
know everything.
"""

import re

from routewright.call import JsonObject

LEAST_BUDGET = 1_024
"""Tokens; a smaller one is refused."""

_BUDGETS = {"low": 4_096, "medium": 16_384}
_LARGE_BUDGET = 32_768

_UP_TO_46 = re.compile(r"claude-(?:[23]|(?:opus|sonnet|haiku)-4(?:$|@|[-.][0-6](?!\d)|-20\d{6}))")
_UP_TO_47 = re.compile(_UP_TO_46.pattern + r"|claude-(?:opus|sonnet|haiku)-4[-.]7(?!\d)")
_UP_TO_44 = re.compile(
    r"claude-(?:[23]|(?:opus|sonnet|haiku)-4(?:$|@|[-.][0-4](?!\d)|-20\d{6})|(?:sonnet|haiku)-4[-.]5)"
)
_OPUS_45 = re.compile(r"claude-opus-4[-.]5")
_CLAUDE = re.compile(r"claude-")


def takes_sampling(model: str) -> bool:
    """Temperature or top_p, though not both; every later model refuses both."""
    return _UP_TO_46.search(model) is not None


def knows_effort(model: str) -> bool:
    """It came with Opus 4.5; models that take sampling know nothing above `high`."""
    return _UP_TO_44.search(model) is None


def knows_adaptive_thinking(model: str) -> bool:
    """It came with 4.6."""
    return knows_effort(model) and _OPUS_45.search(model) is None


def refuses_budgets(model: str) -> bool:
    """Since 4.7 there is no other thinking than the adaptive one."""
    return _CLAUDE.search(model) is not None and not takes_sampling(model)


def knows_system_turns(model: str) -> bool:
    """They came with 4.8."""
    return _UP_TO_47.search(model) is None


def effort_of(budget_tokens: int) -> str:
    """The effort that a budget for thinking stands for."""
    return next((effort for effort, most in _BUDGETS.items() if budget_tokens <= most), "high")


def fitted(body: JsonObject, model: str) -> JsonObject:
    """A client's body for a model that the client did not name; the same one if there is nothing to say otherwise."""
    thinking, config = body.get("thinking") or {}, body.get("output_config") or {}
    if thinking.get("type") == "adaptive" and not knows_adaptive_thinking(model):
        body = {**body, "thinking": _budgeted(thinking, config.get("effort"), body["max_tokens"])}
        if "effort" in config and not knows_effort(model):  # the budget says it
            body["output_config"] = {name: value for name, value in config.items() if name != "effort"}
    elif thinking.get("type") == "enabled" and refuses_budgets(model):
        adaptive = {name: value for name, value in thinking.items() if name != "budget_tokens"} | {"type": "adaptive"}
        effort = {"effort": effort_of(thinking["budget_tokens"])}
        body = {**body, "thinking": adaptive, "output_config": effort | config}
    if not knows_system_turns(model) and any(message["role"] == "system" for message in body["messages"]):
        body = _with_system_first(body)
    return body


def _budgeted(thinking: JsonObject, effort: str | None, max_tokens: int) -> JsonObject:
    """At most half of what may be generated; where that is too little, no thinking, as adaptive thinking may do."""
    budget = min(_BUDGETS.get(effort or "", _LARGE_BUDGET), max_tokens // 2)
    if budget < LEAST_BUDGET:
        return {"type": "disabled"}
    return {**thinking, "type": "enabled", "budget_tokens": budget}


def _with_system_first(body: JsonObject) -> JsonObject:
    """All that the system says before the conversation."""
    said = [body.get("system") or [], *(turn["content"] for turn in body["messages"] if turn["role"] == "system")]
    blocks = [block for content in said for block in _blocks(content)]
    messages = [message for message in body["messages"] if message["role"] != "system"]
    return {**body, "system": blocks, "messages": messages}


def _blocks(content: str | list[JsonObject]) -> list[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
