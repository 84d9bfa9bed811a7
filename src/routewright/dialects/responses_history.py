"""Items of earlier turns: in which form they go on, and how they are listed."""

from collections.abc import Iterable, Sequence

from routewright.call import JsonObject

_PORTABLE = frozenset({"message", "function_call", "function_call_output", "reasoning", "custom_tool_call"})


def history(items: Iterable[JsonObject]) -> list[JsonObject]:
    """The items of a conversation as any provider takes them, not only the one that gave them.

    An item's id ties it to others that the provider has to have stored; thoughts without a seal are known by nothing
    but such an id. So both are left out.
    """
    return [_portable(item) for item in items if item.get("type") != "reasoning" or item.get("encrypted_content")]


def _portable(item: JsonObject) -> JsonObject:
    if item.get("type", "message") not in _PORTABLE:
        return item
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def listed(items: Sequence[JsonObject], response_id: str) -> list[JsonObject]:
    """The input of a response as its list shows it: each item with an id, and words always as parts."""
    return [_listed(item, f"{response_id.removeprefix('resp_')}{index:03x}") for index, item in enumerate(items)]


def _listed(item: JsonObject, tail: str) -> JsonObject:
    kind = item.get("type", "message")
    prefix = {"message": "msg", "reasoning": "rs", "function_call": "fc"}.get(kind, "item")
    shown = {"id": f"{prefix}_{tail}", "type": kind, "status": "completed", **item}
    if isinstance(item.get("content"), str):
        said = "output_text" if item.get("role") == "assistant" else "input_text"
        shown["content"] = [{"type": said, "text": item["content"]}]
    return shown


def page(items: Sequence[JsonObject], *, limit: int, after: str | None, is_ascending: bool) -> JsonObject:
    """A page of a list: those after the item called `after`, which is nothing if there is none of that name."""
    ordered = list(items) if is_ascending else list(items)[::-1]
    if after is not None:
        names = [item["id"] for item in ordered]
        ordered = ordered[names.index(after) + 1 :] if after in names else []
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > limit,
    }
