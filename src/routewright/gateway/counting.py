"""`/v1/messages/count_tokens`: how many input tokens a request has, estimated here for nothing: it calls nobody."""

import msgspec
from msgspec.structs import replace

from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.engine import Engine
from routewright.gateway.headers import check_version, read_options
from routewright.gateway.http import JSON_TYPE, Request, Send, respond

_ESTIMATED = (b"x-routewright-estimated", b"1")


class CountTokens:
    """The estimate that a route is chosen by, at the pace of the model that would answer."""

    def __init__(self, engine: Engine, dialect: AnthropicMessages) -> None:
        self._engine = engine
        self._dialect = dialect

    async def __call__(self, request: Request, send: Send) -> None:
        check_version(request)
        body = await request.body(self._engine.settings.server.max_body_bytes)
        call = self._dialect.read_for_counting(body, request_id=request.id, options=read_options(request.headers))
        tokens = self._engine.count_tokens(replace(call, tenant=request.caller.tenant))
        headers = [JSON_TYPE, _ESTIMATED, (b"request-id", request.id.encode())]
        await respond(send, 200, headers, msgspec.json.encode({"input_tokens": tokens}))
