"""Traces: one span for a request as its client sees it, and below it one for each attempt that is sent.

Only in the stack where a collector is named (`telemetry.endpoint`). No span has a word of what was asked or answered,
also not by way of an error's message, unless that was opted in.
"""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import structs

from routewright.call import Attempt, Call
from routewright.catalog.registry import LONGEST_NAME
from routewright.errors import RoutewrightError
from routewright.layers.service import Service
from routewright.reply import Reply
from routewright.telemetry import names
from routewright.telemetry.content import Heard, messages_json
from routewright.telemetry.otlp import Kind, Value
from routewright.telemetry.tracer import OpenSpan, Tracer
from routewright.usage import Usage

_ENDED_WELL = ("complete", "abandoned")
"""Outcomes that are no error: a client may leave, and of two hedged attempts one is given up."""
_EMBEDDINGS_DIALECT = "openai_embeddings"


class TraceCall:
    """Outermost: what stands below, and the log, know the trace by the call."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def __call__(self, call: Call, forward: Service[Call]) -> Reply:
        span = self._tracer.begin(call.trace)
        call = structs.replace(call, trace=span.context)
        if not span.context.is_sampled:
            return await forward(call)
        try:
            reply = await forward(call)
        except BaseException as error:  # whatever it is, the request is over and its span is, too
            self._end(span, call, _outcome(error), list(_asked(call)))
            raise
        heard = Heard() if self._tells_content(call) else None
        if heard is not None:
            reply.overhear(heard.hear)
        return reply.on_close(lambda closed: self._close(span, call, closed, heard))

    def _close(self, span: OpenSpan, call: Call, reply: Reply, heard: Heard | None) -> None:
        attributes = [*_asked(call), *_answered(reply)]
        if heard is not None:
            attributes.append((names.INPUT_MESSAGES, messages_json(call.messages)))
            attributes.append((names.OUTPUT_MESSAGES, heard.json(reply.finish or "")))
        self._end(span, call, reply.outcome, attributes)

    def _end(self, span: OpenSpan, call: Call, outcome: str, attributes: list[tuple[str, Value]]) -> None:
        name = f"{_operation(call.dialect)} {call.model[:LONGEST_NAME]}"
        _end(self._tracer, span, name, Kind.SERVER, outcome, attributes)

    def _tells_content(self, call: Call) -> bool:
        return self._tracer.logs_content and not call.options.no_log


class TraceAttempt:
    """Below all that refuses, so that a span is something sent; above the limit on the first event, which it names."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def __call__(self, attempt: Attempt, forward: Service[Attempt]) -> Reply:
        parent = attempt.call.trace
        if parent is None:  # asked for by nobody: an embedding for ourselves
            return await forward(attempt)
        span = self._tracer.begin(parent)
        attempt = structs.replace(attempt, trace=span.context)
        if not span.context.is_sampled:
            return await forward(attempt)
        try:
            reply = await forward(attempt)
        except BaseException as error:  # see above
            self._end(span, attempt, _outcome(error), list(_sent(attempt)))
            raise
        return reply.on_close(lambda closed: self._close(span, attempt, closed))

    def _close(self, span: OpenSpan, attempt: Attempt, reply: Reply) -> None:
        self._end(span, attempt, reply.outcome, [*_sent(attempt), *_received(reply)])

    def _end(self, span: OpenSpan, attempt: Attempt, outcome: str, attributes: list[tuple[str, Value]]) -> None:
        name = f"{_operation(attempt.call.dialect)} {attempt.deployment.upstream_model}"
        _end(self._tracer, span, name, Kind.CLIENT, outcome, attributes)


def _end(
    tracer: Tracer, span: OpenSpan, name: str, kind: Kind, outcome: str, attributes: list[tuple[str, Value]]
) -> None:
    is_error = outcome not in _ENDED_WELL
    attributes.append((names.OUTCOME, outcome))
    if is_error:
        attributes.append((names.ERROR_TYPE, outcome))
    tracer.end(span, name=name, kind=kind, attributes=attributes, is_error=is_error)


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "abandoned"
    return error.code if isinstance(error, RoutewrightError) else RoutewrightError.code


