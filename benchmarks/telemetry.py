"""What metrics and traces cost: `python benchmarks/telemetry.py`.

CPU microseconds of a value noted in a histogram, and of a span, begun, ended and encoded: ours by its layers with what
a request has, and OpenTelemetry's, where `opentelemetry-sdk` and `opentelemetry-exporter-otlp-proto-http` are
installed. The best of the rounds is shown.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from routewright.call import Attempt, Call, Cause, Message, Routed, Text
from routewright.catalog.registry import Deployment, Model, Tier
from routewright.clock import SystemClock
from routewright.dialects.wire import WireRequest
from routewright.layers.histogram import SECONDS, Histogram
from routewright.layers.trace import TraceAttempt, TraceCall
from routewright.reply import Event, Receipt, Reply, Taker
from routewright.route import Candidate, Route
from routewright.telemetry.exporter import Exporter, Target
from routewright.telemetry.tracer import Tracer
from routewright.testing import ScriptedResponse, ScriptedTransport
from routewright.usage import Usage

ROUNDS = 5
REQUESTS = 10_000
ASKED = {f"routewright.asked.{number}": "a value of usual length" for number in range(8)}
ANSWERED = {f"gen_ai.usage.{number}": 100 + number for number in range(6)}

PLACE = Deployment(
    id="acme/swift",
    provider="acme",
    dialect="openai_chat",
    base_url="https://api.acme.example/v1",
    upstream_model="swift-2",
)
MODEL = Model(
    name="swift", tier=Tier.BULK, context_window=8000, max_output_tokens=4000, prices=None, deployments=(PLACE,)
)
ROUTE = Route(
    verdict=None,
    tier=Tier.BULK,
    reason="asked for by name",
    written=(Candidate(model="swift", tier=Tier.BULK, is_eligible=True, reason="named", expected_cost_nanousd=None),),
    input_tokens=100,
    output_tokens=200,
    catalog="c",
    classifier=None,
    policy="default@1",
)
CALL = Call(id="0199", dialect="openai_chat", model="auto", messages=(Message("user", (Text("Hi"),)),), body={})
RECEIPT = Receipt(cost_nanousd=1000, is_estimated=False, attempts=())


class _Nothing:
    async def relay(self, take: Taker) -> bool:
        return True

    def abort(self) -> None:
        pass


async def leaf(attempt: Attempt) -> Reply:
    """An answer that is there at once."""
    event = Event(text="Hi", finish="stop", usage=Usage(input=100, output=200), model="swift-2", provider_id="cmpl-1")
    reply = Reply(attempt, _Nothing(), (event,))
    reply.receipt = RECEIPT
    return reply


def _attempt(call: Call) -> Attempt:
    return Attempt(
        id="0199",
        routed=Routed(call, ROUTE),
        model=MODEL,
        deployment=PLACE,
        number=1,
        cause=Cause.FIRST,
        is_last_model=True,
    )


async def plain(call: Call) -> Reply:
    """Without traces."""
    return await leaf(_attempt(call))


def _taken(request: WireRequest) -> ScriptedResponse:
    return ScriptedResponse(200, [])


def traced(exporter: Exporter) -> Callable[[Call], Awaitable[Reply]]:
    """The same below both layers."""
    tracer = Tracer(exporter, SystemClock(), Random(), share=1.0)
    of_call, of_attempt = TraceCall(tracer), TraceAttempt(tracer)

    async def inner(call: Call) -> Reply:
        return await of_attempt(_attempt(call), leaf)

    return lambda call: of_call(call, inner)


async def request_us(ask: Callable[[Call], Awaitable[Reply]]) -> float:
    """CPU of one request, read to its end."""
    began = time.process_time()
    for _ in range(REQUESTS):
        await (await ask(CALL)).read()
    return (time.process_time() - began) / REQUESTS * 1e6


async def span_us() -> float:
    """Of a span of ours, what it takes to put it into a batch included."""
    best = []
    for _ in range(ROUNDS):
        counts: Counter[str] = Counter()
        exporter = Exporter(ScriptedTransport(_taken), counts)
        exporter.target = Target("http://collector", {}, "benchmark")
        best.append((await request_us(traced(exporter)) - await request_us(plain)) / 2)
        await exporter.close()
        assert counts["sent"] + counts["dropped"] == 2 * REQUESTS
    return min(best)


def note_us() -> float:
    """Of a value in a histogram."""
    histogram, best = Histogram(SECONDS), []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            histogram.note("swift", 0.3)
        best.append((time.process_time() - began) / REQUESTS * 1e6)
    return min(best)


def main() -> None:
    """Measure, and print."""
    print(f"a value in a histogram {note_us():6.2f} µs")
    print(f"a span, ours           {asyncio.run(span_us()):6.1f} µs")
    try:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
    except ImportError:
        print("a span, OpenTelemetry's: opentelemetry-sdk is not installed")
        return

    class Encoded:
        """Sends nothing."""

        def export(self, spans: object) -> object:
            """Only encode them."""
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            """Nothing is open."""

    best = []
    for _ in range(ROUNDS):
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Encoded(), max_queue_size=2 * REQUESTS))
        tracer = provider.get_tracer("benchmark")
        began = time.process_time()
        for _ in range(REQUESTS):
            span = tracer.start_span("chat swift", attributes=ASKED)
            span.set_attributes(ANSWERED)
            span.end()
        provider.force_flush()
        best.append((time.process_time() - began) / REQUESTS * 1e6)
        provider.shutdown()
    print(f"a span, OpenTelemetry's {min(best):5.1f} µs")


if __name__ == "__main__":
    main()
