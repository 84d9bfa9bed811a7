"""`routewright shadow`: how other models did beside those that answered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import click

from routewright.cli.ledger import reading, when
from routewright.cli.opening import settings_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.report import since_option, until_option
from routewright.cli.screen import Column, print_json, print_table, say
from routewright.decision.shadow_standing import LEAST_RATED, ShadowStanding, Share, standings
from routewright.ledger.ledger import ComparisonRecorded
from routewright.reports.reading import END_NS
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line, percent, usd

RESULTS = ("win", "loss", "tie", "different", "failed")
EMPTY = "no model was asked beside another in that time: [shadow] in routewright.toml says which"
_STANDINGS = (
    Column("shadow"),
    Column("beside"),
    *(Column(title, is_number=True) for title in ("compared", "same", "wins", "losses", "ties", "preference")),
    *(Column(title, is_number=True) for title in ("cost", "its", "median ms", "its", "judge")),
)
_COMPARISONS = (
    Column("time (UTC)"),
    Column("request"),
    Column("answered"),
    Column("shadow"),
    Column("result"),
    Column("by"),
    Column("cost", is_number=True),
    Column("its", is_number=True),
)


@click.group("shadow", short_help="See how other models did beside those that answered.")
def command() -> None:
    """See how other models did beside those that answered.

    [shadow] in the settings says which models are asked the same, how often, and who judges.
    """


@command.command("report")
@since_option
@until_option
@json_option
@settings_options
def report(
    since_ns: int | None, until_ns: int | None, as_json: bool, config: ConfigPlace | None, flags: Mapping[str, str]
) -> None:
    """Print wins, losses and ties of each shadow, with cost and time side by side.

    Wins are the shadow's. Of what was decided, each share has its 95 % interval.
    """
    since, until = since_ns or 0, END_NS if until_ns is None else until_ns
    with reading(settings_of(config, flags)) as store:
        found = standings(store.comparisons(since, until), store.ratings(since, until)) if store else ()
    if as_json:
        print_json(found)
    elif found:
        print_table(_STANDINGS, [_standing(each) for each in found])
        for line in _notes(found):
            click.echo(line)
    else:
        say(EMPTY)


@command.command("list")
@click.option("--result", type=click.Choice(RESULTS), multiple=True, help="Only these; may be given more than once.")
@click.option("--different", is_flag=True, help="Only where the two do not say the same.")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 100_000), metavar="N", default=20, show_default=True, help="How many."
)
@since_option
@until_option
@json_option
@settings_options
def comparisons(
    result: Sequence[str],
    different: bool,
    lines: int,
    since_ns: int | None,
    until_ns: int | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Print single comparisons, the oldest first, with both answers where content is kept."""
    wanted = result or RESULTS
    with reading(settings_of(config, flags)) as store:
        every = store.comparisons(since_ns or 0, END_NS if until_ns is None else until_ns) if store else iter(())
        found = list(islice(_chosen(every, wanted, only_different=different), lines))
    if as_json:
        print_json(found)
    elif found:
        print_table(_COMPARISONS, [_comparison(each) for each in found])
        _print_answers(found)
    else:
        say(EMPTY)


def _chosen(
    every: Iterator[ComparisonRecorded], wanted: Sequence[str], *, only_different: bool
) -> Iterator[ComparisonRecorded]:
    for each in every:
        if each.result in wanted and not (only_different and (each.is_same or each.result == "failed")):
            yield each


def _standing(its: ShadowStanding) -> tuple[str, ...]:
    preference = "–"
    if its.preference is not None:
        mean, low, high = its.preference
        preference = f"{mean:+.2f} ({low:+.2f} – {high:+.2f})" + ("*" if its.rated >= LEAST_RATED else "")
    return (
        one_line(its.shadow),
        one_line(its.model),
        f"{its.comparisons:,}",
        percent(its.same, its.comparisons),
        *map(_share, (its.wins, its.losses, its.ties)),
        preference,
        usd(its.cost_nanousd),
        usd(its.shadow_cost_nanousd),
        *("–" if value is None else f"{value:,.0f}" for value in (its.median_ms, its.shadow_median_ms)),
        usd(its.judge_cost_nanousd),
    )


def _share(share: Share | None) -> str:
    return "–" if share is None else f"{share.count:,} ({share.low:.0%} – {share.high:.0%})"


def _notes(found: Sequence[ShadowStanding]) -> Iterator[str]:
    for its in found:
        if its.undecided or its.failed:
            yield (
                f"{one_line(its.shadow)} beside {one_line(its.model)}: {its.undecided:,} differ and were not judged, "
                f"{its.failed:,} gave no answer"
            )
    if any(its.rated >= LEAST_RATED for its in found):
        yield "* the judge is corrected by what people said of both answers"


def _comparison(each: ComparisonRecorded) -> tuple[str, ...]:
    return (
        when(each.at_ns),
        one_line(each.request_id),
        one_line(each.model),
        one_line(each.shadow),
        each.result,
        each.decided_by or "–",
        *("no price" if cost is None else usd(cost) for cost in (each.cost_nanousd, each.shadow_cost_nanousd)),
    )


def _print_answers(found: Sequence[ComparisonRecorded]) -> None:
    for each in found:
        if each.answer or each.shadow_answer:
            click.echo(f"\n{one_line(each.request_id)}")
            click.echo(f"  {one_line(each.model)}: {one_line(each.answer)}")
            click.echo(f"  {one_line(each.shadow)}: {one_line(each.shadow_answer)}")
