"""`routewright drift`: what models are watched for, how it stands beside the reference, and which alarms there are."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click
from msgspec import Struct

from routewright.cli.failures import NotRecorded
from routewright.cli.opening import database_of, settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.decision.drift import Alarm, Quantity, Stream
from routewright.jobs.drift_news import minute, name_of, shown
from routewright.ledger.drift import DriftBook, Key
from routewright.settings.schema import DriftSettings
from routewright.stores import open_database
from routewright.text import one_line

_COLUMNS = (
    Column("model"),
    Column("stream"),
    Column("reference", is_number=True),
    Column("now", is_number=True),
    Column("95 % sure"),
    Column("evidence", is_number=True),
    Column("state"),
)


class Told(Struct, frozen=True, kw_only=True):
    """One stream, as it is shown; means in the quantity's own unit, of rates the share that went badly."""

    model: str
    stream: Quantity
    family: str
    reference: float
    reference_values: int
    pinned_at_ns: int | None
    """None while the reference is not complete; then nothing is watched yet."""
    now: float
    low: float
    high: float
    """Where the true one is, 95 % sure."""
    evidence: float
    """An alarm is raised at 1, unless the change is too small to matter."""
    alarm: Alarm | None


@click.group("drift", short_help="See whether models are still what they were.", invoke_without_command=True)
@json_option
@settings_options
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None, flags: Mapping[str, str]) -> None:
    """See whether models are still what they were.

    For each stream: its reference, the latest 200 values with the interval in which the true mean is, the evidence for
    a change (an alarm is raised at 1, unless the change is too small to matter), and since when there is an alarm. A
    running gateway takes in what is new once a minute.
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = settings_of(config, flags)
    with database_of(settings) as database:
        streams = DriftBook(database).streams() if database else {}
    told = [_told(key, stream) for key, stream in streams.items()]
    if as_json:
        print_json(told)
    elif told:
        print_table(_COLUMNS, [_row(each, settings.drift) for each in told])
    else:
        say("nothing is watched yet: a gateway (`routewright serve`) begins it with what it answers")


@command.command("pin")
@click.argument("model")
@settings_options
def pin(model: str, config: Path | None, flags: Mapping[str, str]) -> None:
    """Take what MODEL does from now on as its reference: its alarms end, and it is watched when that is complete."""
    settings = settings_of(config, flags)
    with database_of(settings) as database:
        known = {key.model for key in DriftBook(database).standing()} if database else set()
    if model not in known:
        raise NotRecorded(f"{one_line(model)!r} is not watched", hint="`routewright drift` lists the models that are")
    with closing(open_database(settings)) as writable:
        count = DriftBook(writable).pin(model)
    say(f"{one_line(model)}: {count} streams begin a new reference of {settings.drift.reference:,} values each")


def _told(key: Key, stream: Stream) -> Told:
    alarm, now = stream.alarm, stream.now
    low, high = now.interval(is_rate=key.quantity.is_rate)
    return Told(
        model=key.model,
        stream=key.quantity,
        family=key.family,
        reference=stream.reference.mean,
        reference_values=stream.reference.n,
        pinned_at_ns=stream.pinned_at_ns,
        now=now.mean,
        low=low,
        high=high,
        evidence=stream.evidence,
        alarm=alarm,
    )


def _row(told: Told, settings: DriftSettings) -> tuple[str, ...]:
    name = name_of(Key(told.model, told.stream, told.family))
    reference = shown(told.stream, told.reference) if told.reference_values else "–"
    if told.pinned_at_ns is None:
        state = f"reference: {told.reference_values:,} of {settings.reference:,}"
        return one_line(told.model), name, reference, "–", "–", "–", state
    ends = [shown(told.stream, end) for end in (told.low, told.high)]
    if told.stream is Quantity.SUCCESS:  # told the other way round than it is counted
        ends.reverse()
    return (
        one_line(told.model),
        name,
        reference,
        shown(told.stream, told.now),
        f"{ends[0]} – {ends[1]}",
        f"{told.evidence:.2g}",
        f"alarm since {minute(told.alarm.since_ns)}" if told.alarm else "stable",
    )
