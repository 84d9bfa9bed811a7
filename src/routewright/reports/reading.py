"""From the ledger to a report: which sums are asked for, what is left in, and another baseline's prices."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from routewright.call import Cause
from routewright.catalog.pricing import PriceSchedule, cost_nanousd
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.spending import Dimension, Sums
from routewright.ledger.store import Store
from routewright.reports.values import Line, Report, Table, merged, saving_of, together
from routewright.text import counted
from routewright.usage import Usage

HOUR_NS = 3600 * NANOSECONDS
END_NS = 2**63 - 1


class Window(Struct, frozen=True):
    """From `since_ns` up to, not including, `until_ns`: UTC nanoseconds since 1970, whole hours."""

    since_ns: int = 0
    until_ns: int = END_NS

    @classmethod
    def around(cls, since_ns: int | None, until_ns: int | None) -> "Window":
        """The whole hours around a time: finer sums are not kept."""
        start = (since_ns or 0) // HOUR_NS * HOUR_NS
        return cls(start, END_NS if until_ns is None else -(-until_ns // HOUR_NS) * HOUR_NS)


class Baseline(Struct, frozen=True):
    """Another model to compare with than the recorded one, and its prices."""

    name: str
    prices: PriceSchedule

    @property
    def changes_by_hour(self) -> bool:
        """It costs more at some times of the day than at others."""
        return any(price.second_of_day for price in self.prices.prices)

    @property
    def changes_by_length(self) -> bool:
        """It costs more for a long input, which sums do not tell of."""
        return any(price.above_tokens >= 0 for price in self.prices.prices)


class Question(Struct, frozen=True, kw_only=True):
    """What a report is to tell."""

    tables: Sequence[tuple[Dimension, ...]]
    window: Window = Window()
    only: Mapping[Dimension, str] = {}
    """What a request must be of to be left in, by dimension; an empty text for what has no name."""
    baseline: Baseline | None = None


def read_report(store: Store | None, question: Question) -> Report:
    """The report. Without a ledger, an empty one."""
    whole = read_table(store, (), question)
    window, baseline = question.window, question.baseline
    if baseline is not None:
        baselines = [baseline.name]
    else:
        baselines = store.baselines(window.since_ns, window.until_ns) if store and whole.total.compared else []
    return Report(
        since=moment(window.since_ns) if window.since_ns else None,
        until=moment(window.until_ns) if window.until_ns != END_NS else None,
        only={str(dimension): name for dimension, name in question.only.items()},
        totals=whole.total,
        saving=saving_of(whole.total, baselines, _shadows(store, question)),
        tables=tuple(read_table(store, by, question) for by in question.tables),
        notes=tuple(_notes(whole.total, question)),
    )


def _shadows(store: Store | None, question: Question) -> int:
    """What was spent to see how other models would do: no request's cost has it, and no key's, team's or tag's."""
    only = question.only
    if store is None or "tag" in only or only.get("key") or only.get("team"):
        return 0
    lines = _asked(store, ("cause",), replace(question, tables=()))
    return sum(line.sums.cost_nanousd for line in lines if line.keys[0] in (Cause.SHADOW, Cause.COMPARISON))


def read_table(store: Store | None, by: tuple[Dimension, ...], question: Question) -> Table:
    """One table; any dimension can be a filter."""
    lines = _lines(store, by, question)
    if not _overlaps(by, question.only):
        return Table(by, lines, together(lines))
    # With a tag for each of its lines, a request stands in many: the total must be asked for by itself.
    others = replace(question, tables=())
    return Table(by, lines, read_table(store, (), others).total, overlaps=True)


def _overlaps(by: Sequence[Dimension], only: Mapping[Dimension, str]) -> bool:
    return "tag" in by and "tag" not in only


def _lines(store: Store | None, by: tuple[Dimension, ...], question: Question) -> tuple[Line, ...]:
    """In the order of their keys, what is not known last."""
    if store is None:
        return ()
    baseline = question.baseline
    if baseline is None or "cause" in by:
        lines = _asked(store, by, question)
        return merged(lines, range(len(by))) if any(None in line.keys for line in lines) else tuple(lines)
    when: Dimension = "hour" if baseline.changes_by_hour else "day"
    timed = tuple(dict.fromkeys((*by, when)))
    place = timed.index(when)
    lines = [
        Line(line.keys, _priced_at(baseline, line.sums, line.keys[place])) for line in _asked(store, timed, question)
    ]
    return merged(lines, range(len(by)))


def _asked(store: Store, by: tuple[Dimension, ...], question: Question) -> list[Line]:
    window = question.window
    return [Line(keys, sums) for keys, sums in store.sums(by, window.since_ns, window.until_ns, question.only)]


def _priced_at(baseline: Baseline, sums: Sums, time: str | None) -> Sums:
    """The sums of one day or hour, with their answers priced anew."""
    # Noon, where only the day is known: a price that changes in the course of a day is asked for by the hour.
    moment_of = time or "1970-01-01"
    at = datetime.fromisoformat(moment_of if ":" in moment_of else f"{moment_of} 12:00").replace(tzinfo=UTC)
    rates = baseline.prices.rates_at(int(at.timestamp()), 0)
    per_request = cost_nanousd(Usage(), rates)
    would = cost_nanousd(sums.answer_usage, rates) + per_request * (sums.answered - sums.from_cache - 1)
    saved = would - sums.answered_cost_nanousd - sums.failed_cost_nanousd
    return replace(
        sums,
        compared=sums.answered,
        baseline_cost_nanousd=would,
        compared_cost_nanousd=sums.answered_cost_nanousd,
        least_saved_nanousd=saved,
        most_saved_nanousd=saved,
    )


def notes_on_cost(total: Sums) -> Iterable[str]:
    """What a sum of costs does not tell by itself."""
    if total.estimated:
        yield f"≤ {counted(total.estimated, 'attempt')} estimated: the cost is an upper bound"
    if total.unpriced:
        yield f"+? {counted(total.unpriced, 'attempt')} of models without a price: not in the cost, and not free"
    if total.simulated:
        yield (
            f"simulated: {counted(total.simulated, 'attempt')} at the built-in simulator; "
            "no money was spent on these, and their tokens are made up"
        )


def _notes(total: Sums, question: Question) -> Iterable[str]:
    baseline = question.baseline
    yield from notes_on_cost(total)
    if any("tag" in by for by in question.tables) and "tag" not in question.only:
        yield "by tag: a request with several tags is counted under each, one without any is in the total only"
    if any("cause" in by for by in question.tables):
        yield "by cause: attempts have causes, requests do not, so there are no requests and no savings by cause"
    if baseline is None:
        return
    if total.from_cache:
        yield f"not priced anew: {counted(total.from_cache, 'answer')} from the response cache, which took no tokens"
    yield f"{baseline.name} was priced from the tokens of each {'hour' if baseline.changes_by_hour else 'day'} together"
    if baseline.changes_by_length:
        yield f"{baseline.name} costs more for long input, which sums do not tell of: priced as short"
    if total.unsure:
        yield (
            f"of {counted(total.unsure, 'request')} the provider did not report the tokens: "
            "the saving has an interval that is not known for another baseline than the recorded one"
        )


def moment(at_ns: int) -> str:
    """A moment to the second, in UTC."""
    return datetime.fromtimestamp(at_ns // NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S")
