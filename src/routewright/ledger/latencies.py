"""How long answers took, by day: counts in buckets, kept in the transaction that brings the rows.

A bucket is an eighth of a doubling, so a percentile read from it is at most 5 % off, and a day of a model is some
twenty rows however many requests it had. Sums say nothing of percentiles, and to look at every request takes too long.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from routewright.call import Cause
from routewright.ledger.database import Database, Transaction

DAY_NS = 86_400 * 10**9
PER_DOUBLING = 8

Measure: TypeAlias = Literal["total", "overhead", "first"]
"""Of a request, in ms; of our own part in it, in µs; of an attempt until its first event, in ms."""


class Spread(NamedTuple):
    """So many values, by bucket."""

    counts: Mapping[int, int]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def percentile(self, percent: int) -> int | None:
        """The value that so many of a hundred do not exceed, within 5 %; None without any."""
        wanted, seen = -(-self.total * percent // 100), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted > 0:
                return middle(bucket)
        return None


def middle(bucket: int) -> int:
    """The value in the middle of a bucket."""
    return round(2 ** ((bucket + 0.5) / PER_DOUBLING)) - 1


class Latencies(NamedTuple):
    """What there is to know of some days."""

    by_day: Mapping[tuple[Measure, int], Spread]
    """By measure and the day's beginning, UTC nanoseconds since 1970."""
    by_model: Mapping[tuple[Measure, str], Spread]

    def all(self, measure: Measure) -> Spread:
        """Of all days together."""
        return merged(spread for (its, _), spread in self.by_day.items() if its == measure)


def merged(spreads: Iterable[Spread]) -> Spread:
    """Several as one."""
    counts: dict[int, int] = {}
    for spread in spreads:
        for bucket, count in spread.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
    return Spread(counts)


def keep_latencies(transaction: Transaction, new: Mapping[str, str]) -> None:
    """Count rows that were not there before: `new` has, by table, what to write after FROM for them."""
    for table, statement in _KEEP.items():
        if table in new:
            transaction.execute(statement.format(new=new[table]))


def latencies(database: Database, since_ns: int, until_ns: int) -> Latencies:
    """Of the days that begin in a time. Raises StoreUnavailable."""
    days: dict[tuple[Measure, int], dict[int, int]] = {}
    models: dict[tuple[Measure, str], dict[int, int]] = {}
    for measure, day_ns, bucket, count in database.read_plain(_BY_DAY, since_ns, until_ns):
        days.setdefault((measure, day_ns), {})[bucket] = count
    for measure, model, bucket, count in database.read_plain(_BY_MODEL, since_ns, until_ns):
        models.setdefault((measure, model), {})[bucket] = count
    return Latencies(
        {key: Spread(counts) for key, counts in days.items()}, {key: Spread(counts) for key, counts in models.items()}
    )


# ---- SQL --------------------------------------------------------------------------------------------------------


def _bucket(value: str) -> str:
    doubles = f"ln(CAST(new.{value} + 1 AS DOUBLE PRECISION)) / ln(CAST(2 AS DOUBLE PRECISION))"
    return f"CAST(floor({PER_DOUBLING} * {doubles}) AS BIGINT)"


def _counted(measure: Measure, value: str, condition: str) -> str:
    return f"""
    SELECT new.at_ns - new.at_ns % {DAY_NS} AS day_ns, '{measure}' AS measure, new.model AS model,
           {_bucket(value)} AS bucket, count(*) AS count
    FROM {{new}} AS new WHERE {condition} AND new.{value} IS NOT NULL GROUP BY 1, 3, 4
    """  # noqa: S608 of our own constants


def _kept(counted: str) -> str:
    return f"""
    INSERT INTO latencies_daily (day_ns, measure, model, bucket, count)
    SELECT * FROM ({counted}) AS counted WHERE true ORDER BY 1, 2, 3, 4
    ON CONFLICT (day_ns, measure, model, bucket) DO UPDATE SET count = latencies_daily.count + excluded.count
    """  # noqa: S608 of our own constants


_ERRANDS = ", ".join(f"'{cause}'" for cause in Cause if cause.is_errand)
_ANSWERED = "new.model IS NOT NULL"
_KEEP = {
    "requests": _kept(
        f"{_counted('total', 'total_ms', _ANSWERED)} UNION ALL {_counted('overhead', 'overhead_us', _ANSWERED)}"
    ),
    "events": _kept(_counted("first", "first_event_ms", f"new.kind = 'settled' AND new.cause NOT IN ({_ERRANDS})")),
}
_WITHIN = "FROM latencies_daily WHERE day_ns >= ? AND day_ns < ? GROUP BY 1, 2, 3"
_BY_DAY = f"SELECT measure, day_ns, bucket, CAST(sum(count) AS BIGINT) {_WITHIN}"
_BY_MODEL = f"SELECT measure, model, bucket, CAST(sum(count) AS BIGINT) {_WITHIN}"
