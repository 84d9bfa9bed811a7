import asyncio
from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from routewright.dialects.wire import WireRequest
from routewright.errors import ConnectFailed, RoutewrightError
from routewright.secret import Secret
from routewright.telemetry.exporter import BATCH_BYTES, GATHER_S, MAX_TRIES, MOST_QUEUED_BYTES, Exporter, Target
from routewright.telemetry.otlp import Kind, Span, encode_span
from routewright.testing import FakeClock, Script, ScriptedResponse, ScriptedTransport
from routewright.trace import SpanContext


def span(number: int, *, name: str = "chat") -> bytes:
    context = SpanContext(f"{1:032x}", f"{number:016x}", is_sampled=True)
    return encode_span(
        Span(context=context, parent_id="", name=name, kind=Kind.SERVER, start_ns=1, end_ns=2, attributes=[])
    )


class Bench:
    """An exporter before a collector that answers by a script."""

    def __init__(self, script: Script) -> None:
        self.collector = ScriptedTransport(script)
        self.counts: Counter[str] = Counter()
        self.exporter = Exporter(self.collector, self.counts)
        self.exporter.target = Target("http://collector:4318", {"x-key": Secret("s3cret")}, "router")

    @property
    def numbers(self) -> list[list[int]]:
        """Which spans came, batch by batch."""
        return [_numbers(request) for request in self.collector.requests]


def _numbers(request: WireRequest) -> list[int]:
    [told] = ExportTraceServiceRequest.FromString(request.body).resource_spans
    return [int(each.span_id.hex(), 16) for each in told.scope_spans[0].spans]


def taken(request: WireRequest) -> ScriptedResponse:
    return ScriptedResponse(200, [])


def test_spans_are_sent_together_aside_with_the_collectors_headers() -> None:
    bench, clock = Bench(taken), FakeClock()

    async def run() -> None:
        for number in (1, 2):
            bench.exporter.add(span(number))
        assert not bench.collector.requests
        await asyncio.sleep(GATHER_S * 1.1)
        bench.exporter.add(span(3))
        await asyncio.sleep(GATHER_S * 1.1)

    clock.run(run())
    assert bench.numbers == [[1, 2], [3]]
    assert bench.counts == {"sent": 3}
    [first, _] = bench.collector.requests
    assert first.url == "http://collector:4318/v1/traces"
    assert first.headers == {"content-type": "application/x-protobuf", "x-key": "s3cret"}


def test_a_full_batch_does_not_wait() -> None:
    bench, clock = Bench(taken), FakeClock()

    async def run() -> None:
        for number in range(1, 4):
            bench.exporter.add(span(number, name="x" * (BATCH_BYTES // 2)))
        await asyncio.sleep(0.01)
        assert bench.numbers == [[1], [2]]
        await bench.exporter.close()

    clock.run(run())
    assert bench.numbers == [[1], [2], [3]]


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    bench, clock = Bench(taken), FakeClock()
    most = MOST_QUEUED_BYTES // len(span(1, name="x" * 100_000))

    async def run() -> None:
        for number in range(most + 5):
            bench.exporter.add(span(number + 1, name="x" * 100_000))
        await bench.exporter.close()

    clock.run(run())
    assert bench.counts == {"sent": most, "dropped": 5}


@pytest.mark.parametrize("trouble", [ScriptedResponse(503, []), ConnectFailed("nobody there"), 60.0])
def test_a_collector_that_is_away_for_a_moment_gets_all_of_it(
    trouble: ScriptedResponse | RoutewrightError | float, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [trouble, trouble, ScriptedResponse(200, [])]
    bench, clock = Bench(lambda _: answers.pop(0)), FakeClock()

    async def run() -> None:
        bench.exporter.add(span(1))
        await asyncio.sleep(60)

    clock.run(run())
    assert bench.numbers == [[1]] * 3
    assert bench.counts == {"sent": 1}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "once when it begins, once when it ends"
    assert "port 4318" in told[0]
    assert "s3cret" not in "".join(told)


def test_a_collector_that_stays_away_costs_the_batch() -> None:
    bench, clock = Bench(lambda _: ScriptedResponse(503, [])), FakeClock()

    async def run() -> None:
        bench.exporter.add(span(1))
        await asyncio.sleep(120)

    clock.run(run())
    assert len(bench.numbers) == MAX_TRIES
    assert bench.counts == {"failed": 1}


def test_what_is_refused_is_not_sent_again() -> None:
    bench, clock = Bench(lambda _: ScriptedResponse(400, [])), FakeClock()

    async def run() -> None:
        bench.exporter.add(span(1))
        await asyncio.sleep(120)

    clock.run(run())
    assert bench.numbers == [[1]]
    assert bench.counts == {"failed": 1}


def test_at_the_end_what_is_left_is_sent_and_a_silent_collector_is_not_waited_for() -> None:
    for answer, counts in ((ScriptedResponse(200, []), {"sent": 2}), (600.0, {"dropped": 2})):
        bench, clock = Bench(lambda _, answer=answer: answer), FakeClock()  # type: ignore[misc]

        async def run(bench: Bench = bench, clock: FakeClock = clock) -> None:
            bench.exporter.add(span(1))
            bench.exporter.add(span(2))
            began = clock.monotonic()
            await bench.exporter.close()
            assert clock.monotonic() - began <= 2

        clock.run(run())
        assert bench.counts == counts


def test_one_that_is_broken_off_at_the_end_is_tried_once_more() -> None:
    answers: list[ScriptedResponse | float] = [9.0, ScriptedResponse(200, [])]
    bench, clock = Bench(lambda _: answers.pop(0)), FakeClock()

    async def run() -> None:
        bench.exporter.add(span(1))
        bench.exporter.add(span(2))
        await asyncio.sleep(GATHER_S + 1)
        assert bench.numbers == [[1, 2]]
        await bench.exporter.close()

    clock.run(run())
    assert bench.numbers == [[1, 2], [1, 2]]
    assert bench.counts == {"sent": 2}


def test_an_address_of_traces_is_taken_as_it_is() -> None:
    assert Target("https://host/otel/v1/traces", {}, "r").url == "https://host/otel/v1/traces"
    assert Target("https://host/otel", {}, "r").url == "https://host/otel/v1/traces"
