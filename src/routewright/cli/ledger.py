"""`routewright ledger`: single requests, as they were recorded, and how their answers turned out."""

import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby
from random import Random

import click

from routewright.cli.failures import NotRecorded
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.reconcile import reconcile
from routewright.cli.screen import Column, print_json, print_json_line, print_table, say
from routewright.feedback import check_remarks
from routewright.ids import uuid7
from routewright.ledger.ledger import (
    MOST_TRUSTED_LAST,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Settled,
    encode_event,
)
from routewright.ledger.store import AttemptRecord, OutcomeRow, Store, as_good_as_its_checks
from routewright.money import NANO
from routewright.reports.request_text import facts
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.stores import ledger_file, open_store
from routewright.text import one_line, usd

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


_OPINIONS = {"good": 1.0, "bad": 0.0}


@contextmanager
def reading(settings: Settings) -> Iterator[Store | None]:
    """The store of the ledger, beside whoever writes to it, and unchanged by us; None if there is none yet.

    Raises LedgerUnavailable, StoreUnavailable.
    """
    path = ledger_file(settings)
    if path is not None and not path.exists():
        yield None
        return
    store = open_store(settings, read_only=True)
    try:
        yield store
    finally:
        store.close()


OPERATIONS = {
    "export": "exporting",
    "verify": "verifying",
    "seal": "verifying",
    "prune": "pruning",
    "recover": "recovering",
    "migrate": "migrating",
}
"""The verbs of operators, each a command of that name in a module `ledger_…` beside this one."""


class Verbs(click.Group):
    """The verbs of this module, and those of operators, which are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the help."""
        return [*self.commands, *OPERATIONS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb, unless it is here."""
        if cmd_name not in OPERATIONS:
            return super().get_command(ctx, cmd_name)
        verb: click.Command = getattr(import_module(f"routewright.cli.ledger_{OPERATIONS[cmd_name]}"), cmd_name)
        return verb


@click.group("ledger", cls=Verbs, short_help="Look at single requests; check, export and move the accounts.")
def command() -> None:
    """Look at single requests; check, export and move the accounts.

    The gateway may use it meanwhile, except for `migrate`.
    """


command.add_command(reconcile)


@command.command("tail")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 100_000), metavar="N", default=20, show_default=True, help="How many."
)
@json_option
@settings_options
def tail(lines: int, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
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
def show(request_id: str, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print one request with all its attempts; --json has the whole decision too."""
    with reading(settings_of(config, flags)) as store:
        found = store.request(request_id) if store else None
    if found is None:
        raise _not_recorded(request_id)
    if as_json:
        print_json(found)
        return
    for name, value in facts(found):
        click.echo(f"  {name:<11} {value}")
    click.echo()
    print_table(_ATTEMPTS, [_attempt_row(attempt) for attempt in found.attempts])


def _not_recorded(request_id: str) -> NotRecorded:
    return NotRecorded(
        f"the ledger has no request {one_line(request_id)!r}", hint="`routewright ledger tail` has the latest ones"
    )


def _score(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """`good`, `bad`, or a number from 0 to 1."""
    try:
        score = _OPINIONS[text] if text in _OPINIONS else float(text)
    except ValueError:
        score = -1
    if not 0 <= score <= 1:  # nor is anything that is not a number
        raise click.BadParameter(f"{text!r} is neither good nor bad nor a number from 0 to 1", ctx, param)
    return score


@command.command("feedback")
@click.argument("request_id")
@click.argument("score", metavar="SCORE|good|bad", callback=_score)
@click.option("--comment", metavar="TEXT", default="", help="Why, in your words.")
@click.option(
    "--correction", metavar="TEXT", default="", help="What the answer should have been; needs ledger.log_content."
)
@json_option
@settings_options
def feedback(
    request_id: str,
    score: float,
    comment: str,
    correction: str,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Say how well a request's answer turned out: from 0, useless, to 1; good is 1 and bad is 0.

    Said again, the last word counts.
    """
    settings = settings_of(config, flags)
    check_remarks(comment, correction, keeps_content=settings.ledger.log_content)
    now_ns = time.time_ns()
    outcome = OutcomeRecorded(
        outcome_id=uuid7(now_ns, Random()),
        request_id=request_id,
        at_ns=now_ns,
        source="feedback",
        score=score,
        comment=comment,
        correction=correction,
    )
    with reading(settings) as store:
        if store is None or store.request(request_id) is None:
            raise _not_recorded(request_id)
    # Straight into the store: a journal is for those who cannot wait for it, and this process can.
    with closing(open_store(settings)) as store:
        store.absorb([encode_event(outcome)])
    if as_json:
        print_json({"recorded": True, "outcome_id": outcome.outcome_id})
    else:
        say(f"recorded: {one_line(request_id)} turned out {score:g}")


@command.command("outcomes")
@settings_options
def outcomes(config: ConfigPlace | None, flags: Mapping[str, str]) -> None:
    """Print how answers turned out, as JSON lines: one for each request of which that is known."""
    with reading(settings_of(config, flags)) as store:
        after = ""
        while store and (rows := store.outcomes_by_request(after)):
            for _, its in groupby(rows, key=lambda row: row.request_id):
                print_json_line(as_example(list(its)))
            after = rows[-1].request_id


def as_example(rows: Iterable[OutcomeRow]) -> dict[str, object]:
    """One request's outcomes, in order, as a row to learn from: in `routewright eval`'s columns, without the prompt.

    Of a model's several scores that of the most trusted source stands, and of that source the last one.
    """
    told = sorted(as_good_as_its_checks(rows), key=lambda row: MOST_TRUSTED_LAST.index(row.source))
    verdict = told[-1].verdict
    example: dict[str, object] = {
        "prompt_id": told[-1].request_id,
        "sketch": b64encode(verdict.sketch if verdict else b"").decode(),
        "kinds": {share.kind: share.probability for share in verdict.kinds} if verdict else {},
    }
    for row in told:
        example[f"s:{row.model}"] = row.score
        if row.cost_nanousd is not None:
            example[f"c:{row.model}"] = row.cost_nanousd / NANO
        if row.output_tokens is not None:
            example[f"o:{row.model}"] = row.output_tokens
    return example


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
