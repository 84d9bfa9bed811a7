"""Traces of a real gateway, as a real collector gets them: over HTTP, read by OpenTelemetry's own library."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Exchange
from lab import Lab, lab, model
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from routewright.cli.logs import JsonLines

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OTLP receiver on a socket."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.heads: list[str] = []
        self.body = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [size] = [int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await reader.readexactly(size)
        self.heads.append(head)
        self.body += body
        if self.status == 200:
            for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services |= {each.value.string_value for each in told.resource.attributes}
                self.spans += [span for scope in told.scope_spans for span in scope.spans]
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.status)
        await writer.drain()
        writer.close()

    def by_kind(self, kind: int) -> list[Span]:
        return [span for span in self.spans if span.kind == kind]

    @property
    def gateway(self) -> Span:
        """The one span of the one request."""
        [span] = self.by_kind(Span.SPAN_KIND_SERVER)
        return span

    @property
    def attempts(self) -> list[Span]:
        """In the order in which they began."""
        return sorted(self.by_kind(Span.SPAN_KIND_CLIENT), key=lambda span: span.start_time_unix_nano)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector, "127.0.0.1", 0)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()
        await server.wait_closed()


def telemetry(collector: Collector, more: str = "") -> str:
    return f'[telemetry]\nendpoint = "http://127.0.0.1:{collector.port}"\nservice_name = "lab-gateway"\n{more}\n'


def told(span: Span) -> dict[str, Any]:
    """Its attributes."""
    values = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind or "")
        values[each.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return values


async def flush(it: Lab) -> None:
    await it.runtime.engine.end_traces()


async def fails(exchange: Exchange) -> None:
    await exchange.refuse(500)


async def fails_once(exchange: Exchange) -> None:
    if exchange.upstream.reached(exchange.model) == 1:
        await exchange.refuse(500)
    else:
        await exchange.answer_well()


async def test_a_request_has_one_span_and_each_attempt_has_a_child(tmp_path: Path) -> None:
    headers: list[dict[str, str]] = []

    async def noted(exchange: Exchange) -> None:
        headers.append(exchange.headers)
        await fails_once(exchange)

    async with collecting() as collector:
        faults = {"shaky": noted}
        async with lab(tmp_path, model("shaky"), faults=faults, settings=telemetry(collector)) as it:
            seen = await it.ask(
                "shaky",
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1", "x-session-id": "s-1"},
            )
            assert seen.is_complete
            assert it.upstream.reached("shaky") == 2
            await flush(it)
            metrics = await it.get("/metrics")
    gateway, (first, second) = collector.gateway, collector.attempts
    assert {each.trace_id.hex() for each in collector.spans} == {TRACE}
    assert gateway.parent_span_id.hex() == PARENT
    assert {first.parent_span_id, second.parent_span_id} == {gateway.span_id}
    assert len({each.span_id for each in collector.spans}) == 3
    sent = [each["traceparent"] for each in headers]
    assert sent == [f"00-{TRACE}-{each.span_id.hex()}-01" for each in (first, second)]
    assert {each["tracestate"] for each in headers} == {"vendor=1"}

    assert (gateway.name, first.name) == ("chat shaky", "chat shaky")
    asked, failed, answered = told(gateway), told(first), told(second)
    assert asked["gen_ai.operation.name"] == "chat"
    assert asked["gen_ai.provider.name"] == "routewright"
    assert asked["gen_ai.request.model"] == asked["gen_ai.response.model"] == "shaky"
    assert asked["gen_ai.conversation.id"] not in ("", "s-1"), "hashed"
    assert asked["routewright.request.id"] == seen.headers["x-routewright-request-id"]
    assert (asked["routewright.attempts"], asked["routewright.tier"]) == (2, "standard")
    assert asked["routewright.cost_nanousd"] > 0
    assert answered["gen_ai.usage.output_tokens"] == asked["gen_ai.usage.output_tokens"] == 12
    assert answered["gen_ai.usage.input_tokens"] > 0
    assert answered["gen_ai.response.finish_reasons"] == ["stop"]
    assert (answered["gen_ai.provider.name"], answered["server.address"]) == ("mock", "127.0.0.1")
    assert 0 < answered["gen_ai.response.time_to_first_chunk"] < 5
    assert (failed["routewright.attempt.cause"], answered["routewright.attempt.cause"]) == ("first", "retry")
    assert failed["error.type"] == "upstream_failed"
    assert "gen_ai.usage.output_tokens" not in failed
    assert first.status.code == 2
    assert gateway.status.code == second.status.code == 0
    assert gateway.start_time_unix_nano <= first.start_time_unix_nano < second.end_time_unix_nano
    assert "lab-gateway" in collector.services
    assert b'routewright_trace_spans_total{state="sent"} 3\n' in metrics


async def test_nothing_of_what_is_said_is_in_a_span_unless_opted_in_twice(tmp_path: Path) -> None:
    async def repeats_it(exchange: Exchange) -> None:
        await exchange.refuse(400, message=f"bad words: {exchange.speech.nonce} {exchange.argument}")

    for content, telling in ((True, "log_content = true"), (False, "log_content = true"), (True, "")):
        async with collecting() as collector:
            settings = telemetry(collector, telling) + f"[ledger]\nlog_content = {str(content).lower()}\n"
            folder = tmp_path / f"{content}{telling}"
            folder.mkdir()
            faults = {"picky": repeats_it}
            async with lab(folder, model("picky"), faults=faults, settings=settings) as it:
                kept = await it.ask("ok", "geheim")
                await it.ask("ok", "verborgen", headers={"x-routewright-no-log": "1"})
                await it.ask("picky", "geheim")
                assert it.upstream.reached("picky") == 1
                await flush(it)
            assert len(collector.by_kind(Span.SPAN_KIND_SERVER)) == 3
            assert b"verborgen" not in collector.body
            if not (content and telling):
                assert b"geheim" not in collector.body
                assert b"goes on until" not in collector.body
                continue
            [asked] = [told(each) for each in collector.spans if "gen_ai.input.messages" in told(each)]
            assert f"{kept.nonce} geheim" in asked["gen_ai.input.messages"]
            assert kept.text_due in asked["gen_ai.output.messages"]


async def test_a_trace_that_its_client_does_not_keep_is_passed_on_and_not_sent(tmp_path: Path) -> None:
    headers: list[dict[str, str]] = []

    async def noted(exchange: Exchange) -> None:
        headers.append(exchange.headers)
        await exchange.answer_well()

    async with collecting() as collector:
        faults = {"m": noted}
        async with lab(tmp_path, model("m"), faults=faults, settings=telemetry(collector)) as it:
            await it.ask("m", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
            await flush(it)
    assert collector.spans == []
    [sent] = headers
    assert sent["traceparent"].startswith(f"00-{TRACE}-")
    assert sent["traceparent"].endswith("-00")
    assert PARENT not in sent["traceparent"]


async def test_of_traces_that_begin_here_a_share_is_kept(tmp_path: Path) -> None:
    async with collecting() as collector, lab(tmp_path, settings=telemetry(collector, "sample = 0.0")) as it:
        await it.ask("ok", headers={"traceparent": "nonsense"})
        await flush(it)
        assert collector.spans == []
        await it.ask("ok", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await flush(it)
    assert len(collector.spans) == 2


async def test_a_refused_request_is_a_span_too_and_names_why(tmp_path: Path) -> None:
    async with (
        collecting() as collector,
        lab(tmp_path, model("down"), faults={"down": fails}, settings=telemetry(collector)) as it,
    ):
        assert (await it.ask("no-such-model")).status == 404
        assert (await it.ask("down")).status >= 500
        await flush(it)
    refused, failed = (told(each) for each in collector.by_kind(Span.SPAN_KIND_SERVER))
    assert refused["error.type"] == "model_not_found"
    assert failed["error.type"] == "all_attempts_failed"
    assert {told(each)["error.type"] for each in collector.attempts} == {"upstream_failed"}


@pytest.mark.parametrize("is_there", [True, False], ids=["failing", "absent"])
async def test_a_collector_that_fails_touches_no_request(tmp_path: Path, is_there: bool) -> None:
    async with collecting() as collector:
        collector.status = 400
        settings = telemetry(collector) if is_there else '[telemetry]\nendpoint = "http://127.0.0.1:1"\n'
        async with lab(tmp_path, settings=settings) as it:
            for _ in range(3):
                seen = await it.ask("ok")
                assert seen.is_complete
            await flush(it)
            metrics = await it.get("/metrics")
            assert b'routewright_trace_spans_total{state="failed"} 6\n' in metrics
            await it.audit()
    assert bool(collector.heads) is is_there


async def test_the_log_names_the_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with collecting() as collector:
        settings = telemetry(collector) + "[server]\nlog_requests = true\n"
        async with lab(tmp_path, settings=settings) as it:
            with caplog.at_level(logging.INFO, "routewright.layers.record"):
                await it.ask("ok", "geheim", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    [record] = [record for record in caplog.records if record.name == "routewright.layers.record"]
    line = json.loads(JsonLines().format(record))
    assert line["trace_id"] == TRACE
    assert {"time", "request_id", "model", "tier", "reason", "cost_nanousd"} <= line.keys()
    assert "geheim" not in str(line)


async def test_a_reload_begins_and_ends_it(tmp_path: Path) -> None:
    async with collecting() as collector, lab(tmp_path) as it:
        file = tmp_path / "routewright.toml"
        without = file.read_text()
        counts = []
        for settings in (without, without + telemetry(collector), without):
            file.write_text(settings)
            it.runtime.reload()
            assert it.runtime.engine.settings_error is None
            assert (await it.ask("ok")).is_complete
            await flush(it)
            counts.append(len(collector.spans))
    assert counts == [0, 2, 2]


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    program = (
        "import sys\n"
        "from routewright.testing import FakeClock\n"
        "import routewright.gateway.app, routewright.runtime\n"
        "assert not [name for name in sys.modules if name.startswith(('routewright.telemetry', 'opentelemetry'))]\n"
        "assert 'routewright.layers.trace' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
