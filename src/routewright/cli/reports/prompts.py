"""System prompts by month: which cost what, and which grew.

A prompt that is edited is another prompt, with another hash; what its versions share is how they begin. So growth is
told of all prompts with the same opening together: their tokens per request, this month against the month before.
"""

from routewright.cli.reports.page import MOST_ROWS, cards, figure, page, plain_table, section
from routewright.ledger.prompt_audit import OTHER, Month, Prompt, PromptAudit, month_before
from routewright.reports.charts import Point, columns, curve
from routewright.reports.csv_text import guarded, rows_csv
from routewright.reports.figures import exact_usd, short, short_usd
from routewright.reports.reading import moment
from routewright.text import counted, one_line, percent, usd

MONTHS = ("month", "prompts", "requests", "tokens", "tokens/request", "growth", "cost")
_NAMES = ("prompt", "opening", "begins", "first seen")
PROMPTS = (*_NAMES, "requests", "tokens", "tokens/request", "growth", "cost", "share")
WORDS = len(_NAMES)
"""So many of these columns are texts."""


def growth(tokens: int, requests: int, tokens_before: int, requests_before: int) -> str:
    """By how much the tokens of one request have grown; a word where there is nothing to compare."""
    was, now = tokens_before * requests, tokens * requests_before
    if not was:
        return "new"
    return ("+" if now >= was else "") + percent(now - was, was)


def month_rows(audit: PromptAudit) -> list[tuple[str, ...]]:
    """A row for each month, in the order of `MONTHS`."""
    known = {month.month: month for month in audit.months}
    rows = []
    for month in audit.months:
        before = known.get(month_before(month.month))
        grown = growth(month.tokens, month.requests, *((before.tokens, before.requests) if before else (0, 0)))
        rows.append((month.month, f"{month.prompts:,}", *_figures(month), grown, _cost(month)))
    return rows


def prompt_rows(audit: PromptAudit, most: int) -> list[tuple[str, ...]]:
    """A row for each prompt of the last month, dearest first, in the order of `PROMPTS`; `most` of them."""
    return [
        (
            each.hash,
            each.opening or "–",
            one_line(each.preview) or "–",
            moment(each.first_seen_ns)[:10] if each.first_seen_ns else "–",
            *_figures(each),
            "–" if each.hash == OTHER else growth(each.tokens, each.requests, each.tokens_before, each.requests_before),
            _cost(each),
            percent(each.cost_nanousd, audit.months[-1].cost_nanousd),
        )
        for each in audit.prompts[:most]
    ]


def _figures(of: Month | Prompt) -> tuple[str, ...]:
    return f"{of.requests:,}", f"{of.tokens:,}", f"{of.tokens // of.requests:,}"


def _cost(of: Month | Prompt) -> str:
    return usd(of.cost_nanousd) + (" +?" if of.unpriced else "")


_CSV = (
    "month",
    "hash",
    "opening",
    "preview",
    "characters",
    "first_seen",
    "requests",
    "tokens",
    "cost_usd",
    "unpriced",
    "requests_before",
    "tokens_before",
)


def prompts_csv(audit: PromptAudit) -> str:
    """A row for each prompt of the last month."""
    return rows_csv(
        _CSV,
        [
            (
                audit.months[-1].month,
                each.hash,
                each.opening,
                guarded(each.preview),
                str(each.characters),
                moment(each.first_seen_ns) if each.first_seen_ns else "",
                str(each.requests),
                str(each.tokens),
                f"{exact_usd(each.cost_nanousd):f}",
                str(each.unpriced),
                str(each.requests_before),
                str(each.tokens_before),
            )
            for each in audit.prompts
        ],
    )


def prompts_page(audit: PromptAudit) -> str:
    """The same as a page."""
    if not audit.months:
        return page("System prompts", "", '<p class="empty">No answered request with a system prompt is recorded.</p>')
    months, last = audit.months, audit.months[-1]
    rows = month_rows(audit)
    table = plain_table(PROMPTS, prompt_rows(audit, MOST_ROWS), WORDS)
    body = [
        cards(
            (
                ("Cost of system prompts", _cost(last), f"in {last.month}", ""),
                ("Distinct prompts", f"{last.prompts:,}", f"in {counted(last.requests, 'request')}", ""),
                ("Tokens per request", rows[-1][4], f"{rows[-1][5]} against the month before", ""),
            )
        ),
        _charts(months, plain_table(MONTHS, rows)),
        section(f"{last.month}, dearest first", _said(audit), table),
    ]
    return page("System prompts", f"{months[0].month} to {last.month} (UTC)", "".join(body))


def _charts(months: tuple[Month, ...], twin: str) -> str:
    per_request = curve(
        [Point(month.month, (), month.tokens // month.requests) for month in months],
        title="Tokens per request",
        description=f"Over {counted(len(months), 'month')}.",
        words=short,
    )
    cost = columns(
        [Point(month.month, (month.cost_nanousd,)) for month in months],
        title="Cost by month",
        description=f"Over {counted(len(months), 'month')}.",
        words=short_usd,
        names=["cost"],
    )
    of_all = "Of the system prompt, over all answered requests that have one."
    share = "The system prompt's share of the input, by tokens, of what the input cost."
    both = figure("Tokens per request", of_all, per_request, twin) + figure("Cost by month", share, cost, twin)
    return f'<div class="charts">{both}</div>'


def _said(audit: PromptAudit) -> str:
    said = "Growth is that of all prompts that begin alike, per request, against the month before."
    return f"{said} The first {MOST_ROWS:,} are shown." if len(audit.prompts) > MOST_ROWS else said
