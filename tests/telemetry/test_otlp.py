from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from routewright.telemetry.otlp import Kind, Span, encode_request, encode_span
from routewright.trace import SpanContext

CONTEXT = SpanContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True, state="a=1")
SPAN = Span(
    context=CONTEXT,
    parent_id="00f067aa0ba902b8",
    name="chat gpt-5.5",
    kind=Kind.CLIENT,
    start_ns=1_800_000_000_000_000_001,
    end_ns=1_800_000_001_000_000_000,
    attributes=[
        ("text", "naïve “words” \ud800" + "x" * 200),
        ("is", True),
        ("is_not", False),
        ("number", 300),
        ("below", -7),
        ("share", 0.25),
        ("list", ("stop", "länge")),
    ],
    is_error=True,
)


def test_the_official_library_reads_what_was_written() -> None:
    last = Span(context=CONTEXT, parent_id="", name="", kind=Kind.SERVER, start_ns=0, end_ns=2**64 - 1, attributes=[])
    body = encode_request({"service.name": "routewright"}, "scope", "1.2", [encode_span(SPAN), encode_span(last)])
    [told] = ExportTraceServiceRequest.FromString(body).resource_spans
    [named] = told.resource.attributes
    assert (named.key, named.value.string_value) == ("service.name", "routewright")
    [scope] = told.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("scope", "1.2")
    first, second = scope.spans
    assert first.trace_id.hex() == CONTEXT.trace_id
    assert first.span_id.hex() == CONTEXT.span_id
    assert first.parent_span_id.hex() == "00f067aa0ba902b8"
    assert (first.trace_state, first.name, first.kind, first.flags) == ("a=1", "chat gpt-5.5", 3, 1)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (SPAN.start_ns, SPAN.end_ns)
    assert first.status.code == first.status.STATUS_CODE_ERROR
    values = {each.key: each.value for each in first.attributes}
    assert values["text"].string_value == "naïve “words” ?" + "x" * 200
    assert (values["is"].bool_value, values["is_not"].bool_value) == (True, False)
    assert values["is_not"].WhichOneof("value") == "bool_value"
    assert (values["number"].int_value, values["below"].int_value) == (300, -7)
    assert values["share"].double_value == 0.25
    assert [each.string_value for each in values["list"].array_value.values] == ["stop", "länge"]
    assert (second.parent_span_id, second.kind, second.end_time_unix_nano) == (b"", 2, 2**64 - 1)
    assert second.status.code == second.status.STATUS_CODE_UNSET
