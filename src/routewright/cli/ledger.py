"""`routewright ledger`: single requests, as they were recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from routewright.cli.failures import NotRecorded
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.cli.text import one_line, usd
from routewright.ledger.ledger import Released, RequestRecorded, Settled
from routewright.ledger.sqlite import AttemptRecord, RequestRecord, SqliteStore
from routewright.settings import Settings

EMPTY = "the ledger is empty: ask something first, as in `routewright ask --simulate hello`"

_REQUESTS = (
    Column("time (UTC)"),
    Column("request"),
    Column("tier"),
    Column("model"),
    Column("outcome"),
    Column("attempts", is_number=True),
    Column("ms", is_number=True),
    Column("cost", is_number=True),
)
_ATTEMPTS = (
    Column("attempt"),
    Column("cause"),
    Column("deployment"),
    Column("outcome"),
    Column("first ms", is_number=True),
    Column("ms", is_number=True),
    Column("in", is_number=True),
    Column("out", is_number=True),
    Column("cost", is_number=True),
    Column("held", is_number=True),
)


@contextmanager
def reading(settings: Settings) -> Iterator[SqliteStore | None]:
    """The store of the ledger, beside whoever writes to it; None if there is none yet. Raises LedgerUnavailable."""
    path = settings.ledger.path / "ledger.db"
    if not path.exists():
        yield None
        return
    store = SqliteStore(path)
    try:
        yield store
    finally:
        store.close()


@click.group("ledger", short_help="Look at single requests in the ledger.")
def command() -> None:
    """Look at single requests in the ledger.

    The gateway may use it meanwhile.
    """


@command.command("tail")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 100_000), metavar="N", default=20, show_default=True, help="How many."
)
@json_option
@settings_options
def tail(lines: int, as_json: bool, config: Path | None, flags: Mapping[str, str]) -> None:
    """Print the latest requests, the newest last."""
    with reading(settings_of(config, flags)) as store:
        latest = store.tail(lines)[::-1] if store else []
    if as_json:
        print_json(latest)
    elif latest:
        print_table(_REQUESTS, [_request_row(request) for request in latest])
    else:
        say(EMPTY)


@command.command("show")
@click.argument("request_id")
@json_option
@settings_options
def show(request_id: str, as_json: bool, config: Path | None, flags: Mapping[str, str]) -> None:
    """Print one request with all its attempts; --json has the whole decision too."""
    with reading(settings_of(config, flags)) as store:
        found = store.request(request_id) if store else None
    if found is None:
        raise NotRecorded(
            f"the ledger has no request {one_line(request_id)!r}", hint="`routewright ledger tail` has the latest ones"
        )
    if as_json:
        print_json(found)
        return
    for name, value in _facts(found):
        click.echo(f"  {name:<11} {value}")
    click.echo()
    print_table(_ATTEMPTS, [_attempt_row(attempt) for attempt in found.attempts])


def _facts(found: RequestRecord) -> Iterator[tuple[str, str]]:
    request = found.request
    if request is None:
        yield "request", "not over yet, or its process died: these are its attempts so far"
        return
    yield "request", one_line(request.request_id)
    yield "time (UTC)", when(request.at_ns)
    yield "asked for", f"{one_line(request.requested_model)} through {request.dialect}"
    yield "decision", one_line(f"{request.tier or '–'}: {request.reason}") + _confidence(request)
    yield "outcome", f"{request.outcome} by {one_line(request.model or 'nobody')} after {request.total_ms:,} ms"
    yield "cost", usd(request.cost_nanousd) + (" at most, estimated" if request.is_estimated else "")
    if request.baseline_cost_nanousd is not None:
        yield "baseline", f"{usd(request.baseline_cost_nanousd)} at {one_line(request.baseline_model or '')}"
    if request.overhead_us is not None:
        yield "overhead", f"{request.overhead_us:,} µs before the first byte was sent"
    if request.tags:
        yield "tags", one_line(", ".join(request.tags))


def _confidence(request: RequestRecorded) -> str:
    return "" if request.confidence is None else f" (confidence {request.confidence:.2f})"


def _request_row(request: RequestRecorded) -> tuple[str, ...]:
    return (
        when(request.at_ns),
        one_line(request.request_id),
        request.tier or "–",
        one_line(request.model or "–"),
        request.outcome,
        str(request.attempts),
        f"{request.total_ms:,}",
        ("≤ " if request.is_estimated else "") + usd(request.cost_nanousd),
    )


def _attempt_row(attempt: AttemptRecord) -> tuple[str, ...]:
    hold, close = attempt.hold, attempt.close
    named = close or hold
    if named is None:
        return ()
    held = "–" if hold is None or hold.amount_nanousd is None else usd(hold.amount_nanousd)
    start = (one_line(named.attempt_id), named.cause, one_line(named.deployment))
    if isinstance(close, Settled):
        cost = "no price" if close.cost_nanousd is None else usd(close.cost_nanousd)
        first = "–" if close.first_event_ms is None else f"{close.first_event_ms:,}"
        tokens = (f"{close.usage.input_total:,}", f"{close.usage.output_total:,}")
        mark = "≤ " if close.is_estimated else ""
        return (*start, close.outcome, first, f"{close.total_ms:,}", *tokens, mark + cost, held)
    if isinstance(close, Released):
        return (*start, close.outcome, "–", f"{close.total_ms:,}", "0", "0", usd(0), held)
    return (*start, "open", "–", "–", "–", "–", "–", held)


def when(at_ns: int) -> str:
    """A moment to the second, in UTC."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
