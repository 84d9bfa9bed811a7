"""A provider whose models say what a test wants."""

import json
from typing import Any

import msgspec

from routewright.dialects.wire import WireRequest
from routewright.simulator import Simulator
from routewright.testing import ScriptedResponse


class Saying(Simulator):
    """A provider whose models say what they were told to, in turn, the last one for ever; and keeps what was sent."""

    def __init__(self, **says: list[str] | str) -> None:
        super().__init__(time_scale=0)
        self._says = {name: [said] if isinstance(said, str) else list(said) for name, said in says.items()}
        self.bodies: list[Any] = []

    async def send(self, request: WireRequest, *, connect_timeout_s: float) -> ScriptedResponse:  # type: ignore[override]
        """In OpenAI's dialect."""
        body = msgspec.json.decode(request.body)
        self.bodies.append(body)
        turns = self._says[body["model"]]
        text = turns.pop(0) if len(turns) > 1 else turns[0]
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        if body.get("stream"):
            pieces = [{"content": text[:3]}, {"content": text[3:]}]
            chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in pieces]
            end = [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
            frames = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks + end]
            return ScriptedResponse(200, [frame.encode() for frame in (*frames, "data: [DONE]\n\n")])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return ScriptedResponse(200, [msgspec.json.encode({"id": "x", "choices": [choice], "usage": usage})])
