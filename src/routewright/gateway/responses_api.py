"""`/v1/responses/…`: what became of earlier responses, and how a request goes on from one."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from routewright.call import Call, JsonObject
from routewright.clock import Clock
from routewright.dialects.fields import wrong
from routewright.dialects.responses_answer import response_in
from routewright.dialects.responses_history import history, listed, page
from routewright.dialects.responses_items import input_items
from routewright.dialects.responses_request import with_input
from routewright.dialects.strict_json import UNREADABLE
from routewright.errors import InvalidRequest, PreviousResponseNotFound, ResponseNotFound
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.gateway.listing import query_of, read_limit
from routewright.gateway.responses_kept import Kept, KeptResponses

RESPONSES = "/v1/responses"

_USUAL_PAGE = 20
_LONGEST_PAGE = 100


class _Head(Struct):
    id: str
    output: list[JsonObject]


class Conversations:
    """What was said before, for a request that only names it; and the endpoints that show it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept = KeptResponses()

    # ---- beside an answer ---------------------------------------------------------------------------------------

    def resume(self, call: Call) -> Call:
        """The call with all that it refers to: the response before it, and single items.

        It is put together here even when the provider could, so that the next turn may go to another one. Raises
        PreviousResponseNotFound.
        """
        owner, previous = call.tenant.key, call.body.get("previous_response_id")
        said = input_items(call.body)
        if previous is None and not any(_is_reference(item) for item in said):
            return call
        before = [] if previous is None else list(self._before(owner, previous))
        return with_input(call, [*before, *(found for item in said for found in self._resolved(owner, item))])

    def keep(self, call: Call, sent: bytes) -> None:
        """Keep an answer, unless its client wants nothing kept; `sent` is its whole body, or how its stream ended."""
        if call.options.no_log or call.body.get("store") is False:
            return
        try:
            response = response_in(sent)
            head = msgspec.json.decode(response, type=_Head)
        except UNREADABLE:
            return
        kept = Kept(
            id=head.id,
            response=response,
            input=msgspec.json.encode(input_items(call.body)),
            items=tuple(item["id"] for item in head.output if isinstance(item.get("id"), str)),
            at=self._clock.monotonic(),
        )
        self._kept.keep(call.tenant.key, kept)

    def _before(self, owner: str, previous: str) -> Iterator[JsonObject]:
        kept = self._kept.find(owner, previous, self._clock.monotonic())
        if kept is None:
            raise PreviousResponseNotFound(
                f"previous response with id {previous[:100]!r} not found",
                param="previous_response_id",
                hint="send the whole conversation as input; responses are kept for a day, in the process that answered",
            )
        yield from history(msgspec.json.decode(kept.input))
        yield from history(_output(kept))

    def _resolved(self, owner: str, item: JsonObject) -> Iterator[JsonObject]:
        """What an item refers to; itself, if that is not known here: its provider may know."""
        kept = None
        if _is_reference(item):
            kept = self._kept.holder(owner, str(item.get("id")), self._clock.monotonic())
        if kept is None:
            yield item
        else:
            yield from history(said for said in _output(kept) if said.get("id") == item["id"])

    # ---- endpoints ----------------------------------------------------------------------------------------------

    async def show(self, request: Request, send: Send) -> None:
        """`GET /v1/responses/{id}`."""
        if query_of(request).get("stream") == "true":
            raise InvalidRequest("a response is not streamed again", param="stream", hint="leave stream out")
        await respond(send, 200, [JSON_TYPE], self._find(request, _last(request)).response)

    async def delete(self, request: Request, send: Send) -> None:
        """`DELETE /v1/responses/{id}`."""
        kept = self._find(request, _last(request))
        self._kept.forget(request.caller.tenant.key, kept.id)
        gone = {"id": kept.id, "object": "response", "deleted": True}
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(gone))

    async def input_items(self, request: Request, send: Send) -> None:
        """`GET /v1/responses/{id}/input_items`."""
        kept = self._find(request, request.path.split("/")[-2])
        asked = query_of(request)
        limit = read_limit(asked, _USUAL_PAGE, _LONGEST_PAGE)
        if (order := asked.get("order", "desc")) not in ("asc", "desc"):
            raise wrong("order", '"asc" or "desc"', order)
        items = listed(msgspec.json.decode(kept.input), kept.id)
        shown = page(items, limit=limit, after=asked.get("after"), is_ascending=order == "asc")
        await respond(send, 200, [JSON_TYPE], msgspec.json.encode(shown))

    def _find(self, request: Request, response_id: str) -> Kept:
        kept = self._kept.find(request.caller.tenant.key, response_id, self._clock.monotonic())
        if kept is None:
            raise ResponseNotFound(f"response with id {response_id[:100]!r} not found", param="response_id")
        return kept


def _output(kept: Kept) -> list[JsonObject]:
    return msgspec.json.decode(kept.response, type=_Head).output


def _is_reference(item: object) -> bool:
    return isinstance(item, dict) and (
        item.get("type") == "item_reference" or (item.get("type") is None and "role" not in item and "id" in item)
    )


def _last(request: Request) -> str:
    return request.path.rpartition("/")[2]
