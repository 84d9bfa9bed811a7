"""One request of the ledger in words, for whoever looks at it."""

from collections.abc import Iterator

from routewright.ledger.ledger import OutcomeRecorded, RequestRecorded
from routewright.ledger.store import RequestRecord
from routewright.reports.reading import moment
from routewright.text import one_line, usd


def facts(found: RequestRecord) -> Iterator[tuple[str, str]]:
    """What it is, and what there is to say of it."""
    request = found.request
    if request is None:
        yield "request", "not over yet, or its process died: these are its attempts so far"
        return
    yield "request", one_line(request.request_id)
    yield "time (UTC)", moment(request.at_ns)
    yield "asked for", f"{one_line(request.requested_model)} through {request.dialect}"
    yield "decision", one_line(f"{request.tier or '–'}: {request.reason}") + _confidence(request)
    yield "outcome", f"{request.outcome} by {one_line(request.model or 'nobody')} after {request.total_ms:,} ms"
    yield "cost", usd(request.cost_nanousd) + (" at most, estimated" if request.is_estimated else "")
    if request.baseline_cost_nanousd is not None:
        yield "baseline", f"{usd(request.baseline_cost_nanousd)} at {one_line(request.baseline_model or '')}"
    if request.cache:
        saved = request.cache_saved_nanousd
        yield "cache", request.cache + (f": {usd(saved)} when it was made" if saved is not None else "")
    if request.input_parts.total:
        yield "input", _input(request)
    if request.overhead_us is not None:
        yield "overhead", f"{request.overhead_us:,} µs before the first byte was sent"
    if request.tags:
        yield "tags", one_line(", ".join(request.tags))
    for outcome in found.outcomes:
        yield outcome.source, _said(outcome)


def _said(outcome: OutcomeRecorded) -> str:
    of = f" of {one_line(outcome.model)}" if outcome.model else ""
    remarks = [one_line(remark) for remark in (outcome.comment, outcome.correction and f"→ {outcome.correction}")]
    return " · ".join([f"{outcome.score:g}{of}", *filter(None, remarks)])


def _input(request: RequestRecorded) -> str:
    parts = request.input_parts
    told = f"system {parts.system:,} · history {parts.history:,} · tools {parts.tools:,} · user {parts.user:,} tokens"
    return told + (", estimated" if request.input_is_estimated else "")


def _confidence(request: RequestRecorded) -> str:
    return "" if request.confidence is None else f" (confidence {request.confidence:.2f})"
