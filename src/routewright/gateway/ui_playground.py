"""`POST /ui/playground`: a question to two models at once, or only what they would cost."""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from routewright.call import Call, Options
from routewright.clock import Clock
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.question import MOST_TOKENS, USUAL_TOKENS, Side, Wish
from routewright.dialects.openai_chat import OpenAIChat
from routewright.engine import Engine
from routewright.errors import InvalidRequest, Overloaded, RoutewrightError
from routewright.gateway.http import Departure, Request, Send
from routewright.gateway.models_api import shown_to
from routewright.gateway.ui import Ui

MOST_ASKED = 4
"""Playgrounds that wait for answers at a time."""
AUTO = "auto"

_DIALECT = OpenAIChat()


class UiPlayground:
    """The handler. Who asks pays, and is held to the limits and budgets of their key."""

    def __init__(self, ui: Ui, engine: Engine, clock: Clock) -> None:
        self._ui = ui
        self._engine = engine
        self._clock = clock
        self._asking = 0

    async def __call__(self, request: Request, send: Send) -> None:
        from routewright.dashboard.playground import values

        asked = await self._ui.fields(request, "left", "right", "max_tokens", "do", texts=("prompt", "system"))
        wish = _wish(asked)
        names = [name for name in (wish.left, wish.right) if name]
        sides = [self._decided(request, wish, name) for name in names]
        if asked.choice("do", ("route", "ask"), "route") == "ask":
            sides = await self._answered(request, wish, sides)
        route = self._decided(request, wish, AUTO).route
        page: Mapping[str, object] = {"page": "playground", "title": "Playground"}
        shown = values(self._engine.registry, wish, sides, route)
        await self._ui.show(request, send, "playground.html", {**page, **shown})

    def _decided(self, request: Request, wish: Wish, name: str) -> Side:
        """Calls nobody."""
        try:
            call = self._call(request, wish, name)
            return Side(asked=name, route=shown_to(call.tenant, self._engine.route(call)))
        except RoutewrightError as error:
            return Side(asked=name, trouble=_told(error))

    async def _answered(self, request: Request, wish: Wish, sides: list[Side]) -> list[Side]:
        if self._asking >= MOST_ASKED:
            raise Overloaded("the playground is asking for others just now", retry_after_s=5)
        self._asking += 1
        try:
            with Departure(request):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._answer(request, wish, side)) for side in sides]
        finally:
            self._asking -= 1
        return [task.result() for task in tasks]

    async def _answer(self, request: Request, wish: Wish, side: Side) -> Side:
        if side.route is None:
            return side
        began_at = self._clock.monotonic()
        try:
            reply = await self._engine.ask(self._call(request, wish, side.asked))
            answer = await reply.read()
        except RoutewrightError as error:
            return replace(side, trouble=_told(error))
        return replace(side, answer=answer, total_ms=round(1000 * (self._clock.monotonic() - began_at)))

    def _call(self, request: Request, wish: Wish, name: str) -> Call:
        """Raises CallerError."""
        messages = [{"role": "system", "content": wish.system}] if wish.system else []
        messages.append({"role": "user", "content": wish.prompt})
        body = {"model": name, "messages": messages, "max_tokens": wish.max_tokens}
        call = _DIALECT.read(msgspec.json.encode(body), request_id=self._engine.mint_id(), options=Options())
        return replace(call, tenant=request.caller.tenant)


def _wish(asked: Parameters) -> Wish:
    prompt = asked.text("prompt")
    if prompt is None or not prompt.strip():
        raise InvalidRequest("there is no question", param="prompt", hint="write one")
    tokens = asked.whole("max_tokens", MOST_TOKENS)
    return Wish(
        prompt=prompt,
        system=asked.text("system") or "",
        left=asked.text("left") or AUTO,
        right=asked.text("right") or "",
        max_tokens=tokens or USUAL_TOKENS,
    )


def _told(error: RoutewrightError) -> str:
    return f"{error.number}: {error.message}" + (f" – {error.hint}" if error.hint else "")
