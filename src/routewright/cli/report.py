"""`routewright report`: what was spent, by what, and what routing saved against a named baseline."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from msgspec import structs

from routewright.cli.failures import NotRecorded
from routewright.cli.ledger import EMPTY, reading, when
from routewright.cli.opening import settings_of, source_of
from routewright.cli.options import json_option, settings_options
from routewright.cli.screen import print_json, say
from routewright.decision.success_rates import Aspect
from routewright.errors import UnpricedModel
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.spending import Dimension
from routewright.reports.reading import END_NS, HOUR_NS, Baseline, Question, Window, read_report, read_table
from routewright.reports.values import Report, with_key_names
from routewright.settings import Settings
from routewright.settings.sources import ConfigPlace
from routewright.text import one_line

if TYPE_CHECKING:
    from routewright.ledger.store import Store

TABLES: tuple[tuple[Dimension, ...], ...] = (("model",), ("tier",), ("day",))
"""What is told when nothing else is asked for."""
CHARTS: tuple[tuple[Dimension, ...], ...] = (("day",), ("model",), ("tier",))

DAY_NS = 24 * 3600 * NANOSECONDS
LOOKED_AT_DAYS = {"hour": 7, "policy": 30}
"""How far back people are told unless they say since when: a year has 8,760 hours, for each key; and what went by which
policy is read from every row."""

_LAST_NS = END_NS // HOUR_NS * HOUR_NS
"""In the year 2262: the last hour that fits into 64 bits, as sums are kept by the hour."""
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def read_since(text: str, now_ns: int) -> int:
    """UTC nanoseconds of `7d`, `24h`, `2w`, or of a day (UTC) like `2026-11-01`; of one that a ledger cannot have, the
    nearest that it can. Raises ValueError."""
    if match := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return max(0, now_ns - int(match[1]) * int(_UNITS[match[2]].total_seconds()) * NANOSECONDS)
    day_ns = int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * NANOSECONDS
    return min(max(0, day_ns), _LAST_NS)


def moment(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """An option that is a time, as UTC nanoseconds; None when it was not said."""
    try:
        return None if text is None else read_since(text, time.time_ns())
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a time like 7d, 24h or 2w nor a day like 2026-11-01", ctx, param
        ) from None


since_option = click.option(
    "--since", "since_ns", metavar="WHEN", callback=moment, help="From then on: 7d, 24h, 2w or 2026-11-01 (UTC)."
)
until_option = click.option(
    "--until", "until_ns", metavar="WHEN", callback=moment, help="Up to then, not including it."
)


def _dimensions(ctx: click.Context, param: click.Parameter, by: tuple[str, ...]) -> tuple[str, ...]:
    if len(by) > 2:
        raise click.BadParameter("give it twice at most, as in --by model --by day", ctx, param)
    if len(set(by)) < len(by):
        raise click.BadParameter(f"{by[0]} is given twice", ctx, param)
    return by


@click.command("report", short_help="What was spent, and what routing saved against the baseline.")
@click.option(
    "--by",
    type=click.Choice(tuple(dict.fromkeys((*get_args(Dimension), *get_args(Aspect))))),
    multiple=True,
    callback=_dimensions,
    help="One table by this, or by two of them; without it, three: by model, tier and day. "
    "Kind, source, check and week go with --quality.",
)
@since_option
@until_option
@click.option("--model", metavar="NAME", help="Only attempts at this model, and requests that it answered.")
@click.option("--team", metavar="NAME", help='Only this team; "" for requests without one.')
@click.option("--key", metavar="ID", help='Only this virtual key; "" for requests without one.')
@click.option("--tag", metavar="TAG", help="Only requests with this tag.")
@click.option(
    "--baseline", metavar="MODEL", help="Compare with this model, at its prices, instead of the recorded one."
)
@click.option("--input", "of_input", is_flag=True, help="Show what the input consists of, instead of the money.")
@click.option("--system-prompts", is_flag=True, help="Show what system prompts cost by month, and which grew.")
@click.option("--quality", "of_quality", is_flag=True, help="Show how often answers turned out well, and how surely.")
@click.option("--view", metavar="NAME", help="Show the cost beside that of a view, kept by prices rerate --save.")
@click.option("--chart", "as_chart", is_flag=True, help="Draw bars, with what it would have cost beside them.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: one table, by model and day unless --by says another.")
@click.option("--html", metavar="FILE", help="Write a page with charts to this file; - for standard output.")
@json_option
@settings_options
def command(
    by: tuple[str, ...],
    since_ns: int | None,
    until_ns: int | None,
    model: str | None,
    team: str | None,
    key: str | None,
    tag: str | None,
    baseline: str | None,
    of_input: bool,
    system_prompts: bool,
    of_quality: bool,
    view: str | None,
    as_chart: bool,
    as_csv: bool,
    html: str | None,
    as_json: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """What was spent, and what routing saved against the baseline.

    Money counts every attempt, also those that failed. A saving compares what answered requests did cost with what the
    same tokens cost at the baseline, less the cost of requests that failed; it may be negative. May be used while the
    gateway serves.
    """
    if as_chart + as_csv + as_json + (html is not None) > 1:
        raise click.UsageError("choose one of --chart, --csv, --json and --html")
    if as_chart and (of_input or system_prompts or view is not None):
        raise click.UsageError("--chart draws money: leave --input, --system-prompts and --view away")
    if of_quality:
        others = (team, key, tag, baseline, of_input or None, system_prompts or None, as_chart or None, view, html)
        if any(other is not None for other in others):
            raise click.UsageError("--quality goes with --by, --since, --until, --model, --csv and --json only")
        with reading(settings_of(config, flags)) as store:
            _tell_quality(store, by, Window.around(since_ns, until_ns), model, as_csv=as_csv, as_json=as_json)
        return
    if since_ns is None and not (as_csv or as_json):
        since_ns = _lately(by, until_ns)
    window = Window.around(since_ns, until_ns)
    wanted: dict[Dimension, str | None] = {"model": model, "team": team, "key": key, "tag": tag}
    only = {dimension: name for dimension, name in wanted.items() if name is not None}
    settings = settings_of(config, flags)
    form = _Form(of_input, as_chart, as_csv, as_json, html)
    if view is not None:
        if by or only or baseline or of_input or system_prompts or as_csv or html:
            raise click.UsageError("--view goes with --since, --until and --json only")
        with reading(settings) as store:
            _tell_view(store, view, window, as_json=as_json)
        return
    if system_prompts:
        if by or only or baseline or of_input:
            raise click.UsageError("--system-prompts goes with --since, --until, --csv, --json and --html only")
        with reading(settings) as store:
            _tell_prompts(store, window, form)
        return
    tables = _tables(_of(by, get_args(Dimension), "needs --quality"), form)
    _require_sums(tables if html is None else (*tables, *TABLES), only)
    question = Question(
        tables=tables,
        window=window,
        only=only,
        baseline=_baseline(baseline, config, flags) if baseline else None,
    )
    with reading(settings) as store:
        is_told = _tell(store, question, form)
    if not is_told:
        _say_empty(settings, question)


def _of(by: Sequence[str], allowed: tuple[Any, ...], otherwise: str) -> tuple[Any, ...]:
    """The same, if all are of these. Raises click.UsageError."""
    for name in by:
        if name not in allowed:
            raise click.UsageError(f"--by {name} {otherwise}")
    return tuple(by)


def _tell_quality(
    store: "Store | None", by: Sequence[str], window: Window, model: str | None, *, as_csv: bool, as_json: bool
) -> None:
    from routewright.cli.reports.success import TABLES, success_tables, tell_success

    aspects: tuple[Aspect, ...] = _of(by, get_args(Aspect), "is told of money, not of quality")
    told = [] if store is None else list(store.told(window.since_ns, window.until_ns))
    chosen = [each for each in told if model is None or each.model == model]
    tables = success_tables(chosen, (aspects or ("model", "week"),) if as_csv else (aspects,) if aspects else TABLES)
    tell_success(tables, as_csv=as_csv, as_json=as_json)


def _lately(by: Sequence[str], until_ns: int | None) -> int | None:
    """When what people look at begins, and say so; None for all there is."""
    for name, days in LOOKED_AT_DAYS.items():
        if name in by:
            say(
                f"by {name}: the last {days} days; --since, like --since 2026-01-01, shows others, "
                "and --csv and --json have all"
            )
            return max(0, (time.time_ns() if until_ns is None else until_ns) - days * DAY_NS)
    return None


class _Form:
    """How it is told."""

    def __init__(self, of_input: bool, as_chart: bool, as_csv: bool, as_json: bool, html: str | None) -> None:
        self.of_input = of_input
        self.as_chart = as_chart
        self.as_csv = as_csv
        self.as_json = as_json
        self.html = html


def _tables(by: tuple[Dimension, ...], form: _Form) -> tuple[tuple[Dimension, ...], ...]:
    if by:
        return (by,)
    if form.as_csv:
        return (("model", "day"),)
    return CHARTS if form.as_chart else TABLES


def _require_sums(tables: Sequence[tuple[Dimension, ...]], only: Mapping[Dimension, str]) -> None:
    """Tags are summed beside one other dimension and time: raises click.UsageError for a table that needs more."""
    for table in tables:
        if "policy" in table and "tag" in (*table, *only):
            raise click.UsageError("tags are not counted by policy: leave one of them out")
        others = sorted({*table, *only} - {"tag", "day", "hour"})
        if "tag" in (*table, *only) and len(others) > 1:
            raise click.UsageError(
                f"tags are counted beside one other dimension, not beside {' and '.join(others)}: "
                "leave one of them out, or ask for a table by day, as in --by day --tag nightly --team search"
            )


def _baseline(name: str, config: ConfigPlace | None, flags: Mapping[str, str]) -> Baseline:
    """What answers cost at a model. Raises ModelNotFound, UnpricedModel."""
    _, registry = source_of(config, flags).load()
    model = registry.resolve(name)
    if model.prices is None:
        raise UnpricedModel(
            f"{name} has no price to compare with", hint=f'add [models."{name}".price] to routewright.toml'
        )
    return Baseline(name, model.prices)


def _tell(store: "Store | None", question: Question, form: _Form) -> bool:
    """Tell the report; False if there is nothing in it and somebody reads along."""
    report = read_report(store, question)
    if form.as_json:
        print_json(report)
    elif form.as_csv:
        from routewright.reports.csv_text import table_csv
        from routewright.reports.values import measures

        click.echo(table_csv(report.tables[0], measures(report.tables[0].by, of_input=form.of_input)), nl=False)
    elif form.html is not None:
        from routewright.cli.reports.spending_page import Overview, report_page

        report = _with_key_names(store, report)
        days, models, tiers = (read_table(store, table, question) for table in (("day",), ("model",), ("tier",)))
        _write(report_page(report, Overview(days, models, tiers), of_input=form.of_input), form.html)
    elif report.totals.attempts + report.totals.requests:
        report = _with_key_names(store, report)
        if form.as_chart:
            from routewright.cli.reports.chart_text import print_charts

            print_charts(report)
        else:
            from routewright.cli.reports.screen_text import print_report

            print_report(report, of_input=form.of_input)
    else:
        return False
    return True


def _with_key_names(store: "Store | None", report: Report) -> Report:
    """For people; programs know keys by their ids."""
    if store is None or not any("key" in table.by for table in report.tables):
        return report
    from routewright.access.keyring import key_names

    names = key_names(store.database)
    return structs.replace(report, tables=tuple(with_key_names(table, names) for table in report.tables))


def _tell_prompts(store: "Store | None", window: Window, form: _Form) -> None:
    from routewright.cli.reports import prompts
    from routewright.ledger.prompt_audit import PromptAudit

    since, until = when(window.since_ns)[:7], "9999-12"
    if window.until_ns != END_NS:
        until = when(max(0, window.until_ns - 1))[:7]
    audit = store.prompt_audit(since, until) if store else PromptAudit(months=(), prompts=())
    if form.as_json:
        print_json(audit)
    elif form.as_csv:
        click.echo(prompts.prompts_csv(audit), nl=False)
    elif form.html is not None:
        _write(prompts.prompts_page(audit), form.html)
    elif audit.months:
        from routewright.cli.reports.screen_text import print_prompts

        print_prompts(audit)
    else:
        say("no answered request with a system prompt is recorded for this time")


def _tell_view(store: "Store | None", name: str, window: Window, *, as_json: bool) -> None:
    """Raises NotRecorded."""
    from routewright.cli.reports.rerated import print_beside
    from routewright.ledger.rerating import beside

    found = beside(store.database, name, window.since_ns, window.until_ns) if store else None
    if found is None:
        raise NotRecorded(f"there is no view {one_line(name)!r}", hint="`routewright prices rerate --list`")
    if as_json:
        total, lines = found.rerating.total, found.rerating.lines
        print_json({"view": found.view, "total": total, "lines": lines, "missing": found.missing})
    elif found.rerating.lines:
        print_beside(found)
    else:
        say("no attempt is settled in that time")


def _write(page: str, path: str) -> None:
    """Write a page. Raises click.FileError."""
    if path == "-":
        click.echo(page, nl=False)
        return
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise click.FileError(path, hint=error.strerror) from error
    say(f"written: {path}")


def _say_empty(settings: Settings, question: Question) -> None:
    window = question.window
    of = " and ".join(f"{dimension} {one_line(name) or '(none)'}" for dimension, name in question.only.items())
    if of or window != Window():
        since = f" since {when(window.since_ns)} UTC" if window.since_ns else ""
        until = f" until {when(window.until_ns)} UTC" if window.until_ns != END_NS else ""
        say(
            f"the ledger has nothing{f' of {of}' if of else ''}{since}{until}; "
            "`routewright report` without options looks at all of it"
        )
    else:
        say(f"{EMPTY} (looked in {settings.ledger.database_url or settings.ledger.path})")