def _operation(dialect: str) -> str:
    return names.EMBEDDINGS if dialect == _EMBEDDINGS_DIALECT else names.CHAT


def _asked(call: Call) -> Iterator[tuple[str, Value]]:
    yield names.OPERATION, _operation(call.dialect)
    yield names.PROVIDER, names.OURSELVES
    yield names.REQUEST_MODEL, call.model[:LONGEST_NAME]
    yield names.REQUEST_STREAM, call.stream
    yield names.REQUEST_ID, call.id
    yield names.DIALECT, call.dialect
    if call.session:
        yield names.CONVERSATION, call.session
    if call.max_output_tokens is not None:
        yield names.REQUEST_MAX_TOKENS, call.max_output_tokens
    if call.temperature is not None:
        yield names.REQUEST_TEMPERATURE, float(call.temperature)
    if call.top_p is not None:
        yield names.REQUEST_TOP_P, float(call.top_p)


def _answered(reply: Reply) -> Iterator[tuple[str, Value]]:
    route, receipt = reply.route, reply.receipt
    yield names.RESPONSE_MODEL, reply.attempt.model.name
    yield names.TIER, route.tier.value
    yield names.REASON, route.reason
    yield names.POLICY, route.policy
    if route.confidence is not None:
        yield names.CONFIDENCE, route.confidence
    if reply.finish is not None:
        yield names.FINISH_REASONS, (reply.finish,)
    if reply.usage is not None:
        yield from _tokens(reply.usage)
    if reply.cached is not None:
        yield names.CACHE, reply.cached.state
    if receipt is not None:
        yield names.ATTEMPTS, len(receipt.attempts)
        yield names.COST, receipt.cost_nanousd
        if receipt.baseline_model is not None and receipt.baseline_cost_nanousd is not None:
            yield names.BASELINE, receipt.baseline_model
            yield names.BASELINE_COST, receipt.baseline_cost_nanousd


def _sent(attempt: Attempt) -> Iterator[tuple[str, Value]]:
    deployment = attempt.deployment
    host, port = _server(deployment.base_url)
    yield names.OPERATION, _operation(attempt.call.dialect)
    yield names.PROVIDER, names.PROVIDERS.get(deployment.provider, deployment.provider)
    yield names.REQUEST_MODEL, deployment.upstream_model
    yield names.REQUEST_STREAM, attempt.call.stream
    if host:
        yield names.SERVER_ADDRESS, host
        yield names.SERVER_PORT, port
    yield names.DEPLOYMENT, deployment.id
    yield names.ATTEMPT_ID, attempt.id
    yield names.ATTEMPT_NUMBER, attempt.number
    yield names.CAUSE, attempt.cause.value


def _received(reply: Reply) -> Iterator[tuple[str, Value]]:
    if reply.served_model:
        yield names.RESPONSE_MODEL, reply.served_model
    if reply.provider_id:
        yield names.RESPONSE_ID, reply.provider_id
    if reply.finish is not None:
        yield names.FINISH_REASONS, (reply.finish,)
    if reply.attempt.call.stream:
        yield names.TIME_TO_FIRST_CHUNK, reply.first_wait_s
    if reply.usage is not None:
        yield from _tokens(reply.usage)


def _tokens(usage: Usage) -> Iterator[tuple[str, Value]]:
    """The conventions count what was cached, and what was only thought, in the whole as well."""
    yield names.INPUT_TOKENS, usage.input_total
    yield names.OUTPUT_TOKENS, usage.output_total
    if cached := usage.cache_read + usage.audio_cache_read:
        yield names.CACHE_READ_TOKENS, cached
    if written := usage.cache_write + usage.cache_write_1h:
        yield names.CACHE_WRITE_TOKENS, written
    if usage.reasoning:
        yield names.REASONING_TOKENS, usage.reasoning


@lru_cache(maxsize=1000)
def _server(base_url: str) -> tuple[str, int]:
    """Host and port; an empty host for the simulator."""
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
