"""A backtest as a person reads it: what was done beside what would have been, and what is not known."""

from collections.abc import Sequence

import click

from routewright.backtesting import FEWEST_SCORED, Backtest, Comparison, Line
from routewright.cli.screen import Column, print_table
from routewright.decision.backtest import FEWEST_EFFECTIVE, FEWEST_OF_MODEL, MOST_MISSING, Estimate, Valuation
from routewright.decision.replay import UNREPLAYED
from routewright.ledger.experience import MOST_DECISIONS, Reading
from routewright.reports import backtests
from routewright.text import counted, one_line, usd

_SIDES = (
    Column(""),
    Column("as it was", is_number=True),
    Column("as it would be", is_number=True),
    Column("change", is_number=True),
)
_LINES = (
    Column(""),
    Column("share now", is_number=True),
    Column("then", is_number=True),
    Column("a request then", is_number=True),
    Column("scored", is_number=True),
    Column("score now", is_number=True),
)
_CURVE = (
    Column("policy"),
    Column("cost a request", is_number=True),
    Column("saved", is_number=True),
    Column("quality", is_number=True),
    Column("by"),
    Column("effective", is_number=True),
    Column("same choice", is_number=True),
)
ESTIMATORS = {"direct": "replayed", "dr": "doubly robust", "": "not enough data"}


def kept_of(result: Backtest, at_ns: int) -> backtests.KeptBacktest:
    """What pages show of it: what was done, as the first comparison has it, and every other policy beside it."""
    first = result.comparisons[0]
    done = backtests.BacktestLine(
        name="as it was",
        policy="",
        requests=first.requests,
        cost_nanousd=_kept(first.cost_now),
        quality=_kept(first.quality_now),
    )
    others = [
        backtests.BacktestLine(
            name=each.name,
            policy=each.policy,
            requests=each.requests,
            cost_nanousd=_kept(each.cost.best),
            quality=_kept(each.quality.best if each.quality else None),
            same=each.same,
            by=ESTIMATORS[each.quality.by] if each.quality else "",
        )
        for each in result.comparisons
    ]
    return backtests.KeptBacktest(at_ns=at_ns, decisions=result.decisions, lines=(done, *others))


def _kept(estimate: Estimate | None) -> backtests.Estimate | None:
    return None if estimate is None else backtests.Estimate(estimate.value, estimate.low, estimate.high)


def show(result: Backtest, found: Reading) -> None:
    """All of it on stdout."""
    for number, comparison in enumerate(result.comparisons):
        click.echo(("\n" if number else "") + one_line(comparison.name))
        _compare(comparison)
    if len(result.comparisons) > 1:
        click.echo("\nall of them, the cheapest first")
        by_cost = sorted(result.comparisons, key=lambda each: each.cost.best.value if each.cost.best else 0.0)
        print_table(_CURVE, [_point(each) for each in by_cost])
    click.echo()
    for line in _left_out(result, found):
        click.echo(line)


def _compare(each: Comparison) -> None:
    print_table(_SIDES, _sides(each))
    click.echo()
    print_table(_LINES, [_row(line) for line in each.tiers])
    click.echo()
    print_table(_LINES, [_row(line) for line in each.models])
    click.echo()
    for line in _remarks(each):
        click.echo(one_line(line))


def _sides(each: Comparison) -> list[tuple[str, str, str, str]]:
    cost, quality = each.cost.best, each.quality.best if each.quality else None
    change = each.cost.change
    rows = [
        (
            "cost a request",
            _usd(each.cost_now),
            _usd(cost) if cost else "not known",
            "" if change is None else _share(change, each.cost_now.value),
        )
    ]
    if each.quality_now is not None and each.quality is not None:
        now = _score(each.quality_now)
        rows.append(("quality", now, _score(quality), _score(each.quality.change, sign="+")))
    return rows


def _remarks(each: Comparison) -> list[str]:
    lines = [f"{counted(each.requests, 'request')} replayed; the usual choice stays the same in {each.same:.1%}"]
    if each.quality is None:
        lines.append(
            f"quality: {counted(each.scored, 'outcome')}, {FEWEST_SCORED} are needed; `routewright ledger feedback`, "
            "feedback and checks tell how answers turned out"
        )
    else:
        lines.append(f"quality: {counted(each.scored, 'outcome')}, {_how(each.quality)}")
        lines += _missing(each.quality)
    lines.append(f"cost: {_how(each.cost)}")
    if modelled := each.cost.missing_share:
        lines.append(f"cost: {modelled:.1%} of it is what was expected, corrected by what answers did cost")
    if each.guessed:
        lines.append(
            f"cost: too few answers of {', '.join(each.guessed)}; its price is known, its answers' length is a guess "
            "without an interval"
        )
    lines += [f"not replayed: {counted(number, 'request')}, {reason}" for reason, number in each.unreplayed.items()]
    return lines


def _how(value: Valuation) -> str:
    return (
        f"{ESTIMATORS[value.by]}; direct replay knows {value.direct_share:.1%}, "
        f"effective sample size {value.effective:,.0f}"
    )


def _missing(value: Valuation) -> list[str]:
    lines = [
        f"not enough data on {each.model}: it would be chosen in {each.share:.1%}, and was tried there "
        f"{counted(each.seen, 'time')} (effective {each.effective:g})"
        for each in value.missing
    ]
    if value.missing:
        within = "the interval takes the worst and the best for these" if value.by else "so nothing is said of quality"
        lines.append(
            f"needed: {FEWEST_OF_MODEL:g} effective of a model and {FEWEST_EFFECTIVE:g} of all, or at most "
            f"{MOST_MISSING:.0%} without data; {within}. policy.exploration makes other models be tried"
        )
    return lines


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.name,
        f"{line.now:.1%}",
        f"{line.then:.1%}",
        usd(line.cost_then_nanousd) if line.then else "",
        f"{line.scored:,}",
        "" if line.score_now is None else f"{line.score_now:.3f}",
    )


def _point(each: Comparison) -> tuple[str, ...]:
    quality = each.quality
    return (
        each.name,
        _usd(each.cost.best) if each.cost.best else "not known",
        f"{each.saved:.1%}",
        _score(quality.best if quality else None),
        ESTIMATORS[quality.by if quality else ""],
        f"{quality.effective:,.0f}" if quality else "",
        f"{each.same:.1%}",
    )


def _usd(estimate: Estimate) -> str:
    value, low, high = (usd(round(part)) for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _share(change: Estimate, of: float) -> str:
    if not of:
        return ""
    return f"{change.value / of:+.1%} ({change.low / of:+.1%} to {change.high / of:+.1%})"


def _score(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "not enough data"
    value, low, high = (f"{part:{sign}.3f}" for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _left_out(result: Backtest, found: Reading) -> Sequence[str]:
    lines = []
    if result.agreement is not None:
        lines.append(f"a replay by the present settings makes {result.agreement:.1%} of their own decisions alike")
    if found.unanswered:
        lines.append(f"left out: {counted(found.unanswered, 'request')} that nobody answered")
    if found.cached:
        lines.append(f"left out: {counted(found.cached, 'request')} from the response cache")
    if found.cut:
        lines.append(f"left out: all but the latest {MOST_DECISIONS:,} requests")
    return [*lines, "as it was in each case: " + "; ".join(UNREPLAYED)]
